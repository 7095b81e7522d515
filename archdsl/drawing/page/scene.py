"""A figure as a scene: the marks of its pieces as SVG, and the places of the pieces as data.

Blocks are laid out collapsed, and the inside of each is another scene. The page opens a block by
stretching the scene around it. Each piece there is moved as a whole, away from the block along and
across the flow, so that the page needs no layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import count
from typing import Any, TypeAlias

from archdsl.drawing.canvas.svg import fragment_of
from archdsl.drawing.figure.figure import (
    Box,
    Cluster,
    Figure,
    boxes_in,
    is_head,
    output_of,
)
from archdsl.drawing.graph.boxes import SPACIOUS
from archdsl.drawing.graph.columns import with_references
from archdsl.drawing.graph.elements import (
    ClusterFrame,
    EdgeLabel,
    Element,
    PlacedBox,
    PlacedChain,
    Wire,
    elements_in,
)
from archdsl.drawing.graph.layout import CARD, Layout
from archdsl.drawing.graph.sheet import Sheet

Data: TypeAlias = dict[str, Any]
#: Whether a block inside that many others is open when the page is opened.
IsOpen: TypeAlias = Callable[[Cluster, int], bool]
#: Start and end along the flow, then across it.
_Area: TypeAlias = tuple[float, float, float, float]
#: Places that differ by no more than this are the same.
_NEAR = 0.05


@dataclass(frozen=True, slots=True)
class Scene:
    """``markup`` has an element with a ``data-key`` for each piece whose place is in ``data``.

    ``boxes`` are all its boxes by their keys, those in blocks as well.
    """

    markup: str
    data: Data
    boxes: dict[int, Box]


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What pieces belong to: a figure inside ``depth`` blocks, with the keys of its boxes by id."""

    figure: Figure
    keys: dict[int, int]
    depth: int

    @property
    def sheet(self) -> Sheet:
        return Sheet(self.figure, SPACIOUS, goes_down=True)


@dataclass(frozen=True, slots=True)
class _Head:
    """The frame of an auxiliary head, and the wire that leads to its first box."""

    key: int
    frame: ClusterFrame
    wire: Wire

    @property
    def axis(self) -> float:
        return self.wire.points[-1][1]

    def wire_to_it(self) -> Wire:
        """The wire as far as the frame."""
        return replace(self.wire, points=(*self.wire.points[:-1], (self.frame.u[0], self.axis)))


def scene_of(figure: Figure, is_open: IsOpen, spoken: Callable[[Box], str]) -> Scene:
    """The scene of a whole network; ``spoken`` describes a box for screen readers."""
    writer = _SceneWriter(is_open, spoken)
    markup, data = writer.scene(figure, None, 0)
    return Scene(markup, data, writer.boxes)


class _SceneWriter:
    def __init__(self, is_open: IsOpen, spoken: Callable[[Box], str]) -> None:
        self.is_open = is_open
        self.spoken = spoken
        self.boxes: dict[int, Box] = {}
        self.keys: Iterator[int] = count()

    def scene(
        self, figure: Figure, source: int | None, depth: int, side: float = 0.0
    ) -> tuple[str, Data]:
        """The pieces of a figure.

        A block is entered from ``source``. At ``side``, a place along the flow, wires enter it from
        the other results outside that it refers to.
        """
        layout = Layout(figure, SPACIOUS, goes_down=True)
        items = figure.items if source is None else figure.items[1:]
        flow = with_references(layout.stack(items, source), figure, layout)
        keys: dict[int, int] = {}
        elements = (*flow.elements, *_ends(flow, source), *_references(flow, figure, side))
        markup, data = self._pieces(elements, _Surroundings(figure, keys, depth))
        data |= {
            "length": _rounded(flow.length),
            "left": _rounded(flow.left),
            "right": _rounded(flow.right),
            "isFed": flow.is_fed,
            "exit": None if source is None else keys[_exit_of(figure)],
            "edges": [
                (keys[edge.tail], keys[edge.head])
                for edge in figure.edges
                if edge.tail in keys and edge.head in keys
            ],
        }
        return markup, data

    def _pieces(self, elements: Sequence[Element], place: _Surroundings) -> tuple[str, Data]:
        """The pieces of a scene; wires come last, so that nothing hides them.

        Heads are scenes inside it, so that a block opened beside a head does not stretch the head.
        """
        flat = [*_without_heads(elements)]
        placed_boxes = [(next(self.keys), e) for e in flat if isinstance(e, PlacedBox)]
        place.keys.update((placed.box.id, key) for key, placed in placed_boxes)
        wires = [e for e in flat if isinstance(e, Wire)]
        heads = [
            _Head(next(self.keys), frame, next(w for w in wires if _leads_into(w, frame)))
            for frame in flat
            if isinstance(frame, ClusterFrame) and is_head(frame.cluster)
        ]
        cut = {id(head.wire): head for head in heads}
        ends = [(key, _area_of(placed)) for key, placed in placed_boxes]
        ends += [(head.key, (*head.frame.u, *head.frame.v)) for head in heads]
        pieces = {
            "frames": [
                self._frame(e, place)
                for e in flat
                if isinstance(e, ClusterFrame) and not is_head(e.cluster)
            ],
            "labels": [self._label(e, place) for e in flat if isinstance(e, EdgeLabel)],
            "boxes": [self._place_box(key, placed, place) for key, placed in placed_boxes]
            + [self._head(head, place) for head in heads],
            "wires": [
                self._wire(cut[id(wire)].wire_to_it() if id(wire) in cut else wire, ends)
                for wire in wires
            ],
        }
        markup = "\n".join(text for made in pieces.values() for text, _ in made)
        return markup, {name: [data for _, data in made] for name, made in pieces.items()}

    def _head(self, head: _Head, place: _Surroundings) -> tuple[str, Data]:
        """An auxiliary head: always open, and moved as a whole."""
        frame = head.frame.moved(-head.frame.u[0], -head.axis)
        first = head.wire.points[-1][0] - head.frame.u[0]
        entry = Wire(((0.0, 0.0), (first, 0.0)), head.wire.has_arrow, is_dashed=True)
        around = self._frame(frame, place)
        markup, scene = self._pieces((*frame.elements, entry), place)
        scene |= {
            "length": _rounded(frame.u[1]),
            "left": _rounded(-frame.v[0]),
            "right": _rounded(frame.v[1]),
            "isFed": True,
            "exit": None,
            "edges": [],
        }
        scene["frames"].append(around[1])
        data = {
            "key": head.key,
            "u": _rounded(head.frame.u[0]),
            "v": _rounded(head.axis),
            "along": scene["length"],
            "left": scene["left"],
            "right": scene["right"],
            "nodes": [],
            "scene": scene,
            "isOpen": True,
            "isHead": True,
        }
        title = escape(" ".join(piece for line in frame.title for piece in line if piece))
        start = f'<g class="holder" data-key="{head.key}" role="group" aria-label="{title}">'
        return f"{start}{around[0]}{markup}</g>", data

    def _place_box(self, key: int, placed: PlacedBox, place: _Surroundings) -> tuple[str, Data]:
        box, figure = placed.box, place.figure
        self.boxes[key] = box
        data: Data = {
            "key": key,
            "u": _rounded(placed.u),
            "v": _rounded(placed.v),
            "along": _rounded(placed.along),
            "left": _rounded(placed.across / 2),
            "right": _rounded(placed.across / 2),
            "nodes": [node for node in box.members if node >= 0],
        }
        shown = fragment_of(place.sheet.placed(replace(placed, u=0.0, v=0.0)).marks)
        spoken = escape(self.spoken(box))
        role, inside = "img", ""
        if box.block is not None:
            below = figure.insides[box.id]
            (source,) = (start.id for start in boxes_in(below.items[0]))
            markup, data["scene"] = self.scene(below, source, place.depth + 1, placed.along / 2)
            data["isOpen"] = self.is_open(box.block, place.depth)
            role, inside = "button", f'<g class="inside">{markup}</g>{_BADGE}'
        return (
            f'<g class="node {escape(box.look)}" data-key="{key}" role="{role}" tabindex="-1" '
            f'aria-label="{spoken}"><g class="face">{shown}</g>{inside}</g>',
            data,
        )

    def _frame(self, frame: ClusterFrame, place: _Surroundings) -> tuple[str, Data]:
        key = next(self.keys)
        is_dashed = is_head(frame.cluster)
        cards = [2 * CARD, CARD, 0.0] if frame.cluster.count > 1 else [0.0]
        dash = ' stroke-dasharray="4 3"' if is_dashed else ""
        rectangle = f'<rect rx="6" class="f-cluster s-cluster-border"{dash}/>'
        title = fragment_of(place.sheet.title(replace(frame, title_at=(0.0, 0.0))))
        data = {
            "key": key,
            "u": [*map(_rounded, frame.u)],
            "v": [*map(_rounded, frame.v)],
            "title": [*map(_rounded, frame.title_at)],
            "cards": cards,
        }
        return (
            f'<g class="frame {frame.cluster.kind.value}" data-key="{key}">'
            f"{rectangle * len(cards)}<g>{title}</g></g>",
            data,
        )

    def _label(self, label: EdgeLabel, place: _Surroundings) -> tuple[str, Data]:
        key = next(self.keys)
        shown = fragment_of([place.sheet.label(label.moved(-label.u, -label.v))])
        data = {"key": key, "u": _rounded(label.u), "v": _rounded(label.v)}
        return f'<g class="volume" data-key="{key}">{shown}</g>', data

    def _wire(self, wire: Wire, ends: Sequence[tuple[int, _Area]]) -> tuple[str, Data]:
        key = next(self.keys)
        dash = ' stroke-dasharray="3.5 2.5"' if wire.is_dashed else ""
        data = {
            "key": key,
            "points": [(_rounded(u), _rounded(v)) for u, v in wire.points],
            "hasArrow": wire.has_arrow,
            "tail": _touched(wire.points[0], ends),
            "head": _touched(wire.points[-1], ends),
        }
        return (
            f'<g class="edge" data-key="{key}"><path fill="none" class="s-line" '
            f'stroke-width="1.1"{dash}/><path class="f-line"/></g>',
            data,
        )


#: The sign of a block that can be opened and collapsed; for an open block the page hides one of
#: its strokes.
_BADGE = (
    '<g class="badge"><circle r="6.5" class="f-page s-block-border"/>'
    '<path d="M-3,0H3" class="s-block-border"/><path d="M0,-3V3" class="s-block-border plus"/></g>'
)


def _exit_of(figure: Figure) -> int:
    """The id of the box whose result leaves a block."""
    return figure.box_of[output_of(figure.items[-1])]


def _ends(flow: PlacedChain, source: int | None) -> list[Element]:
    """The wires from the border of a block to its first box, and back from its last."""
    wires: list[Element] = []
    if source is None:
        return wires
    if flow.is_fed and flow.first > 0:
        wires.append(Wire(((0.0, 0.0), (flow.first, 0.0)), flow.has_arrow))
    if flow.length > flow.last:
        wires.append(Wire(((flow.last, 0.0), (flow.length, 0.0)), has_arrow=False))
    return wires


def _references(flow: PlacedChain, figure: Figure, side: float) -> list[Wire]:
    """The wires from the right border of a block to its boxes that refer to results outside it."""
    placed_boxes = {e.box.id: e for e in elements_in(flow.elements) if isinstance(e, PlacedBox)}
    lane = flow.right - SPACIOUS.pad / 2
    wires = []
    for placed in map(placed_boxes.__getitem__, figure.references):
        middle, right = placed.u + placed.along / 2, placed.v + placed.across / 2
        points = ((side, flow.right), (side, lane), (middle, lane), (middle, right))
        wires.append(Wire(points))
    return wires


def _without_heads(elements: Sequence[Element]) -> Iterator[Element]:
    """All elements except those in heads; a frame comes before its contents."""
    for element in elements:
        yield element
        if isinstance(element, ClusterFrame) and not is_head(element.cluster):
            yield from _without_heads(element.elements)


def _leads_into(wire: Wire, frame: ClusterFrame) -> bool:
    return wire.is_dashed and _is_in(wire.points[-1], (*frame.u, *frame.v))


def _area_of(placed: PlacedBox) -> _Area:
    half = placed.across / 2
    return placed.u, placed.u + placed.along, placed.v - half, placed.v + half


def _is_in(point: tuple[float, float], area: _Area) -> bool:
    (u, v), (top, bottom, left, right) = point, area
    return top - _NEAR <= u <= bottom + _NEAR and left - _NEAR <= v <= right + _NEAR


def _touched(point: tuple[float, float], ends: Sequence[tuple[int, _Area]]) -> int | None:
    """The key of the box or head at the end of a wire."""
    return next((key for key, area in ends if _is_in(point, area)), None)


def _rounded(length: float) -> float:
    return round(length, 2)
