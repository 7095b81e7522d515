"""The elaborated network: one data-flow graph, and over it the tree of parts as written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import takewhile
from typing import Any, TypeAlias, TypeVar

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

    The graph is a view of the nodes and holds no edge of its own: as dictionaries they would take
    a kilobyte a node, more than all else that is known about it.
    """
    ordered = tuple(nodes)
    is_plain = all(node.id == place for place, node in enumerate(ordered))
    by_id = _ById(ordered) if is_plain else {node.id: node for node in ordered}
    graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    view: Any = graph
    view._node = _View(by_id, lambda id: {"node": by_id[id]})
    view._pred = _View(by_id, lambda id: _sources(by_id[id]))
    view._succ = view._adj = _Readers(by_id)
    frozen: nx.MultiDiGraph[int] = nx.freeze(graph)
    return frozen


#: By the node at the other end of an edge and the position of the input, no attributes.
_Edges: TypeAlias = "dict[int, dict[int, dict[str, Any]]]"
_Value = TypeVar("_Value")


class _ById(Mapping[int, Node]):
    """Nodes whose ids are their places, without a dictionary of them."""

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes

    def __getitem__(self, id: int) -> Node:
        if id < 0:
            raise KeyError(id)
        try:
            return self.nodes[id]
        except IndexError:
            raise KeyError(id) from None

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.nodes)))

    def __len__(self) -> int:
        return len(self.nodes)


class _View(Mapping[int, _Value]):
    """Something about each node, made when it is asked for."""

    def __init__(self, nodes: Mapping[int, Node], make: Callable[[int], _Value]) -> None:
        self.nodes = nodes
        self.make = make

    def __getitem__(self, id: int) -> _Value:
        return self.make(id)  # which raises a KeyError for what is no node

    def __iter__(self) -> Iterator[int]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)


class _Readers(_View[_Edges]):
    """The edges from each node to those that read it."""

    def __init__(self, nodes: Mapping[int, Node]) -> None:
        super().__init__(nodes, self._edges)

    @cached_property
    def readers(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {id: [] for id in self.nodes}
        for node in self.nodes.values():
            for source in dict.fromkeys(node.inputs):
                found[source].append(node.id)
        return found

    def _edges(self, id: int) -> _Edges:
        return {reader: _sources(self.nodes[reader])[id] for reader in self.readers[id]}


def _sources(node: Node) -> _Edges:
    edges: _Edges = {}
    for position, source in enumerate(node.inputs):
        edges.setdefault(source, {})[position] = {}
    return edges


def nodes_of(graph: nx.MultiDiGraph[int]) -> Iterator[tuple[int, Node]]:
    """The ids of a graph with their nodes, in order."""
    inner: Any = graph  # `nodes` makes a view of each entry
    if isinstance(inner._node, _View):
        return iter(inner._node.nodes.items())
    return ((id, entry["node"]) for id, entry in inner._node.items())


def sources_in(graph: nx.MultiDiGraph[int], id: int) -> tuple[int, ...]:
    """What a node reads, in the order of its inputs, by the edges of the graph."""
    inner: Any = graph  # `pred` wraps each dictionary: half of the time of the rules
    if isinstance(inner._pred, _View):
        return inner._pred.nodes[id].inputs  # which the edges are made of
    found: _Edges = inner._pred[id]
    if len(found) == 1:
        return (*found,) * sum(map(len, found.values()))
    edges = [(position, source) for source, positions in found.items() for position in positions]
    return tuple([source for _, source in sorted(edges)])
