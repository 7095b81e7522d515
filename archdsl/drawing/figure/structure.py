"""What an item is made of: which layers, what they do, and how they are wired."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from archdsl.drawing.figure.figure import Box, Cluster, FigureItem, Fork
from archdsl.layers import Layer
from archdsl.layers.definition import fields_of
from archdsl.layers.layer import ErrorNode
from archdsl.network.graph import Node

#: The fields of a layer that say how much it makes, and of how much. From block to block they
#: differ with the channels and the resolution, and rates of dropout with the depth.
_AMOUNTS = frozenset(
    {
        *("out_channels", "out_features", "units", "channels", "words", "heads", "num_groups"),
        *("num_parameters", "start", "stop", "before", "after", "sizes", "volume"),
        *("params", "macs", "stride", "padding", "output_padding", "p"),
    }
)
#: Those that say nothing of what it computes, or repeat what the wires say.
_ASIDE = frozenset({"init", "reference", "source"})


def structure_of(
    items: Iterable[FigureItem], nodes: Sequence[Node], has_windows: bool = True
) -> Hashable:
    """Equal for items that differ in channels, strides, padding, rates of dropout and names alone.

    Without windows, they may differ in the sizes of these, too.
    """
    return tuple(_structure(item, nodes, has_windows) for item in items)


def _structure(item: FigureItem, nodes: Sequence[Node], has_windows: bool) -> Hashable:
    match item:
        case Box(block=Cluster() as block, count=count):
            return _structure(block, nodes, has_windows), count
        case Box(nodes=own, count=count):
            return tuple(_kind(nodes[node].layer, has_windows) for node in own), count
        case Cluster(title=title, items=items, count=count):
            return title, structure_of(items, nodes, has_windows), count
        case Fork(branches=branches, merge=merge):
            inner = tuple(structure_of(branch, nodes, has_windows) for branch in branches)
            return inner, _structure(merge, nodes, has_windows)


def _kind(layer: Layer, has_windows: bool) -> Hashable:
    if isinstance(layer, ErrorNode):
        return layer.text
    kind: list[Hashable] = [layer.name]
    for field in fields_of(type(layer)):
        value = getattr(layer, field.name)
        if field.name == "groups":
            kind.append(value > 1)  # whose number may be that of the channels
        elif field.name == "kernel_size":
            kind.append(value if has_windows else None)
        elif field.name not in _AMOUNTS | _ASIDE:
            kind.append(value)
    return tuple(kind)
