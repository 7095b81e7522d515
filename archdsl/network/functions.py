"""The functions of expressions."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, log2

from archdsl.network.symbols import Value
from archdsl.records import dataclass


@dataclass(frozen=True)
class Function:
    """A function of expressions. ``count`` is how many arguments it takes; None is any number."""

    apply: Callable[..., Value]
    count: int | None = 1
    #: Whether it gives one of its arguments.
    chooses: bool = False
    #: Whether its argument is a list.
    takes_list: bool = False


def _smallest(*numbers: int | float) -> int | float:
    """The smallest number, which is a float if one of them is: not so where it happens to be."""
    return _alike(min(numbers), numbers)


def _largest(*numbers: int | float) -> int | float:
    return _alike(max(numbers), numbers)


def _alike(chosen: int | float, numbers: tuple[int | float, ...]) -> int | float:
    return float(chosen) if any(isinstance(number, float) for number in numbers) else chosen


def round_to(multiple: int, value: float) -> int:
    """The multiple nearest to a value, but not more than a tenth below it (MobileNet)."""
    rounded = max(multiple, int(value + multiple / 2) // multiple * multiple)
    return rounded + multiple if rounded < 0.9 * value else rounded


FUNCTIONS: dict[str, Function] = {
    "min": Function(_smallest, None, chooses=True),
    "max": Function(_largest, None, chooses=True),
    "floor": Function(floor),
    "ceil": Function(ceil),
    "round": Function(round),
    "round_to": Function(round_to, 2),
    "log2": Function(log2),
    "size": Function(lambda *sizes: sizes, None),
    "len": Function(len, takes_list=True),
    "sum": Function(sum, takes_list=True),
}
