"""The boxes of a network's inputs and outputs, and their names and volumes in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from archdsl.drawing.figure.figure import Box
from archdsl.layers import Family
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.network.graph import label_of

#: The id of the box of the network's result; that of a further one is one less. The network's nodes
#: have ids from 0.
OUTPUT = -1


def volume_text(volume: Volume) -> str:
    """``28×28×192``, or the units of a vector."""
    return "×".join(map(str, volume.sizes))


def shown_ends(model: Model) -> list[tuple[int, str]]:
    """The nodes and names of a network's outputs, the end of the trunk first."""
    ends = [(output.node, output.name) for output in model.outputs]
    end = model.chain.output
    return sorted(ends, key=lambda one: one[0] != end) or [(end, "")]


def input_box(model: Model) -> Box:
    """The box of the input, with those of further inputs beside it."""
    return _side_by_side(
        _box("input", node.id, label_of(node), node.volume) for node in model.inputs
    )


def output_box(model: Model) -> Box:
    """The box of the output, with those of further outputs beside it."""
    return _side_by_side(
        _box("output", OUTPUT - number, name, model.nodes[node].volume)
        for number, (node, name) in enumerate(shown_ends(model))
    )


def _box(title: str, id: int, name: str, volume: Volume) -> Box:
    return Box((id,), (id,), title, volume_text(volume), Family.INPUT, name or None)


def _side_by_side(boxes: Iterable[Box]) -> Box:
    first, *rest = boxes
    return replace(first, beside=tuple(rest))


def ports_text(model: Model) -> str:
    """``left 8×8×1 and right 8×8×1 to 3``."""
    before = [(label_of(node), node.volume) for node in model.inputs]
    after = [(output.name, model.nodes[output.node].volume) for output in model.outputs]
    return f"{_listed(before)} to {_listed(after or [('', model.output)])}"


def _listed(ports: Iterable[tuple[str, Volume]]) -> str:
    return " and ".join(f"{name} {volume_text(volume)}".strip() for name, volume in ports)
