"""Numbers about a network: parameters, MACs, activations."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from archdsl.layers.volume import Volume
from archdsl.network.graph import Node
from archdsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What one node costs, for one sample.

    Parameters and weights are counted where they belong, and not again where they are shared.
    """

    parameters: int
    macs: int
    activations: int
    has_weights: bool


def count_costs(nodes: Sequence[Node], unknown: Collection[int] = ()) -> dict[int, Cost]:
    """The cost of each node; one of unknown volume costs nothing."""
    costs: dict[int, Cost] = {}
    #: By the layer and the volumes that it reads: copies have them in common.
    known: dict[tuple[int, ...], Cost] = {}
    for node in nodes:
        if node.id in unknown:
            costs[node.id] = Cost(0, 0, 0, has_weights=False)
            continue
        is_own = node.shares is None
        place = (is_own, id(node.layer), *[id(nodes[i].volume) for i in node.inputs])
        if place not in known:
            known[place] = _count(node, tuple([nodes[i].volume for i in node.inputs]))
        costs[node.id] = known[place]
    return costs


def _count(node: Node, inputs: tuple[Volume, ...]) -> Cost:
    layer, is_own = node.layer, node.shares is None
    return Cost(
        layer.count_parameters(inputs[0]) if is_own and len(inputs) == 1 else 0,
        layer.macs_of(inputs),
        node.volume.elements,
        layer.has_weights and is_own,
    )
