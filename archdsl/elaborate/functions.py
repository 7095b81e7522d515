"""The functions of expressions."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor


def _smallest(*numbers: int | float) -> int | float:
    """The smallest number, which is a float if one of them is: not so where it happens to be."""
    return _alike(min(numbers), numbers)


def _largest(*numbers: int | float) -> int | float:
    return _alike(max(numbers), numbers)


def _alike(chosen: int | float, numbers: tuple[int | float, ...]) -> int | float:
    return float(chosen) if any(isinstance(number, float) for number in numbers) else chosen


#: The functions of expressions, and how many arguments each takes at most.
FUNCTIONS: dict[str, tuple[Callable[..., int | float], int | None]] = {
    "min": (_smallest, None),
    "max": (_largest, None),
    "floor": (floor, 1),
    "ceil": (ceil, 1),
    "round": (round, 1),
}
