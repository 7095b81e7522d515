"""The main branch of a block, whose layers papers write in brackets: ``[1×1, 64; 3×3, 64] ×3``."""

from __future__ import annotations

from dataclasses import dataclass

from archdsl.drawing.tables.trunk import kernel_of, nodes_of, short_text, size_text, stride_of
from archdsl.layers import Family
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.network.parts import CallPart, Chain, GroupPart, LayerPart, RepeatPart

#: Families that papers leave out of a block's layers.
_UNSHOWN = (Family.NORMALIZATION, Family.ACTIVATION, Family.REGULARIZATION)


@dataclass(frozen=True, slots=True)
class MainBranch:
    """The layers on the way through a block that has the most weights.

    ``layers`` are written without strides, ``strided`` with them. ``merge`` is the word of the
    merge at the end, ``add`` or ``concat``, to which ``shortcut`` comes from the block's input: the
    ``identity``, or a ``projection``, a 1×1 convolution. Both are empty if there is none.
    """

    layers: tuple[str, ...]
    strided: tuple[str, ...]
    merge: str
    shortcut: str
    is_pooled: bool
    keeps_shape: bool

    @property
    def has_stride(self) -> bool:
        """Whether a layer has a stride other than 1."""
        return self.layers != self.strided


def branch_of(model: Model, call: CallPart) -> MainBranch | None:
    """The main branch of a block, or None where its layers do not say what it computes.

    That is the case if another branch is more than a shortcut around the whole block, as in the
    Inception module; if a layer reads something from outside the block or is read there alone, or
    its weights are those of another layer; and if the main branch has a layer that is neither a
    convolution nor a pooling nor fully connected.
    """
    nodes = {id: model.nodes[id] for id in nodes_of(call)}
    if not nodes or call.reads or any(node.shares is not None for node in nodes.values()):
        return None
    return _Walk(model, nodes, call.body.input).branch(call.body.output)


def opens(model: Model, call: CallPart) -> bool:
    """Whether the lines of a block are those of what is in it.

    That is so for layers and calls in a row that hold further blocks or a pooling, or whose only
    layer to be shown is one: the dense blocks and transitions of DenseNet.
    """
    parts = _row_of(call.body)
    if parts is None or call.reads:
        return False
    if any(isinstance(part, CallPart) and _is_block(model, part) for part in parts):
        return True
    branch = branch_of(model, call)
    return branch is not None and (branch.is_pooled or len(branch.strided) == 1)


def is_single_convolution(model: Model, call: CallPart) -> bool:
    """Whether a block is one convolution with its normalization and activation."""
    layers = [model.nodes[node].layer for node in nodes_of(call)]
    convolutions = [layer for layer in layers if layer.family is Family.CONVOLUTION]
    rest = [layer for layer in layers if layer.family is not Family.CONVOLUTION]
    is_plain = all(layer.family in _UNSHOWN for layer in rest)
    return len(convolutions) == 1 and is_plain and not call.reads


def _is_block(model: Model, call: CallPart) -> bool:
    branch = branch_of(model, call)
    return opens(model, call) if branch is None else len(branch.layers) > 1


def _row_of(chain: Chain) -> list[LayerPart | CallPart] | None:
    """The layers and calls of a chain, those in groups and repeats too; None if it has others."""
    found: list[LayerPart | CallPart] = []
    for part in chain.parts:
        match part:
            case LayerPart() | CallPart():
                found.append(part)
            case GroupPart() | RepeatPart():
                for inner in (part.body,) if isinstance(part, GroupPart) else part.copies:
                    row = _row_of(inner)
                    if row is None:
                        return None
                    found += row
            case _:
                return None
    return found


class _Walk:
    """Goes from a block's result up to its input."""

    def __init__(self, model: Model, nodes: dict[int, Node], start: int) -> None:
        self.model = model
        self.nodes = nodes
        self.start = start
        self.depths = {start: 0}
        self.seen: set[int] = set()
        for id, node in sorted(nodes.items()):
            before = [self.depths.get(source, 0) for source in node.inputs]
            self.depths[id] = max(before, default=0) + node.layer.has_weights

    def branch(self, end: int) -> MainBranch | None:
        lines: list[tuple[str, str]] = []
        merge, shortcut = "", ""
        is_pooled = False
        at = end
        while at != self.start:
            node = self.nodes.get(at)
            if node is None:
                return None
            self.seen.add(at)
            if len(node.inputs) == 1:
                texts = _texts(self.model, node)
                if texts is None:
                    return None
                lines[:0] = [texts] if texts[0] else []
                is_pooled |= node.layer.family is Family.POOLING
                at = node.inputs[0]
            elif (gate := self._gate(node)) is not None:
                at, text = gate
                lines.insert(0, (text, text))
            else:
                ends = self._ends(node)
                if ends is None or lines or merge:
                    return None
                at, other = ends
                found = self._shortcut(other)
                if found is None or (found, node.layer.name) == ("projection", "concat"):
                    return None
                merge, shortcut = node.layer.name, found
        if any(node.layer.has_weights and id not in self.seen for id, node in self.nodes.items()):
            return None
        layers, strided = tuple(plain for plain, _ in lines), tuple(text for _, text in lines)
        before, after = self.model.nodes[self.start].volume, self.model.nodes[end].volume
        return MainBranch(layers, strided, merge, shortcut, is_pooled, before == after)

    def _ends(self, node: Node) -> tuple[int, int] | None:
        """Of two inputs of a merge the one with more weight layers before it, and the other."""
        if node.layer.name not in ("add", "concat") or len(node.inputs) != 2:
            return None
        less, more = sorted(node.inputs, key=lambda source: self.depths.get(source, 0))
        return (more, less) if self.depths.get(more, 0) > self.depths.get(less, 0) else None

    def _shortcut(self, at: int) -> str | None:
        """What lies between the block's input, or its first activation, and a merge."""
        convolutions = 0
        is_changed = False
        while at != self.start:
            node = self.nodes.get(at)
            if node is None or len(node.inputs) != 1:
                return None
            self.seen.add(at)
            layer = node.layer
            if layer.family is Family.CONVOLUTION:
                convolutions += 1
                if set(kernel_of(self.model, node)) != {1} or groups_of(self.model, node) != 1:
                    return None
            elif layer.family is Family.ACTIVATION:
                # Only before the projection: it is that of the main branch, which comes first.
                if convolutions == 0:
                    return None
            elif layer.family not in (Family.NORMALIZATION, Family.POOLING) and layer.name != "id":
                return None
            is_changed |= layer.name != "id"
            at = node.inputs[0]
        if not is_changed:
            return "identity"
        return "projection" if convolutions == 1 else None

    def _gate(self, node: Node) -> tuple[int, str] | None:
        """The node that squeeze and excitation scales (Hu et al. 2018), and the line for it."""
        if node.layer.name != "mul" or len(node.inputs) != 2:
            return None
        for scaled, last in (node.inputs, node.inputs[::-1]):
            seen: list[Node] = []
            at = last
            while at != scaled and at in self.nodes and len(self.nodes[at].inputs) == 1:
                seen.insert(0, self.nodes[at])
                at = seen[0].inputs[0]
            weighted = [one for one in seen if one.layer.has_weights]
            others = [one for one in seen if not one.layer.has_weights]
            is_gate = (
                at == scaled
                and len(weighted) == 2
                and seen[0].layer.name == "gap"
                and all(one.layer.family is Family.ACTIVATION for one in others[1:])
                and all(set(one.volume.spatial) <= {1} for one in seen)
            )
            if is_gate:
                self.seen.update(one.id for one in seen)
                return scaled, f"SE, {weighted[0].volume.channels}"
        return None


def _texts(model: Model, node: Node) -> tuple[str, str] | None:
    """A layer without and with its stride; two empty texts if it is not shown."""
    layer = node.layer
    if layer.family in _UNSHOWN or layer.name == "id":
        return "", ""
    match layer.family:
        case Family.CONVOLUTION:
            groups = groups_of(model, node)
            is_depthwise = groups == model.nodes[node.inputs[0]].volume.channels > 1
            kind = "" if layer.name in ("conv", "dwconv") else f"{layer.name} "
            kind += "dw " if is_depthwise else ""
            channels = f", {node.volume.channels}"
            if groups > 1 and not is_depthwise:
                channels += f", C={groups}"
            dilation = getattr(layer, "dilation", (1,))
            if set(dilation) != {1}:
                channels += f", dilation {short_text(dilation)}"
            before, after = f"{kind}{size_text(kernel_of(model, node))}", channels
        case Family.POOLING:
            before, after = f"{layer.name} {size_text(kernel_of(model, node))}", ""
        case Family.DENSE if layer.name in ("fc", "linear"):
            return (text := f"{layer.name}, {node.volume.channels}"), text
        case _:
            return None
    stride = stride_of(model, node)
    step = "" if set(stride) == {1} else f"/{short_text(stride)}"
    return before + after, before + step + after


def groups_of(model: Model, node: Node) -> int:
    """In how many groups a convolution treats its channels."""
    if node.layer.name == "dwconv":
        return model.nodes[node.inputs[0]].volume.channels
    groups: int = getattr(node.layer, "groups", 1)
    return groups
