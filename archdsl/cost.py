"""Numbers about a network: parameters, MACs, activations, receptive field."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction

from archdsl.graph import Node
from archdsl.layers import Input, Window
from archdsl.layers.layer import POINT


@dataclass(frozen=True, slots=True)
class Cost:
    """What one node costs, for one sample.

    ``receptive_field`` is (height, width) in pixels of the input, through the largest path; it
    can exceed the input, as border padding is not cut off.
    """

    parameters: int
    macs: int
    activations: int
    receptive_field: tuple[int, int]
    has_weights: bool


@dataclass(frozen=True, slots=True)
class _Sight:
    """Per axis: receptive field, and the step in input pixels between neighbouring elements."""

    field: tuple[int, int]
    jump: tuple[Fraction, Fraction]


def count_costs(nodes: Sequence[Node], unknown: Collection[int] = ()) -> dict[int, Cost]:
    """The cost of each node; nothing for those of unknown volume.

    Receptive fields follow Araujo, Norris and Sim 2019, "Computing receptive fields of
    convolutional neural networks": r += (k − 1) · j, then j *= s.
    """
    costs: dict[int, Cost] = {}
    sights: dict[int, _Sight] = {}
    for node in nodes:
        inputs = [nodes[i] for i in node.inputs]
        if node.id in unknown:
            sights[node.id] = sights[node.inputs[0]]
            costs[node.id] = Cost(0, 0, 0, sights[node.id].field, has_weights=False)
            continue
        sights[node.id] = _see(node, inputs, sights)
        parameters = macs = 0
        if len(inputs) == 1:
            x = inputs[0].volume
            parameters, macs = node.layer.count_parameters(x), node.layer.count_macs(x)
        costs[node.id] = Cost(
            parameters,
            macs,
            node.volume.elements,
            sights[node.id].field,
            node.layer.has_weights,
        )
    return costs


def _see(node: Node, inputs: list[Node], sights: dict[int, _Sight]) -> _Sight:
    if isinstance(node.layer, Input):
        return _Sight((1, 1), (Fraction(1), Fraction(1)))
    if len(inputs) > 1:
        seen = [sights[i.id] for i in inputs]
        largest = max(inputs, key=lambda i: i.volume.elements)
        height, width = (max(sight.field[axis] for sight in seen) for axis in (0, 1))
        return _Sight((height, width), sights[largest.id].jump)
    before = sights[inputs[0].id]
    window: Window = node.layer.window(inputs[0].volume)
    if window == POINT:
        return before
    field, jump = [], []
    for axis in (0, 1):
        grown = before.field[axis] + (window.kernel[axis] - 1) * before.jump[axis]
        field.append(-(-grown.numerator // grown.denominator))
        step = Fraction(window.stride[axis], window.enlarge[axis])
        jump.append(before.jump[axis] * step)
    return _Sight((field[0], field[1]), (jump[0], jump[1]))
