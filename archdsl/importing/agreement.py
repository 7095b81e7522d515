"""What a network and its spec have to agree in before their numbers are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from torch import nn

from archdsl.importing.errors import NotTheSame
from archdsl.importing.graph import SourceGraph, SourceLayer
from archdsl.layers import Layer, UnaryLayer
from archdsl.layers.dense import Flatten
from archdsl.layers.plumbing import Identity
from archdsl.layers.volume import Volume
from archdsl.model import Model

#: Images of the comparison.
BATCH = 2


def need_same_layers(graph: SourceGraph, layers: Sequence[SourceLayer], model: Model) -> None:
    """Refuse a text whose layers are not those that were read, in their real sizes.

    So is what numbers do not show: the rates of what is dropped, and the sizes of larger images.
    Only a `flatten` may be left out, before a layer that flattens.
    """
    read = [
        (layer.layer, tuple(map(graph.volume, layer.inputs)), layer.volume)
        for layer in layers
        if not isinstance(layer.layer, Flatten)
    ]
    written = [
        (node.layer, tuple(model.nodes[i].volume for i in node.inputs), node.volume)
        for node in model.layers
        if not isinstance(node.layer, Flatten | Identity)
    ]
    read = [one for one in read if not isinstance(one[0], Identity)]
    same = len(read) == len(written) and all(map(_is_same, read, written))
    if not same:
        raise NotTheSame(model.name, "its text has other layers")


_Placed: TypeAlias = tuple[Layer, tuple[Volume, ...], Volume]


def _is_same(one: _Placed, other: _Placed) -> bool:
    """Whether two layers make the same module, or the same join, and the same volume."""
    (layer, inputs, volume), (theirs, their_inputs, their_volume) = one, other
    if volume != their_volume or type(layer) is not type(theirs):
        return False
    if isinstance(layer, UnaryLayer) and isinstance(theirs, UnaryLayer):
        return layer.emit(inputs[0]) == theirs.emit(their_inputs[0])
    return layer == theirs


def has_state(network: nn.Module, path: str) -> bool:
    """Whether the module at a path has weights or buffers."""
    try:
        return bool(network.get_submodule(path).state_dict())
    except AttributeError:  # a merge has no module
        return False
