"""The trunk of a network as lines of a table: layers, block calls and merges, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from archdsl.layers import Family
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.network.parts import (
    AuxPart,
    CallPart,
    Chain,
    ForkPart,
    GroupPart,
    LayerPart,
    Part,
    ReferencePart,
    RepeatPart,
    ReusePart,
    walk,
)

#: Families that papers do not list; they count with the line before them.
_JOINED = (Family.NORMALIZATION, Family.ACTIVATION)
_CONVOLUTIONAL = (Family.CONVOLUTION, *_JOINED)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: its nodes, the node whose result flows in, and the one whose result flows out.

    ``main`` is the layer after which it is named; a block call has ``call`` instead.
    """

    nodes: tuple[int, ...]
    input: int
    output: int
    main: Node | None = None
    call: CallPart | None = None
    name: str | None = None
    is_shared: bool = False


def entries(
    model: Model, is_grouped: bool, opens: Callable[[CallPart], bool] = lambda call: False
) -> list[Entry]:
    """The lines of a network without its auxiliary heads.

    A named group of nothing but convolutions is one line if ``is_grouped``. All other groups have a
    line for each of their parts. Normalization and activation join the line before them, except
    normalization without parameters if not ``is_grouped``. A block call is one line, except for
    those that ``opens`` says have a line for each of their parts.
    """
    found: list[Entry] = []
    for entry in _in_chain(model, model.chain, is_grouped, opens):
        if found and _joins(model, entry, is_grouped):
            last = found[-1]
            nodes = (*last.nodes, *entry.nodes)
            found[-1] = replace(last, nodes=nodes, output=entry.output)
        else:
            found.append(entry)
    return found


def _joins(model: Model, entry: Entry, is_grouped: bool) -> bool:
    if entry.main is None or entry.main.layer.family not in _JOINED:
        return False
    is_activation = entry.main.layer.family is Family.ACTIVATION
    return is_grouped or is_activation or bool(model.costs[entry.main.id].parameters)


def _in_chain(
    model: Model, chain: Chain, is_grouped: bool, opens: Callable[[CallPart], bool]
) -> Iterator[Entry]:
    flow = chain.input
    for part in chain.parts:
        match part:
            case LayerPart():
                node = model.nodes[part.node]
                yield Entry((node.id,), node.inputs[0], node.id, node, name=part.name)
                flow = node.id
            case ForkPart():
                node = model.nodes[part.node]
                yield Entry(nodes_of(part), flow, node.id, node)
                flow = node.id
            case CallPart() if opens(part):
                yield from _in_chain(model, part.body, is_grouped, opens)
                flow = part.body.output
            case CallPart():
                yield Entry(nodes_of(part), flow, part.body.output, None, part, part.name)
                flow = part.body.output
            case GroupPart():
                if is_grouped and _is_convolutional(model, part):
                    main = _largest(model, part)
                    yield Entry(nodes_of(part), flow, part.body.output, main, name=part.name)
                else:
                    yield from _in_chain(model, part.body, is_grouped, opens)
                flow = part.body.output
            case RepeatPart():
                for copy in part.copies:
                    yield from _in_chain(model, copy, is_grouped, opens)
                flow = part.copies[-1].output
            case ReusePart():
                for entry in _in_chain(model, replace(part.body, input=flow), is_grouped, opens):
                    yield replace(entry, is_shared=True)
                flow = part.body.output
            case ReferencePart():
                flow = part.node
            case AuxPart():
                pass


def nodes_of(part: Part) -> tuple[int, ...]:
    """The nodes of a part, in the order of execution."""
    chain = Chain((part,), 0, 0)
    return tuple(
        sorted(inner.node for inner in walk(chain) if isinstance(inner, (LayerPart, ForkPart)))
    )


def _is_convolutional(model: Model, part: GroupPart) -> bool:
    """Whether a group consists of convolutions, normalization and activation in a row."""
    layers = [model.nodes[node].layer for node in nodes_of(part)]
    is_row = all(isinstance(inner, LayerPart) for inner in part.body.parts)
    return (
        is_row
        and all(layer.family in _CONVOLUTIONAL for layer in layers)
        and any(layer.family is Family.CONVOLUTION for layer in layers)
    )


def _largest(model: Model, part: GroupPart) -> Node:
    """The convolution with the largest kernel, the last of several."""
    convolutions = [
        model.nodes[node]
        for node in nodes_of(part)
        if model.nodes[node].layer.family is Family.CONVOLUTION
    ]
    return max(reversed(convolutions), key=lambda node: kernel_of(model, node))


def kernel_of(model: Model, node: Node) -> tuple[int, ...]:
    """The size of a layer's window along each axis, without dilation."""
    kernel: tuple[int, ...] | None = getattr(node.layer, "kernel_size", None)
    if kernel is not None:
        return kernel
    return node.layer.reads((model.nodes[node.inputs[0]].volume,))[0].kernel


def stride_of(model: Model, node: Node) -> tuple[int, ...]:
    """The stride as written; that of a transposed convolution makes its result larger."""
    if node.layer.family is Family.CONVOLUTION:
        stride: tuple[int, ...] = getattr(node.layer, "stride", ())
        return stride
    return node.layer.reads((model.nodes[node.inputs[0]].volume,))[0].stride


def size_text(size: tuple[int, ...]) -> str:
    """``3×3``."""
    return "×".join(map(str, size))


def short_text(size: tuple[int, ...]) -> str:
    """``3`` for a square, ``1×7`` for another rectangle."""
    return str(size[0]) if len(set(size)) == 1 else size_text(size)
