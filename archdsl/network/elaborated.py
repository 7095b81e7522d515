"""One network with all names resolved and all blocks expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from archdsl.layers import Initializer
from archdsl.layers.volume import Volume
from archdsl.network.graph import Node, Output
from archdsl.network.parts import Chain, Member
from archdsl.recipe import Recipe
from archdsl.records import dataclass
from archdsl.text import syntax
from archdsl.text.comment import Comment
from archdsl.text.diagnostics import Diagnostic
from archdsl.text.source import Source, Span


@dataclass(frozen=True, eq=False)
class Elaborated:
    """One network with all names resolved and all blocks expanded."""

    name: str
    source: Source
    span: Span
    nodes: tuple[Node, ...]
    chain: Chain
    expects: tuple[syntax.Expect, ...]
    recipe: Recipe | None
    init: Initializer | None
    #: The comment at the top of its file, and the comment of the network itself.
    heading: Comment | None
    comment: Comment | None
    #: The names that each ``use`` of the file brought in, by its place.
    uses: Mapping[Span, frozenset[str]]
    #: The volume after each step; None where its expansions differ.
    volumes: dict[Span, Volume | None] = field(repr=False)
    #: By node, the fault there; none in a network that is not refused.
    faults: Mapping[int, Diagnostic] = field(default_factory=dict)
    #: Nodes of unknown volume: they fail, or read what fails.
    unknown: frozenset[int] = frozenset()
    #: Whether the volume at the end of the trunk is known.
    is_complete: bool = True
    #: The family that the network is a member of.
    member: Member | None = None
    #: The outputs that have names; where none has, the output is the end of the chain.
    outputs: tuple[Output, ...] = ()
    #: Whether nothing at all is wrong with it.
    is_right: bool = True

    @property
    def meaning(self) -> tuple[object, ...]:
        """What the network is, wherever it is in its text: equal for equal networks."""
        nodes = tuple((n.layer, n.inputs, n.volume, n.head, n.shares) for n in self.nodes)
        return nodes, self.outputs, self.recipe, self.init
