"""The plan of a network's classes, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from archdsl.graph import CallPart, RecallPart


@dataclass(frozen=True, slots=True)
class Leaf:
    """A layer's own module."""

    node: int


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


Item: TypeAlias = Leaf | Flattening | Sequence | Instance


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


@dataclass(frozen=True, slots=True)
class Fork:
    """Branches over one input, joined by the merge ``node``."""

    node: int
    branches: tuple[tuple[Step, ...], ...]
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """An earlier part's result becomes the current one."""

    part: RecallPart


@dataclass(frozen=True, slots=True)
class Head:
    """An auxiliary head: applied in training only, its result set aside."""

    apply: Apply
    weight: float


Step: TypeAlias = Apply | Fork | Recall | Head


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """A class to be: its title, the block it comes from, and its steps.

    Where ``row`` is set the class is a ``nn.Sequential`` of these items and has no steps.
    """

    title: str
    call: CallPart | None
    input: int
    output: int
    steps: tuple[Step, ...]
    row: tuple[Item, ...] | None
    recalls: tuple[RecallPart, ...]
