"""From a model to a figure: fuses layers, encloses parts, folds, and draws the edges."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from archdsl.drawing.errors import DrawingError
from archdsl.drawing.figure.collapsing import Collapser, flatten, marked_inside
from archdsl.drawing.figure.edges import Edges
from archdsl.drawing.figure.figure import (
    Box,
    Cluster,
    ClusterKind,
    Figure,
    FigureItem,
    Fork,
    boxes_in,
    input_of,
)
from archdsl.drawing.figure.folding import Placed, fold
from archdsl.drawing.figure.heat import MEASURES
from archdsl.drawing.figure.ports import (
    OUTPUT,
    input_box,
    output_box,
    ports_text,
    shown_ends,
    volume_text,
)
from archdsl.drawing.figure.structure import structure_of
from archdsl.drawing.figure.wording import (
    in_short,
    sum_text,
    title_of,
    without_code,
    without_unsaid,
)
from archdsl.drawing.options import Options
from archdsl.layers import Family
from archdsl.model import Model, PartialModel
from archdsl.network.parts import (
    AuxPart,
    CallPart,
    Chain,
    ForkPart,
    GroupPart,
    LayerPart,
    Part,
    ReferencePart,
    RepeatPart,
    ReusePart,
    SplitPart,
    output_of,
    walk,
)
from archdsl.text.diagnostics import did_you_mean

_DEFAULT = Options()
#: Families that papers write into the box of the layer before them.
_FUSED = (Family.NORMALIZATION, Family.ACTIVATION, Family.REGULARIZATION)


def compose_figure(
    model: Model,
    options: Options = _DEFAULT,
    is_terse: bool = False,
    may_collapse: Callable[[Cluster], bool] = lambda cluster: True,
) -> Figure:
    """The graph of a network, folded, collapsed and labelled as the options say.

    A terse figure leaves out what is common for layers with weights: stride 1 and equal size.
    Only clusters for which ``may_collapse`` is true are collapsed.

    Errors:
        DrawingError: The options name a part to open that does not exist.
    """
    return _Composer(model, options, is_terse, may_collapse).figure()


def compose_collapsed(model: Model, options: Options = _DEFAULT) -> Figure:
    """The graph with all blocks collapsed, and the inside of each in ``insides``, recursively.

    Errors:
        DrawingError: The options name a part to open that does not exist.
    """
    return _Composer(model, options, is_terse=False).collapsed()


class _Composer:
    def __init__(
        self,
        model: Model,
        options: Options,
        is_terse: bool,
        may_collapse: Callable[[Cluster], bool] = lambda cluster: True,
    ) -> None:
        self.may_collapse = may_collapse
        self.model = model
        self.options = options
        self.is_terse = is_terse
        self.nodes = model.nodes
        partial = model if isinstance(model, PartialModel) else None
        self.faults = partial.faults if partial else {}
        self.unknown = partial.unknown if partial else frozenset()
        self.is_complete = partial is None or partial.is_complete
        self.consumers = [0] * len(self.nodes)
        for node in self.nodes:
            for source in node.inputs:
                self.consumers[source] += 1
        for end in model.ends:
            self.consumers[end] += 1

    def figure(self) -> Figure:
        options = self.options
        inner = self._all()
        if options.depth is not None:
            depth, is_open = options.depth, options.open
            collapser = self._collapser(depth, is_open, may_collapse=self.may_collapse)
            inner = collapser.collapse(inner)
        keys = self._keys(inner) if options.legend != "off" else ()
        return self._whole(inner, keys)

    def collapsed(self) -> Figure:
        collapser = self._collapser(joins=False)
        inner = collapser.collapse(self._all())
        return replace(self._whole(inner), insides=self._insides(inner, collapser))

    def _collapser(
        self,
        depth: int = 0,
        open: tuple[str, ...] = (),
        joins: bool = True,
        may_collapse: Callable[[Cluster], bool] = lambda cluster: True,
    ) -> Collapser:
        return Collapser(
            self.nodes, self.consumers, depth, open, joins, may_collapse, self._number_of
        )

    def _number_of(self, nodes: Sequence[int]) -> float:
        """The number that the colours show of some nodes, where copies can be alike in it."""
        measure = MEASURES.get(self.options.color_by)
        return measure.value(self.model, nodes) if measure and measure.adds else 0.0

    def _all(self) -> tuple[FigureItem, ...]:
        """All items, open and folded as the options say."""
        self._check_open()
        items = self._items(self.model.chain)
        return flatten(items) if self.options.flat else items

    def _whole(self, inner: tuple[FigureItem, ...], keys: tuple[Figure, ...] = ()) -> Figure:
        """The figure of all items, between input and output."""
        model = self.model
        if self.faults:
            inner = tuple(map(self._with_faults, inner))
        start, end = input_box(model), output_box(model)
        items = (start, *inner, *((end,) if self.is_complete else ()))
        edges = Edges(model, items, self.options.shapes, not self.is_complete)
        return self._figure(items, edges, keys)

    def _insides(self, items: Iterable[FigureItem], collapser: Collapser) -> dict[int, Figure]:
        insides = {}
        for box in (box for item in items for box in boxes_in(item)):
            if box.block is not None:
                inner = collapser.collapse(box.block.items)
                figure = self._part(replace(box.block, items=inner))
                insides[box.id] = replace(figure, insides=self._insides(inner, collapser))
        return insides

    def _part(self, block: Cluster) -> Figure:
        """A block alone, after a box for its input."""
        source = input_of(block, self.nodes)
        volume = volume_text(self.nodes[source].volume)
        start = Box((source,), (source,), "input", volume, Family.INPUT)
        edges = Edges(self.model, (start, block), self.options.shapes, is_part=True)
        return self._figure((start, block), edges)

    def _figure(
        self, items: tuple[FigureItem, ...], edges: Edges, keys: tuple[Figure, ...] = ()
    ) -> Figure:
        model = self.model
        boxes = [box for item in items for box in boxes_in(item)]
        ends = shown_ends(model)
        tooltips, volumes, heats = {}, {}, {}
        measure = MEASURES.get(self.options.color_by)
        for box in boxes:
            if box.family is Family.INPUT:
                named = f"{box.title} {box.name}" if box.name else box.title
                tooltips[box.id] = f"{named} {box.detail}"
                node = box.id if box.id >= 0 else ends[OUTPUT - box.id][0]
                volumes[box.id] = self.nodes[node].volume
                continue
            volumes[box.id] = self.nodes[box.members[-1]].volume
            tooltips[box.id] = self._tooltip(box)
            if measure is not None:
                heats[box.id] = measure.heat(model, box.members)
                if heats[box.id].exact not in tooltips[box.id]:
                    tooltips[box.id] += f" · {heats[box.id].exact}"
        box_of = {node: box.id for node, box in edges.box_of.items()}
        return Figure(
            model.name,
            self._description(),
            items,
            edges.edges,
            tooltips,
            box_of,
            volumes,
            heats,
            keys,
            tuple(edges.references),
        )

    def _keys(self, items: Iterable[FigureItem]) -> tuple[Figure, ...]:
        """The insides of the collapsed blocks, one of each structure, and of those inside them."""
        keys: dict[Hashable, Figure] = {}
        waiting = [box.block for item in items for box in boxes_in(item) if box.block]
        while waiting:
            block = waiting.pop(0)
            # What shares its weights is shown where they belong.
            is_shared = self.nodes[block.output].shares is not None
            # The window of a block that is little more than one layer is in its box.
            is_one = len(tuple(boxes_in(block))) == 1
            kind = (block.title, structure_of(block.items, self.nodes, has_windows=not is_one))
            if not block.title or kind in keys or is_shared:
                continue
            collapser = self._collapser(open=self.options.open)
            inner = collapser.collapse(block.items)
            keys[kind] = self._part(replace(block, items=inner, count=1))
            waiting += [box.block for item in inner for box in boxes_in(item) if box.block]
        return tuple(keys.values())

    def _with_faults(self, item: FigureItem) -> FigureItem:
        """The item, its collapsed blocks marked with the faults inside them."""
        match item:
            case Box(fault=None):
                return self._marked(item)
            case Cluster():
                return replace(item, items=tuple(map(self._with_faults, item.items)))
            case Fork():
                branches = tuple(tuple(map(self._with_faults, b)) for b in item.branches)
                return replace(item, branches=branches)
            case _:
                return item

    def _marked(self, box: Box) -> Box:
        """The box with the first fault of its nodes."""
        for node in sorted(box.members):
            if node in self.faults:
                fault = without_code(self.faults[node].message)
                return replace(box, fault=fault, fails_after=node not in self.unknown)
        return box

    def _check_open(self) -> None:
        """Check that each part to open exists."""
        known = {part.name for part in walk(self.model.chain) if part.name}
        known |= {part.block.name for part in walk(self.model.chain) if isinstance(part, CallPart)}
        for name in self.options.open:
            if name not in known:
                close = did_you_mean(name, sorted(known)) or "name one as the spec does"
                raise DrawingError(f"no part is named {name!r} ({close})")

    def _description(self) -> str:
        trunk = self.model.trunk
        if self.faults or not self.is_complete:
            messages = "; ".join(fault.message for fault in self.faults.values())
            return f"{self.model.name}, up to its fault: {messages}"
        return (
            f"{self.model.name}: {ports_text(self.model)}, "
            f"{trunk.weight_layers} weight layers, "
            f"{trunk.parameters:,} parameters, {trunk.macs:,} MACs"
        )

    def _tooltip(self, box: Box) -> str:
        first, last = self.nodes[min(box.members)], self.nodes[box.members[-1]]
        costs = [self.model.costs[node] for node in box.members]
        before = ", ".join(volume_text(self.nodes[i].volume) for i in first.inputs)
        parameters, macs = sum(c.parameters for c in costs), sum(c.macs for c in costs)
        copies = f" ×{box.count}" if box.count > 1 else ""
        lines = [
            self.model.names.get(first.id, box.title) + copies,
            self._contents(box),
            f"{before} → {volume_text(last.volume)}",
        ]
        if box.id in self.unknown:
            lines[2] = f"{before} → ?"
        if box.fault:
            lines.append(box.fault)
        if parameters:
            lines.append(f"{parameters:,} parameters")
        if any(self.nodes[node].shares is not None for node in box.members):
            lines.append("shared weights")
        if macs:
            lines.append(f"{macs:,} MACs")
        return " · ".join(lines)

    def _contents(self, box: Box) -> str:
        """What a box stands for: its layers, or the numbers of a collapsed block."""
        if box.block is not None:
            layers = len(set(box.members))
            return f"{layers} layers" if layers > 1 else "1 layer"
        return "; ".join(in_short(self.nodes[node].layer) for node in box.nodes)

    # ── Parts ────────────────────────────────────────────────────────────────────────────────

    def _items(self, chain: Chain, name: str | None = None) -> tuple[FigureItem, ...]:
        """The items of a chain, folded, or as written if the part of that name is to be open."""
        return self._folded(self._placed(chain), name)

    def _folded(self, placed: list[Placed], name: str | None) -> tuple[FigureItem, ...]:
        if self.options.flat or (name is not None and name in self.options.open):
            return tuple(item.item for item in placed)
        return tuple(fold(placed, self.nodes, self.consumers, self.options.open, self._number_of))

    def _placed(self, chain: Chain) -> list[Placed]:
        """The items of a chain before folding; the flow passes from each to the next."""
        placed: list[Placed] = []
        flow = chain.input
        for part in chain.parts:
            fused = None
            if isinstance(part, LayerPart) and placed:
                fused = self._fuse(placed[-1].item, part)
            if fused is not None:
                placed[-1] = replace(placed[-1], item=fused)
            elif (item := self._item(part)) is not None:
                placed.append(Placed(item, flow))
            flow = flow if isinstance(part, AuxPart) else output_of(part)
        return placed

    def _fuse(self, before: FigureItem, part: LayerPart) -> FigureItem | None:
        """The item before with the layer in its last box; None where papers draw its own box."""
        box = before.merge if isinstance(before, Fork) else before
        node = self.nodes[part.node]
        if not isinstance(box, Box) or node.inputs != (box.id,) or self.consumers[box.id] > 1:
            return None
        if box.block is not None:
            return None
        if node.layer.family not in _FUSED or node.id in self.unknown or box.id in self.unknown:
            return None
        if node.layer.family is Family.NORMALIZATION and not self._has_weights(box):
            return None
        # A fused layer's name is only in the tooltip. So a named layer is not fused into a box that
        # consists of one unnamed layer: the name would be the only one, and it is shown.
        if part.name is not None and box.name is None and len(box.nodes) == 1:
            return None
        nodes = (*box.nodes, node.id)
        joined = self._marked(replace(box, nodes=nodes, members=nodes, detail=self._detail(nodes)))
        return replace(before, merge=joined) if isinstance(before, Fork) else joined

    def _has_weights(self, box: Box) -> bool:
        return self.nodes[box.nodes[0]].layer.has_weights

    def _box(self, id: int, name: str | None = None) -> Box:
        layer = self.nodes[id].layer
        if self.options.names:
            name = self.model.names.get(id)
        box = Box((id,), (id,), title_of(layer), self._detail((id,)), layer.family, name)
        if id in self.unknown and id not in self.faults:
            return replace(box, is_waiting=True)
        return self._marked(box) if self.faults else box

    def _detail(self, nodes: tuple[int, ...]) -> str:
        """The second line: the arguments, then the fused layers, as the language writes them."""
        first, *fused = (self.nodes[node] for node in nodes)
        detail = first.layer.describe()
        if self.is_terse and first.layer.has_weights:
            detail = without_unsaid(detail)
        if len(first.inputs) > 1 and first.id in self.faults and first.id in self.unknown:
            detail = " | ".join(volume_text(self.nodes[i].volume) for i in first.inputs)
        elif len(first.inputs) > 1:
            channels = [self.nodes[source].volume.channels for source in first.inputs]
            if sum(channels) == first.volume.channels:
                detail = f"{sum_text(channels)} = {first.volume.channels}"
        return " · ".join(filter(None, (detail, " ".join(in_short(n.layer) for n in fused))))

    def _item(self, part: Part) -> FigureItem | None:
        """A part as an item; None if nothing of it is drawn."""
        match part:
            case LayerPart():
                return self._box(part.node, part.name)
            case CallPart():
                items = self._items(part.body, part.name)
                return self._enclose(part.block.name, part.name, items, part.body.output)
            case GroupPart():
                items = self._items(part.body, part.name)
                return self._enclose("", part.name, items, part.body.output)
            case RepeatPart():
                placed = [placed for copy in part.copies for placed in self._placed(copy)]
                items = self._folded(placed, part.name)
                return self._enclose("", part.name, items, part.copies[-1].output, is_repeat=True)
            case AuxPart():
                title = f"training only · loss × {part.weight:g}"
                items = self._items(part.body)
                if not items:
                    return None
                return Cluster(title, part.name, items, part.body.output, ClusterKind.HEAD)
            case ForkPart():
                branches = tuple(self._items(branch) for branch in part.branches)
                starts = tuple(_start(branch) for branch in part.branches)
                return Fork(part.branches[0].input, branches, starts, self._box(part.node))
            case ReusePart():
                return self._shared(part)
            case ReferencePart() | SplitPart():
                return None

    def _shared(self, part: ReusePart) -> FigureItem | None:
        """A part that runs again: a box marked as one that shares its weights.

        What is inside is drawn where the part is, and here only if the options ask for it.
        """
        items = [item for inner in part.body.parts if (item := self._item(inner)) is not None]
        mark = f"shared with {part.target}"
        own = self.model.names.get(part.body.output) if self.options.names else part.name
        is_open = part.target in self.options.open or part.name in self.options.open
        match items:
            case [Box() as box]:
                return replace(box, name=f"{own} · {mark}" if own else mark)
            case [Cluster() as cluster] if self.options.flat or is_open:
                marked = replace(cluster, name=f"{own} · {mark}" if own else mark)
                return marked_inside(marked, mark) if self.options.flat else marked
            case [Cluster() as cluster]:
                word = mark if cluster.title else "shared"
                title = cluster.title or part.target
                named = replace(cluster, title=title, name=f"{own} · {word}" if own else word)
                return self._collapser().box_of(named)
            case _:
                return None

    def _enclose(
        self,
        title: str,
        name: str | None,
        items: tuple[FigureItem, ...],
        output: int,
        is_repeat: bool = False,
    ) -> FigureItem | None:
        """A cluster around items; a single item without a name is named instead."""
        label = " · ".join(filter(None, (title, name)))
        match items:
            case ():
                return None
            case (Box(name=None) as box,) if box.members[-1] == output:
                return replace(box, name=label)
            case (Cluster(name=None, kind=ClusterKind.PART) as inner,) if not title:
                # An untitled cluster is a folded run, whose count belongs to a repeat of this name.
                if inner.title or is_repeat:
                    return replace(inner, name=name)
        return Cluster(title, name, items, output)


def _start(chain: Chain) -> int:
    """The node a branch starts from."""
    match chain.parts:
        case (ReferencePart(node=node), *_):
            return node
    return chain.input
