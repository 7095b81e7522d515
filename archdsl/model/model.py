"""The Model: everything known about a network. The only thing targets see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property

import networkx as nx

from archdsl.classplan import ClassPlan, plan_modules
from archdsl.layers import Initializer
from archdsl.layers.volume import Volume
from archdsl.model.consistency import count_depth
from archdsl.model.cost import Cost
from archdsl.model.receptive_field import ReceptiveFields, count_fields
from archdsl.network.graph import CallFrame, Node, Output, inputs_of, label_of
from archdsl.network.parts import Chain, Member
from archdsl.recipe import Recipe
from archdsl.records import dataclass
from archdsl.text.comment import Comment
from archdsl.text.diagnostics import Diagnostic, Fix
from archdsl.text.source import Source, Span

BYTES_PER_NUMBER = 4

#: How a notebook shows a Model, by MIME type. Targets add to it: the Model knows none of them.
DISPLAYS: dict[str, Callable[[Model], str]] = {}


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
    #: The fix that writes the actual number, where the claim is an equality.
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
    #: In execution order; the inputs come first.
    nodes: tuple[Node, ...] = field(repr=False)
    #: The data flow over the ids of the nodes.
    graph: nx.MultiDiGraph[int] = field(repr=False)
    chain: Chain = field(repr=False)
    names: dict[int, str] = field(repr=False)
    costs: dict[int, Cost] = field(repr=False)
    claims: tuple[Claim, ...] = field(repr=False, default=())
    #: How the spec says the network is trained; None where it does not say.
    recipe: Recipe | None = field(repr=False, default=None)
    #: What all weights start as, except in layers with an `init` of their own; None is PyTorch's
    #: default.
    init: Initializer | None = field(repr=False, default=None)
    #: The outputs that have names; where none has, the output is the end of the chain.
    outputs: tuple[Output, ...] = field(repr=False, default=())
    #: The family that the network is a member of.
    member: Member | None = field(repr=False, default=None)
    #: The comment at the top of its file, and the comment of the network itself.
    heading: Comment | None = field(repr=False, default=None)
    comment: Comment | None = field(repr=False, default=None)

    @property
    def layers(self) -> tuple[Node, ...]:
        """The nodes without the inputs."""
        return self.nodes[len(self.inputs) :]

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """What flows in from outside. A single one mostly has no name."""
        return inputs_of(self.nodes)

    @property
    def input(self) -> Volume:
        """The volume of the input, the first of several."""
        return self.nodes[0].volume

    @property
    def ends(self) -> tuple[int, ...]:
        """The nodes whose results the network gives, without those of auxiliary heads."""
        return tuple(output.node for output in self.results)

    @property
    def results(self) -> tuple[Output, ...]:
        """The outputs; the end of the chain, without a name, where they have none."""
        return self.outputs or (Output("", self.chain.output),)

    @property
    def output(self) -> Volume:
        """The volume of the output, the first of several."""
        return self.nodes[self.ends[0]].volume

    @property
    def signature(self) -> str:
        """What flows in and out: ``(left: 8x8x1, right: 8x8x1) → 3``."""
        before = [(label_of(node), node.volume) for node in self.inputs]
        after = [(output.name, self.nodes[output.node].volume) for output in self.outputs]
        return f"{_ports(before)} → {_ports(after or [('', self.output)])}"

    @property
    def path(self) -> str:
        return self.source.path

    @cached_property
    def plan(self) -> ClassPlan:
        """The classes of its module."""
        return plan_modules(self.name, self.nodes, self.chain, self.outputs)

    @cached_property
    def receptive_fields(self) -> ReceptiveFields:
        """By node, in pixels of the input along each axis, as ``count_fields`` says."""
        return count_fields(self.nodes)

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
        """The layers with weights on the longest path from an input to an output."""
        return max(count_depth(self.graph, end) for end in self.ends)

    @cached_property
    def packages(self) -> frozenset[str]:
        """What the generated module imports besides PyTorch."""
        return frozenset(name for node in self.layers for name in node.layer.packages)

    def place_of(self, node: Node) -> Span:
        """Where the network's own file has the node: the layer, or the call that brought it in."""
        return self.place_at(node.span, node.frames)

    def place_at(self, span: Span, frames: tuple[CallFrame, ...]) -> Span:
        """A place inside calls in the network's own file: itself, or the innermost call there."""
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
            f"{self.name}: {self.signature}, {trunk.weight_layers} weight layers, "
            f"{trunk.parameters:,} parameters, {trunk.macs:,} MACs"
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: what targets have to show, or a line of text."""
        shown = {kind: render(self) for kind, render in DISPLAYS.items()}
        return {**shown, "text/plain": str(self)}


def _ports(ports: Sequence[tuple[str, Volume]]) -> str:
    if [name for name, _ in ports] == [""]:
        return str(ports[0][1])
    return f"({', '.join(f'{name}: {volume}' for name, volume in ports)})"


@dataclass(frozen=True, eq=False)
class PartialModel(Model):
    """A network up to its faults, for those who want to see where it fails.

    It has no names of modules and cannot be compiled. A node of unknown volume carries that of its
    first input.
    """

    #: By node, the fault there: of its volume, or, where that is known, of what is claimed of it.
    faults: Mapping[int, Diagnostic] = field(repr=False, default_factory=dict)
    unknown: frozenset[int] = field(repr=False, default=frozenset())
    #: Whether the trunk reaches its end.
    is_complete: bool = field(repr=False, default=True)

    @cached_property
    def plan(self) -> ClassPlan:
        """The classes of its module."""
        return plan_modules(self.name, self.nodes, self.chain, self.outputs)

    @cached_property
    def receptive_fields(self) -> ReceptiveFields:
        return count_fields(self.nodes, self.unknown)
