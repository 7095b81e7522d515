"""A long trunk in columns: cut where one wire passes, preferably where a stage ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from archdsl.drawing.figure.figure import (
    Box,
    Cluster,
    ClusterKind,
    Figure,
    FigureItem,
    boxes_in,
    is_head,
)
from archdsl.drawing.graph.boxes import Type
from archdsl.drawing.graph.elements import (
    TITLE_LEADING,
    ClusterFrame,
    EdgeLabel,
    PlacedBox,
    PlacedChain,
    Wire,
    elements_in,
)
from archdsl.drawing.graph.layout import LANE, Layout
from archdsl.drawing.graph.routing import Router

#: The most columns that are tried, and how much longer they may become to end with a stage.
MAX_COLUMNS = 9
_SLACK = 1.12


@dataclass(frozen=True, slots=True)
class TrunkSegment:
    """An item of the trunk with the heads on its input, and the clusters that contain it."""

    path: tuple[Cluster, ...]
    items: tuple[FigureItem, ...]
    length: float = 0.0


def segments_of(items: Sequence[FigureItem], path: tuple[Cluster, ...] = ()) -> list[TrunkSegment]:
    """The trunk in the smallest pieces that may be in different columns."""
    segments: list[TrunkSegment] = []
    heads: tuple[FigureItem, ...] = ()
    for item in items:
        match item:
            case Cluster(kind=ClusterKind.HEAD):
                heads += (item,)
                continue
            case Cluster(kind=ClusterKind.PART, count=1) if len(item.items) > 1:
                inner = segments_of(item.items, (*path, item))
                first = replace(inner[0], items=(*heads, *inner[0].items))
                segments += [first, *inner[1:]]
            case _:
                segments.append(TrunkSegment(path, (*heads, item)))
        heads = ()
    if heads:
        segments[-1] = replace(segments[-1], items=(*segments[-1].items, *heads))
    return segments


def measured(
    segments: Sequence[TrunkSegment], figure: Figure, layout: Layout
) -> list[TrunkSegment]:
    """The segments with their lengths along the flow, including the way to the next one."""
    result = []
    source: int | None = None
    for segment in segments:
        flow = layout.stack(segment.items, source)
        source = figure.box_of[_output(segment)]
        step = max(layout.type.step, 1.3 * layout.type.edge + 3.0)
        result.append(replace(segment, length=flow.length + step))
    return result


def _output(segment: TrunkSegment) -> int:
    trunk = [item for item in segment.items if not is_head(item)]
    last = trunk[-1]
    if isinstance(last, Cluster):
        return last.output
    if isinstance(last, Box):
        return last.members[-1]
    return list(boxes_in(last))[-1].members[-1]


def cuts_of(segments: Sequence[TrunkSegment], figure: Figure, through_skips: bool) -> list[bool]:
    """For each segment but the last, whether the trunk may be cut after it.

    Only one result may pass there, to the next segment; with ``through_skips`` results may pass to
    later segments as well.
    """
    place = {
        box.id: number
        for number, segment in enumerate(segments)
        for item in segment.items
        for box in boxes_in(item)
    }
    passes = [False] * (len(segments) - 1)
    is_skipped = [False] * (len(segments) - 1)
    for edge in figure.edges:
        start, end = place[edge.tail], place[edge.head]
        for number in range(start, end):
            if end > start + 1:
                is_skipped[number] = True
            else:
                passes[number] = True
    may_cut = [
        here and (through_skips or not skipped)
        for here, skipped in zip(passes, is_skipped, strict=True)
    ]
    # Input and output do not get columns of their own.
    may_cut[:1], may_cut[-1:] = [False], [False]
    return may_cut


def is_stage_end(segments: Sequence[TrunkSegment], figure: Figure) -> list[bool]:
    """For each segment but the last, whether the next one changes height or width."""
    sizes = [figure.volumes[figure.box_of[_output(segment)]].sizes[:-1] for segment in segments]
    return [here != after for here, after in pairwise(sizes)]


def partition(
    segments: Sequence[TrunkSegment],
    may_cut: Sequence[bool],
    ends: Sequence[bool],
    count: int,
    title: float,
) -> list[list[TrunkSegment]]:
    """The segments in at most ``count`` runs, the longest as short as possible.

    It may be a little longer where runs end with stages.
    """
    low, high = max(segment.length for segment in segments), sum(s.length for s in segments)
    high += 2 * title * len(segments)
    for _ in range(24):
        middle = (low + high) / 2
        if len(_filled(segments, may_cut, ends, middle, title, slack=1.0)) <= count:
            high = middle
        else:
            low = middle
    best = _filled(segments, may_cut, ends, high, title, slack=1.0)
    staged = _filled(segments, may_cut, ends, high * _SLACK, title, slack=1 / _SLACK / _SLACK)
    return staged if len(staged) <= count else best


def _filled(
    segments: Sequence[TrunkSegment],
    may_cut: Sequence[bool],
    ends: Sequence[bool],
    limit: float,
    title: float,
    slack: float,
) -> list[list[TrunkSegment]]:
    """Runs filled one after the other up to a limit; a run ends with a stage that ends nearby."""
    runs: list[list[TrunkSegment]] = []
    start = 0
    while start < len(segments):
        length, stop, stage = 0.0, None, None
        open_path: tuple[Cluster, ...] = ()
        for number in range(start, len(segments)):
            segment = segments[number]
            new = [c for c in segment.path if all(c is not o for o in open_path)]
            open_path = segment.path
            length += segment.length + title * len(new)
            if length > limit and stop is not None:
                break
            if number == len(segments) - 1:
                stop = stage = number
            elif may_cut[number]:
                stop = number
                if ends[number] and length >= slack * limit:
                    stage = number
        end = stage if stage is not None else stop
        assert end is not None
        runs.append(list(segments[start : end + 1]))
        start = end + 1
    return runs


def items_of(
    run: Sequence[TrunkSegment], before: frozenset[int], depth: int = 0
) -> tuple[FigureItem, ...]:
    """The items of a run, in their clusters again.

    ``before`` has the ids of the clusters that begin in an earlier column.
    """
    items: list[FigureItem] = []
    number = 0
    while number < len(run):
        segment = run[number]
        if len(segment.path) == depth:
            items += segment.items
            number += 1
            continue
        cluster = segment.path[depth]
        stop = number
        while stop < len(run) and len(run[stop].path) > depth and run[stop].path[depth] is cluster:
            stop += 1
        inner = items_of(run[number:stop], before, depth + 1)
        label = cluster.name
        if id(cluster) in before:
            label = f"{cluster.name or cluster.title} (continued)"
        items.append(replace(cluster, items=inner, name=label, output=_output(run[stop - 1])))
        number = stop
    return tuple(items)


@dataclass(frozen=True, slots=True)
class Columns:
    """The trunk in columns, and the other edges between columns, by the ids of their boxes."""

    flows: tuple[PlacedChain, ...]
    skips: tuple[tuple[int, int], ...] = ()


class Trunk:
    """The trunk of a figure, to be laid out in one column or in several."""

    def __init__(self, figure: Figure, type: Type, goes_down: bool) -> None:
        self.figure = figure
        self.type = type
        self.goes_down = goes_down
        segments = segments_of(figure.items)
        #: The largest possible number of columns.
        self.most = min(MAX_COLUMNS, len(segments))
        self._segments = measured(segments, figure, Layout(figure, type, goes_down))
        self._cuts = {skips: cuts_of(segments, figure, skips) for skips in (False, True)}
        self._ends = is_stage_end(segments, figure)

    def columns(self, count: int, through_skips: bool = False) -> Columns:
        """At most ``count`` columns, each laid out; skips are cut only with ``through_skips``."""
        figure = self.figure
        layout = Layout(figure, self.type, self.goes_down)
        if count == 1:
            return Columns((with_references(layout.stack(figure.items, None), figure, layout),))
        title = 2 * self.type.pad + (TITLE_LEADING * self.type.cluster if self.goes_down else 0.0)
        runs = partition(self._segments, self._cuts[through_skips], self._ends, count, title)
        flows: list[PlacedChain] = []
        source: int | None = None
        before: frozenset[int] = frozenset()
        for run in runs:
            label = "" if source is None else layout.labels.get(source, "")
            flow = with_references(layout.stack(items_of(run, before), source), figure, layout)
            flows.append(replace(flow, label=label))
            source = figure.box_of[_output(run[-1])]
            before |= {id(cluster) for segment in run for cluster in segment.path}
        homes = {
            placed.box.id: number
            for number, flow in enumerate(flows)
            for placed in elements_in(flow.elements)
            if isinstance(placed, PlacedBox)
        }
        skips = tuple(
            (tail, head) for tail, head in _undrawn(figure, layout) if homes[tail] != homes[head]
        )
        return Columns(tuple(flows), skips)


def with_references(flow: PlacedChain, figure: Figure, layout: Layout) -> PlacedChain:
    """A column with wires for the edges that leave the order of its chains, in lanes beside it."""
    placed_boxes = {e.box.id: e for e in elements_in(flow.elements) if isinstance(e, PlacedBox)}
    rest = [
        (placed_boxes[tail], placed_boxes[head])
        for tail, head in _undrawn(figure, layout)
        if tail in placed_boxes and head in placed_boxes
    ]
    if not rest:
        return flow
    taken = _reaches(flow, layout)
    router = Router(flow.elements, layout.type, layout.goes_down)
    wires: list[Wire] = []
    left, right = flow.left, flow.right
    for tail, head in sorted(rest, key=lambda ends: ends[1].u - ends[0].u):
        begin, end = tail.u + tail.along / 2, head.u + head.along / 2
        low, high = sorted((begin, end))
        lane = LANE + max(reach for a, b, reach in taken if a <= high + 1 and b >= low - 1)
        sides = (tail.v + tail.across / 2, head.v + head.across / 2)
        plain = ((begin, sides[0]), (begin, lane), (end, lane), (end, sides[1]))
        wire = router.wire(tail.box.id, head.box.id, plain)
        wires.append(wire)
        vs = [v for _, v in wire.points]
        taken.append((low, high, max(vs)))
        left, right = max(left, -min(vs)), max(right, *vs)
    return replace(flow, elements=(*flow.elements, *wires), left=left, right=right)


def _undrawn(figure: Figure, layout: Layout) -> list[tuple[int, int]]:
    """The edges that have no wire in the layout yet."""
    left = layout.drawn.copy()
    rest = []
    for edge in figure.edges:
        if left[edge.tail, edge.head]:
            left[edge.tail, edge.head] -= 1
        else:
            rest.append((edge.tail, edge.head))
    return rest


def _reaches(flow: PlacedChain, layout: Layout) -> list[tuple[float, float, float]]:
    """How far the elements of a column reach across, by stretches along it."""
    reaches = []
    for element in elements_in(flow.elements):
        match element:
            case PlacedBox():
                half = element.across / 2
                reaches.append((element.u, element.u + element.along, element.v + half))
            case ClusterFrame():
                reaches.append((*element.u, element.v[1]))
            case Wire():
                us, vs = [u for u, _ in element.points], [v for _, v in element.points]
                reaches.append((min(us), max(us), max(vs)))
            case EdgeLabel():
                across = layout.across(element.text) if not element.is_before else 0.0
                reaches.append((element.u - 5.0, element.u + 5.0, element.v + across))
    return reaches
