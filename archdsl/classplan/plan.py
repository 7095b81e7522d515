"""The plan of a network's classes, as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import TypeAlias

from archdsl.network.graph import Output
from archdsl.network.parts import CallPart, ChoicePart, ReferencePart, RepeatPart
from archdsl.records import dataclass
from archdsl.text.comment import Comment
from archdsl.text.source import Span


@dataclass(frozen=True, slots=True)
class LayerItem:
    """A layer's own module."""

    node: int
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FlattenItem:
    """The ``nn.Flatten`` that a fully-connected layer in a row needs before it."""


@dataclass(frozen=True, slots=True)
class SequentialItem:
    """``nn.Sequential``, whose items are indices."""

    items: tuple[PlanItem, ...]


@dataclass(frozen=True, slots=True)
class InstanceItem:
    """An object of a class of its own."""

    plan: ClassPlan
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ChoiceItem:
    """What an ``if`` in the middle of a row led to; its items are items of the row."""

    part: ChoicePart
    items: tuple[PlanItem, ...]


@dataclass(frozen=True, slots=True)
class RepeatItem:
    """Copies whose number a parameter or a volume decides; their items are items of the row."""

    part: RepeatPart
    copies: tuple[tuple[PlanItem, ...], ...]


@dataclass(frozen=True, slots=True)
class AlikeItems:
    """More copies of the items before it in a row, in a plan that is made for their names alone.

    ``copy`` are those items, and ``number`` is how many copies follow. The nodes of each have
    numbers that are ``step`` larger than those of the copy before.
    """

    copy: tuple[PlanItem, ...]
    number: int
    step: int


@dataclass(frozen=True, slots=True)
class KeyedItem:
    """An item of a row with a key of its own in place of its index."""

    key: str
    item: PlanItem


PlanItem: TypeAlias = (
    LayerItem
    | FlattenItem
    | SequentialItem
    | InstanceItem
    | ChoiceItem
    | RepeatItem
    | AlikeItems
    | KeyedItem
)


def keyed_in_row(items: Iterable[PlanItem]) -> Iterator[tuple[str, PlanItem]]:
    """The items of a row with their keys, those that an ``if`` or a repeat put there included."""
    index = 0
    for item in _flat(items):
        yield (item.key, item.item) if isinstance(item, KeyedItem) else (str(index), item)
        index += count_indices([item])


def count_indices(items: Iterable[PlanItem]) -> int:
    """How many modules of a row some of its items are."""
    return sum(
        item.number * count_indices(item.copy) if isinstance(item, AlikeItems) else 1
        for item in _flat(items)
    )


def in_row(items: Iterable[PlanItem]) -> Iterator[PlanItem]:
    """The items of a row, those that an ``if`` or a repeat put there included."""
    return (item for _, item in keyed_in_row(items))


def _flat(items: Iterable[PlanItem]) -> Iterator[PlanItem]:
    for item in items:
        match item:
            case ChoiceItem(items=inner):
                yield from _flat(inner)
            case RepeatItem(copies=copies):
                for copy in copies:
                    yield from _flat(copy)
            case _:
                yield item


@dataclass(frozen=True, slots=True)
class ApplyStep:
    """``x = self.attribute(x)``; ``flatten`` where x must become a vector first.

    With ``references`` the item reads earlier parts too. ``each`` marks a named repeat whose copies
    do so: a ``nn.ModuleList`` walked in a loop. With ``pieces`` it gives several results, and x
    stays unchanged.
    """

    attribute: str
    item: PlanItem
    output: int
    flatten: bool = False
    references: tuple[ReferencePart, ...] = ()
    each: bool = False
    label: str | None = None
    pieces: tuple[int, ...] = ()
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ForkStep:
    """Branches over one input, joined by the merge ``node``."""

    node: int
    branches: tuple[tuple[PlanStep, ...], ...]
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ReferenceStep:
    """An earlier part's result becomes the current one."""

    part: ReferencePart


@dataclass(frozen=True, slots=True)
class HeadStep:
    """An auxiliary head: applied in training only, its result set aside."""

    apply: ApplyStep
    weight: float


@dataclass(frozen=True, slots=True)
class ReuseStep:
    """An attribute that is already there, called once more."""

    apply: ApplyStep


@dataclass(frozen=True, slots=True)
class OptionStep:
    """What an ``if`` that is a step by itself led to.

    With an ``attribute`` each of its bodies is at most one module of that name.
    """

    part: ChoicePart
    steps: tuple[PlanStep, ...]
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class CopiesStep:
    """The copies of a repeat without a name that are not items of a row."""

    part: RepeatPart
    copies: tuple[tuple[PlanStep, ...], ...]


PlanStep: TypeAlias = (
    ApplyStep | ForkStep | ReferenceStep | HeadStep | ReuseStep | OptionStep | CopiesStep
)


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """A planned class: its title, the statement or the block it comes from, and its steps.

    Where ``row`` is set the class is a ``nn.Sequential`` of these items and has no steps.
    """

    title: str
    origin: Span | None
    call: CallPart | None
    input: int
    output: int
    steps: tuple[PlanStep, ...]
    row: tuple[PlanItem, ...] | None
    references: tuple[ReferencePart, ...]
    #: Of a network, the nodes of its inputs with their names, and its outputs, where these have
    #: names.
    inputs: tuple[tuple[int, str], ...] = ()
    outputs: tuple[Output, ...] = ()


def applies_of(steps: Iterable[PlanStep]) -> Iterator[ApplyStep]:
    """The attributes that steps make, in execution order."""
    for step in steps:
        match step:
            case ApplyStep():
                yield step
            case HeadStep(apply=apply):
                yield apply
            case ForkStep(branches=branches):
                for branch in branches:
                    yield from applies_of(branch)
            case OptionStep(steps=inner):
                yield from applies_of(inner)
            case CopiesStep(copies=copies):
                for copy in copies:
                    yield from applies_of(copy)


def reuses_of(steps: Iterable[PlanStep]) -> Iterator[ApplyStep]:
    """The calls of attributes that are already there, in execution order."""
    for step in steps:
        match step:
            case ReuseStep(apply=apply):
                yield apply
            case ForkStep(branches=branches):
                for branch in branches:
                    yield from reuses_of(branch)
            case OptionStep(steps=inner):
                yield from reuses_of(inner)
            case CopiesStep(copies=copies):
                for copy in copies:
                    yield from reuses_of(copy)


def heads_of(steps: Iterable[PlanStep]) -> Iterator[HeadStep]:
    """The auxiliary heads among steps, those that an ``if`` put there included."""
    for step in steps:
        match step:
            case HeadStep():
                yield step
            case OptionStep(steps=inner):
                yield from heads_of(inner)
            case CopiesStep(copies=copies):
                for copy in copies:
                    yield from heads_of(copy)


def items_of(plan: ClassPlan) -> Iterator[PlanItem]:
    """The items that a class constructs, in order."""
    if plan.row is not None:
        yield from in_row(plan.row)
    else:
        for apply in applies_of(plan.steps):
            yield apply.item


def run_items_of(plan: ClassPlan) -> Iterator[PlanItem]:
    """The same, and behind them the items that run once more, with nodes of their own."""
    yield from items_of(plan)
    for apply in reuses_of(plan.steps):
        yield apply.item


def plans_in(items: Iterable[PlanItem]) -> Iterator[ClassPlan]:
    """The plans of the objects among items, those in rows included."""
    for item in in_row(items):
        match item:
            case InstanceItem(plan=plan):
                yield plan
            case SequentialItem(items=inner):
                yield from plans_in(inner)
