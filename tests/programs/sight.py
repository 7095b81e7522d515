"""What a statement that runs in several states has in sight in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from programs.expressions import Expr
from programs.layers import Illegal
from programs.tree import Layer, Step
from programs.values import Listed, State, evaluate, is_reserved

T = TypeVar("T")


@dataclass
class InView:
    rng: Random
    states: list[State]

    @property
    def state(self) -> State:
        return self.states[0]

    def is_image(self) -> bool:
        return all(len(state.volume) == 3 for state in self.states)

    def parts(self) -> list[str]:
        common = set.intersection(*({*state.parts} for state in self.states))
        return sorted(word for word in common if not is_reserved(word))

    def runs(self) -> list[str]:
        """The parts that can run again."""
        common = set.intersection(*({*state.runs} for state in self.states))
        return sorted(word for word in common if not is_reserved(word))

    def is_layer(self, run: str) -> bool:
        """Whether a part that can run again is layers and nothing else."""
        step = self.state.runs[run].step
        return isinstance(step, Step) and all(isinstance(atom, Layer) for atom in step.atoms)

    def taken(self) -> set[str]:
        return {word for state in self.states for word in (*state.values, *state.parts)}

    def taken_parts(self) -> set[str]:
        return {word for state in self.states for word in (*state.values, *state.own)}

    def values(self, kind: type) -> list[str]:
        common = set.intersection(*({*state.values} for state in self.states))
        return sorted(
            word
            for word in common
            if all(type(state.values[word]) is kind for state in self.states)
        )

    def words(self, kind: type) -> list[str]:
        """The parameters that stand for blocks, or for layers."""
        common = set.intersection(*({*state.words} for state in self.states))
        return sorted(
            word
            for word in common
            if all(isinstance(state.words[word], kind) for state in self.states)
        )

    def lists(self, kinds: tuple[type, ...], least: int = 0) -> list[str]:
        """The lists that hold something of these kinds alone."""
        return [
            word
            for word in self.values(Listed)
            if all(
                len(state.values[word]) >= least
                and all(type(item) in kinds for item in state.values[word])
                for state in self.states
            )
        ]

    def evaluate(self, expr: Expr) -> list[Any] | None:
        """The values in all states; None where there is none in one."""
        try:
            return [evaluate(expr, state) for state in self.states]
        except Illegal:
            return None

    def has_channels(self, expr: Expr) -> bool:
        return self.evaluate(expr) == [state.volume[-1] for state in self.states]

    def split(self, test: Expr, items: Sequence[T]) -> tuple[list[T], list[T]]:
        """The items whose state a condition holds in, and the others."""
        truths = self.evaluate(test) or [True] * len(items)
        pairs = list(zip(truths, items, strict=True))
        return [i for t, i in pairs if t], [i for t, i in pairs if not t]
