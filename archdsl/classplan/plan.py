"""The plan of a network's classes, as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import TypeAlias

from archdsl.network.parts import CallPart, ChoicePart, RecallPart, RepeatPart
from archdsl.records import dataclass
from archdsl.text.source import Span
from archdsl.text.syntax import Comment


@dataclass(frozen=True, slots=True)
class Leaf:
    """A layer's own module."""

    node: int
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Flattening:
    """The ``nn.Flatten`` a fully-connected layer wants before it in a row."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """``nn.Sequential``, its items being indices."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class of its own."""

    plan: ClassPlan
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """What an ``if`` in the middle of a row led to; its items are items of the row."""

    part: ChoicePart
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Copies whose number a parameter or a volume decides; their items are items of the row."""

    part: RepeatPart
    copies: tuple[tuple[Item, ...], ...]


Item: TypeAlias = Leaf | Flattening | Sequence | Instance | Choice | Repeat


def in_row(items: Iterable[Item]) -> Iterator[Item]:
    """The items of a row, those that an ``if`` or a repeat put there included."""
    for item in items:
        match item:
            case Choice(items=inner):
                yield from in_row(inner)
            case Repeat(copies=copies):
                for copy in copies:
                    yield from in_row(copy)
            case _:
                yield item


@dataclass(frozen=True, slots=True)
class Apply:
    """``x = self.attribute(x)``; ``flatten`` where x must become a vector first.

    With ``recalls`` the item reads earlier parts too. ``each`` marks a named repeat whose copies
    do so: a ``nn.ModuleList`` walked in a loop. With ``pieces`` it gives several results, and x
    stays what it was.
    """

    attribute: str
    item: Item
    output: int
    flatten: bool = False
    recalls: tuple[RecallPart, ...] = ()
    each: bool = False
    label: str | None = None
    pieces: tuple[int, ...] = ()
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Fork:
    """Branches over one input, joined by the merge ``node``."""

    node: int
    branches: tuple[tuple[Step, ...], ...]
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Recall:
    """An earlier part's result becomes the current one."""

    part: RecallPart


@dataclass(frozen=True, slots=True)
class Head:
    """An auxiliary head: applied in training only, its result set aside."""

    apply: Apply
    weight: float


@dataclass(frozen=True, slots=True)
class Option:
    """What an ``if`` that stands by itself led to.

    With an ``attribute`` each of its bodies is at most one module of that name.
    """

    part: ChoicePart
    steps: tuple[Step, ...]
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Copies:
    """The copies of a repeat without a name that are no items of a row."""

    part: RepeatPart
    copies: tuple[tuple[Step, ...], ...]


Step: TypeAlias = Apply | Fork | Recall | Head | Option | Copies


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """A class to be: its title, the statement or the block it comes from, and its steps.

    Where ``row`` is set the class is a ``nn.Sequential`` of these items and has no steps.
    """

    title: str
    origin: Span | None
    call: CallPart | None
    input: int
    output: int
    steps: tuple[Step, ...]
    row: tuple[Item, ...] | None
    recalls: tuple[RecallPart, ...]


def applies_of(steps: Iterable[Step]) -> Iterator[Apply]:
    """The attributes that steps make, in execution order."""
    for step in steps:
        match step:
            case Apply():
                yield step
            case Head(apply=apply):
                yield apply
            case Fork(branches=branches):
                for branch in branches:
                    yield from applies_of(branch)
            case Option(steps=inner):
                yield from applies_of(inner)
            case Copies(copies=copies):
                for copy in copies:
                    yield from applies_of(copy)


def heads_of(steps: Iterable[Step]) -> Iterator[Head]:
    """The auxiliary heads among steps, those that an ``if`` put there included."""
    for step in steps:
        match step:
            case Head():
                yield step
            case Option(steps=inner):
                yield from heads_of(inner)
            case Copies(copies=copies):
                for copy in copies:
                    yield from heads_of(copy)


def items_of(plan: ClassPlan) -> Iterator[Item]:
    """The items that a class constructs, in order."""
    if plan.row is not None:
        yield from in_row(plan.row)
    else:
        for apply in applies_of(plan.steps):
            yield apply.item


def plans_in(items: Iterable[Item]) -> Iterator[ClassPlan]:
    """The plans of the objects among items, those in rows included."""
    for item in in_row(items):
        match item:
            case Instance(plan=plan):
                yield plan
            case Sequence(items=inner):
                yield from plans_in(inner)
