"""Volumes in rows: a long trunk continues in the next row."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.drawing.canvas.marks import moved
from archdsl.drawing.figure.figure import FigureItem, is_head
from archdsl.drawing.graph.sheet import Panel
from archdsl.drawing.volumes.boxes import Canvas, LayoutBox
from archdsl.drawing.volumes.projection import Projection
from archdsl.drawing.volumes.skips import LANE, draw_skips, lanes_of, skips_of

#: The room between rows, and before the rows if there are several.
ROW_GAP, TURN = 16.0, 18.0


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
    skips = skips_of(projection.figure, layout_boxes, homes, drawn)
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
