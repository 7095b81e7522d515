"""Numbers that know how they came about, to run a layer's own rules on.

The definition of a layer computes with the sizes of its input and with its fields. Given numbers
that carry their forms, the same rules give the forms of what they compute: the channels after a
``concat`` of ``n1`` and ``n3`` are ``n1 + n3``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from archdsl.network.functions import FUNCTIONS
from archdsl.network.symbols import (
    Constant,
    CopyIndex,
    ElementForm,
    Form,
    Operation,
    Parameter,
    Size,
    TupleForm,
    Unevaluated,
    Value,
)


class Traced(int):
    """A whole number, or a bool, with its form."""

    form: Form

    def __new__(cls, value: int, form: Form) -> Traced:
        traced = super().__new__(cls, value)
        traced.form = form
        return traced

    def __add__(self, other: int) -> int:
        return _traced(int(self) + int(other), add(self.form, form_of(other)))

    def __radd__(self, other: int) -> int:
        return _traced(int(other) + int(self), add(form_of(other), self.form))

    def __sub__(self, other: int) -> int:
        return _traced(int(self) - int(other), add(self.form, form_of(other), -1))

    def __rsub__(self, other: int) -> int:
        return _traced(int(other) - int(self), add(form_of(other), self.form, -1))

    def __mul__(self, other: int) -> int:
        return _traced(int(self) * int(other), multiply(self.form, form_of(other)))

    def __rmul__(self, other: int) -> int:
        return _traced(int(other) * int(self), multiply(form_of(other), self.form))

    def __floordiv__(self, other: int) -> int:
        return _traced(int(self) // int(other), divide(self.form, form_of(other)))

    def __rfloordiv__(self, other: int) -> int:
        return _traced(int(other) // int(self), divide(form_of(other), self.form))

    def __mod__(self, other: int) -> int:
        return _traced(int(self) % int(other), Operation("%", (self.form, form_of(other))))

    def __rmod__(self, other: int) -> int:
        return _traced(int(other) % int(self), Operation("%", (form_of(other), self.form)))

    def __neg__(self) -> int:
        return _traced(-int(self), add(Constant.of(0), self.form, -1))


class TracedElement(Traced):
    """A number of a size that was written as one, such as ``k`` for ``1x7``; ``count`` of them."""

    count: int

    @classmethod
    def all_of(cls, sizes: tuple[int, ...], form: Form) -> tuple[TracedElement, ...]:
        elements = tuple(cls(size, ElementForm(form, i)) for i, size in enumerate(sizes))
        for element in elements:
            element.count = len(sizes)
        return elements


class TracedFloat(float):
    """A number with its form; numbers that are computed from it have none."""

    form: Form

    def __new__(cls, value: float, form: Form) -> TracedFloat:
        traced = super().__new__(cls, value)
        traced.form = form
        return traced


def _traced(value: int, form: Form) -> int:
    return value if isinstance(form, Constant) else Traced(value, form)


def trace_value(value: Value, form: Form) -> Any:
    """A value as a traced number, or as a tuple of these; a constant as it is."""
    match form, value:
        case Constant(), _:
            return value
        case TupleForm(elements=elements), tuple():
            return tuple(trace_value(v, f) for v, f in zip(value, elements, strict=True))
        case _, tuple():
            return TracedElement.all_of(value, form)
        case _, float():
            return TracedFloat(value, form)
        case _, int():
            return Traced(value, form)
    raise AssertionError(value)


def whole_of(values: tuple[Any, ...]) -> Form | None:
    """The form of a size whose numbers these are, all of them and in their order."""
    first = values[0] if values else None
    if not isinstance(first, TracedElement) or first.count != len(values):
        return None
    assert isinstance(first.form, ElementForm)
    elements = (ElementForm(first.form.of, index) for index in range(first.count))
    return first.form.of if tuple(elements) == tuple(map(form_of, values)) else None


def form_of(value: Any) -> Form:
    """The form of a number; a plain one is a constant."""
    return value.form if isinstance(value, (Traced, TracedFloat)) else Constant.of(value)


# ── Sums ─────────────────────────────────────────────────────────────────────────────────────


def add(left: Form, right: Form, sign: int = 1) -> Form:
    """The sum of two forms, or their difference, with equal terms together: ``k - 1``."""
    terms, constant = _terms_of(left)
    others, more = _terms_of(right)
    for form, factor in others.items():
        terms[form] = terms.get(form, 0) + sign * factor
    return _sum_of(terms, constant + sign * more)


def _terms_of(form: Form) -> tuple[dict[Form, int], int]:
    """A sum as its terms with their factors, and a constant."""
    match form:
        case Constant(value=int(value)):
            return {}, value
        case Operation(operator="+" | "-" as sign, operands=(left, right)):
            terms, constant = _terms_of(left)
            others, more = _terms_of(right)
            factor = 1 if sign == "+" else -1
            for other, count in others.items():
                terms[other] = terms.get(other, 0) + factor * count
            return terms, constant + factor * more
        case Operation(operator="-", operands=(inner,)):
            terms, constant = _terms_of(inner)
            return {term: -count for term, count in terms.items()}, -constant
        case Operation(operator="*", operands=(Constant(value=int(factor)), inner)):
            return {inner: factor}, 0
        case _:
            return {form: 1}, 0


def _sum_of(terms: dict[Form, int], constant: int) -> Form:
    total: Form | None = None
    terms = _without_quotients(terms)
    # Added terms come first: `height - k` and not `-k + height`.
    for form, factor in sorted(terms.items(), key=lambda term: term[1] < 0):
        if factor == 0:
            continue
        size = abs(factor)
        term = multiply(Constant.of(size), form)
        if total is None and factor < 0 and constant > 0:
            total, constant = Constant.of(constant), 0
        if total is None:
            total = term if factor > 0 else Operation("-", (term,))
        else:
            total = Operation("+" if factor > 0 else "-", (total, term))
    if total is None:
        return Constant.of(constant)
    if constant:
        return Operation("+" if constant > 0 else "-", (total, Constant.of(abs(constant))))
    return total


def _without_quotients(terms: dict[Form, int]) -> dict[Form, int]:
    """The terms with exact quotients put together: ``n ÷ 2`` twice is ``n``, and ``n`` without
    ``n ÷ 2`` is ``n ÷ 2``."""
    for term in list(terms):
        match term:
            case Operation(operator="÷", operands=(whole, Constant(value=int(parts)))) if parts > 0:
                count = terms[term] + parts * terms.get(whole, 0)
                if count % parts == 0:
                    terms = {**terms, term: 0, whole: count // parts}
                elif abs(count) == 1:
                    terms = {**terms, term: count, whole: 0}
    return terms


def multiply(left: Form, right: Form) -> Form:
    """The product of two forms, a constant in front."""
    match left, right:
        case Constant(value=int(a)), Constant(value=int(b)):
            return Constant.of(a * b)
        case _, Constant():
            return multiply(right, left)
        case Constant(value=0), _:
            return left
        case Constant(value=1), _:
            return right
        case Constant(value=int(a)), Operation(operator="*", operands=(Constant(value=int(b)), of)):
            return Operation("*", (Constant.of(a * b), of))
        case (
            Constant(value=int(a)),
            Operation(operator="÷", operands=(of, Constant(value=int(b)))),
        ) if b > 0 and a % b == 0:
            return multiply(Constant.of(a // b), of)
        case _:
            return Operation("*", (left, right))


def divide(left: Form, right: Form, sign: str = "//") -> Form:
    """The quotient of two forms, rounded down, or exact with the sign ``÷``."""
    match left, right:
        case Constant(value=int(a)), Constant(value=int(b)):
            return Constant.of(a // b)
        case _, Constant(value=1):
            return left
        case (
            Operation(operator="*", operands=(Constant(value=int(a)), of)),
            Constant(value=int(b)),
        ) if b > 0 and a % b == 0:
            return multiply(Constant.of(a // b), of)
        case _:
            return Operation(sign, (left, right))


# ── Folding ──────────────────────────────────────────────────────────────────────────────────

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "÷": operator.floordiv,
    "/": operator.truediv,
    "%": operator.mod,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "**": operator.pow,
    "float": float,
    **{name: function.apply for name, function in FUNCTIONS.items()},
}

FormLeaf = Parameter | Size | CopyIndex


def fold(form: Form, replace: Callable[[FormLeaf], Form], *, adds: bool = False) -> Form:
    """The form with others in place of its leaves; what is then constant becomes its value.

    With ``adds`` equal terms of sums are put together, too. What was not evaluated is left out:
    where the spec makes sense, ``and``, ``or`` or ``if`` does not evaluate it.
    """
    match form:
        case Parameter() | Size() | CopyIndex():
            return replace(form)
        case ElementForm(of=inner, index=index):
            return _element(fold(inner, replace, adds=adds), index)
        case TupleForm(elements=elements):
            return TupleForm(tuple(fold(element, replace, adds=adds) for element in elements))
        case Operation(operator=name, operands=operands):
            return _operate(name, [fold(o, replace, adds=adds) for o in operands], adds=adds)
        case _:
            return form


def _element(form: Form, index: int) -> Form:
    match form:
        case Constant(value=tuple() as values):
            elements: tuple[Form, ...] = tuple(map(Constant.of, values))
        case TupleForm(elements=elements):
            pass
        case _:
            return ElementForm(form, index)
    # The last element of an empty list is asked for only where an `if` leads elsewhere.
    return elements[index] if -len(elements) <= index < len(elements) else Unevaluated()


def _operate(name: str, operands: list[Form], *, adds: bool) -> Form:
    if isinstance(operands[0], Unevaluated):
        return operands[0]
    match name, operands:
        case "if", [Constant(value=decided), one, other]:
            return one if decided else other
        case "if", [_, one, Unevaluated()] | [_, Unevaluated(), one]:
            return one
        case "if", [test, one, other]:
            return either(test, one, other)
        case "and" | "or", [left, right]:
            return _decide(name, left, right)
        case "[]", [listed, Constant(value=int(index))]:
            return _element(listed, index)
        case "len", [TupleForm(elements=elements)]:
            return Constant.of(len(elements))
    if any(isinstance(operand, Unevaluated) for operand in operands):
        return Unevaluated()
    if all(isinstance(operand, Constant) for operand in operands):
        values = [operand.value for operand in operands if isinstance(operand, Constant)]
        return _evaluate(name, values)
    if adds:
        match name, operands:
            case "+" | "-", [left, right]:
                return add(left, right, 1 if name == "+" else -1)
            case "*", [left, right]:
                return multiply(left, right)
            case "//" | "÷", [left, right]:
                return divide(left, right, name)
    return Operation(name, tuple(operands))


def either(test: Form, one: Form, other: Form) -> Form:
    """One form or the other, or a single one where both have the same value.

    As a bottleneck has: ``n if s != 1 or in_channels != n else in_channels`` is ``n``.
    """
    if one == other or {one, other} in _equal(test, False):
        return one
    return other if {one, other} in _equal(test, True) else Operation("if", (test, one, other))


def _equal(test: Form, outcome: bool) -> list[set[Form]]:
    """Pairs of forms that are equal where a test has this outcome."""
    match test:
        case Operation(operator="==" | "!=" as name, operands=(left, right)):
            return [{left, right}] if outcome == (name == "==") else []
        case Operation(operator="and" | "or" as name, operands=(left, right)):
            if outcome == (name == "and"):
                return _equal(left, outcome) + _equal(right, outcome)
            return []
        case Operation(operator="not", operands=(operand,)):
            return _equal(operand, not outcome)
        case _:
            return []


def _decide(name: str, left: Form, right: Form) -> Form:
    """``and`` or ``or``: a side that is known decides, or is left out."""
    for side, other in ((left, right), (right, left)):
        if isinstance(side, Constant):
            return side if side.value == (name == "or") else other
    return left if isinstance(right, Unevaluated) else Operation(name, (left, right))


def _evaluate(name: str, values: list[Any]) -> Form:
    if name == "not":
        return Constant.of(not values[0])
    if name == "-" and len(values) == 1:
        return Constant.of(-values[0])
    try:
        return Constant.of(_FUNCTIONS[name](*values))
    except (ArithmeticError, TypeError):
        # What `and` or `or` did not evaluate may divide by 0, or use a pair as a number.
        return Unevaluated()
