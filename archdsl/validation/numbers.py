"""Tensors as one number and a shape: enough to compute with them as torch would.

All elements of a tensor are one number, so a formula gives what torch gives for each of them, and
a shape that does not fit is the same error. Joined tensors keep the numbers of their parts.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from math import prod, sqrt
from typing import Any, TypeAlias

from archdsl.validation.errors import StepMismatchError
from archdsl.validation.signatures import Bound

Real: TypeAlias = float
Shape: TypeAlias = tuple[int, ...]


class TensorNumber:
    """A tensor of a shape; ``parts`` are the numbers of what was joined along its first axis."""

    def __init__(self, parts: tuple[Real, ...], shape: Shape) -> None:
        self.parts = parts
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]

    def _map(self, function: Callable[[Real], Real]) -> TensorNumber:
        return TensorNumber(tuple(map(function, self.parts)), self.shape)

    def _combine(self, other: object, function: Callable[[Real, Real], Real]) -> Any:
        if isinstance(other, int | Real):
            return self._map(lambda a: function(a, other))
        if not isinstance(other, TensorNumber):
            return NotImplemented
        shape = _broadcast(self.shape, other.shape)
        if len(self.parts) != len(other.parts):
            raise StepMismatchError("joined numbers are combined with others")
        pairs = zip(self.parts, other.parts, strict=True)
        return TensorNumber(tuple(function(a, b) for a, b in pairs), shape)

    def __add__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a + b)

    __radd__ = __add__

    def __sub__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a - b)

    def __rsub__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: b - a)

    def __mul__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a / b)

    def __rtruediv__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: b / a)

    def __pow__(self, other: object) -> Any:
        return self._combine(other, lambda a, b: a**b)

    def __neg__(self) -> TensorNumber:
        return self._map(lambda a: -a)

    def sqrt(self) -> TensorNumber:
        return self._map(sqrt)

    def rsqrt(self) -> TensorNumber:
        return self._map(lambda a: 1 / sqrt(a))

    def _same(self) -> TensorNumber:
        return self

    double = float = clone = detach = contiguous = cpu = _same

    def reshape(self, *sizes: Any) -> TensorNumber:
        shape = _sizes(sizes)
        known = prod(size for size in shape if size != -1)
        if shape.count(-1) == 1 and known and prod(self.shape) % known == 0:
            shape = tuple(prod(self.shape) // known if size == -1 else size for size in shape)
        if min(shape, default=1) < 0 or prod(shape) != prod(self.shape):
            raise RuntimeError(f"shape {list(shape)} is invalid for one of {list(self.shape)}")
        return TensorNumber(self.parts, shape)

    view = reshape

    def new_zeros(self, *sizes: Any) -> TensorNumber:
        return TensorNumber((0.0,), _sizes(sizes))

    def new_ones(self, *sizes: Any) -> TensorNumber:
        return TensorNumber((1.0,), _sizes(sizes))

    def call_function(self, name: str, bound: Bound) -> TensorNumber:
        """What a function of torch returns."""
        short = name.removeprefix("torch.")
        if short == "cat" and bound["dim"] == 0 and type(bound["dim"]) is int:
            return join(bound["tensors"])
        functions: dict[str, Callable[[Real], Real]] = {
            "zeros_like": lambda _: 0.0,
            "ones_like": lambda _: 1.0,
            "sqrt": sqrt,
            "rsqrt": lambda a: 1 / sqrt(a),
        }
        if short not in functions or len(bound) != 1:
            raise StepMismatchError(f"{name} has no place in the loading of a state")
        return self._map(functions[short])


def join(numbers: list[TensorNumber] | tuple[TensorNumber, ...]) -> TensorNumber:
    """``torch.cat`` along the first axis."""
    if len({number.shape[1:] for number in numbers}) != 1 or not all(n.shape for n in numbers):
        raise RuntimeError("what is joined must agree in all axes but the first")
    length = sum(number.shape[0] for number in numbers)
    parts = tuple(part for number in numbers for part in number.parts)
    return TensorNumber(parts, (length, *numbers[0].shape[1:]))


def _sizes(sizes: tuple[Any, ...]) -> Shape:
    shape = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    if not sizes or any(type(size) is not int for size in shape):
        raise TypeError(f"{shape!r} is not a shape")
    return tuple(shape)


def _broadcast(one: Shape, other: Shape) -> Shape:
    pairs = list(zip_longest(reversed(one), reversed(other), fillvalue=1))
    if any(a != b and 1 not in (a, b) for a, b in pairs):
        raise RuntimeError(f"the shapes {list(one)} and {list(other)} do not fit")
    return tuple(max(pair) for pair in reversed(pairs))
