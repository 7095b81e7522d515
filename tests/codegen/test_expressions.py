"""Forms as Python writes them: what is read back has the value that was meant."""

from __future__ import annotations

from itertools import product
from math import ceil, floor, prod

import pytest

from archdsl.codegen.expressions import literal, render
from archdsl.codegen.tracing import add, divide, either, fold, multiply, trace_value
from archdsl.layers.call import Product
from archdsl.network.symbols import Constant, Form, Operation, Parameter

VALUES = {"a": 7, "b": 5, "c": 3, "f": 2.5}
LEAVES: tuple[Form, ...] = (Parameter("a"), Constant.of(2), Parameter("f"))
ROUNDINGS = {"floor": floor, "ceil": ceil, "round": round}
BINARY = ("+", "-", "*", "//", "÷", "%", "**", "and", "or", "==", "<")


def name(leaf: object) -> str:
    assert isinstance(leaf, Parameter)
    return leaf.name


def value_of(form: Form) -> int:
    """The value of a form, worked out on the form itself."""
    match form:
        case Constant(value=value):
            return value  # type: ignore[return-value]
        case Parameter(name=id):
            return VALUES[id]
        case Operation(operator="-", operands=(operand,)):
            return -value_of(operand)
        case Operation(operator="not", operands=(operand,)):
            return not value_of(operand)
        case Operation(operator=operator, operands=(operand,)):
            return ROUNDINGS[operator](value_of(operand))
        case Operation(operator="if", operands=(test, one, other)):
            return value_of(one) if value_of(test) else value_of(other)
        case Operation(operator=operator, operands=(left, right)):
            first, second = value_of(left), value_of(right)
            operator = "//" if operator == "÷" else operator
            return eval(f"first {operator} second", {}, {"first": first, "second": second})
    raise AssertionError(form)


def grown(forms: tuple[Form, ...]) -> list[Form]:
    """All operations on some forms."""
    b, c = Parameter("b"), Parameter("c")
    found: list[Form] = []
    for form in forms:
        found += [Operation(op, (form, b)) for op in BINARY]
        found += [Operation(op, (c, form)) for op in BINARY]
        found += [Operation("-", (form,)), Operation("not", (form,))]
        found += [Operation(rounding, (form,)) for rounding in ROUNDINGS]
        found += [Operation("if", order) for order in ((form, b, c), (b, form, c), (b, c, form))]
    return found


ONCE = grown(LEAVES)
TWICE = grown(tuple(ONCE))


def worth(form: Form) -> int | None:
    """The value of a form; None where it has none, or one that nobody could write."""
    try:
        found = value_of(form)
    except ZeroDivisionError:
        return None
    return found if abs(found) < 10**6 else None


def test_operations_in_operations() -> None:
    for form in TWICE:
        expected = worth(form)
        if expected is not None:
            text = render(form, name)
            assert eval(text, {}, dict(VALUES)) == expected, text


@pytest.mark.parametrize("count", [2, 3])
def test_products_of_operations(count: int) -> None:
    """The features of `fc`: each factor is a factor of its own."""
    forms = [*LEAVES, *ONCE] if count == 3 else [*LEAVES, *ONCE, *TWICE[::7]]
    known = [(form, value) for form in forms if isinstance(value := worth(form), int)]
    for factors in product(known[:: 1 if count == 2 else 3], repeat=count):
        traced = [trace_value(int(value), form) for form, value in factors]
        text = literal(Product(*traced), name)
        assert eval(text, {}, dict(VALUES)) == prod(value for _, value in factors), text


@pytest.mark.parametrize("operator", ["==", "!="])
@pytest.mark.parametrize("around", ["only", "and", "or", "not"])
def test_an_if_between_equal_values_is_one_of_them(operator: str, around: str) -> None:
    """It is left out only where it has the same value whatever the parameters are."""
    a, b, c = map(Parameter, "abc")
    equal, more = Operation(operator, (a, b)), Operation("==", (c, Constant.of(1)))
    test = {
        "only": equal,
        "and": Operation("and", (equal, more)),
        "or": Operation("or", (more, equal)),
        "not": Operation("not", (equal,)),
    }[around]
    left_out = 0
    for one, other in product((a, b, c), repeat=2):
        found = either(test, one, other)
        left_out += found in (one, other)
        for values in product((1, 2), repeat=3):
            assert with_values(found, values) == with_values(
                Operation("if", (test, one, other)), values
            )
    # Of the pairs of two, those of a and b, where one outcome of the test makes these equal.
    assert left_out == (3 if (around, operator) in [("and", "!="), ("or", "==")] else 5)


def with_values(form: Form, values: tuple[int, ...]) -> Form:
    known = {id: Constant.of(value) for id, value in zip("abc", values, strict=True)}
    return fold(form, lambda leaf: known[name(leaf)])


N = Parameter("n")
HALF, QUARTER = (Operation("÷", (N, Constant.of(parts))) for parts in (2, 4))
DOUBLE = Operation("*", (Constant.of(2), N))
#: What is computed with quotients, and how it is written.
QUOTIENTS = {
    "both halves": (add(HALF, HALF), "n"),
    "twice the half": (multiply(Constant.of(2), HALF), "n"),
    "three halves": (multiply(Constant.of(3), HALF), "3 * (n // 2)"),
    "six halves": (multiply(HALF, Constant.of(6)), "3 * n"),
    "the other half": (add(N, HALF, -1), "n // 2"),
    "the half without the whole": (add(HALF, N, -1), "-(n // 2)"),
    "a half more": (add(HALF, N), "n // 2 + n"),
    "quarters and a half": (add(add(QUARTER, HALF), QUARTER), "2 * (n // 4) + n // 2"),
    "half of the double": (divide(DOUBLE, Constant.of(2), "÷"), "n"),
    "half of the double, rounded down": (divide(DOUBLE, Constant.of(2)), "n"),
    "a third of the double": (divide(DOUBLE, Constant.of(3)), "2 * n // 3"),
    "rounded down twice": (
        add(divide(N, Constant.of(2)), divide(N, Constant.of(2))),
        "2 * (n // 2)",
    ),
}


@pytest.mark.parametrize("name", QUOTIENTS)
def test_quotients_without_remainder_are_put_together(name: str) -> None:
    """``÷`` leaves no remainder, ``//`` may."""
    form, text = QUOTIENTS[name]
    assert render(form, lambda leaf: "n") == text
