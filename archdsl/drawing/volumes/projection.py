"""Chains, branches and blocks of volumes, from the inside out; data flows to the right."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from archdsl.drawing.canvas.marks import Group, Mark, Point, Text, rectangle
from archdsl.drawing.canvas.typeface import shortened, text_width
from archdsl.drawing.figure.figure import (
    Box,
    Cluster,
    Figure,
    FigureItem,
    Fork,
    boxes_in,
    cards_of,
    is_head,
    output_of,
)
from archdsl.drawing.figure.ports import OUTPUT
from archdsl.drawing.graph.sheet import DASH
from archdsl.drawing.volumes.boxes import (
    LEADING,
    LINE,
    TEXT,
    Boxes,
    Canvas,
    LayoutBox,
    broken,
    stacked,
)
from archdsl.drawing.volumes.skips import draw_skips, skips_of

#: The room between neighbours on an axis, beside branches, between branches, and in a frame.
GAP, FAN, BETWEEN, PAD = 14.0, 13.0, 7.0, 7.0
#: In a fork of this many branches or more, those that are alike are drawn as one.
MANY = 6
#: How far each of the cards behind a frame sticks out.
_CARD = 2.5


@dataclass(frozen=True, slots=True)
class _Row:
    """Branches that are drawn as one: the items of the first, and the boxes of the others."""

    items: tuple[FigureItem, ...]
    start: int
    others: tuple[tuple[Box, ...], ...] = ()


class Projection:
    """Lays out the items of a figure."""

    def __init__(self, figure: Figure, boxes: Boxes) -> None:
        self.figure = figure
        self.boxes = boxes
        self.edges = {(edge.tail, edge.head) for edge in figure.edges}

    def item(self, item: FigureItem, source: int | None) -> LayoutBox:
        """An item after the box ``source``."""
        match item:
            case Box():
                before = None if source is None else self.figure.volumes[source]
                return self._column(item) if item.beside else self.boxes.layout_box(item, before)
            case Cluster():
                return self._framed(item, source)
            case Fork():
                return self._fork(item)

    def _column(self, box: Box) -> LayoutBox:
        """The first input on the axis, the others below it."""
        first = self.boxes.layout_box(box, None)
        canvas = Canvas()
        canvas.put(first, 0.0, 0.0)
        for other in box.beside:
            layout_box = self.boxes.layout_box(other, None)
            canvas.put(layout_box, 0.0, canvas.down + BETWEEN + layout_box.up)
        return canvas.layout_box(first.entry, first.exit)

    def source_of(self, item: FigureItem) -> int:
        """The id of the box whose result leaves an item."""
        return self.figure.box_of[output_of(item)]

    def links(self, tail: int, item: FigureItem) -> set[tuple[int, int]]:
        """The edges from a box into an item."""
        return {(tail, box.id) for box in boxes_in(item)} & self.edges

    def chain(self, items: Sequence[FigureItem], source: int | None) -> LayoutBox:
        """Items on one axis, with auxiliary heads below it.

        The network's output gets no box: it is the last volume.
        """
        canvas = Canvas()
        at = entry = exit = 0.0
        is_first, parts = True, False
        heads: list[tuple[Cluster, int | None, float, float]] = []
        for item in items:
            if isinstance(item, Box) and item.id == OUTPUT:
                continue
            if isinstance(item, Cluster) and is_head(item):
                heads.append((item, source, exit, canvas.width))
                continue
            layout_box = self.item(item, source)
            if is_first:
                entry, parts = layout_box.entry, layout_box.parts
            else:
                at = canvas.width + GAP
            canvas.put(layout_box, at, 0.0)
            if source is not None and not is_first and (links := self.links(source, item)):
                canvas.wire(
                    (exit, 0.0), (at + layout_box.entry, 0.0), has_arrow=not layout_box.parts
                )
                canvas.drawn |= links
            exit, is_first = at + layout_box.exit, False
            source = self.source_of(item)
        self._hang(canvas, heads)
        return canvas.layout_box(entry, exit, parts)

    def _hang(
        self, canvas: Canvas, heads: Sequence[tuple[Cluster, int | None, float, float]]
    ) -> None:
        """Put auxiliary heads below the axis, each to the right of the result that it reads.

        Later heads are placed higher, so that the wires to them do not cross.
        """
        top, next = canvas.down + 8.0, float("inf")
        for head, source, exit, end in reversed(heads):
            layout_box = self.item(head, source)
            beside = max(exit + 5.0, end + 3.0)
            left = beside + 8.0
            if left + layout_box.width + 6.0 > next:
                top = canvas.down + 8.0
            y, next = top + layout_box.up, left
            canvas.put(layout_box, left, y)
            way = ((exit, 0.0), (beside, 0.0), (beside, y), (left + layout_box.entry, y))
            canvas.wire(*way, has_arrow=not layout_box.parts)
            if source is not None:
                canvas.drawn |= self.links(source, head)

    def _fork(self, fork: Fork) -> LayoutBox:
        """Branches below each other, and after them the box that joins them."""
        # A part shown alone has no boxes for what is given to it from outside.
        source = self.figure.box_of.get(fork.input)
        rows = _rows(fork, self.figure)
        layout_boxes = [self.chain(row.items, self.figure.box_of.get(row.start)) for row in rows]
        axes = stacked([(max(c.up, 5.0), max(c.down, 5.0)) for c in layout_boxes], BETWEEN)
        full = [axis for axis, row in zip(axes, rows, strict=True) if row.items]
        ends = (axes[0] - layout_boxes[0].up, axes[-1] + layout_boxes[-1].down)
        middle = full[0] if len(full) == 1 else sum(ends) / 2
        join = FAN + max(layout_box.width for layout_box in layout_boxes) + 7.0
        before = None if source is None else self.figure.volumes[source]
        merge = self.boxes.layout_box(fork.merge, before)
        canvas = Canvas()
        end = (join + 9.0 + merge.entry, 0.0)
        for row, layout_box, axis in zip(rows, layout_boxes, axes, strict=True):
            y = axis - middle
            canvas.put(layout_box, FAN, y)
            for other in row.others:
                for box, drawn in zip(other, _plain(row.items), strict=True):
                    canvas.ports[box.id] = canvas.ports[drawn.id]
            tail = self.figure.box_of.get(row.start)
            heads = [*(box for item in row.items for box in boxes_in(item)), fork.merge]
            begin: tuple[Point, ...]
            if row.start == fork.input:
                begin = ((0.0, 0.0), (4.0, 0.0), (4.0, y))
            else:
                begin = ((FAN, y),)
                for box in heads:
                    if tail is not None and (tail, box.id) in self.edges:
                        canvas.taps[tail, box.id] = (FAN, y)
            finish = ((join, y), (join, 0.0), end)
            if row.items:
                canvas.wire(*begin, (FAN + layout_box.entry, y), has_arrow=not layout_box.parts)
                canvas.wire((FAN + layout_box.exit, y), *finish)
            else:
                canvas.wire(*begin, *finish)
        canvas.put(merge, join + 9.0, 0.0)
        canvas.drawn |= self._inside(fork, source) - canvas.taps.keys()
        return canvas.layout_box(0.0, join + 9.0 + merge.exit, parts=True)

    def _inside(self, fork: Fork, source: int | None) -> set[tuple[int, int]]:
        """The edges that a fork's own wires draw."""
        drawn = set() if source is None else self.links(source, fork)
        for branch in fork.branches:
            if branch:
                drawn.add((self.source_of(branch[-1]), fork.merge.id))
            for before, after in pairwise(branch):
                drawn |= self.links(self.source_of(before), after)
        return drawn

    def _framed(self, cluster: Cluster, source: int | None) -> LayoutBox:
        """A block, group or head in its frame, with the title at the upper left."""
        inner = self._with_skips(self.chain(cluster.items, source))
        times = f"×{cluster.count}" if cluster.count > 1 else ""
        name = shortened(cluster.name or "", TEXT, 2 * LINE)
        room = max(inner.width, 2 * LINE)
        titles = broken(cluster.title, room) if cluster.title else []
        pieces = [(title, "ink", True) for title in titles]
        pieces += [(name, "muted", False)] if name else []
        pieces += [(times, "accent", True)] if times else []
        lines = _in_lines(pieces, room)
        canvas = Canvas()
        over = LEADING * len(lines) + (3.0 if lines else 0.0)
        top, bottom = -(inner.up + PAD + over), inner.down + PAD
        width = max([inner.width, *(right for _, right in lines)]) + 2 * PAD
        dash = DASH if is_head(cluster) else ()
        marks: list[Mark] = []
        shifts = [number * _CARD for number in range(cards_of(cluster.count), -1, -1)]
        for shift in shifts:
            card = rectangle(
                shift,
                top - shift,
                width,
                bottom - top,
                radius=5,
                fill="cluster",
                stroke="cluster-border",
                dash=dash,
            )
            marks.append(card)
        for number, (texts, _) in enumerate(lines):
            y = top + PAD / 2 + LEADING * (number + 1)
            marks += [
                Text((PAD + x, y), text, TEXT, paint, is_bold, "start")
                for x, (text, paint, is_bold) in texts
            ]
        title = " · ".join(text for text, _, _ in pieces)
        canvas.marks.append(Group(tuple(marks), title, ("cluster", cluster.kind.value)))
        canvas.put(inner, PAD, 0.0)
        canvas.reach(width + shifts[0], top - shifts[0], bottom)
        return canvas.layout_box(PAD + inner.entry, PAD + inner.exit, inner.parts)

    def _with_skips(self, inner: LayoutBox) -> LayoutBox:
        """A chain in a frame with its own skips, which pass above it and below the title."""
        skips = skips_of(self.figure, [inner], dict.fromkeys(inner.ports, 0), ())
        if not skips:
            return inner
        canvas = Canvas()
        canvas.put(inner, 0.0, 0.0)
        draw_skips(canvas, [-inner.up], skips)
        canvas.drawn |= set(skips)
        return canvas.layout_box(inner.entry, inner.exit, inner.parts)


_Piece = tuple[str, str, bool]


def _in_lines(
    pieces: Sequence[_Piece], room: float
) -> list[tuple[list[tuple[float, _Piece]], float]]:
    """The pieces of a title in lines, each piece with its place, each line with its end."""
    lines: list[tuple[list[tuple[float, _Piece]], float]] = []
    for piece in pieces:
        width = text_width(piece[0], TEXT, piece[2])
        texts, right = lines[-1] if lines else ([], 0.0)
        if texts and right + 5.0 + width <= room:
            lines[-1] = ([*texts, (right + 5.0, piece)], right + 5.0 + width)
        else:
            lines.append(([(0.0, piece)], width))
    return lines


def _rows(fork: Fork, figure: Figure) -> list[_Row]:
    """The branches of a fork; if there are many, those that are alike are one row."""
    rows = [_Row(b, s) for b, s in zip(fork.branches, fork.starts, strict=True)]
    if len(rows) < MANY:
        return rows
    groups: dict[Hashable, list[_Row]] = {}
    for number, row in enumerate(rows):
        sign = _sign(row, figure) if row.start == fork.input and row.items else number
        groups.setdefault(sign, []).append(row)
    return [_as_one(group) if len(group) > 1 else group[0] for group in groups.values()]


def _sign(row: _Row, figure: Figure) -> Hashable:
    """Equal for branches that look alike except for the arguments of their layers."""
    if not all(isinstance(item, Box) and item.block is None for item in row.items):
        return row.items
    boxes = _plain(row.items)
    return tuple((b.title, b.family, b.count, b.name, figure.volumes[b.id]) for b in boxes)


def _plain(items: Sequence[FigureItem]) -> tuple[Box, ...]:
    return tuple(item for item in items if isinstance(item, Box))


def _as_one(group: Sequence[_Row]) -> _Row:
    """Branches that are alike as one, each box standing for those of all."""
    merged = []
    columns = zip(*(_plain(row.items) for row in group), strict=True)
    for boxes in columns:
        first, last = boxes[0], boxes[-1]
        details = {box.detail: None for box in boxes}
        detail = first.detail if len(details) == 1 else f"{first.detail} … {last.detail}"
        merged.append(replace(first, detail=detail, count=first.count * len(group)))
    return _Row(tuple(merged), group[0].start, tuple(_plain(row.items) for row in group[1:]))
