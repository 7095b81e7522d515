"""The functions of expressions."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor

from archdsl.records import dataclass


@dataclass(frozen=True)
class Function:
    """A function that chooses among any number of arguments, or makes one a whole number."""

    apply: Callable[..., int | float]
    chooses: bool = False


def _smallest(*numbers: int | float) -> int | float:
    """The smallest number, which is a float if one of them is: not so where it happens to be."""
    return _alike(min(numbers), numbers)


def _largest(*numbers: int | float) -> int | float:
    return _alike(max(numbers), numbers)


def _alike(chosen: int | float, numbers: tuple[int | float, ...]) -> int | float:
    return float(chosen) if any(isinstance(number, float) for number in numbers) else chosen


FUNCTIONS: dict[str, Function] = {
    "min": Function(_smallest, chooses=True),
    "max": Function(_largest, chooses=True),
    "floor": Function(floor),
    "ceil": Function(ceil),
    "round": Function(round),
}
