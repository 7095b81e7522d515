"""From a model to a figure: fuses layers, encloses parts, folds, and draws the edges."""

from __future__ import annotations

from dataclasses import replace

from archdsl.drawing.figure import (
    Box,
    Cluster,
    Edge,
    Figure,
    Fork,
    Item,
    Kind,
    Role,
    boxes_in,
)
from archdsl.drawing.folding import Placed, fold
from archdsl.graph import (
    AuxPart,
    CallPart,
    Chain,
    ForkPart,
    GroupPart,
    LayerPart,
    Part,
    RecallPart,
    RepeatPart,
    SplitPart,
)
from archdsl.layers import Family, Layer
from archdsl.layers.pages import fields_of
from archdsl.model import Model
from archdsl.volume import Volume

#: The id of the box of the network's result; the nodes of the network count from 0.
OUTPUT = -1

#: Families that papers write into the box of the layer before.
_FUSED = (Family.NORMALIZATION, Family.ACTIVATION, Family.REGULARIZATION)


def compose_figure(model: Model) -> Figure:
    """The picture of a network, its equal neighbours folded."""
    return _Composer(model).figure()


def volume_text(volume: Volume) -> str:
    """``28×28×192``, or the units of a vector."""
    return "×".join(map(str, volume.sizes))


def title_of(layer: Layer) -> str:
    """The layer's word, and its kernel where it has one: ``conv 3×3``."""
    if any(field.name == "kernel_size" for field in fields_of(type(layer))):
        height, width = vars(layer)["kernel_size"]
        return f"{layer.name} {height}×{width}"
    return layer.name


def _in_short(layer: Layer) -> str:
    """A fused layer as the language writes it: ``relu``, ``dropout 0.5``."""
    return f"{title_of(layer)} {layer.describe()}".strip()


def _sum_text(terms: list[int]) -> str:
    """``192+208+48+64``; many equal terms as a product."""
    if len(terms) > 4 and len(set(terms)) == 1:
        return f"{len(terms)}·{terms[0]}"
    return "+".join(map(str, terms))


class _Composer:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.nodes = model.nodes
        self.consumers = [0] * len(self.nodes)
        for node in self.nodes:
            for source in node.inputs:
                self.consumers[source] += 1
        self.consumers[model.chain.output] += 1

    def figure(self) -> Figure:
        model = self.model
        start = Box((0,), (0,), "input", volume_text(model.input), Family.INPUT)
        end = Box((OUTPUT,), (OUTPUT,), "output", volume_text(model.output), Family.INPUT)
        items = (start, *self._items(model.chain), end)
        edges = _Edges(model, items).edges
        tooltips = {box.id: self._tooltip(box) for item in items[1:-1] for box in boxes_in(item)}
        tooltips[start.id] = f"input {start.detail}"
        tooltips[end.id] = f"output {end.detail}"
        return Figure(model.name, self._description(), items, edges, tooltips)

    def _description(self) -> str:
        trunk = self.model.trunk
        return (
            f"{self.model.name}: {volume_text(self.model.input)} to "
            f"{volume_text(self.model.output)}, {trunk.weight_layers} weight layers, "
            f"{trunk.parameters:,} parameters, {trunk.macs:,} MACs"
        )

    def _tooltip(self, box: Box) -> str:
        first, last = self.nodes[box.members[0]], self.nodes[box.members[-1]]
        costs = [self.model.costs[node] for node in box.members]
        before = ", ".join(volume_text(self.nodes[i].volume) for i in first.inputs)
        parameters, macs = sum(c.parameters for c in costs), sum(c.macs for c in costs)
        copies = f" ×{box.count}" if box.count > 1 else ""
        lines = [
            self.model.names.get(first.id, box.title) + copies,
            "; ".join(_in_short(self.nodes[node].layer) for node in box.nodes),
            f"{before} → {volume_text(last.volume)}",
        ]
        if parameters:
            lines.append(f"{parameters:,} parameters")
        if macs:
            lines.append(f"{macs:,} MACs")
        return " · ".join(lines)

    # ── Parts ────────────────────────────────────────────────────────────────────────────────

    def _items(self, chain: Chain) -> tuple[Item, ...]:
        return tuple(fold(self._placed(chain), self.nodes, self.consumers))

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
            flow = flow if isinstance(part, AuxPart) else _output_of(part)
        return placed

    def _fuse(self, before: Item, part: LayerPart) -> Item | None:
        """The item before with the layer in its last box, where papers would write it there."""
        box = before.merge if isinstance(before, Fork) else before
        node = self.nodes[part.node]
        if not isinstance(box, Box) or node.inputs != (box.id,) or self.consumers[box.id] > 1:
            return None
        if part.name is not None or box.name is not None or node.layer.family not in _FUSED:
            return None
        if node.layer.family is Family.NORMALIZATION and not self._has_weights(box):
            return None
        nodes = (*box.nodes, node.id)
        joined = replace(box, nodes=nodes, members=nodes, detail=self._detail(nodes))
        return replace(before, merge=joined) if isinstance(before, Fork) else joined

    def _has_weights(self, box: Box) -> bool:
        return self.nodes[box.nodes[0]].layer.has_weights

    def _box(self, id: int, name: str | None = None) -> Box:
        layer = self.nodes[id].layer
        return Box((id,), (id,), title_of(layer), self._detail((id,)), layer.family, name)

    def _detail(self, nodes: tuple[int, ...]) -> str:
        """The second line: the arguments, then what is fused, as the language writes it."""
        first, *fused = (self.nodes[node] for node in nodes)
        detail = first.layer.describe()
        if len(first.inputs) > 1:
            channels = [self.nodes[source].volume.channels for source in first.inputs]
            if sum(channels) == first.volume.channels:
                detail = f"{_sum_text(channels)} = {first.volume.channels}"
        return " · ".join(filter(None, (detail, " ".join(_in_short(n.layer) for n in fused))))

    def _item(self, part: Part) -> Item | None:
        """A part as an item; None where nothing of it is drawn."""
        match part:
            case LayerPart():
                return self._box(part.node, part.name)
            case CallPart():
                items = self._items(part.body)
                return self._enclose(part.block.name.id, part.name, items, part.body.output)
            case GroupPart():
                items = self._items(part.body)
                return self._enclose("", part.name, items, part.body.output)
            case RepeatPart():
                placed = [placed for copy in part.copies for placed in self._placed(copy)]
                items = tuple(fold(placed, self.nodes, self.consumers))
                return self._enclose("", part.name, items, part.copies[-1].output, is_repeat=True)
            case AuxPart():
                title = f"training only · loss × {part.weight:g}"
                items = self._items(part.body)
                if not items:
                    return None
                return Cluster(title, part.name, items, part.body.output, Kind.HEAD)
            case ForkPart():
                branches = tuple(self._items(branch) for branch in part.branches)
                starts = tuple(_start(branch) for branch in part.branches)
                return Fork(part.branches[0].input, branches, starts, self._box(part.node))
            case RecallPart() | SplitPart():
                return None

    def _enclose(
        self,
        title: str,
        name: str | None,
        items: tuple[Item, ...],
        output: int,
        is_repeat: bool = False,
    ) -> Item | None:
        """A cluster around items; a single one that has no name yet is named instead."""
        label = " · ".join(filter(None, (title, name)))
        match items:
            case ():
                return None
            case (Box(name=None) as box,) if box.members[-1] == output:
                return replace(box, name=label)
            case (Cluster(name=None, kind=Kind.PART) as inner,) if not title:
                # An untitled cluster is a folded run, whose count belongs to a repeat of this name.
                if inner.title or is_repeat:
                    return replace(inner, name=name)
        return Cluster(title, name, items, output)


def _output_of(part: Part) -> int:
    """The node whose result leaves a part."""
    match part:
        case LayerPart() | ForkPart() | RecallPart() | SplitPart():
            return part.node
        case RepeatPart():
            return part.copies[-1].output
        case CallPart() | GroupPart() | AuxPart():
            return part.body.output


def _start(chain: Chain) -> int:
    """The node a branch starts from."""
    match chain.parts:
        case (RecallPart(node=node), *_):
            return node
    return chain.input


class _Edges:
    """Collects the edges in the order of the spec, each from box to box."""

    def __init__(self, model: Model, items: tuple[Item, ...]) -> None:
        self.model = model
        self.nodes = model.nodes
        self.box_of = {
            member: box for item in items for box in boxes_in(item) for member in box.members
        }
        self.labelled: set[int] = set()
        self.merges: dict[int, int] = {}
        self.heads: list[Cluster] = []
        self._find_merges(items)
        edges: list[Edge] = []
        for item in items[1:-1]:
            edges += self._into(item)
        edges.append(Edge(self.box_of[model.chain.output].id, OUTPUT, "", Role.TRUNK))
        # After the trunk's edges, so that the heads stand to the right of the trunk.
        for head in self.heads:
            first, *rest = [edge for item in head.items for edge in self._into(item)]
            edges += [replace(first, role=Role.HEAD), *rest]
        self.edges = tuple(edges)

    def _find_merges(self, items: tuple[Item, ...]) -> None:
        """What flows into each fork, by the id of its merge's box."""
        for item in items:
            match item:
                case Cluster():
                    self._find_merges(item.items)
                case Fork():
                    self.merges[item.merge.id] = item.input
                    for branch in item.branches:
                        self._find_merges(branch)

    def _into(self, item: Item, role: Role = Role.TRUNK) -> list[Edge]:
        match item:
            case Box():
                return [self._edge(s, item, role) for s in self.nodes[item.nodes[0]].inputs]
            case Cluster(kind=Kind.HEAD):
                self.heads.append(item)
                return []
            case Cluster():
                first, *others = item.items
                edges = self._into(first, role)
                return edges + [edge for inner in others for edge in self._into(inner)]
            case Fork():
                edges = []
                sources = self.nodes[item.merge.nodes[0]].inputs
                for branch, source in zip(item.branches, sources, strict=True):
                    for number, inner in enumerate(branch):
                        edges += self._into(inner, Role.INNER if number else Role.BRANCH)
                    edges.append(self._edge(source, item.merge, Role.MERGE))
                return edges

    def _edge(self, source: int, head: Box, role: Role) -> Edge:
        tail = self.box_of[source]
        return Edge(tail.id, head.id, self._label(tail, head, role is Role.INNER), role)

    def _label(self, tail: Box, head: Box, within_branch: bool) -> str:
        """The volume, where the tail changed it and no edge from there says so yet.

        Inside a branch the boxes say the channels; there only another height or width counts.
        """
        if head.family is Family.MERGE or tail.family is Family.INPUT or tail.id in self.labelled:
            return ""
        before = self.merges.get(tail.id, self.nodes[tail.members[0]].inputs[0])
        volume = self.nodes[tail.members[-1]].volume
        entering = self.nodes[before].volume
        if entering == volume or (within_branch and entering.sizes[:-1] == volume.sizes[:-1]):
            return ""
        self.labelled.add(tail.id)
        return volume_text(volume)
