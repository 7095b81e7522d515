"""What an item is made of: which layers, with which windows, and how they are wired."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from archdsl.drawing.figure.figure import Box, Cluster, FigureItem, Fork
from archdsl.layers import Layer
from archdsl.layers.definition import fields_of
from archdsl.layers.layer import ErrorNode
from archdsl.network.graph import Node
from archdsl.text.printing import blank_unprintable

#: The fields of a layer that say what it looks at. Others say how much it makes of it, and where.
_WINDOW = ("kernel_size", "dilation")


def title_of(layer: Layer) -> str:
    """The layer's word, and its kernel where it has one: ``conv 3×3``."""
    if isinstance(layer, ErrorNode):
        return blank_unprintable(layer.text)
    if any(field.name == "kernel_size" for field in fields_of(type(layer))):
        return f"{layer.name} {'×'.join(map(str, vars(layer)['kernel_size']))}"
    return layer.name


def structure_of(
    items: Iterable[FigureItem], nodes: Sequence[Node], has_windows: bool = True
) -> Hashable:
    """Equal for items that differ in channels, strides and names alone; else in windows, too."""
    return tuple(_structure(item, nodes, has_windows) for item in items)


def _structure(item: FigureItem, nodes: Sequence[Node], has_windows: bool) -> Hashable:
    match item:
        case Box(block=Cluster() as block, count=count):
            return _structure(block, nodes, has_windows), count
        case Box(nodes=own, count=count):
            names = tuple(_word(nodes[node].layer) for node in own)
            windows = tuple(_window(nodes[node].layer) for node in own) if has_windows else ()
            return names, windows, count
        case Cluster(title=title, items=items, count=count):
            return title, structure_of(items, nodes, has_windows), count
        case Fork(branches=branches, merge=merge):
            inner = tuple(structure_of(branch, nodes, has_windows) for branch in branches)
            return inner, _structure(merge, nodes, has_windows)


def _word(layer: Layer) -> str:
    return layer.text if isinstance(layer, ErrorNode) else layer.name


def _window(layer: Layer) -> Hashable:
    named = [field.name for field in fields_of(type(layer)) if field.name in _WINDOW]
    return tuple([getattr(layer, name) for name in named])
