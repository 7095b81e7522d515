"""The copies of a repeated statement: how many, and what the name of a ``for`` is in each."""

from __future__ import annotations

from dataclasses import field

from archdsl.elaborate.errors import ElaborationError
from archdsl.elaborate.names import Context
from archdsl.elaborate.placing import MAX_EXPANSION
from archdsl.elaborate.values import element_of, trace, written
from archdsl.network.symbols import (
    Constant,
    CopyIndex,
    ListValue,
    Symbolic,
    operate,
    symbolic_of,
)
from archdsl.records import dataclass
from archdsl.text import syntax


@dataclass(frozen=True)
class Turns:
    """The copies of a repeated statement; ``values`` is what the name of a ``for`` stands for."""

    count: Symbolic
    number: int
    values: tuple[Symbolic, ...] = field(default=())
    #: The number of the ``for`` in its network.
    loop: int | None = None


def read_turns(step: syntax.Step | syntax.For, context: Context, number: int) -> Turns:
    """The copies of a statement. A ``for`` is the one with this number in its network."""
    if isinstance(step, syntax.Step):
        count = _read_count(step, context)
        assert isinstance(count.value, int)
        return Turns(count, count.value)
    if isinstance(step.values, syntax.Range):
        turns = _read_range(step.values, context, number)
    else:
        turns = _read_list(step.values, context, number)
    if step.label and not turns.number:
        message = f"the part `{step.label.span.text}` would have no copies"
        raise ElaborationError("wrong-value", message, step.values.span)
    return turns


def _read_count(step: syntax.Step, context: Context) -> Symbolic:
    if step.repeat is None:
        return Symbolic.constant(1)
    traced = trace(step.repeat, context)
    count = traced.value
    minimum = 1 if isinstance(step.repeat, syntax.Number) or step.label else 0
    if isinstance(count, bool) or not isinstance(count, int) or count < minimum:
        raise ElaborationError(
            "wrong-value",
            f"a repeat needs a whole number of at least {minimum}, not {written(count)}",
            step.repeat.span,
        )
    _refuse_many(count, step.repeat)
    return traced


def _refuse_many(count: int, values: syntax.Expr | syntax.Range) -> None:
    if count > MAX_EXPANSION:
        message = f"{count:,} copies are beyond the bound of {MAX_EXPANSION:,}"
        raise ElaborationError("too-many-layers", message, values.span)


def _read_range(values: syntax.Range, context: Context, number: int) -> Turns:
    start = _whole(values.start, context)
    stop = _whole(values.stop, context)
    assert isinstance(start.value, int)
    assert isinstance(stop.value, int)
    count = stop.value - start.value
    if count < 0:
        message = f"a range from {start.value} to {stop.value} runs backwards"
        raise ElaborationError("wrong-value", message, values.span)
    _refuse_many(count, values)
    is_from_zero = start == Symbolic.constant(0)
    counted = stop if is_from_zero else operate(count, "-", stop.form, start.form)
    found = []
    for turn in range(count):
        if isinstance(counted.form, Constant) and isinstance(start.form, Constant):
            found.append(Symbolic.constant(start.value + turn))
            continue
        index = Symbolic(turn, CopyIndex(number, turn))
        shifted = operate(start.value + turn, "+", start.form, index.form)
        found.append(index if is_from_zero else shifted)
    return Turns(symbolic_of(count, counted.form), count, tuple(found), number)


def _whole(expr: syntax.Expr, context: Context) -> Symbolic:
    traced = trace(expr, context)
    if isinstance(traced.value, bool) or not isinstance(traced.value, int):
        message = f"a range needs whole numbers, not {written(traced.value)}"
        raise ElaborationError("wrong-value", message, expr.span)
    return traced


def _read_list(values: syntax.Expr, context: Context, number: int) -> Turns:
    listed = trace(values, context)
    if not isinstance(listed.value, ListValue):
        message = f"`for` needs a list or a range, not {written(listed.value)}"
        help = "for example `[64, 128, 256]`, or `0..4`"
        raise ElaborationError("wrong-value", message, values.span, help=help)
    count = len(listed.value)
    found = []
    for turn in range(count):
        index = Symbolic(turn, CopyIndex(number, turn))
        found.append(element_of(listed, index))
    counted = operate(count, "len", listed.form)
    return Turns(counted, count, tuple(found), number)
