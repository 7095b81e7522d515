"""What lints look at: the text's tree and its networks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TypeAlias

from archdsl.model import Model
from archdsl.network.graph import CallFrame, Node, trail_of
from archdsl.network.parts import AuxPart, walk
from archdsl.records import dataclass
from archdsl.text import syntax
from archdsl.text.diagnostics import Diagnostic, Fix, Label, Severity, help_of
from archdsl.text.source import Span

#: The names that each ``use`` of a file brings in, by the place of the ``use``.
Uses: TypeAlias = Mapping[Span, frozenset[str]]


@dataclass(frozen=True, eq=False)
class LintedText:
    """A file without errors: its tree, its networks, and what it uses."""

    program: syntax.Program
    models: tuple[Model, ...]
    uses: Uses


@dataclass(frozen=True, eq=False)
class LintedNetwork:
    """A model, and what many lints ask about it."""

    model: Model

    @cached_property
    def readers(self) -> dict[int, list[Node]]:
        """The nodes that read the result of each node."""
        found: dict[int, list[Node]] = {node.id: [] for node in self.model.nodes}
        for node in self.model.nodes:
            for source in node.inputs:
                found[source].append(node)
        return found

    @cached_property
    def owners(self) -> tuple[Node, ...]:
        """The layers, those that run the module of an earlier one left out."""
        return tuple(node for node in self.model.layers if node.shares is None)

    @cached_property
    def distinct(self) -> tuple[Node, ...]:
        """The layers, one of those that have all but the number in common."""
        found: dict[tuple[int, ...], Node] = {}
        for node in self.model.layers:
            volume, is_own = self.input_of(node).volume, node.shares is None
            same = (id(node.layer), id(volume), id(node.span), id(node.frames), is_own)
            found.setdefault(same, node)
        return tuple(found.values())

    @cached_property
    def users(self) -> dict[int, list[Node]]:
        """The nodes that run the module of each layer."""
        found: dict[int, list[Node]] = {}
        for node in self.model.layers:
            found.setdefault(node.module, []).append(node)
        return found

    @cached_property
    def ends(self) -> tuple[Node, ...]:
        """The nodes whose results leave the network: the trunk's and the auxiliary heads'."""
        chain = self.model.chain
        ends = [*self.model.ends]
        if any(node.head is not None for node in self.model.nodes):
            ends += [part.body.output for part in walk(chain) if isinstance(part, AuxPart)]
        return tuple(self.model.nodes[id] for id in ends)

    def input_of(self, node: Node) -> Node:
        return self.model.nodes[node.inputs[0]]

    def warn(
        self,
        code: str,
        message: str,
        node: Node,
        label: str = "",
        help: str | None = None,
        related: tuple[Label, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> Diagnostic:
        """A warning about a node; where that is from another file, at the call that places it."""
        return self.warn_at(code, message, node.span, node.frames, label, help, related, fixes)

    def warn_at(
        self,
        code: str,
        message: str,
        span: Span,
        frames: tuple[CallFrame, ...],
        label: str = "",
        help: str | None = None,
        related: tuple[Label, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> Diagnostic:
        """A warning about a place inside the calls of ``frames``."""
        place = self.model.place_at(span, frames)
        if place is not span:
            related = (Label(span, label or "this layer"), *related)
            label, fixes = "in this call", ()
        context = trail_of(frames) if place is span else ()
        return warning(code, message, place, label, help, related, fixes, context)


def warning(
    code: str,
    message: str,
    span: Span,
    label: str = "",
    help: str | None = None,
    related: tuple[Label, ...] = (),
    fixes: tuple[Fix, ...] = (),
    context: tuple[str, ...] = (),
) -> Diagnostic:
    """A diagnostic that does not prevent a text from being used."""
    return Diagnostic(
        code,
        message,
        span,
        label,
        related=related,
        context=context,
        help=help or help_of(fixes),
        severity=Severity.WARNING,
        fixes=fixes,
    )


def written(node: Node) -> str:
    """A layer as its text writes it."""
    return " ".join(node.span.text.split())
