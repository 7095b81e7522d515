"""The Model: everything known about a network. The only thing targets see."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from decimal import Decimal
from functools import cached_property

import networkx as nx

from archdsl import syntax
from archdsl.cost import Cost, count_costs
from archdsl.diagnostics import Diagnostic, Edit, Fix, help_of, respell
from archdsl.elaborate import Elaborated
from archdsl.graph import Chain, Frame, Member, Node, build_graph
from archdsl.layers import Initializer
from archdsl.modules import ClassPlan, name_nodes, plan_modules
from archdsl.parser import without_collector
from archdsl.recipe import Recipe
from archdsl.records import dataclass
from archdsl.rules import count_depth, find_contradictions
from archdsl.source import Source, Span
from archdsl.volume import Volume

BYTES_PER_NUMBER = 4


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the trunk or over the auxiliary heads, for one sample."""

    parameters: int
    macs: int
    activations: int
    weight_layers: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A number its spec claims, and whether it holds."""

    span: Span
    text: str
    holds: bool
    actual: int
    #: The number as it is, where the claim is an equality.
    fixes: tuple[Fix, ...] = ()

    @property
    def line(self) -> int:
        return self.span.line


@dataclass(frozen=True, eq=False)
class Model:
    """A network, checked: graph, hierarchy, volumes, names and costs. Immutable."""

    name: str
    source: Source = field(repr=False)
    span: Span = field(repr=False)
    #: In execution order; node 0 is the input.
    nodes: tuple[Node, ...] = field(repr=False)
    #: The data flow over the ids of the nodes.
    graph: nx.MultiDiGraph[int] = field(repr=False)
    chain: Chain = field(repr=False)
    plan: ClassPlan = field(repr=False)
    names: dict[int, str] = field(repr=False)
    costs: dict[int, Cost] = field(repr=False)
    claims: tuple[Claim, ...] = field(repr=False, default=())
    #: How the spec says the network is trained; None where it does not say.
    recipe: Recipe | None = field(repr=False, default=None)
    #: What all weights start as, but those of layers with an `init` of their own; None is
    #: PyTorch's way.
    init: Initializer | None = field(repr=False, default=None)
    #: The family that the network is a member of.
    member: Member | None = field(repr=False, default=None)
    #: What is said at the top of its file, and of the network itself.
    heading: syntax.Comment | None = field(repr=False, default=None)
    comment: syntax.Comment | None = field(repr=False, default=None)

    @property
    def layers(self) -> tuple[Node, ...]:
        """The nodes without the input."""
        return self.nodes[1:]

    @property
    def input(self) -> Volume:
        return self.nodes[0].volume

    @property
    def output(self) -> Volume:
        return self.nodes[self.chain.output].volume

    @property
    def path(self) -> str:
        return self.source.path

    @cached_property
    def trunk(self) -> Totals:
        """Sums over the network without its auxiliary heads."""
        return self._sum(lambda node: node.head is None)

    @cached_property
    def heads(self) -> Totals:
        """Sums over the auxiliary heads."""
        return self._sum(lambda node: node.head is not None)

    def _sum(self, belongs: Callable[[Node], bool]) -> Totals:
        costs = [self.costs[node.id] for node in self.layers if belongs(node)]
        return Totals(
            sum(cost.parameters for cost in costs),
            sum(cost.macs for cost in costs),
            sum(cost.activations for cost in costs),
            sum(cost.has_weights for cost in costs),
        )

    @cached_property
    def depth(self) -> int:
        """The layers with weights on the longest path from the input to the output."""
        return count_depth(self.graph, self.chain.output)

    def place_of(self, node: Node) -> Span:
        """Where the network's own file has the node: itself, or the call that brought it in."""
        return self.place_at(node.span, node.frames)

    def place_at(self, span: Span, frames: tuple[Frame, ...]) -> Span:
        """Where the network's own file has a place inside calls: itself, or the innermost call."""
        for place in (span, *(frame.span for frame in reversed(frames))):
            if place.source is self.source:
                return place
        return self.span

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """One error for each claim that does not hold."""
        return tuple(
            Diagnostic(
                "failed-claim",
                f"{self.name}: `expect {claim.text}` does not hold",
                claim.span,
                f"it is {claim.actual:,}",
                fixes=claim.fixes,
            )
            for claim in self.claims
            if not claim.holds
        )

    def __str__(self) -> str:
        trunk = self.trunk
        return (
            f"{self.name}: {self.input} → {self.output}, {trunk.weight_layers} weight layers, "
            f"{trunk.parameters:,} parameters, {trunk.macs:,} MACs"
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: the graph, or a line of text."""
        from archdsl.drawing import render_svg

        return {"image/svg+xml": render_svg(self), "text/plain": str(self)}


@dataclass(frozen=True, eq=False)
class PartialModel(Model):
    """A network up to its faults, for who wants to see where it fails.

    It has no names of modules and cannot be compiled. A node of unknown volume carries that of its
    first input.
    """

    #: By node, the fault there: of its volume, or, where that is known, of what is written of it.
    faults: Mapping[int, Diagnostic] = field(repr=False, default_factory=dict)
    unknown: frozenset[int] = field(repr=False, default=frozenset())
    #: Whether the trunk reaches its end.
    is_complete: bool = field(repr=False, default=True)


@without_collector()
def build_partial(network: Elaborated) -> PartialModel:
    """Cost what is known of a network that is refused."""
    return PartialModel(
        network.name,
        network.source,
        network.span,
        network.nodes,
        build_graph(network.nodes),
        network.chain,
        ClassPlan(network.name, None, None, 0, network.chain.output, (), None, ()),
        {},
        count_costs(network.nodes, network.unknown),
        recipe=network.recipe,
        faults=network.faults,
        unknown=network.unknown,
        is_complete=network.is_complete,
    )


@without_collector()
def build_model(network: Elaborated, diagnostics: list[Diagnostic]) -> Model:
    """Cost, name and verify an elaborated network; faults go into the list."""
    graph = build_graph(network.nodes)
    plan = plan_modules(network.name, network.nodes, network.chain)
    names = name_nodes(plan, network.nodes)
    diagnostics += find_contradictions(graph, names)
    model = Model(
        network.name,
        network.source,
        network.span,
        network.nodes,
        graph,
        network.chain,
        plan,
        names,
        count_costs(network.nodes),
        recipe=network.recipe,
        init=network.init,
        member=network.member,
        heading=network.heading,
        comment=network.comment,
    )
    claims = []
    for expect in network.expects:
        metric = METRICS.get(expect.metric.id)
        if metric is None:
            fixes = respell(expect.metric.id, expect.metric.span, METRICS)
            diagnostics.append(
                Diagnostic(
                    "unknown-metric",
                    f"`expect` knows no `{expect.metric.id}`",
                    expect.metric.span,
                    help=help_of(fixes) or f"it knows {', '.join(METRICS)}",
                    fixes=fixes,
                )
            )
            continue
        actual = metric(model)
        text = " ".join(expect.span.text.split())
        holds = _holds(expect, actual)
        fixes = () if holds else _corrections(expect, actual)
        claims.append(Claim(expect.span, text, holds, actual, fixes))
    return replace(model, claims=tuple(claims))


METRICS: dict[str, Callable[[Model], int]] = {
    "params": lambda model: model.trunk.parameters,
    "aux_params": lambda model: model.heads.parameters,
    "macs": lambda model: model.trunk.macs,
    "aux_macs": lambda model: model.heads.macs,
    "flops": lambda model: 2 * model.trunk.macs,
    "activations": lambda model: model.trunk.activations,
    "weight_layers": lambda model: model.trunk.weight_layers,
    "depth": lambda model: model.depth,
    "receptive_field": lambda model: max(model.costs[model.chain.output].receptive_field),
}

_UNITS = {"": 0, "K": 3, "M": 6, "G": 9, "T": 12}


def _holds(expect: syntax.Expect, actual: int) -> bool:
    """Whether a claim holds; ``~`` is equality after rounding to the digits written."""
    written = quantity_of(expect)
    match expect.relation:
        case "=" | "==":
            return written == actual
        case "<=":
            return actual <= written
        case ">=":
            return actual >= written
        case "<":
            return actual < written
        case ">":
            return actual > written
    # Half a unit of the last digit written, either way: 138M is 137.5M to 138.5M.
    return abs(written - actual) * 2 <= last_digit_of(expect)


def quantity_of(expect: syntax.Expect) -> Decimal:
    """The number a claim writes, its unit multiplied in."""
    return Decimal(expect.digits) * Decimal(10) ** _UNITS[expect.unit]


def last_digit_of(expect: syntax.Expect) -> Decimal:
    """What one unit of the last digit written is worth: 0.1M is 100,000."""
    places = len(expect.digits.partition(".")[2])
    return Decimal(10) ** (_UNITS[expect.unit] - places)


def _corrections(expect: syntax.Expect, actual: int) -> tuple[Fix, ...]:
    """The actual number to the digits written; a budget that is exceeded is not raised."""
    if expect.relation not in ("=", "==", "~"):
        return ()
    if expect.relation == "~":
        places = len(expect.digits.partition(".")[2])
        number = Decimal(actual) / Decimal(10) ** _UNITS[expect.unit]
        shown = f"{round(number, places):f}{expect.unit}"
    else:
        shown = f"{actual:_}"
    span = expect.span
    start = span.end - len(re.search(r"[\d_.]+[KMGT]?$", span.text).group())  # type: ignore[union-attr]
    place = Span(span.source, start, span.end)
    message = f"write `{shown}` if the claim is what is wrong"
    return (Fix(message, (Edit(place, shown),), keeps_choices=False),)
