"""Values together with the expressions they were written as.

``conv 3x3 (2*n)`` in a block called with ``n=8`` has 16 channels *and* the form ``2*n``. Targets
that keep a block whole need the form; everything else asks for the value. (PyTorch's ``SymNode``
holds the same two: an expression and a hint.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from operator import is_
from typing import Any, TypeAlias

from archdsl.records import dataclass


class ListValue(tuple[Any, ...]):
    """A list of the language; a plain tuple is a size such as ``3x5``."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ListValue) and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self))}]"


class TracedName(str):
    """A name with values in it, which knows how it came about.

    ``texts`` are what is around the ``values``: one more than these.
    """

    texts: tuple[str, ...]
    values: tuple[Symbolic, ...]

    def __new__(cls, name: str, texts: tuple[str, ...], values: tuple[Symbolic, ...]) -> TracedName:
        traced = super().__new__(cls, name)
        traced.texts, traced.values = texts, values
        return traced


Value: TypeAlias = int | float | bool | str | tuple[int, ...] | ListValue


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that no parameter and no volume changes. ``1``, ``1.0`` and ``true`` differ."""

    value: Value = field(compare=False)
    text: str

    @classmethod
    def of(cls, value: Value) -> Constant:
        return cls(value, repr(value))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the block or the family that an expression is in."""

    name: str


@dataclass(frozen=True, slots=True)
class Size:
    """``H``, ``W`` or ``C`` of the volume that a node gives."""

    node: int
    axis: str


@dataclass(frozen=True, slots=True)
class CopyIndex:
    """The number of a copy of a ``for``, from 0; ``loop`` is the number of the ``for``."""

    loop: int
    number: int


@dataclass(frozen=True, slots=True)
class ElementForm:
    """One size of a value such as ``3x5``."""

    of: Form
    index: int


@dataclass(frozen=True, slots=True)
class TupleForm:
    """Several values in a row: the channels of ``take(a, b)``, a list."""

    elements: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator, or a function of the language, with its operands.

    The operators are Python's, and ``÷`` is a quotient of whole numbers that leaves no remainder,
    as ``/`` is in the language; ``if`` has a condition, the value if it holds, and the value if
    not, and ``[]`` a list and the number of an element.
    """

    operator: str
    operands: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Unevaluated:
    """What ``and`` or ``or`` did not evaluate and has no value there, such as ``H`` of a vector."""


Form: TypeAlias = (
    Constant | Parameter | Size | CopyIndex | ElementForm | TupleForm | Operation | Unevaluated
)


@dataclass(frozen=True, slots=True)
class Symbolic:
    """A value and its form."""

    value: Value
    form: Form

    @classmethod
    def constant(cls, value: Value) -> Symbolic:
        return cls(value, Constant.of(value))


#: How many parts an expression may have. They double where each name is used twice by the next.
_LARGEST = 40


def is_large(form: Form) -> bool:
    """Whether a form is too large to be read, or to be written in reasonable time."""
    if isinstance(form, TupleForm):
        return any(map(is_large, form.elements))
    count = 0
    pending: list[Form] = [form]
    while pending:
        count += 1
        if count > _LARGEST:
            return True
        match pending.pop():
            case ElementForm(of=inner):
                pending.append(inner)
            case TupleForm(elements=forms) | Operation(operands=forms):
                pending += forms
    return False


def symbolic_of(value: Value, form: Form) -> Symbolic:
    """A value with its form; where that is large, with the constant that it is for one call."""
    return Symbolic.constant(value) if is_large(form) else Symbolic(value, form)


def operate(value: Value, operator: str, *operands: Form) -> Symbolic:
    """The result of an operation; a constant where all its operands are."""
    if all(isinstance(operand, Constant) for operand in operands):
        return Symbolic.constant(value)
    return symbolic_of(value, Operation(operator, operands))


def substitute(form: Form, forms: Mapping[str, Form]) -> Form:
    """The form with other forms in place of parameters."""
    return with_leaves(
        form, lambda leaf: forms.get(leaf.name, leaf) if isinstance(leaf, Parameter) else leaf
    )


def with_leaves(form: Form, change: Callable[[Form], Form]) -> Form:
    """The form with others in place of what it is made of; itself where nothing changes."""
    match form:
        case ElementForm(of=inner, index=index):
            changed = with_leaves(inner, change)
            return form if changed is inner else ElementForm(changed, index)
        case TupleForm(elements=forms) | Operation(operands=forms):
            several = tuple([with_leaves(inner, change) for inner in forms])
            if all(map(is_, several, forms)):
                return form
            if isinstance(form, TupleForm):
                return TupleForm(several)
            return Operation(form.operator, several)
        case _:
            return change(form)
