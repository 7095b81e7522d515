"""The elaborated network: one data-flow graph, and over it the tree of parts as written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile

import networkx as nx

from archdsl.layers import Input, Layer
from archdsl.layers.volume import Volume
from archdsl.network.symbols import Symbolic
from archdsl.records import dataclass
from archdsl.text.source import Span


@dataclass(frozen=True, slots=True)
class CallFrame:
    """A block or family call around a layer: its text, its place and the name of its result."""

    text: str
    span: Span
    label: str | None


@dataclass(frozen=True, slots=True)
class Node:
    """One layer in place: ordered inputs, the volume of its result, where it was written.

    ``head`` is the number of the auxiliary head the node belongs to, None on the trunk. The first
    nodes are the network's inputs, mostly node 0 alone. Ids are in execution order, so the ids of
    ``inputs`` are smaller. ``forms`` has, by field of the layer, how each number was written that
    depends on a parameter or a volume.
    ``shares`` is the node whose module this one runs once more; that node has none itself.
    """

    id: int
    layer: Layer
    inputs: tuple[int, ...]
    volume: Volume
    span: Span
    frames: tuple[CallFrame, ...] = ()
    head: int | None = None
    forms: tuple[tuple[str, Symbolic], ...] = ()
    shares: int | None = None

    @property
    def module(self) -> int:
        """The node that the module belongs to."""
        return self.id if self.shares is None else self.shares


@dataclass(frozen=True, slots=True)
class Output:
    """A result of a network that its first line names."""

    name: str
    node: int


def trail_of(frames: tuple[CallFrame, ...]) -> tuple[str, ...]:
    """Where a layer inside calls is: ``in inception(64, …), called at line 21 as `i3a```."""
    lines = []
    for frame in reversed(frames):
        label = f" as `{frame.label}`" if frame.label else ""
        lines.append(f"in {frame.text}, called at line {frame.span.line}{label}")
    return tuple(lines)


def inputs_of(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes that flow in from outside: the first ones."""
    return tuple(takewhile(lambda node: isinstance(node.layer, Input), nodes))


def label_of(node: Node) -> str:
    """The name of an input; nothing where it has none."""
    return node.layer.label if isinstance(node.layer, Input) else ""


def build_graph(nodes: Iterable[Node]) -> nx.MultiDiGraph[int]:
    """The data flow as a NetworkX graph over ids, frozen; each id holds its ``node``.

    An edge runs from a result to a layer that reads it, and its key is the position of that input.
    So the graph alone has the order of inputs, and one node can feed a merge twice
    (``add { id | id }``), which a ``DiGraph`` cannot represent.
    """
    graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    for node in nodes:
        graph.add_node(node.id, node=node)
        for position, source in enumerate(node.inputs):
            graph.add_edge(source, node.id, position)
    frozen: nx.MultiDiGraph[int] = nx.freeze(graph)
    return frozen


def nodes_of(graph: nx.MultiDiGraph[int]) -> Iterator[tuple[int, Node]]:
    """The ids of a graph with their nodes, in order."""
    return iter(graph.nodes(data="node"))


def sources_of(graph: nx.MultiDiGraph[int]) -> dict[int, tuple[int, ...]]:
    """What each node reads, in the order of its inputs, by the edges of the graph."""
    found: dict[int, list[tuple[int, int]]] = {id: [] for id in graph}
    for source, readers in graph.adjacency():
        for reader, positions in readers.items():
            found[reader] += ((int(position), source) for position in positions)
    return {id: tuple(source for _, source in sorted(edges)) for id, edges in found.items()}


# ── Parts ────────────────────────────────────────────────────────────────────────────────────
