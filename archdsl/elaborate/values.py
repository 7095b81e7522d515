"""The evaluation of expressions: values, with the forms in which they were written."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.names import AXIS_LETTERS, SIZE_NAMES, VOLUME_NAMES, Context
from archdsl.network.functions import FUNCTIONS
from archdsl.network.symbols import (
    Constant,
    Form,
    ListValue,
    Operation,
    Size,
    Symbolic,
    TupleForm,
    Unevaluated,
    Value,
    operate,
    symbolic_of,
)
from archdsl.text import syntax
from archdsl.text.diagnostics import Fix, replaced, respell
from archdsl.text.source import Span

MAX_VALUE = 10**15
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "**": operator.pow,
    "//": operator.floordiv,
    "%": operator.mod,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def written(value: Value | str | list[Any]) -> str:
    """A value as the language writes it; text is that already."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ListValue | list):
        return f"[{', '.join(map(written, value))}]"
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def evaluate(expr: syntax.Expr, context: Context) -> Value:
    """The value of an expression.

    Errors: ``ElaborationError``; ``UnknownVolume`` after an earlier one.
    """
    return trace(expr, context).value


def trace(expr: syntax.Expr, context: Context) -> Symbolic:
    """The value of an expression, and its form. Errors: as for ``evaluate``."""
    match expr:
        case syntax.Number(value=value):
            return Symbolic.constant(value)
        case syntax.Dims(sizes=sizes):
            return Symbolic.constant(sizes)
        case syntax.Paren(value=inner):
            return trace(inner, context)
        case syntax.Name():
            return _look_up(expr, context)
        case syntax.Unary(operator="not"):
            operand = trace(expr.operand, context)
            return operate(not _truth(operand.value, expr.operand), "not", operand.form)
        case syntax.Unary():
            operand = trace(expr.operand, context)
            return operate(-_number(operand.value, expr.operand), "-", operand.form)
        case syntax.Binary(operator="and" | "or"):
            return _trace_logic(expr, context)
        case syntax.Binary():
            return _trace_binary(expr, context)
        case syntax.Call():
            return _trace_call(expr, context)
        case syntax.ListOf():
            return _trace_list(expr, context)
        case syntax.Element():
            return _trace_element(expr, context)


def trace_row(exprs: Iterable[syntax.Expr], context: Context) -> Symbolic:
    """The values of several expressions as one."""
    traced = [trace(expr, context) for expr in exprs]
    values: Any = tuple(one.value for one in traced)
    if all(isinstance(one.form, Constant) for one in traced):
        return Symbolic.constant(values)
    return Symbolic(values, TupleForm(tuple(one.form for one in traced)))


def _trace_list(expr: syntax.ListOf, context: Context) -> Symbolic:
    traced = [trace(item, context) for item in expr.items]
    for one, item in zip(traced, expr.items, strict=True):
        if isinstance(one.value, ListValue):
            raise ElaborationError("wrong-value", "a list cannot be inside a list", item.span)
    values = ListValue(one.value for one in traced)
    if all(isinstance(one.form, Constant) for one in traced):
        return Symbolic.constant(values)
    return Symbolic(values, TupleForm(tuple(one.form for one in traced)))


def _trace_element(expr: syntax.Element, context: Context) -> Symbolic:
    listed = _look_up(expr.of, context)
    if not isinstance(listed.value, ListValue):
        message = f"`{expr.of.id}` is not a list, but {written(listed.value)}"
        raise ElaborationError("wrong-value", message, expr.of.span)
    index = trace(expr.index, context)
    count = len(listed.value)
    if isinstance(index.value, bool) or not isinstance(index.value, int):
        message = f"the number of an element is a whole number, not {written(index.value)}"
        raise ElaborationError("wrong-value", message, expr.index.span)
    if not 0 <= index.value < count:
        which = f"from 0 to {count - 1}" if count else "none"
        message = f"`{expr.of.id}` has no element {index.value}"
        help = f"its elements have the numbers {which}" if count else "it is empty"
        raise ElaborationError("wrong-value", message, expr.index.span, help=help)
    return element_of(listed, index)


def element_of(listed: Symbolic, index: Symbolic) -> Symbolic:
    """An element of a list; the number is one that the list has."""
    assert isinstance(listed.value, ListValue)
    assert isinstance(index.value, int)
    value = listed.value[index.value]
    if isinstance(index.form, Constant) and isinstance(listed.form, TupleForm):
        return symbolic_of(value, listed.form.elements[index.value])
    return operate(value, "[]", listed.form, index.form)


def _look_up(name: syntax.Name, context: Context) -> Symbolic:
    if name.id in ("true", "false"):
        return Symbolic.constant(name.id == "true")
    if name.id in VOLUME_NAMES and context.in_network:
        return Symbolic(_look_up_volume(name, context), Size(context.node, name.id))
    found = context.values.find(name.id)
    if found:
        if found[0] is None:
            raise UnknownVolume
        return found[0]
    if name.id in SIZE_NAMES and context.in_network:
        return Symbolic(_look_up_volume(name, context), Size(context.node, name.id))
    if name.id in set(context.parts()):
        raise ElaborationError(
            "wrong-value", f"`{name.id}` names a part of the network, not a value", name.span
        )
    if name.id in VOLUME_NAMES:
        raise ElaborationError(
            "undefined-name", f"there is no volume here for `{name.id}`", name.span
        )
    known = {*context.values.names(), *VOLUME_NAMES}
    raise ElaborationError(
        "undefined-name",
        f"nothing named `{name.id}` is defined here",
        name.span,
        fixes=respell(name.id, name.span, known),
    )


def _look_up_volume(name: syntax.Name, context: Context) -> int:
    if context.volume is None:
        raise UnknownVolume
    if name.id not in context.volume.letters:
        raise ElaborationError(
            "needs-image",
            f"`{name.id}` is the {AXIS_LETTERS[name.id]}; the current volume is "
            f"{'a vector of ' if context.volume.is_vector else ''}{context.volume}",
            name.span,
        )
    return context.volume.size(name.id)


def _trace_logic(expr: syntax.Binary, context: Context) -> Symbolic:
    left = trace(expr.left, context)
    value = _truth(left.value, expr.left)
    if value == (expr.operator == "or"):
        # The right side decides nothing here, but it is part of the condition.
        return operate(value, expr.operator, left.form, _form_of(expr.right, context))
    right = trace(expr.right, context)
    return operate(_truth(right.value, expr.right), expr.operator, left.form, right.form)


def _form_of(expr: syntax.Expr, context: Context) -> Form:
    """The form of an expression whose value is not needed, and which may have none."""
    try:
        return trace(expr, context).form
    except (ElaborationError, UnknownVolume):
        pass
    match expr:
        case syntax.Paren(value=inner):
            return _form_of(inner, context)
        case syntax.Unary(operator=operator, operand=operand):
            return Operation(operator, (_form_of(operand, context),))
        case syntax.Binary(operator=operator, left=left, right=right):
            sides = (_form_of(left, context), _form_of(right, context))
            if operator == "/" and not _is_float(expr, context):
                operator = "÷"
            return Operation(operator, sides)
        case syntax.Call(arguments=arguments) if arguments and expr.name.id in FUNCTIONS:
            forms = [_form_of(argument.value, context) for argument in arguments]
            if FUNCTIONS[expr.name.id].chooses and len(forms) == 1:
                return forms[0]
            return Operation(expr.name.id, tuple(forms))
        case _:
            return Unevaluated()


def _is_float(expr: syntax.Expr, context: Context) -> bool:
    """Whether an expression computes a float, as it does if one of its numbers is a float."""
    match expr:
        case syntax.Paren(value=inner) | syntax.Unary(operand=inner):
            return _is_float(inner, context)
        case syntax.Binary(left=left, right=right):
            return _is_float(left, context) or _is_float(right, context)
        case syntax.Call(name=name, arguments=arguments):
            chooses = name.id in FUNCTIONS and FUNCTIONS[name.id].chooses
            return chooses and any(_is_float(argument.value, context) for argument in arguments)
        case syntax.Number(value=value):
            return isinstance(value, float)
        case _:
            found = context.values.find(expr.id) if isinstance(expr, syntax.Name) else None
            return found is not None and found[0] is not None and isinstance(found[0].value, float)


#: Operators that group from the left.
_SPINE = ("+", "-", "*", "/", "//", "%")
_COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")


def _refuse_chain(expr: syntax.Binary) -> None:
    """Refuse ``1 < C < 4``, which would compare a truth value with 4."""
    if expr.operator not in _COMPARISONS:
        return
    operands: list[syntax.Expr] = [expr.right]
    operators = [expr.operator]
    left = expr.left
    while isinstance(left, syntax.Binary) and left.operator in _COMPARISONS:
        operands.append(left.right)
        operators.append(left.operator)
        left = left.left
    if len(operators) < 2:
        return
    texts = [operand.span.text for operand in (left, *reversed(operands))]
    signs = reversed(operators)
    pairs = zip(texts, signs, texts[1:], strict=False)
    message = f"`{' '.join(expr.span.text.split())}` is a chain of comparisons"
    if {"true", "false"} & set(texts):
        help = "compare in parentheses: `(C > 1) == true`"
        raise ElaborationError("wrong-value", message, expr.span, help=help)
    written = " and ".join(f"{a} {sign} {b}" for a, sign, b in pairs)
    before = expr.span.source.text[: expr.span.start].rstrip()
    text = f"({written})" if before.endswith("not") else written
    fix = replaced(expr.span, text, f"write `{written}`")
    raise ElaborationError("wrong-value", message, expr.span, fixes=(fix,))


def _trace_binary(expr: syntax.Binary, context: Context) -> Symbolic:
    _refuse_chain(expr)
    # A long sum leans to the left: walk down its spine instead of recursing.
    spine = [expr]
    while isinstance(spine[-1].left, syntax.Binary) and spine[-1].left.operator in _SPINE:
        spine.append(spine[-1].left)
    left = trace(spine[-1].left, context)
    for node in reversed(spine):
        left = _apply_operator(node, left, trace(node.right, context))
    return left


def _apply_operator(expr: syntax.Binary, left: Symbolic, right: Symbolic) -> Symbolic:
    forms = (left.form, right.form)
    if expr.operator in ("==", "!="):
        is_true = bool(_OPERATORS[expr.operator](left.value, right.value))
        return operate(is_true, expr.operator, *forms)
    a, b = _number(left.value, expr.left), _number(right.value, expr.right)
    if expr.operator in ("/", "//", "%") and b == 0:
        raise ElaborationError("wrong-value", "division by zero", expr.right.span)
    if expr.operator == "/":
        if isinstance(a, int) and isinstance(b, int):
            if a % b:
                raise ElaborationError(
                    "inexact-division",
                    f"{a} / {b} does not divide exactly",
                    expr.span,
                    fixes=(_rounded_down(expr, a // b),),
                )
            return operate(a // b, "÷", *forms)
        return operate(a / b, "/", *forms)
    value: Value = _power(a, b, expr) if expr.operator == "**" else _OPERATORS[expr.operator](a, b)
    _refuse_large(value, expr)
    return operate(value, expr.operator, *forms)


def _power(base: int | float, exponent: int | float, expr: syntax.Binary) -> int | float:
    if base == 0 and exponent < 0:
        raise ElaborationError("wrong-value", "division by zero", expr.span)
    if base < 0 and not float(exponent).is_integer():
        message = "a number below 0 has no such power"
        raise ElaborationError("wrong-value", message, expr.span)
    try:
        is_large = abs(float(base)) ** exponent > MAX_VALUE
    except OverflowError:
        is_large = True
    if is_large:
        message = "the value is beyond the bound of 10¹⁵"
        raise ElaborationError("number-too-large", message, expr.span)
    return base**exponent


def _refuse_large(value: Value, expr: syntax.Expr) -> None:
    if not isinstance(value, bool) and abs(value) > MAX_VALUE:  # type: ignore[arg-type]
        raise ElaborationError(
            "number-too-large", "the value is beyond the bound of 10¹⁵", expr.span
        )


def _rounded_down(expr: syntax.Binary, result: int) -> Fix:
    source, start = expr.span.source, expr.left.span.end
    sign = source.text.index("/", start)
    place = Span(source, sign, sign + 1)
    return replaced(place, "//", f"`//` rounds down to {result}", keeps_choices=False)


def _trace_call(expr: syntax.Call, context: Context) -> Symbolic:
    if expr.name.id not in FUNCTIONS:
        fixes = respell(expr.name.id, expr.name.span, FUNCTIONS)
        *others, last = (f"`{name}`" for name in FUNCTIONS)
        raise ElaborationError(
            "undefined-name",
            f"there is no function `{expr.name.id}` in expressions",
            expr.name.span,
            help=None if fixes else f"the functions are {', '.join(others)} and {last}",
            fixes=fixes,
        )
    function = FUNCTIONS[expr.name.id]
    if not expr.arguments:
        raise ElaborationError("missing-argument", f"`{expr.name.id}` needs an argument", expr.span)
    count = function.count
    if count is not None and len(expr.arguments) != count:
        takes = "one argument" if count == 1 else f"{count} arguments"
        message = f"`{expr.name.id}` takes {takes}, not {len(expr.arguments)}"
        is_surplus = len(expr.arguments) > count
        code = "surplus-argument" if is_surplus else "missing-argument"
        place = expr.arguments[count].span if is_surplus else expr.span
        raise ElaborationError(code, message, place)
    numbers = []
    forms = []
    if function.takes_list:
        return _trace_list_call(expr, context)
    for argument in expr.arguments:
        if argument.pair or argument.keyword:
            raise ElaborationError(
                "wrong-pair", f"`{expr.name.id}` takes plain values", argument.span
            )
        traced = trace(argument.value, context)
        numbers.append(_number(traced.value, argument.value))
        forms.append(traced.form)
    if expr.name.id == "size":
        return _trace_size(expr, numbers, forms)
    value = _applied(expr, numbers)
    if function.chooses:
        if len(forms) == 1:
            return Symbolic(value, forms[0])
        if isinstance(value, float) and any(isinstance(number, int) for number in numbers):
            chosen = operate(value, expr.name.id, *forms)
            return operate(value, "float", chosen.form)
    return operate(value, expr.name.id, *forms)


def _applied(expr: syntax.Call, numbers: list[int | float]) -> Value:
    """The value of a function of numbers."""
    name = expr.name.id
    first = expr.arguments[0]
    if name == "log2" and numbers[0] <= 0:
        raise ElaborationError("wrong-value", "only numbers above 0 have a logarithm", first.span)
    if name == "round_to" and (not isinstance(numbers[0], int) or numbers[0] < 1):
        message = "the multiple is a whole number of at least 1"
        raise ElaborationError("wrong-value", message, first.span, help="`round_to(8, 1.4*C)`")
    value = FUNCTIONS[name].apply(*numbers)
    _refuse_large(value, expr)
    return value


def _trace_size(expr: syntax.Call, numbers: list[int | float], forms: list[Form]) -> Symbolic:
    """``size(1, d)``: a size such as ``1x7`` whose parts are values."""
    for number, argument in zip(numbers, expr.arguments, strict=True):
        if not isinstance(number, int) or number < 0:
            message = f"the parts of a size are whole numbers of at least 0, not {written(number)}"
            raise ElaborationError("wrong-value", message, argument.span)
    if len(numbers) < 2:
        message = "a size has at least two parts; a number needs no `size`"
        raise ElaborationError("missing-argument", message, expr.span)
    value: Any = tuple(numbers)
    if all(isinstance(form, Constant) for form in forms):
        return Symbolic.constant(value)
    return Symbolic(value, TupleForm(tuple(forms)))


def _trace_list_call(expr: syntax.Call, context: Context) -> Symbolic:
    argument = expr.arguments[0]
    if argument.pair or argument.keyword:
        raise ElaborationError("wrong-pair", f"`{expr.name.id}` takes a list", argument.span)
    listed = trace(argument.value, context)
    if not isinstance(listed.value, ListValue):
        message = f"`{expr.name.id}` takes a list, not {written(listed.value)}"
        help = f"for example `{expr.name.id}([3, 4, 6, 3])`"
        raise ElaborationError("wrong-value", message, argument.span, help=help)
    if expr.name.id == "sum":
        for one in listed.value:
            _number(one, argument.value)
    value = FUNCTIONS[expr.name.id].apply(listed.value)
    _refuse_large(value, expr)
    return operate(value, expr.name.id, listed.form)


def _number(value: Value, expr: syntax.Expr) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ElaborationError("wrong-value", "a number is needed here", expr.span)
    return value


def _truth(value: Value, expr: syntax.Expr) -> bool:
    if not isinstance(value, bool):
        raise ElaborationError(
            "wrong-value",
            "a condition is needed here",
            expr.span,
            help="compare: `==`, `!=`, `<`, `>`, `<=`, `>=`",
        )
    return value


def truth(expr: syntax.Expr, context: Context) -> bool:
    """The value of a condition."""
    return bool(decide(expr, context).value)


def decide(expr: syntax.Expr, context: Context) -> Symbolic:
    """A condition: its value, which is a bool, and its form."""
    decided = trace(expr, context)
    _truth(decided.value, expr)
    return decided
