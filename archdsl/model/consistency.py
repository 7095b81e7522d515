"""Rules of a whole network, which no layer can break alone: they run on its NetworkX graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

import networkx as nx

from archdsl.classplan import ApplyStep, ClassPlan, applies_of, items_of, plans_in
from archdsl.layers import Input, LayerError, UnaryLayer
from archdsl.layers.volume import Volume
from archdsl.network.graph import Node, nodes_of, sources_in
from archdsl.text.diagnostics import Diagnostic


def find_contradictions(
    graph: nx.MultiDiGraph[int], names: Mapping[int, str]
) -> Iterator[Diagnostic]:
    """Where a network is not what its layers make of it; nowhere, unless archdsl has a bug.

    Ids must be a topological order from the input, and a node's edges its inputs (those of
    ``build_graph`` are, whose graph is a view of the nodes). The volume of
    each node is inferred once more, from its layer and its edges, whatever elaboration did. What
    depends on a contradiction is not reported.
    """
    volumes: dict[int, Volume] = {}
    #: What layers make of volumes, for nodes that have the same ones.
    faults: dict[tuple[int, ...], str | None] = {}
    for number, node in nodes_of(graph):
        sources = sources_in(graph, number)
        fault = _find_misplaced(node, sources)
        if fault is None:
            try:
                inputs = tuple([volumes[source] for source in sources])
            except KeyError:
                continue
            known = (id(node.layer), id(node.volume), *[id(volume) for volume in inputs])
            if known not in faults:
                faults[known] = _find_wrong_volume(node, inputs)
            fault = faults[known]
        if fault is None and node.shares is not None:
            fault = _find_unshared(graph, node)
        if fault is None:
            volumes[number] = node.volume
            continue
        yield Diagnostic(
            "internal-error",
            f"`{names.get(number, 'input')}` {fault}",
            node.span,
            help="archdsl is wrong here, not the text: please report it with the spec",
        )


def find_misplaced_keys(plan: ClassPlan, nodes: Sequence[Node]) -> Iterator[Diagnostic]:
    """Names such as ``block-1`` of parts that must be attributes of a class, one for each class."""
    applies = list(applies_of(plan.steps))
    misplaced = (apply for apply in applies if not apply.attribute.isidentifier())
    for apply in islice(misplaced, 1):
        is_row = all(isinstance(step, ApplyStep) and step.label for step in plan.steps)
        is_row = is_row and not any(apply.references for apply in applies)
        yield Diagnostic(
            "wrong-value",
            f"`{apply.attribute}` cannot be the name of an attribute",
            nodes[apply.output].span,
            "in this part",
            help="a row with such names flattens nothing by itself: put a `flatten` with a name "
            "before the layer that needs a vector"
            if is_row
            else "such a name needs braces that hold nothing but named parts, one behind the "
            "other, that read nothing else",
        )
    for inner in plans_in(items_of(plan)):
        yield from find_misplaced_keys(inner, nodes)


def _find_misplaced(node: Node, sources: tuple[int, ...]) -> str | None:
    if sources != node.inputs:
        return f"reads the nodes {sources} in the graph, but its inputs are {node.inputs}"
    if not sources:
        return None if isinstance(node.layer, Input) else "reads nothing"
    return "comes before what it reads" if max(sources) >= node.id else None


def _find_unshared(graph: nx.MultiDiGraph[int], node: Node) -> str | None:
    """What keeps a node from running the module of the one that it shares."""
    shares = node.module
    owner: Node | None = graph.nodes[shares]["node"] if shares in graph else None
    if owner is None or owner.id >= node.id or owner.shares is not None:
        return "shares the module of no earlier layer"
    if owner.layer != node.layer:
        return "shares the module of another layer"
    if isinstance(node.layer, UnaryLayer):
        one, other = (graph.nodes[n.inputs[0]]["node"].volume for n in (owner, node))
        if node.layer.emit(one) != node.layer.emit(other):
            return f"shares a module for {one}, which is not that for {other}"
    return None


def _find_wrong_volume(node: Node, inputs: tuple[Volume, ...]) -> str | None:
    if not inputs:
        return None
    try:
        volume = node.layer.infer(inputs)
    except LayerError as error:
        made = f"cannot be made ({error})"
    else:
        if volume == node.volume:
            return None
        made = f"its layer makes {volume}"
    return f"is {node.volume}, but {made} from {' and '.join(map(str, inputs))}"


def find_dead(graph: nx.MultiDiGraph[int], ends: Collection[int]) -> frozenset[int]:
    """The nodes that lead to none of the ends, so that computing them changes nothing."""
    # Where each node without a reader is an end, all lead to one.
    read = {source for id in graph for source in sources_in(graph, id)}
    if all(id in read or id in ends for id in graph):
        return frozenset()
    alive = set(ends).union(*(nx.ancestors(graph, end) for end in ends))
    return frozenset(id for id in graph if id not in alive)


def count_depth(graph: nx.MultiDiGraph[int], end: int) -> int:
    """The layers with weights on the longest path from an input to a node.

    This is what papers count: 22 of GoogLeNet's 58 (Szegedy et al. 2015, section 5).
    """
    depths: dict[int, int] = {}
    for id, node in nodes_of(graph):  # in topological order
        before = max([depths[source] for source in sources_in(graph, id)], default=0)
        depths[id] = before + node.layer.has_weights
    return depths[end]
