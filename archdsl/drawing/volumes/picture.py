"""The style of volumes: boxes in cabinet projection, and how they fit a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from archdsl.drawing.canvas.bounds import bounds_of, single_marks
from archdsl.drawing.canvas.marks import Group, Mark, Picture, Text, moved, rectangle
from archdsl.drawing.canvas.palette import border_of, fill_of
from archdsl.drawing.canvas.typeface import text_width
from archdsl.drawing.errors import DrawingError
from archdsl.drawing.figure.composition import compose_figure
from archdsl.drawing.figure.figure import Cluster, Figure, FigureItem, Fork, boxes_in, is_head
from archdsl.drawing.figure.heat import BAR_HEIGHT, BAR_WIDTH, MEASURES, HeatScale, scale_of
from archdsl.drawing.figure.ports import OUTPUT
from archdsl.drawing.graph.columns import (
    TrunkSegment,
    cuts_of,
    is_stage_end,
    items_of,
    partition,
    segments_of,
)
from archdsl.drawing.graph.draft import KEY_GAP, MARGIN
from archdsl.drawing.graph.sheet import Panel
from archdsl.drawing.options import PAGES, Options, Page, is_legible, note_small_text
from archdsl.drawing.volumes.boxes import LEADING, TEXT, Boxes
from archdsl.drawing.volumes.cuboids import Ruler, ruler_for
from archdsl.drawing.volumes.faces import Faces
from archdsl.drawing.volumes.projection import GAP, PAD, Projection
from archdsl.drawing.volumes.rows import ROW_GAP, rows_panel
from archdsl.drawing.volumes.ushape import u_panel, u_stages
from archdsl.layers import Family
from archdsl.model import Model

#: To fit a page, boxes are drawn smaller, but not their text.
ZOOMS = (1.0, 0.75, 0.5, 0.35)
#: The boxes in the keys, which show the insides of collapsed blocks, are no larger than this.
KEY_ZOOM = 0.5
#: The most rows that are tried.
MAX_ROWS = 9


def volumes_picture(model: Model, options: Options, faces: Faces | None = None) -> Picture:
    """The volumes of a network as boxes, fitted to the page that the options name.

    With ``faces`` the boxes are turned, and have these on their fronts.

    Errors:
        DrawingError: The options name a part to open that does not exist, or another direction.
    """
    if options.direction == "down":
        raise DrawingError("volumes are drawn from left to right, not down")
    if options.fit == "none":
        stage = VolumeFigure(model, _composed(model, options), options, 1.0, faces)
        return stage.picture(1, is_u=True, has_keys=True)
    return _fitted(model, options, PAGES[options.fit], faces)


def _composed(model: Model, options: Options) -> Figure:
    """The figure; blocks with branches are collapsed unless the options open them."""
    if options.depth is not None or options.flat:
        return compose_figure(model, options, is_terse=True)
    figure = compose_figure(model, options, is_terse=True)
    if len(figure.items) <= 3:  # one block between input and output: it is what is to be seen
        return figure
    collapsed = replace(options, depth=0)
    return compose_figure(model, collapsed, is_terse=True, may_collapse=_has_branches)


def _has_branches(cluster: Cluster) -> bool:
    """Whether a block is better drawn as one group of boxes."""
    return bool(cluster.title) and any(map(_forks, cluster.items))


def _forks(item: FigureItem) -> bool:
    return isinstance(item, Fork) or (isinstance(item, Cluster) and any(map(_forks, item.items)))


class VolumeFigure:
    """A figure with its boxes at one size, to be laid out in one way or another."""

    def __init__(
        self,
        model: Model,
        figure: Figure,
        options: Options,
        zoom: float,
        faces: Faces | None = None,
    ) -> None:
        self.figure = figure
        self.faces = faces
        self.options = options
        measure = MEASURES.get(options.color_by)
        self.scale: HeatScale | None = (
            scale_of(measure, [*figure.heats.values()], figure.volumes[0]) if measure else None
        )
        shown = [volume for f in (figure, *figure.keys) for volume in f.volumes.values()]
        is_turned = faces is not None
        self.ruler: Ruler = ruler_for(shown, options.scale, zoom, is_turned=is_turned)

        def projection(of: Figure, ruler: Ruler, faces: Faces | None = None) -> Projection:
            return Projection(of, Boxes(model, of, ruler, options, self.scale, faces))

        self.main = projection(figure, self.ruler, faces)
        # The inside of a block may be that of several, with different results.
        small = ruler_for(shown, options.scale, min(zoom, KEY_ZOOM), is_turned=is_turned)
        self.keys = [rows_panel(projection(key, small), [key.items]) for key in figure.keys]
        self.heights: dict[int, float] = {}
        self.segments = self._measured(segments_of(figure.items))
        self.stages = u_stages(self.main)

    def _measured(self, segments: Sequence[TrunkSegment]) -> list[TrunkSegment]:
        """The segments with their widths."""
        result = []
        source: int | None = None
        for segment in segments:
            layout_box = self.main.chain(segment.items, source)
            self.heights[id(segment.items[-1])] = layout_box.up + layout_box.down
            result.append(replace(segment, length=layout_box.width + GAP))
            source = self.main.source_of(segment.items[-1]) if _is_trunk(segment) else source
        return result

    def picture(
        self, rows: int, is_u: bool, has_keys: bool, through_skips: bool = False
    ) -> Picture:
        """The picture in rows, or as a U if the network has that shape."""
        if is_u and self.stages is not None:
            main = u_panel(self.main, self.stages)
        else:
            main = rows_panel(self.main, self._runs(rows, through_skips))
        keys = self.keys if has_keys else []
        panel = _above_each_other([main, *_side_by_side(keys, main.width)], KEY_GAP)
        foot = self._foot(max(panel.width, 160.0), bool(keys))
        panel = _above_each_other([panel, *foot], 12.0, may_rise=False)
        return Picture(
            self.figure.title,
            self.figure.description,
            tuple(moved(mark, MARGIN, MARGIN) for mark in panel.marks),
            panel.width + 2 * MARGIN,
            panel.height + 2 * MARGIN,
        )

    def scale_on(self, page: Page, rows: int, candidate: _Candidate) -> float:
        """Roughly the scale of the picture in that many rows, without drawing it."""
        runs = self._parted(rows, candidate.through_skips)
        width = max(sum(segment.length for segment in run) for run in runs)
        high = [
            max(self.heights[id(segment.items[-1])] for segment in run) + ROW_GAP for run in runs
        ]
        keys = sum(key.height for key in self.keys) if candidate.has_keys else 0.0
        return min(page.width / width, page.height / (sum(high) + keys), page.growth)

    def _parted(self, count: int, through_skips: bool) -> list[list[TrunkSegment]]:
        if count == 1:
            return [self.segments]
        ends = is_stage_end(self.segments, self.figure)
        cuts = cuts_of(self.segments, self.figure, through_skips)
        return partition(self.segments, cuts, ends, count, 2 * PAD)

    def _runs(self, count: int, through_skips: bool) -> list[tuple[FigureItem, ...]]:
        if count == 1:
            return [self.figure.items]
        before: frozenset[int] = frozenset()
        runs: list[tuple[FigureItem, ...]] = []
        for run in self._parted(count, through_skips):
            items = items_of(run, before)
            heads = tuple(takewhile(is_head, items))
            if runs:  # heads belong to the result before them, which is in the previous row
                runs[-1] += heads
                items = items[len(heads) :]
            runs.append(items)
            before |= {id(cluster) for segment in run for cluster in segment.path}
        return runs

    def _foot(self, width: float, has_keys: bool) -> Iterator[Panel]:
        """The rule by which sizes are drawn, and the meaning of the colours if asked for."""
        options = self.options
        if self.scale is not None and options.legend != "off":
            yield Panel(tuple(self.scale.bar(TEXT)), BAR_WIDTH, BAR_HEIGHT)
        elif options.legend == "on":
            yield _families(self.figure, width)
        lines: list[str] = []
        if options.legend == "off":
            return
        rule = self.ruler.rule
        if has_keys and self.ruler.zoom > KEY_ZOOM:
            share = f"{KEY_ZOOM / self.ruler.zoom:.0%}".replace("%", " %")
            rule = (*rule[:-1], f"{rule[-1]};", f"collapsed blocks are shown below at {share}")
        if self.faces is not None:
            rule = (*rule[:-1], f"{rule[-1]};", *self.faces.rule)
        for piece in rule:
            if lines and text_width(f"{lines[-1]} {piece}", TEXT) <= width:
                lines[-1] += f" {piece}"
            else:
                lines.append(piece)
        marks = tuple(
            Text((0.0, 7.0 + LEADING * n), line, TEXT, "muted", anchor="start")
            for n, line in enumerate(lines)
        )
        across = max(text_width(line, TEXT) for line in lines)
        yield Panel(marks, across, LEADING * len(lines))


def _is_trunk(segment: TrunkSegment) -> bool:
    item = segment.items[-1]
    return not is_head(item) and all(box.id != OUTPUT for box in boxes_in(item))


def _families(figure: Figure, width: float) -> Panel:
    """A square in the colour of each family that occurs, and its name."""
    items = [item for shown in (figure, *figure.keys) for item in shown.items]
    looks = dict.fromkeys(box.look for item in items for box in boxes_in(item))
    marks: list[Mark] = []
    x = y = right = 0.0
    for look in looks:
        word = {"block": "collapsed block", Family.INPUT.value: "input"}.get(look, look)
        across = 12.0 + text_width(word, TEXT)
        if x and x + across > width:
            x, y = 0.0, y + LEADING + 2.0
        square = rectangle(x, y, 8.0, 8.0, fill=fill_of(look), stroke=border_of(look), line=0.7)
        text = Text((x + 12.0, y + 7.0), word, TEXT, anchor="start")
        marks.append(Group((square, text), "", ("key", look)))
        right = max(right, x + across)
        x += across + 12.0
    return Panel(tuple(marks), right, y + LEADING)


def _side_by_side(panels: Sequence[Panel], width: float) -> list[Panel]:
    """Panels side by side, in as many lines as the width requires."""
    lines: list[list[Panel]] = []
    at = 0.0
    for panel in panels:
        if not lines or at + panel.width > width:
            lines.append([])
            at = 0.0
        lines[-1].append(panel)
        at += panel.width + KEY_GAP
    result = []
    for line in lines:
        marks: list[Mark] = []
        at = 0.0
        for panel in line:
            marks += [moved(mark, at, 0.0) for mark in panel.marks]
            at += panel.width + KEY_GAP
        result.append(Panel(tuple(marks), at - KEY_GAP, max(panel.height for panel in line)))
    return result


def _above_each_other(panels: Sequence[Panel], gap: float, may_rise: bool = True) -> Panel:
    """Panels below each other, each as high up as the marks above it allow if it ``may_rise``."""
    marks: list[Mark] = []
    bottom = 0.0
    for panel in panels:
        above = [bounds_of(mark) for mark in single_marks(marks)]
        reach = [bounds.bottom for bounds in above if bounds.left < panel.width + gap]
        under = max(reach, default=-gap) if may_rise or not marks else bottom
        top = under + gap
        marks += [moved(mark, 0.0, top) for mark in panel.marks]
        bottom = max(bottom, top + panel.height)
    return Panel(tuple(marks), max(panel.width for panel in panels), bottom)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A way to lay a figure out for a page."""

    figure: Figure
    has_keys: bool = True
    is_u: bool = False
    through_skips: bool = False
    note: str = ""


def _fitted(model: Model, options: Options, page: Page, faces: Faces | None) -> Picture:
    """The picture with the largest boxes whose text is legible on the page."""
    if options.direction == "right" and page.height > page.width:
        page = replace(page, width=page.height, height=page.width)
    best: Picture | None = None
    stages: dict[tuple[int, float], VolumeFigure] = {}
    for candidate in _candidates(model, options, page):
        for zoom in ZOOMS:
            key = (id(candidate.figure), zoom)
            stage = stages.get(key) or VolumeFigure(model, candidate.figure, options, zoom, faces)
            stages[key] = stage
            if candidate.is_u and stage.stages is None:
                break
            counts = _promising(stage, page, candidate, best)
            if not counts:
                continue
            picture = _largest(stage, page, candidate, counts)
            if best is None or picture.smallest_text > best.smallest_text + 0.05:
                best = replace(picture, notes=(candidate.note,) if candidate.note else ())
            if is_legible(picture, page):
                return best
    assert best is not None
    return note_small_text(best, page)


def _candidates(model: Model, options: Options, page: Page) -> Iterator[_Candidate]:
    """The candidates, in the order in which they are tried.

    The U comes before rows, rows without cut skips before those with them, and within each, an
    expanded figure before a collapsed one.
    """
    figure = _composed(model, options)
    candidates = [_Candidate(figure)]
    if options.depth is None and not options.flat:
        collapsed = compose_figure(model, replace(options, depth=0), is_terse=True)
        note = f"blocks are collapsed below depth 0, so that the text is legible on {page.name}"
        if collapsed.items != figure.items:
            candidates.append(_Candidate(collapsed, note=note))
    us = [replace(candidate, is_u=True) for candidate in candidates]
    crossing = [replace(candidate, through_skips=True) for candidate in candidates]
    for candidate in (*us, *candidates, *crossing):
        yield candidate
        if candidate.figure.keys and options.legend == "auto":
            yield replace(candidate, has_keys=False)


def _promising(
    stage: VolumeFigure, page: Page, candidate: _Candidate, best: Picture | None
) -> list[int]:
    """The numbers of rows that are worth trying: near the best, and not far worse than ``best``."""
    if candidate.is_u:
        return [1]
    most = min(MAX_ROWS, len(stage.segments))
    scales = {count: stage.scale_on(page, count, candidate) for count in range(1, most + 1)}
    largest = max(scales.values())
    if best is not None and largest < 0.9 * best.scale:
        return []
    # Fewer rows are preferred if they are legible.
    enough = min(0.8 * largest, page.smallest / TEXT)
    return [count for count, scale in scales.items() if scale >= max(enough, 0.7 * largest)]


def _largest(
    stage: VolumeFigure, page: Page, candidate: _Candidate, counts: Sequence[int]
) -> Picture:
    """The picture in the number of rows that makes its text largest; fewer if it is legible so."""
    best: Picture | None = None
    worse = 0
    for count in counts:
        picture = stage.picture(count, candidate.is_u, candidate.has_keys, candidate.through_skips)
        scale = min(page.width / picture.width, page.height / picture.height, page.growth)
        is_enough = best is not None and best.smallest_text >= page.smallest
        if best is None or scale > best.scale * (1.12 if is_enough else 1.0):
            best, worse = replace(picture, scale=scale), 0
        else:
            worse += 1
        if worse > 1 or best.scale >= page.growth:
            break
    assert best is not None
    return best
