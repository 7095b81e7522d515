"""Whether two texts mean the same: their syntax trees agree in all but places and comments."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from archdsl.text.syntax import Program


def is_same(one: Program, other: Program) -> bool:
    """Whether two trees are equal except for the places and comments in them."""
    # Long sums are deep trees: no recursion.
    waiting: list[tuple[object, object]] = [(one, other)]
    while waiting:
        a, b = waiting.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, tuple) and isinstance(b, tuple):
            if len(a) != len(b):
                return False
            waiting += zip(a, b, strict=True)
        elif is_dataclass(a):
            kind: Any = type(a)
            waiting += ((getattr(a, name), getattr(b, name)) for name in _names(kind))
        elif a != b:
            return False
    return True


@cache
def _names(kind: Any) -> tuple[str, ...]:
    """The fields that carry a meaning."""
    without = ("span", "source", "comment")
    return tuple(field.name for field in fields(kind) if field.name not in without)
