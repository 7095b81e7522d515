"""The statements that a text is written from: layers, merges, parts, heads, and what refers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from archdsl.importing.graph import SourceLayer, SourcePart


@dataclass(eq=False)
class LayerStatement:
    """A layer of one input."""

    operation: SourceLayer
    label: str | None = None


@dataclass(eq=False)
class MergeStatement:
    """Branches and what joins them."""

    operation: SourceLayer
    branches: list[Body] = field(default_factory=list)
    label: str | None = None


@dataclass(eq=False)
class PartStatement:
    """A part of the source, with its statements."""

    scope: SourcePart
    body: Body
    label: str | None = None

    @property
    def is_row(self) -> bool:
        """Whether it only holds what is in it, whose names need no braces of their own."""
        return self.scope.is_row and not (self.label is None and _has_names(self.body))


def _has_names(body: Body) -> bool:
    """Whether statements have names in the braces that they stand in, as those in branches have."""
    return any(
        label_of(statement)
        or (isinstance(statement, MergeStatement) and any(map(_has_names, statement.branches)))
        for statement in body
    )


@dataclass(eq=False)
class HeadStatement:
    """An auxiliary head, which training returns as the result of this number."""

    number: int
    body: Body
    label: str | None = None
    #: Of its loss, where the source says it.
    weight: float | None = None


@dataclass(eq=False)
class InputStatement:
    """An input, by its number, which the first line of a network names."""

    number: int = 0


@dataclass(eq=False)
class ReferenceStatement:
    """An earlier result, by the name of the statement that gives it."""

    of: Statement


@dataclass(eq=False)
class ReuseStatement:
    """An earlier layer or part that runs once more, with the same weights."""

    of: LayerStatement | PartStatement
    #: What runs, as if it stood here.
    body: Body
    label: str | None = None


Statement: TypeAlias = (
    LayerStatement
    | MergeStatement
    | PartStatement
    | HeadStatement
    | InputStatement
    | ReferenceStatement
    | ReuseStatement
)
Body: TypeAlias = "list[Statement]"


def walk(body: Body) -> Iterator[Statement]:
    """All statements; of what runs again, the statement that says so alone."""
    for statement in body:
        yield statement
        match statement:
            case PartStatement(body=inner) | HeadStatement(body=inner):
                yield from walk(inner)
            case MergeStatement(branches=branches):
                for branch in branches:
                    yield from walk(branch)


def bodies_in(body: Body) -> Iterator[Body]:
    """A body, and those of parts, heads and branches in it, the innermost first."""
    for statement in body:
        match statement:
            case PartStatement(body=inner) | HeadStatement(body=inner):
                yield from bodies_in(inner)
            case MergeStatement(branches=branches):
                for branch in branches:
                    yield from bodies_in(branch)
    yield body


def layers_in(body: Sequence[Statement]) -> Iterator[SourceLayer]:
    """The operations of statements, in the order in which the text has them."""
    for statement in body:
        match statement:
            case LayerStatement(operation=operation):
                yield operation
            case PartStatement(body=inner) | HeadStatement(body=inner) | ReuseStatement(body=inner):
                yield from layers_in(inner)
            case MergeStatement(operation=operation, branches=branches):
                for branch in branches:
                    yield from layers_in(branch)
                yield operation


def labels_in(body: Body) -> set[str]:
    """The names of statements, at all depths."""
    labels = {label_of(statement) for statement in walk(body)}
    return {label for label in labels if label is not None}


def label_of(statement: Statement) -> str | None:
    """The name that a statement has here."""
    if isinstance(statement, ReferenceStatement | InputStatement):
        return None
    return statement.label


def heads_in(body: Sequence[Statement]) -> list[int]:
    """The numbers of the heads, in the order of the text."""
    return [statement.number for statement in body if isinstance(statement, HeadStatement)]
