"""Networks in the shape of a U: down to low resolutions, up again, and skips straight across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archdsl.drawing.canvas.marks import Group, Mark, Text, moved
from archdsl.drawing.figure.figure import Box, FigureItem, Fork, boxes_in, is_head
from archdsl.drawing.figure.ports import OUTPUT
from archdsl.drawing.graph.sheet import Panel
from archdsl.drawing.volumes.boxes import LEADING, TEXT, Canvas, LayoutBox
from archdsl.drawing.volumes.projection import GAP, Projection
from archdsl.drawing.volumes.skips import LANE, Skips, draw_skips, lanes_of, skips_of
from archdsl.layers import Family
from archdsl.layers.volume import Volume

#: The factor by which the height changes at least from level to level.
_STEP = 1.5
#: The room between levels, and between a wire that goes down or up and the box beside it.
LEVEL_GAP, BESIDE = 10.0, 5.0


@dataclass(frozen=True, slots=True)
class UStage:
    """An item of the trunk on its level, 0 for the highest resolution.

    ``rise`` is the layer that enlarged the volume, if the item joins its result with a skip.
    """

    item: FigureItem
    level: int
    source: int | None
    rise: Box | None = None


def u_stages(projection: Projection) -> tuple[UStage, ...] | None:
    """The trunk on levels; None if it is not a U: down, then up, with a skip to the way up."""
    figure = projection.figure
    if any(box.beside for item in figure.items[:1] for box in boxes_in(item)):
        return None  # several inputs
    stages: list[UStage] = []
    source: int | None = None
    level = 0
    for item in figure.items:
        if any(box.id == OUTPUT for box in boxes_in(item)):
            continue
        if is_head(item):
            return None
        output = projection.source_of(item)
        if source is not None:
            before, after = _high(figure.volumes[source]), _high(figure.volumes[output])
            if figure.volumes[output].is_vector:
                return None
            level += (after * _STEP <= before) - (after >= before * _STEP)
        rise = stages[-1].item if _has_risen(stages) else None
        if isinstance(item, Fork) and isinstance(rise, Box) and _joins_skip(item):
            last = stages.pop()
            stages.append(UStage(item, level, last.source, rise))
        else:
            stages.append(UStage(item, level, source))
        source = output
    return tuple(stages) if _is_u(stages) else None


def _high(volume: Volume) -> int:
    """The size of a volume along the axis that is drawn upright; 1 of a vector."""
    return volume.spatial[-2:][0] if volume.spatial else 1


def _has_risen(stages: Sequence[UStage]) -> bool:
    """Whether the last stage is on a higher level than the one before."""
    return len(stages) > 1 and stages[-1].level < stages[-2].level


def _is_u(stages: Sequence[UStage]) -> bool:
    """Whether the levels fall, then rise to at least one skip."""
    levels = [stage.level for stage in stages]
    if not levels or min(levels) < 0:
        return False
    bottom = levels.index(max(levels))
    is_valley = levels[: bottom + 1] == sorted(levels[: bottom + 1]) and levels[bottom:] == sorted(
        levels[bottom:], reverse=True
    )
    return bottom > 0 and is_valley and any(stage.rise is not None for stage in stages)


def _joins_skip(fork: Fork) -> bool:
    """Whether a fork only joins its input with one other result, which may be cut to size."""
    if len(fork.branches) != 2 or sum(start != fork.input for start in fork.starts) != 1:
        return False
    return all(
        len(branch) <= (start != fork.input)
        and all(isinstance(i, Box) and i.family is Family.PLUMBING for i in branch)
        for branch, start in zip(fork.branches, fork.starts, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Placed:
    stage: UStage
    layout_box: LayoutBox
    x: float


def u_panel(projection: Projection, stages: Sequence[UStage]) -> Panel:
    """The levels below each other, each stage to the right of the one before."""
    placed = _placed(projection, stages)
    count = max(stage.level for stage in stages) + 1
    drawn = {
        link
        for stage in stages
        if stage.source is not None
        for link in _drawn_into(projection, stage)
    }
    homes = {id: p.stage.level for p in placed for id in p.layout_box.ports}
    skips = skips_of(projection.figure, [p.layout_box for p in placed], homes, drawn)
    # A skip has its way across, unless something stands there.
    for number, p in enumerate(placed):
        tail = _tail_of(projection, p.stage)
        between = [q for q in placed[:number] if q.stage.level == p.stage.level]
        if tail is not None and (not between or tail not in between[-1].layout_box.ports):
            assert isinstance(p.stage.item, Fork)
            skips[tail, p.stage.item.merge.id] = (homes[tail], p.stage.level)
    axes: list[float] = []
    tops: list[float] = []
    at = 0.0
    for level, lanes in enumerate(lanes_of(skips, count)):
        row = [p.layout_box for p in placed if p.stage.level == level]
        at += LANE * lanes
        tops.append(at)
        axes.append(at + max(layout_box.up for layout_box in row))
        at = axes[-1] + max(layout_box.down for layout_box in row) + LEVEL_GAP
    canvas = Canvas()
    for number, p in enumerate(placed):
        canvas.put(p.layout_box, p.x, axes[p.stage.level])
        if number:
            _wire(projection, canvas, placed[number - 1], p, axes, skips)
    draw_skips(canvas, tops, skips)
    marks = tuple(moved(mark, 0.0, canvas.up) for mark in canvas.marks)
    return Panel(marks, canvas.width, canvas.up + canvas.down)


def _placed(projection: Projection, stages: Sequence[UStage]) -> list[_Placed]:
    """The layout boxes of the stages, with their places along the flow."""
    placed: list[_Placed] = []
    for stage in stages:
        if stage.rise is None:
            layout_box = projection.item(stage.item, stage.source)
        else:
            assert isinstance(stage.item, Fork)
            layout_box = projection.boxes.layout_box(stage.item.merge, None)
        if not placed:
            placed.append(_Placed(stage, layout_box, 0.0))
            continue
        last = placed[-1]
        gap = GAP if last.stage.level == stage.level else 2 * BESIDE + 2.0
        placed.append(_Placed(stage, layout_box, last.x + last.layout_box.width + gap))
    return placed


def _drawn_into(projection: Projection, stage: UStage) -> set[tuple[int, int]]:
    """The edges that are drawn into a stage: from the stage before it, and from its skip."""
    assert stage.source is not None
    if stage.rise is None:
        return projection.links(stage.source, stage.item)
    assert isinstance(stage.item, Fork)
    boxes = {stage.source, stage.rise.id, *(box.id for box in boxes_in(stage.item))}
    starts = {projection.figure.box_of[start] for start in stage.item.starts}
    return {edge for edge in projection.edges if set(edge) <= boxes | starts}


def _tail_of(projection: Projection, stage: UStage) -> int | None:
    """The box whose result a skip brings to a stage."""
    if stage.rise is None or not isinstance(stage.item, Fork):
        return None
    (start,) = {start for start in stage.item.starts if start != stage.item.input}
    return projection.figure.box_of[start]


def _wire(
    projection: Projection,
    canvas: Canvas,
    last: _Placed,
    here: _Placed,
    axes: Sequence[float],
    skips: Skips,
) -> None:
    """The wire from stage to stage; with a rise also the skip, and the labels of both."""
    begin = (last.x + last.layout_box.exit, axes[last.stage.level])
    axis = axes[here.stage.level]
    left = here.x + here.layout_box.entry
    beside = here.x - BESIDE
    if last.stage.level == here.stage.level:
        canvas.wire(begin, (left, axis), has_arrow=not here.layout_box.parts)
        return
    if here.stage.rise is None:
        way = ((beside, begin[1]), (beside, axis), (left, axis))
        canvas.wire(begin, *way, has_arrow=not here.layout_box.parts)
        return
    fork = here.stage.item
    assert isinstance(fork, Fork)
    size = projection.boxes.ruler.size(projection.figure.volumes[fork.merge.id])
    aside = min(0.22 * size.height, 14.0)
    canvas.wire(begin, (beside, begin[1]), (beside, axis + aside), (left, axis + aside))
    _words(projection, canvas, here.stage.rise, beside - 4.0, axis - aside + 2.0)
    for branch, start in zip(fork.branches, fork.starts, strict=True):
        if start == fork.input:
            continue
        tail, y = projection.figure.box_of[start], axis - aside
        if (tail, fork.merge.id) in skips:
            canvas.taps[tail, fork.merge.id] = (left, y)
        else:
            canvas.wire((canvas.ports[tail].right, y), (left, y))
        for item in branch:
            assert isinstance(item, Box)
            volume = projection.figure.volumes[item.id]
            text = f"{item.title} {'×'.join(map(str, volume.spatial))}"
            mark = Text((beside - 4.0, y - 4.0), text, TEXT, "muted", anchor="end")
            title = projection.figure.tooltips[item.id]
            canvas.marks.append(Group((mark,), title, ("node", item.look)))


def _words(projection: Projection, canvas: Canvas, box: Box, right: float, top: float) -> None:
    """The text of the layer that enlarges the volume, to the left of its wire.

    The layer gets no box, because its result is a part of the joined one.
    """
    volume = projection.figure.volumes[box.id]
    lines = projection.boxes.words(box, volume)
    marks: list[Mark] = [
        Text((right, top + LEADING * n), words.text, TEXT, words.paint, words.is_bold, "end")
        for n, words in enumerate(lines, start=1)
    ]
    title = projection.figure.tooltips[box.id]
    canvas.marks.append(Group(tuple(marks), title, ("node", box.look)))
    canvas.reach(right, top, top + LEADING * (len(lines) + 0.3))
