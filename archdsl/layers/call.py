"""A piece of target code as data: the call that constructs a PyTorch module."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TypeAlias, Union

from archdsl.records import dataclass


class Code(str):
    """A piece of Python, written as it is; a plain ``str`` is a string literal."""


class Product(int):
    """A whole number that reads best as a product: ``512 * 7 * 7``."""

    factors: tuple[int, ...]

    def __new__(cls, *factors: int) -> Product:
        product = super().__new__(cls, prod(factors))
        product.factors = factors
        return product


CallValue: TypeAlias = Union[
    int, float, bool, str, tuple[int, ...], tuple[Union[Code, "Call"], ...], "Call", "InfixCode"
]


@dataclass(frozen=True, slots=True)
class OptionalArgument:
    """A keyword argument that is written only where it differs from PyTorch's default."""

    value: CallValue
    default: CallValue


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument of a call; positional where ``keyword`` is None."""

    value: CallValue
    keyword: str | None = None
    default: CallValue | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """``callee(args)``; ``nn.Sequential`` of calls where several modules act as one layer.

    ``then`` is a method of the result: ``torch.stack((a, b)).mean(0)``.
    """

    callee: str
    args: tuple[Arg, ...] = ()
    then: Call | None = None


def call(callee: str, *positional: CallValue, **keywords: CallValue | OptionalArgument) -> Call:
    """Build a call; pass ``OptionalArgument(value, default)`` for what may be left out."""
    args = [Arg(value) for value in positional]
    for keyword, value in keywords.items():
        if isinstance(value, OptionalArgument):
            args.append(Arg(value.value, keyword, value.default))
        else:
            args.append(Arg(value, keyword))
    return Call(callee, tuple(args))


def method(
    of: Call, name: str, *positional: CallValue, **keywords: CallValue | OptionalArgument
) -> Call:
    """A call followed by a method call on its result."""
    if of.then is not None:
        return replace(of, then=method(of.then, name, *positional, **keywords))
    return replace(of, then=call(name, *positional, **keywords))


def squared(sizes: tuple[int, ...]) -> int | tuple[int, ...]:
    """``3`` for ``(3, 3)``: PyTorch reads one number as all axes."""
    return sizes[0] if all(size == sizes[0] for size in sizes) else sizes


@dataclass(frozen=True, slots=True)
class InfixCode:
    """Operands joined by an operator: ``x + self.branch1(x)``."""

    operator: str
    operands: tuple[Code | Call, ...]
