"""A spec to be broken: its text, its tree, and walks over what is written in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from archdsl.layers import REGISTRY
from archdsl.text import syntax
from archdsl.text.parser import parse_program
from archdsl.text.source import Source, Span


@dataclass(frozen=True)
class Written:
    """A layer with the arguments behind it, and the statement it stands in."""

    name: syntax.Name
    arguments: tuple[syntax.Atom, ...]
    step: syntax.Step

    @property
    def layer(self) -> str:
        return self.name.id

    @property
    def words(self) -> set[str]:
        return {atom.id for atom in self.arguments if isinstance(atom, syntax.Name)}

    @property
    def span(self) -> Span:
        return self.name.span.to(self.arguments[-1].span) if self.arguments else self.name.span


@dataclass(frozen=True, eq=False)
class Spec:
    """One file."""

    name: str
    text: str
    folder: Path

    @cached_property
    def source(self) -> Source:
        """The text under the path of its file, so that `use` finds what is beside it."""
        return Source(self.text, (self.folder / self.name).as_posix())

    @cached_property
    def program(self) -> syntax.Program:
        return parse_program(self.source)

    def items(self, kind: type) -> list[syntax.Item]:
        return [item for item in self.program.items if isinstance(item, kind)]

    @cached_property
    def bodies(self) -> list[syntax.Body]:
        """All braces, recipes apart, in the order they open."""
        found: list[syntax.Body] = []
        for item in self.program.items:
            if isinstance(item, (syntax.Network, syntax.Block)):
                found.extend(_bodies(item.body))
            elif isinstance(item, syntax.Instance) and item.body:
                found.append(item.body)
        return found

    @cached_property
    def trunks(self) -> list[syntax.Body]:
        """The bodies of networks."""
        return [n.body for n in self.program.items if isinstance(n, syntax.Network)]

    @cached_property
    def steps(self) -> list[syntax.Step]:
        return [s for s in self._statements() if isinstance(s, syntax.Step) and _is_layers(s)]

    @cached_property
    def recipes(self) -> list[syntax.Step]:
        return [s for s in self._statements() if isinstance(s, syntax.Train)]

    @cached_property
    def expects(self) -> list[syntax.Expect]:
        return [s for s in self._statements() if isinstance(s, syntax.Expect)]

    def _statements(self) -> Iterator[syntax.Statement]:
        for body in self.bodies:
            for chain in body.chains:
                yield from chain.statements

    @cached_property
    def layers(self) -> list[Written]:
        """All layers as they are written, merges apart."""
        return [written for step in self.steps for written in _layers(step)]

    @cached_property
    def calls(self) -> list[syntax.Call]:
        """All calls of blocks."""
        return [
            atom
            for step in self.steps
            for atom in step.atoms
            if isinstance(atom, syntax.Call) and atom.name.id not in {*REGISTRY, "aux"}
        ]

    def is_vector_at(self, trunk: syntax.Body, statement: syntax.Statement) -> bool:
        """Whether a statement of a trunk follows an `fc` or `flatten` that is in no head."""
        before = [
            step.span
            for step in trunk.chains[0].statements
            if isinstance(step, syntax.Step)
            and step.span.start < statement.span.start
            and not is_head(step)
        ]
        return any(
            written.layer in ("fc", "flatten")
            and any(span.start <= written.span.start < span.end for span in before)
            for written in self.layers
        )


def is_head(step: syntax.Step) -> bool:
    """Whether a statement is an auxiliary head."""
    first = step.atoms[0]
    return isinstance(first, syntax.Call) and first.name.id == "aux"


def _is_layers(step: syntax.Step) -> bool:
    return not isinstance(step, (syntax.Train, syntax.Init))


def _bodies(body: syntax.Body) -> Iterator[syntax.Body]:
    yield body
    for chain in body.chains:
        for statement in chain.statements:
            match statement:
                case syntax.Step() if _is_layers(statement):
                    for atom in statement.atoms:
                        if isinstance(atom, syntax.Body):
                            yield from _bodies(atom)
                case syntax.Cond():
                    yield from _branches(statement)


def _branches(cond: syntax.Cond) -> Iterator[syntax.Body]:
    yield from _bodies(cond.then)
    match cond.otherwise:
        case syntax.Cond():
            yield from _branches(cond.otherwise)
        case syntax.Body():
            yield from _bodies(cond.otherwise)


def _layers(step: syntax.Step) -> Iterator[Written]:
    name: syntax.Name | None = None
    arguments: list[syntax.Atom] = []
    for atom in step.atoms:
        is_layer = isinstance(atom, syntax.Name) and atom.id in REGISTRY
        if name is not None and (is_layer or isinstance(atom, (syntax.Call, syntax.Body))):
            yield Written(name, tuple(arguments), step)
            name = None
        if is_layer:
            assert isinstance(atom, syntax.Name)
            name, arguments = atom, []
        else:
            arguments.append(atom)
    if name is not None:
        yield Written(name, tuple(arguments), step)
