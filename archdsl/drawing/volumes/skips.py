"""Skips: wires to boxes further on, which pass above what is between."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeAlias

from archdsl.drawing.figure.figure import Figure
from archdsl.drawing.volumes.boxes import Canvas, LayoutBox

#: The room between the lanes of skips.
LANE = 7.0

#: The rows of each edge's ends.
Skips: TypeAlias = dict[tuple[int, int], tuple[int, int]]


def skips_of(
    figure: Figure,
    layout_boxes: Sequence[LayoutBox],
    homes: Mapping[int, int],
    drawn: Iterable[tuple[int, int]],
) -> Skips:
    """The edges that have no wire yet; ``homes`` has the row of each box."""
    done = set(drawn).union(*(layout_box.drawn for layout_box in layout_boxes))
    taps = {edge: tap for layout_box in layout_boxes for edge, tap in layout_box.taps.items()}
    found: Skips = {}
    ends: set[tuple[int, Hashable]] = set()
    for edge in figure.edges:
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
