"""Parallel 1×1 convolutions over one input, as in the Inception modules, become one and a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import count

from archdsl.deployment.definitions import Piece, Reduction
from archdsl.deployment.draft import NetworkDraft, without
from archdsl.layers import REGISTRY, Family, UnaryLayer
from archdsl.layers.conv import Conv
from archdsl.layers.merge import Concat
from archdsl.network.graph import Node
from archdsl.network.parts import (
    CallPart,
    Chain,
    ForkPart,
    GroupPart,
    LayerPart,
    ReferencePart,
    SplitPart,
    Written,
    rewritten,
)
from archdsl.network.symbols import (
    Constant,
    Form,
    Operation,
    Size,
    Symbolic,
    TupleForm,
    substitute,
    symbolic_of,
)

#: Activations that treat each number by itself.
_ELEMENTWISE = frozenset(
    layer
    for name, layer in REGISTRY.items()
    # A class that the module has to define stays a layer of its own.
    if layer.family is Family.ACTIVATION and name not in ("softmax", "prelu") and not layer.support
)


@dataclass(frozen=True, slots=True)
class _BranchStart:
    """The convolution a branch starts with, and the activation after it."""

    conv: Node
    activation: Node | None
    #: The form of its channels at the place of the fork.
    channels: Form


def merge_reductions(draft: NetworkDraft) -> NetworkDraft:
    """Merge the 1×1 convolutions with which two or more branches of a ``concat`` start.

    The activation after them is merged, too, where it is the same for all.
    """
    return _Merging(draft).run()


class _Merging:
    def __init__(self, draft: NetworkDraft) -> None:
        self.draft = draft
        self.nodes = dict(draft.nodes)
        self.folds = dict(draft.folds)
        self.readers: Counter[int] = draft.count_readers()
        self.reader = {source: node for node in draft.nodes.values() for source in node.inputs}
        self.fresh = count(max(draft.nodes) + 1)
        self.merged_activations: set[int] = set()
        #: Nodes that run one module together: their layers stay as they are.
        self.shared = {
            node.id for users in draft.by_module().values() if len(users) > 1 for node in users
        }

    def run(self) -> NetworkDraft:
        chain = self._chain(self.draft.chain)
        return without(
            replace(self.draft, nodes=self.nodes, chain=chain, folds=self.folds),
            self.merged_activations,
        )

    def _chain(self, chain: Chain) -> Chain:
        parts = tuple(new for part in chain.written for new in self._part(part))
        return replace(chain, written=parts)

    def _part(self, part: Written) -> Iterator[Written]:
        if isinstance(part, ForkPart):
            yield from self._fork(part)
        else:
            yield rewritten(part, self._chain)

    def _fork(self, fork: ForkPart) -> Iterator[Written]:
        starts = [self._start(branch) for branch in fork.branches]
        found = [start for start in starts if start is not None]
        is_concat = isinstance(self.nodes[fork.node].layer, Concat)
        branches = list(fork.branches)
        if is_concat and len(found) > 1:
            yield self._split(found)
            for index, start in enumerate(starts):
                if start is not None:
                    branches[index] = _after_piece(branches[index], start.conv.id)
        yield replace(fork, branches=tuple(map(self._chain, branches)))

    def _start(self, branch: Chain) -> _BranchStart | None:
        # A convolution inside an `if` stays where it is.
        part = branch.written[0] if branch.written else None
        calls: list[CallPart] = []
        while isinstance(part, (CallPart, GroupPart)) and part.body.written:
            calls += [part] if isinstance(part, CallPart) else []
            part = part.body.written[0]
        if not isinstance(part, LayerPart):
            return None
        node = self.nodes[part.node]
        if not _is_reduction(node) or self.readers[node.id] != 1 or node.id in self.shared:
            return None
        after = self.reader.get(node.id)
        is_activation = after is not None and type(after.layer) in _ELEMENTWISE
        if after is not None and after.id in self.shared:
            is_activation = False
        return _BranchStart(node, after if is_activation else None, _channels(node, calls))

    def _split(self, starts: list[_BranchStart]) -> SplitPart:
        """Put the merged convolution into the graph; each old one becomes a piece of it."""
        convs = [start.conv for start in starts]
        activations = [start.activation for start in starts if start.activation]
        layers = {activation.layer for activation in activations}
        shared = layers.pop() if len(layers) == 1 and len(activations) == len(starts) else None
        if shared is not None:
            self.merged_activations.update(activation.id for activation in activations)
        assert shared is None or isinstance(shared, UnaryLayer)
        sizes = tuple(conv.volume.channels for conv in convs)
        x = self.nodes[convs[0].inputs[0]].volume
        reduction = Reduction(
            (1,),
            sum(sizes),
            bias=any(isinstance(c.layer, Conv) and c.layer.bias for c in convs),
            pieces=sizes,
            activation=shared,
        ).fitted((x,))
        id = next(self.fresh)
        volume = convs[0].volume.with_channels(sum(sizes))
        forms = [start.channels for start in starts]
        written = (
            ("out_channels", symbolic_of(sum(sizes), reduce(_sum, forms))),
            ("pieces", Symbolic(sizes, TupleForm(tuple(forms)))),
        )
        self.nodes[id] = replace(convs[0], id=id, layer=reduction, volume=volume, forms=written)
        self.folds[id] = tuple(fold for conv in convs for fold in self.folds.pop(conv.id))
        for conv in convs:
            self.nodes[conv.id] = replace(conv, layer=Piece(), inputs=(id,), forms=())
        return SplitPart(id, tuple(conv.id for conv in convs))


def _channels(conv: Node, calls: list[CallPart]) -> Form:
    """The form of a convolution's channels outside the calls that contain it."""
    written = dict(conv.forms).get("out_channels")
    if written is None:
        assert isinstance(conv.layer, Conv)
        given = conv.layer.out_channels
        return Size(conv.inputs[0], "C") if given is None else Constant.of(given)
    form = written.form
    for call in reversed(calls):
        form = substitute(form, {given.name: given.form for given in call.arguments})
        form = symbolic_of(conv.volume.channels, form).form
    return form


def _sum(one: Form, other: Form) -> Form:
    return Operation("+", (one, other))


def _is_reduction(node: Node) -> bool:
    layer = node.layer
    if not isinstance(layer, Conv):
        return False
    pads = layer.padding != "same" and any(layer.padding)
    is_plain = set(layer.stride) == {1} and not pads and layer.groups == 1
    return set(layer.kernel_size) == {1} and is_plain


def _after_piece(branch: Chain, conv: int) -> Chain:
    """A branch that starts with the piece of a reduction in place of its convolution."""
    rest = _without_first(branch, conv)
    return replace(branch, written=(ReferencePart("", conv), *rest.written))


def _without_first(chain: Chain, conv: int) -> Chain:
    first, *rest = chain.written
    match first:
        case CallPart() | GroupPart():
            body = _without_first(first.body, conv)
            kept = [replace(first, body=body)] if body.written else []
            return replace(chain, written=(*kept, *rest), input=conv)
        case _:
            return replace(chain, written=tuple(rest), input=conv)
