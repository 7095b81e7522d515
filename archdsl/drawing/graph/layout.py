"""The layout of a graph: where boxes, frames and wires are.

A network is chains within branches within blocks. So a layout is made from the inside out: a
chain is a stack along the flow, branches are side by side, a block is a frame around a chain.
The flow enters and leaves each piece on its axis. Lengths are points along the flow (``u``) and
across it (``v``, which grows to the right if the flow goes down, and down if it goes right).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from archdsl.drawing.canvas.typeface import shortened, text_width
from archdsl.drawing.figure.figure import (
    Box,
    Cluster,
    Figure,
    FigureItem,
    Fork,
    cards_of,
    is_head,
    output_of,
)
from archdsl.drawing.graph.boxes import Type, size_of
from archdsl.drawing.graph.elements import (
    TITLE_LEADING,
    ClusterFrame,
    EdgeLabel,
    Element,
    PlacedBox,
    PlacedChain,
    TitleLine,
    Wire,
)

#: Between the cards of a frame that stands for several.
CARD = 3.0
#: Between lines that run side by side.
LANE = 7.0
#: The longest title of a frame, in points.
_TITLE = 170.0
#: The distance between a frame's title and the wire that comes in, with room for the arrowhead.
_ASIDE = 6.0


@dataclass(slots=True)
class _Chain:
    """A stack being built; ``profile`` says how far it reaches to the right, by stretches."""

    elements: list[Element] = field(default_factory=list)
    profile: list[tuple[float, float, float]] = field(default_factory=list)
    heads: list[tuple[float, PlacedChain]] = field(default_factory=list)
    left: float = 0.0
    first: float = 0.0
    last: float = 0.0
    end: float = 0.0
    is_first: bool = True
    is_fed: bool = True
    has_arrow: bool = True

    def flow(self) -> PlacedChain:
        right = max((reach for _, _, reach in self.profile), default=0.0)
        return PlacedChain(
            self.end,
            self.left,
            right,
            tuple(self.elements),
            self.first,
            self.last,
            self.is_fed,
            self.has_arrow,
        )


def frame_title(cluster: Cluster) -> TitleLine:
    """Block, name and count of a frame; without the block if the name begins with it."""
    times = f"×{cluster.count}" if cluster.count > 1 else ""
    if is_head(cluster):
        return cluster.name or "aux", cluster.title, times
    name = cluster.name or ""
    if not cluster.title or name.startswith(cluster.title):
        return name, "", times
    return cluster.title, name, times


class Layout:
    """Lays out the items of a figure; ``drawn`` counts the edges that have got a wire."""

    def __init__(self, figure: Figure, type: Type, goes_down: bool) -> None:
        self.type = type
        self.goes_down = goes_down
        self.box_of = figure.box_of
        self.notes = {id: heat.short for id, heat in figure.heats.items() if heat.value}
        self.tails: dict[int, list[int]] = {}
        self.labels: dict[int, str] = {}
        for edge in figure.edges:
            self.tails.setdefault(edge.head, []).append(edge.tail)
            if edge.label:
                self.labels.setdefault(edge.tail, edge.label)
        self.drawn: Counter[tuple[int, int]] = Counter()

    # ── Chains ───────────────────────────────────────────────────────────────────────────────

    def stack(self, items: Sequence[FigureItem], source: int | None) -> PlacedChain:
        """Items along the flow. ``source`` is the box whose result flows in."""
        chain = _Chain()
        taps: list[FigureItem] = []
        for item in items:
            if is_head(item):
                taps.append(item)
                continue
            self._append(chain, item, source, taps)
            source, taps = self.box_of[output_of(item)], []
        for head in taps:
            begin = chain.end
            chain.end += self.type.step
            chain.elements.append(Wire(((chain.last, 0.0), (chain.end, 0.0)), has_arrow=False))
            chain.last = begin if chain.is_first else chain.last
            chain.heads.append((chain.end, self.item(head, source)))
        self._place_heads(chain)
        return chain.flow()

    def _append(
        self, chain: _Chain, item: FigureItem, source: int | None, taps: list[FigureItem]
    ) -> None:
        """Put an item at the end of a chain; ``taps`` are the heads on the wire between the two."""
        flow = self.item(item, source)
        label = "" if chain.is_first or source is None else self.labels.get(source, "")
        before = chain.end
        if chain.is_first:
            start = before + (2 * self.type.step if taps else 0.0)
            chain.first, chain.is_fed = start + flow.first, flow.is_fed
            chain.has_arrow, chain.is_first = flow.has_arrow, False
        else:
            start = before + self._step(label, flow.has_arrow, bool(taps))
            if flow.is_fed:
                way = ((chain.last, 0.0), (start + flow.first, 0.0))
                chain.elements.append(Wire(way, flow.has_arrow))
        if label:
            across = self.across(label)
            chain.elements.append(EdgeLabel(label, (before + start) / 2, 0.0, is_before=bool(taps)))
            if taps:
                chain.left = max(chain.left, across)
            else:
                chain.profile.append((before, start, across))
        chain.heads += [((before + start) / 2, self.item(head, source)) for head in taps]
        chain.elements += [element.moved(start, 0.0) for element in flow.elements]
        chain.profile.append((start, start + flow.length, flow.right))
        chain.left = max(chain.left, flow.left)
        chain.last, chain.end = start + flow.last, start + flow.length

    def _place_heads(self, chain: _Chain) -> None:
        """Put the auxiliary heads beside the chain, clear of the elements there."""
        # The last one first, so that the wire to an earlier one passes above the later ones.
        for tap, flow in reversed(chain.heads):
            start = tap + self.type.step
            end = start + flow.length
            reach = max((r for a, b, r in chain.profile if a < end and b > tap - 2), default=0.0)
            v = reach + self.type.gap + flow.left
            way = ((tap, 0.0), (tap, v), (start + flow.first, v))
            chain.elements += [Wire(way, is_dashed=True)]
            chain.elements += [element.moved(start, v) for element in flow.elements]
            chain.profile.append((tap, end, v + flow.right))
            chain.end = max(chain.end, end)

    def _step(self, label: str, has_arrow: bool, has_taps: bool) -> float:
        """The distance between two neighbours in a chain."""
        step = self.type.step if has_arrow else self.type.step / 2
        if not label:
            return 2 * step if has_taps else step
        if self.goes_down:
            return max(step, 1.3 * self.type.edge + 3.0) + (step if has_taps else 0)
        return max(step, text_width(label, self.type.edge) + 9.0)

    def across(self, label: str) -> float:
        """How far a label reaches beside its wire."""
        return text_width(label, self.type.edge) + 6.0 if self.goes_down else 1.3 * self.type.edge

    # ── Items ────────────────────────────────────────────────────────────────────────────────

    def item(self, item: FigureItem, source: int | None) -> PlacedChain:
        match item:
            case Box():
                return self._box(item, source)
            case Cluster():
                return self._frame(item, source)
            case Fork():
                return self._fork(item, source)

    def _box(self, box: Box, source: int | None) -> PlacedChain:
        tails = self.tails.get(box.id, [])
        is_fed = source is not None and source in tails
        if is_fed and source is not None:
            self.drawn[source, box.id] += 1
        placed = self._place_box(box, 0.0, 0.0)
        half = right = placed.across / 2
        row = [placed]
        for other in box.beside:
            beside = self._place_box(other, 0.0, 0.0)
            row.append(beside.moved(0.0, right + self.type.gap + beside.across / 2))
            right += self.type.gap + beside.across
        return PlacedChain(placed.along, half, right, tuple(row), 0.0, placed.along, is_fed)

    def _place_box(self, box: Box, u: float, v: float) -> PlacedBox:
        width, height = size_of(box, self.type, self.notes.get(box.id, ""), self.goes_down)
        along, across = (height, width) if self.goes_down else (width, height)
        return PlacedBox(box, u, v, along, across)

    def _frame(self, cluster: Cluster, source: int | None) -> PlacedChain:
        inner = self.stack(cluster.items, source)
        pad, edge = self.type.pad, self.type.pad / 2 + 1.0
        bold, plain, times = frame_title(cluster)
        bold = shortened(bold, self.type.cluster, _TITLE, bold=True)
        title: tuple[TitleLine, ...] = ((bold, shortened(plain, self.type.cluster, _TITLE), times),)
        if is_head(cluster) and self.goes_down:
            title = ((bold, "", ""), *(("", line, "") for line in plain.split(" · ")))
        width = max(title_width(line, self.type) for line in title)
        height = TITLE_LEADING * self.type.cluster * len(title) if width else 0.0
        left, right = inner.left + pad, inner.right + pad
        cards = cards_of(cluster.count) * CARD
        start, below = pad, 0.0
        if not self.goes_down:
            left += height
            at = (pad, edge - left)
            length = max(start + inner.length + pad, width + 2 * pad)
        elif is_head(cluster):
            # Nothing leaves a head, so that its title stands below.
            room = max(0.0, width + 2 * edge - left - right) / 2
            left, right, below = left + room, right + room, height
            length = start + inner.length + pad + below
            at = (start + inner.length + pad / 2, edge - left)
        else:
            start += height
            if width + edge + _ASIDE > left and width + edge + _ASIDE <= right:
                at = (edge, _ASIDE)  # to the right of the wire that comes in
            else:
                left = max(left, width + edge + _ASIDE if width else 0.0)
                at = (edge, edge - left)
            length = start + inner.length + pad
        elements = tuple(element.moved(start, 0.0) for element in inner.elements)
        frame = ClusterFrame(cluster, title, (0.0, length), (-left, right), at, elements)
        # The cards behind it stick out at its upper right corner.
        before, after = (cards, 0.0) if self.goes_down else (0.0, cards)
        return PlacedChain(
            length + before + after,
            left + (0.0 if self.goes_down else cards),
            right + (cards if self.goes_down else 0.0),
            (frame.moved(before, 0.0),),
            before + start + inner.first,
            before + start + inner.last,
            inner.is_fed,
            inner.has_arrow,
        )

    # ── Forks ────────────────────────────────────────────────────────────────────────────────

    def _fork(self, fork: Fork, source: int | None) -> PlacedChain:
        """The branches side by side in the order of the spec, and their merge."""
        is_live = source is not None and self.box_of[fork.input] == source
        flows: list[PlacedChain] = []
        live: list[bool] = []
        for branch, start in zip(fork.branches, fork.starts, strict=True):
            here = is_live and start == fork.input
            live.append(here)
            flows.append(
                self.stack(branch, source if here else None)
                if branch
                else PlacedChain(0.0, 0.0, 0.0, (), is_fed=here, has_arrow=False)
            )
            tail = self.box_of[output_of(branch[-1])] if branch else source
            if (branch or here) and tail is not None:
                self.drawn[tail, fork.merge.id] += 1
        merge = self._place_box(fork.merge, 0.0, 0.0)
        axis = self._axis(fork, flows, live)
        if axis is None:
            return self._centred(flows, merge, is_live)
        return self._beside(axis, flows, live, [bool(b) for b in fork.branches], merge, is_live)

    @staticmethod
    def _axis(fork: Fork, flows: list[PlacedChain], live: list[bool]) -> int | None:
        """The branch that stays on the axis; None if all are centred on it together."""
        bodies = [n for n, branch in enumerate(fork.branches) if branch and live[n]]
        if not bodies:
            return next((n for n, here in enumerate(live) if here), 0)
        lengths = [flows[n].length for n in bodies]
        if len(bodies) > 2 or (len(bodies) == 2 and max(lengths) - min(lengths) < 8.0):
            return None
        return bodies[lengths.index(max(lengths))]

    def _centred(self, flows: list[PlacedChain], merge: PlacedBox, is_live: bool) -> PlacedChain:
        gap, fan = self.type.gap, self.type.step + 2.0
        width = sum(f.left + f.right for f in flows) + gap * (len(flows) - 1)
        at, axes = -width / 2, []
        for flow in flows:
            axes.append(at + flow.left)
            at += flow.left + flow.right + gap
        end = fan + max(flow.length for flow in flows)
        drop = self.type.step + 2.0
        bus = (fan / 2, end + drop / 2)
        elements: list[Element] = []
        for flow, v in zip(flows, axes, strict=True):
            elements += [element.moved(fan, v) for element in flow.elements]
            if flow.is_fed and flow.length:
                points = _bent((0.0, 0.0), (fan + flow.first, v), bus[0])
                elements.append(Wire(points, flow.has_arrow))
            begin = (fan + flow.last, v)
            if flow.length:
                elements.append(Wire(_bent(begin, (end + drop, 0.0), bus[1])))
            elif flow.is_fed:
                way = ((0.0, 0.0), (bus[0], 0.0), (bus[0], v), (bus[1], v), (bus[1], 0.0))
                elements.append(Wire((*way, (end + drop, 0.0))))
        elements.append(merge.moved(end + drop, 0.0))
        half = merge.across / 2
        length = end + drop + merge.along
        return PlacedChain(
            length,
            max(width / 2, half),
            max(width / 2, half),
            tuple(elements),
            0.0,
            length,
            is_live,
            has_arrow=False,
        )

    def _beside(
        self,
        axis: int,
        flows: list[PlacedChain],
        live: list[bool],
        is_body: list[bool],
        merge: PlacedBox,
        is_live: bool,
    ) -> PlacedChain:
        """One branch on the axis, the others at its sides and into the sides of the merge."""
        main = flows[axis]
        others = [n for n in range(len(flows)) if n != axis and (is_body[n] or live[n])]
        fan = self.type.step / 2 + 2.0 if any(live[n] for n in others) else 0.0
        drop = self.type.step if is_body[axis] or others else 0.0
        side = max((flows[n].length for n in others), default=0.0) + self.type.step / 2
        # Side branches end above the middle of the merge, which they enter from the side.
        top = max(fan + main.length + drop, fan + side + 4.0 - merge.along / 2 if others else 0.0)
        middle = top + merge.along / 2
        elements: list[Element] = [element.moved(fan, 0.0) for element in main.elements]
        first, has_arrow = fan + main.first if is_body[axis] else top, main.has_arrow
        if fan:
            first, has_arrow = 0.0, False
            if is_body[axis] and main.is_fed:
                elements.append(Wire(((0.0, 0.0), (fan + main.first, 0.0)), main.has_arrow))
            elif live[axis]:
                elements.append(Wire(((0.0, 0.0), (top, 0.0))))
        elif not is_body[axis]:
            has_arrow = True
        if is_body[axis]:
            elements.append(Wire(((fan + main.last, 0.0), (top, 0.0))))
        half = merge.across / 2
        reach = {-1: max(main.left, half), 1: max(main.right, half)}
        for n in others:
            side = -1 if n < axis and live[n] and is_body[n] else 1
            flow = flows[n]
            near, far = (flow.left, flow.right) if side > 0 else (flow.right, flow.left)
            v = side * (reach[side] + (self.type.gap if is_body[n] else LANE) + near)
            reach[side] = abs(v) + far
            begin = fan + self.type.step / 2
            elements += [element.moved(begin, v) for element in flow.elements]
            if is_body[n]:
                if flow.is_fed:
                    way = ((0.0, 0.0), (0.0, v), (begin + flow.first, v))
                    elements.append(Wire(way, flow.has_arrow))
                elements.append(Wire(((begin + flow.last, v), (middle, v), (middle, side * half))))
            else:
                elements.append(Wire(((0.0, 0.0), (0.0, v), (middle, v), (middle, side * half))))
        elements.append(merge.moved(top, 0.0))
        length = top + merge.along
        return PlacedChain(
            length, reach[-1], reach[1], tuple(elements), first, length, live[axis], has_arrow
        )


def title_width(title: TitleLine, type: Type) -> float:
    """The width of a frame's title: block, name, count."""
    bold, plain, times = title
    space = text_width("  ", type.cluster)
    widths = [
        text_width(bold, type.cluster, bold=True),
        text_width(plain, type.cluster),
        text_width(times, type.cluster + 1, bold=True),
    ]
    return sum(widths) + space * max(0, sum(map(bool, widths)) - 1)


def _bent(
    begin: tuple[float, float], end: tuple[float, float], bus: float
) -> tuple[tuple[float, float], ...]:
    """Along the flow, across at ``bus``, and along again; straight if both are in line."""
    if abs(begin[1] - end[1]) < 0.5:
        return begin, end
    return begin, (bus, begin[1]), (bus, end[1]), end
