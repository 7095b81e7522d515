"""The elaborated network: one data-flow graph, and over it the tree of parts as written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from archdsl import syntax
from archdsl.layers import Layer
from archdsl.source import Span
from archdsl.volume import Volume

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True, slots=True)
class Frame:
    """A block or family call around a layer: its text, its place and the name of its result."""

    text: str
    span: Span
    label: str | None


@dataclass(frozen=True, slots=True)
class Node:
    """One layer in place: ordered inputs, the volume of its result, where it was written.

    ``head`` is the number of the auxiliary head the node belongs to, None on the trunk. Node 0
    is the input. Ids are in execution order, so each input's id is smaller.
    """

    id: int
    layer: Layer
    inputs: tuple[int, ...]
    volume: Volume
    span: Span
    frames: tuple[Frame, ...] = ()
    head: int | None = None


def trail_of(frames: tuple[Frame, ...]) -> tuple[str, ...]:
    """Where a layer inside calls stands: ``in inception(64, …), called at line 21 as `i3a```."""
    lines = []
    for frame in reversed(frames):
        label = f" as `{frame.label}`" if frame.label else ""
        lines.append(f"in {frame.text}, called at line {frame.span.line}{label}")
    return tuple(lines)


def build_graph(nodes: Iterable[Node]) -> networkx.DiGraph[int]:
    """The nodes as a NetworkX graph: each id holds its ``node``; edges follow the data.

    Where one node feeds a merge twice (``add { id | id }``) the graph has one edge: the ordered
    inputs are the node's own.
    """
    import networkx  # takes longer to import than a network takes to check

    graph: networkx.DiGraph[int] = networkx.DiGraph()
    for node in nodes:
        graph.add_node(node.id, node=node)
        graph.add_edges_from((source, node.id) for source in node.inputs)
    return graph


# ── Parts ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class LayerPart:
    """A layer of one input."""

    name: str | None
    node: int


@dataclass(frozen=True, slots=True)
class CallPart:
    """A block call, expanded."""

    name: str | None
    block: syntax.Block
    arguments: tuple[tuple[str, Value], ...]
    body: Chain


@dataclass(frozen=True, slots=True)
class GroupPart:
    """A named statement of several layers, or named braces."""

    name: str
    body: Chain


@dataclass(frozen=True, slots=True)
class RepeatPart:
    """A named, repeated statement: one part with a child for each copy."""

    name: str
    copies: tuple[Chain, ...]


@dataclass(frozen=True, slots=True)
class ForkPart:
    """Branches and the merge that joins them; ``node`` is the merge's."""

    node: int
    branches: tuple[Chain, ...]

    name: None = None


@dataclass(frozen=True, slots=True)
class RecallPart:
    """A named part's result, taken up again."""

    target: str
    node: int

    name: None = None


@dataclass(frozen=True, slots=True)
class SplitPart:
    """A layer with a result for each of several branches; the chain goes on with its own input.

    Nobody writes it: deployment makes it of parallel convolutions. A branch takes up its piece
    by a recall without a name.
    """

    node: int
    pieces: tuple[int, ...]

    name: None = None


@dataclass(frozen=True, slots=True)
class AuxPart:
    """An auxiliary head; the trunk goes on with its own input."""

    name: str | None
    weight: float
    body: Chain


Part: TypeAlias = (
    LayerPart | CallPart | GroupPart | RepeatPart | ForkPart | RecallPart | SplitPart | AuxPart
)
Value: TypeAlias = int | float | bool | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts in execution order, from the node ``input`` to the node ``output``."""

    parts: tuple[Part, ...]
    input: int
    output: int


def output_of(part: Part) -> int:
    """The node whose result leaves a part."""
    match part:
        case LayerPart() | ForkPart() | RecallPart() | SplitPart():
            return part.node
        case RepeatPart():
            return part.copies[-1].output
        case CallPart() | GroupPart() | AuxPart():
            return part.body.output


def chains_in(part: Part) -> tuple[Chain, ...]:
    """The chains directly inside a part."""
    match part:
        case CallPart() | GroupPart() | AuxPart():
            return (part.body,)
        case RepeatPart():
            return part.copies
        case ForkPart():
            return part.branches
        case _:
            return ()


def without_empty(chain: Chain) -> Chain:
    """The chain without parts that hold no node: what stands behind a fault."""
    parts: list[Part] = []
    for part in chain.parts:
        match part:
            case CallPart() | GroupPart() | AuxPart():
                body = without_empty(part.body)
                parts += [replace(part, body=body)] if body.parts else []
            case RepeatPart():
                copies = tuple(c for c in map(without_empty, part.copies) if c.parts)
                parts += [replace(part, copies=copies)] if copies else []
            case ForkPart():
                parts.append(replace(part, branches=tuple(map(without_empty, part.branches))))
            case _:
                parts.append(part)
    return replace(chain, parts=tuple(parts))


def walk(chain: Chain) -> Iterator[Part]:
    """All parts of a chain, outer before inner, in execution order."""
    for part in chain.parts:
        yield part
        for inner in chains_in(part):
            yield from walk(inner)
