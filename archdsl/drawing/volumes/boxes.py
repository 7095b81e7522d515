"""Pieces of a picture of volumes, laid out on an axis, each with room for its labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from archdsl.drawing.canvas.marks import Group, Mark, Point, Text, moved
from archdsl.drawing.canvas.palette import shades_of
from archdsl.drawing.canvas.typeface import shortened, text_width
from archdsl.drawing.figure.figure import Box, Figure, boxes_in
from archdsl.drawing.figure.heat import HeatScale
from archdsl.drawing.graph.wires import wire_marks
from archdsl.drawing.options import Options
from archdsl.drawing.volumes.cuboids import CuboidSize, Ruler, cuboid_marks
from archdsl.drawing.volumes.faces import Faces
from archdsl.layers import Family
from archdsl.layers.definition import fields_of
from archdsl.layers.volume import Volume
from archdsl.model import Model

#: The one size of text, so that no text is smaller than others when a page shrinks the picture.
TEXT = 8.0
LEADING = 9.6
#: Lines of text are broken at this width, and names are cut.
LINE = 58.0
#: Equal volumes that touch are drawn up to this total width, but at least two of them.
_RUN = 125.0
#: The width of the gap with an ellipsis for volumes that are left out.
_LEFT_OUT = 14.0
#: The gap between the parts of a grouped layer, in addition to how far they reach back; and the
#: room for wires at their sides.
_APART, _FAN = 4.0, 10.0
#: The most groups that are drawn separately.
MOST_GROUPS = 4


@dataclass(frozen=True, slots=True)
class Port:
    """Where wires reach a box and leave it; its labels are between ``start`` and ``end``."""

    left: float
    right: float
    y: float
    start: float
    end: float

    def moved(self, dx: float, dy: float) -> Port:
        return Port(self.left + dx, self.right + dx, self.y + dy, self.start + dx, self.end + dx)


@dataclass(frozen=True, slots=True)
class LayoutBox:
    """A piece from x = 0 on the axis y = 0, with all its marks between ``-up`` and ``down``.

    The wire into it ends at ``entry``, the wire out of it begins at ``exit``, both on the axis.
    ``drawn`` are the edges that have their wires; ``taps`` are places where other edges end.
    """

    width: float
    up: float
    down: float
    entry: float
    exit: float
    marks: tuple[Mark, ...] = ()
    ports: Mapping[int, Port] = field(default_factory=dict)
    drawn: frozenset[tuple[int, int]] = frozenset()
    taps: Mapping[tuple[int, int], Point] = field(default_factory=dict)
    #: Whether the wire into it branches there, and its arrows are further on.
    parts: bool = False


class Canvas:
    """Collects layout boxes, texts and wires, and how far they reach."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.ports: dict[int, Port] = {}
        self.drawn: set[tuple[int, int]] = set()
        self.taps: dict[tuple[int, int], Point] = {}
        self.width = self.up = self.down = 0.0

    def reach(self, right: float, top: float, bottom: float) -> None:
        self.width = max(self.width, right)
        self.up, self.down = max(self.up, -top), max(self.down, bottom)

    def put(self, layout_box: LayoutBox, x: float, y: float) -> None:
        """Add a layout box with the left end of its axis at a point."""
        self.marks += [moved(mark, x, y) for mark in layout_box.marks]
        for id, port in layout_box.ports.items():
            self.ports[id] = port.moved(x, y)
        for edge, (left, top) in layout_box.taps.items():
            self.taps[edge] = (left + x, top + y)
        self.drawn |= layout_box.drawn
        self.reach(x + layout_box.width, y - layout_box.up, y + layout_box.down)

    def wire(self, *way: Point, has_arrow: bool = True) -> None:
        self.marks.append(wire_marks(way, has_arrow))
        ys = [y for _, y in way]
        self.reach(max(x for x, _ in way), min(ys) - 2.5, max(ys) + 2.5)

    def layout_box(self, entry: float, exit: float, parts: bool = False) -> LayoutBox:
        return LayoutBox(
            self.width,
            self.up,
            self.down,
            entry,
            exit,
            tuple(self.marks),
            self.ports,
            frozenset(self.drawn),
            self.taps,
            parts,
        )


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text under a box."""

    text: str
    is_bold: bool = False
    paint: str = "muted"

    @property
    def width(self) -> float:
        return text_width(self.text, TEXT, self.is_bold)


class Boxes:
    """Makes layout boxes from the boxes of a figure."""

    def __init__(
        self,
        model: Model,
        figure: Figure,
        ruler: Ruler,
        options: Options,
        heat: HeatScale | None = None,
        faces: Faces | None = None,
    ) -> None:
        self.model = model
        self.figure = figure
        self.ruler = ruler
        self.options = options
        self.heat = heat
        self.faces = faces

    def layout_box(self, box: Box, before: Volume | None) -> LayoutBox:
        """A box with its height and width above it, and channels, name and operation below it."""
        volume = self.figure.volumes[box.id]
        groups = self._groups(box)
        size = self._size(box, groups)
        copies = self._copies(box, size)
        shown = self._results(box, len(copies))
        # Where some are left out, the last stands behind a gap.
        gap = size.back + _LEFT_OUT if len(copies) < box.count else 0.0
        wide = sum(copy.width for copy, _ in copies) + gap + size.back
        high = groups * size.height + (groups - 1) * _APART + groups * size.back
        fan = _FAN if groups > 1 else 0.0
        above = self._above(box, volume, before)
        below = self.words(box, volume, groups)
        width = max(wide + 2 * fan, above.width, *(words.width for words in below))
        left, top = (width - wide) / 2, -high / 2
        canvas = Canvas()
        cuboids: list[Mark] = []
        for number in range(groups):
            y = top + size.back + number * (size.height + _APART + size.back)
            if fan:
                middle = y + (size.height - size.back) / 2
                ends = (left - fan, left + wide + fan)
                canvas.wire(
                    (ends[0], 0.0), (ends[0] + 2, 0.0), (ends[0] + 2, middle), (left, middle)
                )
                right = left + wide
                out = ((right, middle), (ends[1] - 2, middle), (ends[1] - 2, 0.0), (ends[1], 0.0))
                canvas.wire(*out, has_arrow=False)
            x = left
            for place, ((copy, parts), node) in enumerate(zip(copies, shown, strict=True)):
                if gap and place == len(copies) - 1:
                    at = (x + size.back + _LEFT_OUT / 2, y + size.height / 2)
                    cuboids.append(Text(at, "…", TEXT, bold=True))
                    x += gap
                face = self.faces.front(node, number, groups) if self.faces else None
                cuboids += cuboid_marks(
                    x, y, copy, box.look, parts, self._paints(box), face, self.ruler.is_turned
                )
                x += copy.width
        texts = list(_column(left + wide / 2, -top, below))
        if above.text:
            texts.append(Text((left + wide / 2, top - 3.0), above.text, TEXT, above.paint))
        marks = (*cuboids, *texts)
        canvas.marks.append(Group(marks, self.figure.tooltips[box.id], ("node", box.look)))
        over = LEADING + 2.0 if above.text else 0.0
        canvas.reach(width, top - over, -top + 3.0 + LEADING * len(below))
        canvas.ports[box.id] = Port(left - fan, left + wide + fan, 0.0, 0.0, width)
        return canvas.layout_box(left - fan, left + wide + fan, parts=groups > 1)

    def _copies(self, box: Box, size: CuboidSize) -> list[tuple[CuboidSize, tuple[int, ...]]]:
        """The boxes that touch, with their widths and parts: all, or the first and the last."""
        count = min(box.count, max(2, int(_RUN // size.width)))
        if not box.run:
            return [(size, self.parts(box))] * count
        blocks = box.run if count == len(box.run) else (*box.run[: count - 1], box.run[-1])
        return [
            (
                self.ruler.size(self.model.nodes[block.output].volume),
                self.parts(list(boxes_in(block))[-1]),
            )
            for block in blocks
        ]

    def _results(self, box: Box, count: int) -> list[int]:
        """The nodes whose results the boxes that touch are: all, or the first and the last."""
        if box.run:
            outputs = [block.output for block in box.run]
        else:
            each = max(1, len(box.members) // box.count)
            outputs = list(box.members[each - 1 :: each])
        if len(outputs) > count:
            outputs = [*outputs[: count - 1], outputs[-1]]
        return [box.id] * (count - len(outputs)) + outputs

    def parts(self, box: Box) -> tuple[int, ...]:
        """The channels that a `concat` joins in a box: its own, or the last of its block."""
        merges = [box] if box.block is None else list(boxes_in(box.block))[-1:]
        for merge in merges:
            node = self.model.nodes[merge.nodes[0]] if merge.id >= 0 else None
            if node is not None and len(node.inputs) > 1 and not node.volume.is_vector:
                channels = [self.model.nodes[source].volume.channels for source in node.inputs]
                if sum(channels) == node.volume.channels:
                    return tuple(channels)
        return ()

    def is_slab(self, box: Box) -> bool:
        """Whether a box is drawn as a thin slab: it has no weights and keeps the channels."""
        if box.block is not None or box.family is Family.INPUT or self.parts(box):
            return False
        node = self.model.nodes[box.nodes[0]]
        before = self.model.nodes[node.inputs[0]].volume
        return not node.layer.has_weights and node.volume.channels == before.channels

    def _size(self, box: Box, groups: int) -> CuboidSize:
        volume = self.figure.volumes[box.id]
        if groups > 1:
            volume = volume.with_channels(volume.channels // groups)
        return self.ruler.size(volume, self.is_slab(box))

    def _groups(self, box: Box) -> int:
        """The number of parts in which a box is drawn: the groups of its layer, if they are few."""
        layer = self.model.nodes[max(box.nodes[0], 0)].layer
        if box.block is not None or all(field.name != "groups" for field in fields_of(type(layer))):
            return 1
        groups: int = vars(layer)["groups"]
        return groups if groups <= MOST_GROUPS else 1

    def _paints(self, box: Box) -> tuple[str, str, str] | None:
        """The colours of front, top and side, by the number that colours the box."""
        heat = self.figure.heats.get(box.id)
        if self.heat is None or heat is None:
            return None
        front, _ = self.heat.paints(heat.value)
        return (front, *shades_of(front)) if front.startswith("#") else (front, front, front)

    def _above(self, box: Box, volume: Volume, before: Volume | None) -> Words:
        """Height and width, if they change or the options ask for them."""
        sizes = volume.sizes[:-1]
        is_old = before is not None and before.sizes[:-1] == sizes
        shapes = self.options.shapes
        if not sizes or shapes == "none" or (is_old and shapes == "changes"):
            return Words("")
        return Words("×".join(map(str, sizes)), paint="ink")

    def words(self, box: Box, volume: Volume, groups: int = 1) -> list[Words]:
        channels = str(volume.channels)
        first = f"{groups} · {volume.channels // groups}" if groups > 1 else channels
        lines = [Words(first, True, "ink")] if self.options.shapes != "none" else []
        name = (box.name or "").removeprefix(f"{box.title} ").strip()
        ends = [o.name for o in self.model.outputs if self.figure.box_of.get(o.node) == box.id]
        if name and name not in ends:
            lines += [Words(line, paint="ink") for line in _named(name)]
        lines += [Words(f"→ {name}", paint="ink") for name in ends]
        title = box.title + (f" ×{box.count}" if box.count > 1 else "")
        lines += [Words(line, True, "ink") for line in broken(title)]
        detail = box.detail if box.family is not Family.INPUT else ""
        # The sum of a `concat` is in the line of the channels already.
        pieces = [piece.removesuffix(f" = {volume.channels}") for piece in detail.split(" · ")]
        pieces = [piece for piece in pieces if piece and piece != channels]
        lines += [Words(line) for piece in pieces for line in broken(piece)]
        heat = self.figure.heats.get(box.id)
        if self.heat is not None and heat is not None and heat.value:
            lines.append(Words(heat.short, True))
        if self.faces is not None and self.figure.box_of.get(self.faces.answer) == box.id:
            lines += [
                Words(text, number == 0, "ink") for number, text in enumerate(self.faces.told)
            ]
        return lines


def _named(name: str) -> list[str]:
    """A name in one line, or the first and the last of several in two if one line is too short."""
    limit = 1.5 * LINE
    first, dash, last = name.partition("–")
    lines = [name] if text_width(name, TEXT) <= limit or not dash else [first + dash, last]
    return [shortened(line, TEXT, limit) for line in lines]


def broken(text: str, limit: float = LINE) -> list[str]:
    """Text in lines of a bounded width, broken at spaces, and after ``+``, ``→`` and ``,``."""
    lines = [""]
    for word in _words(text):
        if lines[-1] and text_width(lines[-1] + word.rstrip(), TEXT, True) > limit:
            lines.append("")
        lines[-1] += word
    return [shortened(line.strip(), TEXT, max(limit, 80.0), True) for line in lines if line.strip()]


def _words(text: str) -> Iterator[str]:
    """Pieces between which a line may end."""
    word = ""
    for sign in text:
        word += sign
        if sign in " +→,":
            yield word
            word = ""
    yield word


def _column(x: float, bottom: float, lines: Sequence[Words]) -> Iterator[Text]:
    """Lines of text, centred below a box."""
    for number, words in enumerate(lines, start=1):
        at = (x, bottom + LEADING * number)
        yield Text(at, words.text, TEXT, words.paint, words.is_bold)


def stacked(rows: Sequence[tuple[float, float]], gap: float) -> list[float]:
    """The axes of rows below each other from y = 0, by how far each reaches up and down."""
    axes = []
    at = 0.0
    for up, down in rows:
        axes.append(at + up)
        at += up + down + gap
    return axes
