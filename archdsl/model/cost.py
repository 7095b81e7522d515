"""Numbers about a network: parameters, MACs, activations, receptive field."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from archdsl.model.receptive_field import count_fields
from archdsl.network.graph import Node
from archdsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What one node costs, for one sample.

    Parameters and weights are counted where they belong, and not again where they are shared.

    ``receptive_field`` is in pixels of the input along each axis, as ``count_fields`` says.
    """

    parameters: int
    macs: int
    activations: int
    receptive_field: tuple[int, ...]
    has_weights: bool


def count_costs(nodes: Sequence[Node], unknown: Collection[int] = ()) -> dict[int, Cost]:
    """The cost of each node; one of unknown volume has only a receptive field."""
    costs: dict[int, Cost] = {}
    #: Parameters, MACs and activations, by the layer and the volumes that it reads.
    known: dict[tuple[int, ...], tuple[int, int, int]] = {}
    for node, field in zip(nodes, count_fields(nodes, unknown), strict=True):
        if node.id in unknown:
            costs[node.id] = Cost(0, 0, 0, field, has_weights=False)
            continue
        layer, inputs = node.layer, [nodes[i].volume for i in node.inputs]
        place = (id(layer), *map(id, inputs))
        if place not in known:
            volumes = tuple(inputs)
            parameters = layer.count_parameters(volumes[0]) if len(volumes) == 1 else 0
            known[place] = parameters, layer.macs_of(volumes), node.volume.elements
        parameters, macs, activations = known[place]
        is_own = node.shares is None
        costs[node.id] = Cost(
            parameters if is_own else 0, macs, activations, field, layer.has_weights and is_own
        )
    return costs
