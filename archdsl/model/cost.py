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
    for node, field in zip(nodes, count_fields(nodes, unknown), strict=True):
        inputs = [nodes[i] for i in node.inputs]
        if node.id in unknown:
            costs[node.id] = Cost(0, 0, 0, field, has_weights=False)
            continue
        volumes = tuple(source.volume for source in inputs)
        macs = node.layer.macs_of(volumes)
        parameters = 0
        if len(volumes) == 1 and node.shares is None:
            parameters = node.layer.count_parameters(volumes[0])
        costs[node.id] = Cost(
            parameters,
            macs,
            node.volume.elements,
            field,
            node.layer.has_weights and node.shares is None,
        )
    return costs
