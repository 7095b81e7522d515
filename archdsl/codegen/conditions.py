"""The conditions of an ``if``: which lead where, and which lead where no instantiation goes."""

from __future__ import annotations

from archdsl.codegen.expressions import negated
from archdsl.network.symbols import Constant, Form, Operation


def forbidden_by(tests: list[Form], count: int, taken: list[int]) -> Form:
    """The condition under which an ``if`` would lead to a body that no instantiation has."""
    forbidden: Form = Constant.of(count not in taken)
    if len(tests) < count:
        # No instantiation has reached the other conditions: whatever they lead to is refused.
        forbidden = Constant.of(True)
    for index in range(len(tests) - 1, -1, -1):
        if index in taken:
            forbidden = both(negated(tests[index]), forbidden)
        else:
            forbidden = either(tests[index], forbidden)
    return forbidden


def way_to(tests: list[Form], outcome: int) -> Form:
    """The condition under which an ``if`` leads to one of its bodies."""
    way: Form = tests[outcome] if outcome < len(tests) else Constant.of(True)
    for test in reversed(tests[:outcome]):
        way = both(negated(test), way)
    return way


def both(one: Form, other: Form) -> Form:
    if isinstance(one, Constant):
        return other if one.value else one
    if isinstance(other, Constant):
        return one if other.value else other
    return Operation("and", (one, other))


def either(one: Form, other: Form) -> Form:
    if isinstance(one, Constant):
        return one if one.value else other
    if isinstance(other, Constant):
        return other if other.value else one
    return Operation("or", (one, other))
