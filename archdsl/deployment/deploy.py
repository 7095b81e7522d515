"""From the Model of a network to that of the same network for deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from archdsl.classplan import name_nodes, plan_modules
from archdsl.deployment.definitions import InplaceReLU, Reduction
from archdsl.deployment.draft import Fold, NetworkDraft, renumbered, whole_reuses, without
from archdsl.deployment.merging import merge_reductions
from archdsl.layers import Family, MergeLayer, WeightLayer
from archdsl.layers.activation import ReLU
from archdsl.layers.conv import Conv, DepthwiseConv
from archdsl.layers.dense import FullyConnected, Linear
from archdsl.layers.norm import BatchNorm
from archdsl.model import Model
from archdsl.model.cost import count_costs
from archdsl.network.graph import Node, build_graph

#: Layers that can take in the factor and the bias of a normalization after them.
_FOLDING = (Conv, DepthwiseConv, FullyConnected, Linear)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a layer of a deployed network gets its numbers from: nodes of the plain one."""

    layer: Node
    norm: Node | None = None


@dataclass(frozen=True, eq=False)
class Deployment:
    """A network for inference, and the plain one it was made from.

    ``origins`` maps the node of each layer with a state to the plain layers that it replaces.
    """

    plain: Model
    model: Model
    origins: Mapping[int, tuple[Origin, ...]]


def deploy(model: Model) -> Deployment:
    """The same network, written for inference only.

    Auxiliary heads, dropout and stochastic depth are gone; batch normalization is folded into the
    convolution or the fully-connected layer that it follows; parallel 1×1 convolutions before a
    ``concat`` are merged; ReLU overwrites what nothing else reads.
    """
    nodes = {node.id: node for node in model.nodes}
    folds = {id: (Fold(id),) for id in nodes}
    draft = NetworkDraft(nodes, model.chain, folds, model.outputs)
    rewrites = (
        _without_training,
        _without_starts,
        _fold_norms,
        merge_reductions,
        _in_place,
        renumbered,
    )
    for rewrite in rewrites:
        draft = rewrite(draft)
    return _finish(model, draft)


def _without_training(draft: NetworkDraft) -> NetworkDraft:
    return without(
        draft,
        {n.id for n in draft.nodes.values() if n.layer.family is Family.REGULARIZATION},
    )


def _without_starts(draft: NetworkDraft) -> NetworkDraft:
    """Remove initializers, which a network that takes over the weights of another does not need."""
    nodes = {
        id: replace(node, layer=replace(node.layer, init=None))  # type: ignore[type-var]
        if isinstance(node.layer, WeightLayer) and node.layer.init
        else node
        for id, node in draft.nodes.items()
    }
    return replace(draft, nodes=nodes)


def _fold_norms(draft: NetworkDraft) -> NetworkDraft:
    """Fold each normalization into the layer it follows, where nothing else reads that layer."""
    readers = draft.count_readers()
    nodes = dict(draft.nodes)
    folds = dict(draft.folds)
    folded = set()
    by_module = draft.by_module()
    norms_alone = whole_reuses(
        draft, {n.id for n in draft.nodes.values() if isinstance(n.layer, BatchNorm)}
    )
    for norms in by_module.values():
        norm = norms[0]
        if not isinstance(norm.layer, BatchNorm) or norm.id in norms_alone:
            continue
        sources = [nodes[node.inputs[0]] for node in norms]
        layer = sources[0].layer
        if not isinstance(layer, _FOLDING) or any(readers[s.id] != 1 for s in sources):
            continue
        # Where they run several times, they must do so together, each time one behind the other.
        if [s.id for s in by_module[sources[0].module]] != sorted(s.id for s in sources):
            continue
        for source in sources:
            forms = tuple(form for form in source.forms if form[0] != "bias")
            nodes[source.id] = replace(source, layer=replace(layer, bias=True), forms=forms)
        folds[sources[0].module] = (replace(folds[sources[0].module][0], norm=norm.module),)
        folded |= {node.id for node in norms}
    return without(replace(draft, nodes=nodes, folds=folds), folded)


def _in_place(draft: NetworkDraft) -> NetworkDraft:
    """Let ReLU overwrite the result of a convolution or a merge that nothing else reads."""
    readers = draft.count_readers()
    nodes = dict(draft.nodes)
    for node in draft.nodes.values():
        if isinstance(node.layer, Reduction) and type(node.layer.activation) is ReLU:
            nodes[node.id] = replace(node, layer=replace(node.layer, activation=InplaceReLU()))
    for users in draft.by_module().values():
        if type(users[0].layer) is not ReLU:
            continue
        sources = [draft.nodes[node.inputs[0]] for node in users]
        if all(
            isinstance(source.layer, (*_FOLDING, BatchNorm, MergeLayer)) and readers[source.id] == 1
            for source in sources
        ):
            for node in users:
                nodes[node.id] = replace(node, layer=InplaceReLU())
    return replace(draft, nodes=nodes)


def _finish(plain: Model, draft: NetworkDraft) -> Deployment:
    nodes = tuple(draft.nodes.values())
    plan = plan_modules(plain.name, nodes, draft.chain, draft.outputs, for_names=True)
    model = replace(
        plain,
        nodes=nodes,
        graph=build_graph(nodes),
        chain=draft.chain,
        outputs=draft.outputs,
        names=name_nodes(plan, nodes),
        costs=count_costs(nodes),
        claims=(),
        recipe=None,
        init=None,
    )
    origins = {
        node.id: tuple(
            Origin(plain.nodes[f.layer], None if f.norm is None else plain.nodes[f.norm])
            for f in draft.folds[node.id]
        )
        for node in nodes
        if node.shares is None
        and (model.costs[node.id].parameters or isinstance(node.layer, BatchNorm))
    }
    return Deployment(plain, model, origins)
