"""The elaborated network: one data-flow graph, and over it the tree of parts as written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from functools import cached_property
from typing import TypeAlias

import networkx as nx

from archdsl import syntax
from archdsl.layers import Layer
from archdsl.records import dataclass
from archdsl.source import Span
from archdsl.symbolic import Form, Symbolic, Value
from archdsl.volume import Volume


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
    is the input. Ids are in execution order, so each input's id is smaller. ``forms`` has, by the
    layer's field, how a number was written that a parameter or a volume decides.
    """

    id: int
    layer: Layer
    inputs: tuple[int, ...]
    volume: Volume
    span: Span
    frames: tuple[Frame, ...] = ()
    head: int | None = None
    forms: tuple[tuple[str, Symbolic], ...] = ()


def trail_of(frames: tuple[Frame, ...]) -> tuple[str, ...]:
    """Where a layer inside calls stands: ``in inception(64, …), called at line 21 as `i3a```."""
    lines = []
    for frame in reversed(frames):
        label = f" as `{frame.label}`" if frame.label else ""
        lines.append(f"in {frame.text}, called at line {frame.span.line}{label}")
    return tuple(lines)


def build_graph(nodes: Iterable[Node]) -> nx.MultiDiGraph[int]:
    """The data flow as a NetworkX graph over ids, frozen; each id holds its ``node``.

    An edge runs from a result to a layer that reads it, and its key is the position of that input.
    So the graph alone has the order of inputs, and one node can feed a merge twice
    (``add { id | id }``), for which a ``DiGraph`` has no room.
    """
    graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    for node in nodes:
        graph.add_node(node.id, node=node)
        for position, source in enumerate(node.inputs):
            graph.add_edge(source, node.id, position)
    frozen: nx.MultiDiGraph[int] = nx.freeze(graph)
    return frozen


def nodes_of(graph: nx.MultiDiGraph[int]) -> Iterator[tuple[int, Node]]:
    """The ids of a graph with what they stand for, in order."""
    return iter(graph.nodes(data="node"))


def sources_of(graph: nx.MultiDiGraph[int]) -> dict[int, tuple[int, ...]]:
    """What each node reads, in the order of its inputs, by the edges of the graph."""
    found: dict[int, list[tuple[int, int]]] = {id: [] for id in graph}
    for source, readers in graph.adjacency():
        for reader, positions in readers.items():
            found[reader] += ((int(position), source) for position in positions)
    return {id: tuple(source for _, source in sorted(edges)) for id, edges in found.items()}


# ── Parts ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Argument:
    """What a call gives for a parameter, with the form that the caller wrote.

    ``default`` is the parameter's own, where it is a constant.
    """

    name: str
    value: Value
    form: Form
    default: Value | None = None


@dataclass(frozen=True, slots=True)
class LayerPart:
    """A layer of one input."""

    name: str | None
    node: int
    comment: syntax.Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CallPart:
    """A block call, expanded."""

    name: str | None
    block: syntax.Block
    arguments: tuple[Argument, ...]
    body: Chain
    comment: syntax.Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class GroupPart:
    """A named statement of several layers, or named braces; ``span`` is the statement's."""

    name: str
    body: Chain
    span: Span
    comment: syntax.Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RepeatPart:
    """A repeated statement with its copies. Named, it is one part with a child for each copy."""

    name: str | None
    copies: tuple[Chain, ...]
    count: Symbolic
    span: Span
    output: int
    comment: syntax.Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ChoicePart:
    """An ``if``: the conditions that were decided, in order, and what stands where it led.

    ``taken`` counts its bodies from 0, the ``else`` included.
    """

    cond: syntax.Cond
    tests: tuple[Symbolic, ...]
    taken: int
    body: Chain

    name: None = None


@dataclass(frozen=True, slots=True)
class ForkPart:
    """Branches and the merge that joins them; ``node`` is the merge's."""

    node: int
    branches: tuple[Chain, ...]
    comment: syntax.Comment | None = field(default=None, compare=False)

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
    """An auxiliary head; the trunk goes on with its own input. ``span`` is the statement's."""

    name: str | None
    weight: float
    body: Chain
    span: Span
    comment: syntax.Comment | None = field(default=None, compare=False)


Part: TypeAlias = (
    LayerPart | CallPart | GroupPart | RepeatPart | ForkPart | RecallPart | SplitPart | AuxPart
)
#: A part, or what only says how parts came to stand there: an ``if``, a repeat without a name.
Written: TypeAlias = Part | ChoicePart


@dataclass(frozen=True)
class Chain:
    """Parts in execution order, from the node ``input`` to the node ``output``.

    ``written`` has them as they stand in the text. In ``parts`` what an ``if`` led to and the
    copies of a repeat without a name stand in place of these, and what holds no layer is left out:
    a call of a block that is empty for its arguments.
    """

    written: tuple[Written, ...]
    input: int
    output: int

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What the chain is made of, wherever it was decided."""
        parts: list[Part] = []
        for part in self.written:
            match part:
                case ChoicePart(body=body):
                    parts += body.parts
                case RepeatPart(name=None, copies=copies):
                    parts += (inner for copy in copies for inner in copy.parts)
                case CallPart() | GroupPart() | RepeatPart() if not _holds_parts(part):
                    pass
                case _:
                    parts.append(part)
        return tuple(parts)


@dataclass(frozen=True, slots=True)
class Member:
    """What makes a network a member of a family: the family, and the arguments given for it."""

    family: syntax.Network
    arguments: tuple[Argument, ...]


def _holds_parts(part: Written) -> bool:
    return any(chain.parts for chain in chains_in(part))


def with_comment(parts: list[Written], comment: syntax.Comment | None) -> list[Written]:
    """The parts of a statement, the first with what is said of the statement."""
    if comment is None or not parts:
        return parts
    first, *rest = parts
    match first:
        case ChoicePart() | RecallPart() | SplitPart():
            return [first, *with_comment(rest, comment)]
        case _ if first.comment is None:
            return [replace(first, comment=comment), *rest]
        case _:
            return parts


def output_of(part: Written) -> int:
    """The node whose result leaves a part."""
    match part:
        case LayerPart() | ForkPart() | RecallPart() | SplitPart():
            return part.node
        case RepeatPart():
            return part.output
        case CallPart() | GroupPart() | AuxPart() | ChoicePart():
            return part.body.output


def chains_in(part: Written) -> tuple[Chain, ...]:
    """The chains directly inside a part."""
    match part:
        case CallPart() | GroupPart() | AuxPart() | ChoicePart():
            return (part.body,)
        case RepeatPart():
            return part.copies
        case ForkPart():
            return part.branches
        case _:
            return ()


def rewritten(part: Written, rewrite: Callable[[Chain], Chain]) -> Written:
    """A part with each chain directly inside it rewritten."""
    match part:
        case CallPart() | GroupPart() | AuxPart() | ChoicePart():
            return replace(part, body=rewrite(part.body))
        case RepeatPart():
            return replace(part, copies=tuple(map(rewrite, part.copies)))
        case ForkPart():
            return replace(part, branches=tuple(map(rewrite, part.branches)))
        case _:
            return part


def without_empty(chain: Chain) -> Chain:
    """The chain without parts that hold no node: what stands behind a fault."""
    parts: list[Written] = []
    for part in chain.written:
        match rewritten(part, without_empty):
            case RepeatPart(copies=copies) as repeat:
                left = tuple(copy for copy in copies if copy.written)
                parts += [replace(repeat, copies=left)] if left else []
            case CallPart() | GroupPart() | AuxPart() | ChoicePart() as around:
                parts += [around] if around.body.written else []
            case whole:
                parts.append(whole)
    return replace(chain, written=tuple(parts))


def walk(chain: Chain) -> Iterator[Part]:
    """All parts of a chain, outer before inner, in execution order."""
    for part in chain.parts:
        yield part
        for inner in chains_in(part):
            yield from walk(inner)
