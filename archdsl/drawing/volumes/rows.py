"""Volumes in rows: a long trunk continues in the next row, and skips pass above their rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeAlias

from archdsl.drawing.canvas.marks import moved
from archdsl.drawing.figure.figure import FigureItem, is_head
from archdsl.drawing.graph.sheet import Panel
from archdsl.drawing.volumes.boxes import Canvas, LayoutBox
from archdsl.drawing.volumes.projection import Projection

#: The room between rows, before the rows if there are several, and between the lanes of skips.
ROW_GAP, TURN, LANE = 16.0, 18.0, 7.0


def rows_panel(projection: Projection, runs: Sequence[Sequence[FigureItem]]) -> Panel:
    """The runs of a trunk in rows below each other."""
    layout_boxes: list[LayoutBox] = []
    source: int | None = None
    drawn: set[tuple[int, int]] = set()
    for run in runs:
        layout_boxes.append(projection.chain(run, source))
        trunk = [item for item in run if not is_head(item)]
        if source is not None:
            drawn |= projection.links(source, trunk[0])
        source = projection.source_of(trunk[-1])
    homes = {
        id: number for number, layout_box in enumerate(layout_boxes) for id in layout_box.ports
    }
    skips = skips_of(projection, layout_boxes, homes, drawn)
    lanes = lanes_of(skips, len(layout_boxes))
    left = TURN if len(layout_boxes) > 1 else 0.0
    canvas = Canvas()
    axes: list[float] = []
    at = 0.0
    for layout_box, count in zip(layout_boxes, lanes, strict=True):
        at += LANE * count + (4.0 if count else 0.0)
        axes.append(at + layout_box.up)
        canvas.put(layout_box, left, axes[-1])
        at += layout_box.up + layout_box.down + ROW_GAP
    _turns(canvas, layout_boxes, axes)
    tops = [axis - layout_box.up for axis, layout_box in zip(axes, layout_boxes, strict=True)]
    draw_skips(canvas, tops, skips)
    up = canvas.up
    marks = tuple(moved(mark, 0.0, up) for mark in canvas.marks)
    return Panel(marks, canvas.width, up + canvas.down)


def _turns(canvas: Canvas, layout_boxes: Sequence[LayoutBox], axes: Sequence[float]) -> None:
    """The wire from the end of each row to the beginning of the next."""
    for number in range(len(layout_boxes) - 1):
        here, after = layout_boxes[number], layout_boxes[number + 1]
        out, way = TURN + here.exit, axes[number] + here.down + ROW_GAP / 2
        beside = TURN + here.width + 5.0
        y, goal = axes[number + 1], TURN + after.entry
        start = ((out, axes[number]), (beside, axes[number]), (beside, way))
        canvas.wire(*start, (6.0, way), (6.0, y), (goal, y), has_arrow=not after.parts)


#: The rows of each edge's ends.
Skips: TypeAlias = dict[tuple[int, int], tuple[int, int]]


def skips_of(
    projection: Projection,
    layout_boxes: Sequence[LayoutBox],
    homes: Mapping[int, int],
    drawn: Iterable[tuple[int, int]],
) -> Skips:
    """The edges that have no wire yet; ``homes`` has the row of each box."""
    done = set(drawn).union(*(layout_box.drawn for layout_box in layout_boxes))
    taps = {edge: tap for layout_box in layout_boxes for edge, tap in layout_box.taps.items()}
    found: Skips = {}
    ends: set[tuple[int, Hashable]] = set()
    for edge in projection.figure.edges:
        pair = (edge.tail, edge.head)
        if pair in done or edge.tail not in homes or edge.head not in homes:
            continue
        # One wire is enough for branches of a fork that begin at the same place.
        end = (edge.tail, taps.get(pair, edge.head))
        if end not in ends:
            ends.add(end)
            found[pair] = (homes[edge.tail], homes[edge.head])
    return found


def lanes_of(skips: Skips, rows: int) -> list[int]:
    """How many skips begin or end in each row."""
    return [sum(row in ends for ends in skips.values()) for row in range(rows)]


def draw_skips(canvas: Canvas, tops: Sequence[float], skips: Skips) -> None:
    """Draw each skip up to a lane above its row and down again.

    A skip to another row passes to the right of all rows.
    """
    used = [0] * len(tops)
    right = canvas.width + 4.0

    def lane(row: int) -> float:
        used[row] += 1
        return tops[row] - 4.0 - LANE * (used[row] - 1)

    def length(edge: tuple[int, int]) -> float:
        return abs(canvas.ports[edge[1]].left - canvas.ports[edge[0]].right)

    for edge in sorted(skips, key=length):
        tail, head = canvas.ports[edge[0]], canvas.ports[edge[1]]
        first, last = skips[edge]
        goal = canvas.taps.get(edge, (head.left, head.y))
        over = lane(first)
        beside = max(tail.right + 5.0, tail.end + 3.0)
        way = [(tail.right, tail.y), (beside, tail.y), (beside, over)]
        if last != first:
            under = lane(last)
            way += [(right, over), (right, under)]
            right += LANE
            over = under
        before = goal[0] - 6.0 if edge in canvas.taps else min(head.left - 6.0, head.start - 3.0)
        canvas.wire(*way, (before, over), (before, goal[1]), goal)
