"""Where a statement may stand while a program grows, and what a file has more or less of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from programs.machine import Machine
from programs.tree import Block
from programs.values import State


@dataclass(frozen=True)
class World:
    """A machine, where it stands, and how many layers it has placed."""

    machine: Machine
    state: State
    layers: int = 0


@dataclass(frozen=True)
class Place:
    """Where a chain stands, and what may stand in it."""

    is_trunk: bool = False
    #: Height and width stay as they are.
    keeps: bool = False
    #: An image may become a vector.
    flattens: bool = False
    #: Parts may be named: not in copies that have no name.
    names: bool = True
    depth: int = 0
    #: The names of the loops without a name around: those of parts must have them in them.
    loops: tuple[str, ...] = ()

    def inside(self, **changes: Any) -> Place:
        return replace(self, depth=self.depth + 1, is_trunk=False, **changes)


@dataclass(frozen=True)
class Signature:
    """A block that can be called, and what kinds of values its parameters take."""

    block: Block
    kinds: Mapping[str, str]


@dataclass(frozen=True)
class Taste:
    """What one file has more of, less of, and nothing of.

    A file with a little of everything hides rare faults behind frequent ones (Groce et al. 2012,
    Swarm Testing).
    """

    weights: Mapping[str, float]
    max_depth: int
    #: How many statements a chain has at most, by and large.
    length: int
    has_strange_names: bool

    @classmethod
    def of(cls, rng: Random) -> Taste:
        weights = {
            kind: weight * rng.choice([0, 0.3, 1, 1, 2]) for kind, weight in _WEIGHTS.items()
        }
        return cls(
            weights, rng.choice([1, 2, 3, 4, 4]), rng.choice([1, 2, 3, 5]), rng.random() < 0.5
        )


_WEIGHTS = {
    **{"layers": 10, "merge": 8, "group": 3, "if": 5, "call": 8, "let": 2, "reference": 4},
    **{"head": 1.5, "for": 5, "reuse": 5},
}
