"""Values and forms as Python writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import getsource
from typing import Any

from archdsl.codegen.layout import BracketedDoc, ChainedDoc, Doc, DocItem, Verbatim, bracketed, flat
from archdsl.codegen.tracing import FormLeaf, Traced, TracedFloat, form_of, whole_of
from archdsl.layers import Call
from archdsl.layers.call import Arg, Code, InfixCode, Product
from archdsl.network.functions import round_to
from archdsl.network.symbols import (
    Constant,
    ElementForm,
    Form,
    Operation,
    Parameter,
    Size,
    TupleForm,
)

#: What a leaf is called in the class at hand.
Namer = Callable[[FormLeaf], str]

_LEVELS = {
    "if": 0,
    "or": 1,
    "and": 2,
    "not": 3,
    "==": 4,
    "!=": 4,
    "<": 4,
    ">": 4,
    "<=": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "//": 6,
    "÷": 6,
    "/": 6,
    "%": 6,
    "negative": 7,
    "**": 8,
}
_ATOM = 9
#: Around a power of such operands ruff has no spaces.
_SIMPLE = re.compile(r"-?[\w.]+")
#: Functions of the language that Python does not have, by name.
FUNCTION_SOURCES = {"round_to": getsource(round_to).rstrip()}
_FUNCTIONS = ("min", "max", "float", "round", "round_to", "len", "sum")
_OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def no_name(leaf: FormLeaf) -> str:
    """The namer of a class without parameters."""
    raise AssertionError(leaf)


def render(form: Form, name: Namer, level: int = 0) -> str:
    """A form in Python, in parentheses where it binds less than ``level``."""
    text, own = _render(form, name)
    return text if own >= level else f"({text})"


def _render(form: Form, name: Namer) -> tuple[str, int]:
    match form:
        case Constant(value=value):
            text = literal(value)
            return text, _ATOM if not text.startswith("-") else _LEVELS["negative"]
        case Parameter() | Size():
            return name(form), _ATOM
        case ElementForm(of=inner, index=index):
            return f"{render(inner, name, _ATOM)}[{index}]", _ATOM
        case TupleForm(elements=elements):
            inside = ", ".join(render(element, name) for element in elements)
            return f"({inside}{',' * (len(elements) == 1)})", _ATOM
        case Operation(operator="if", operands=(test, one, other)):
            first, condition = render(one, name, 1), render(test, name, 1)
            return f"{first} if {condition} else {render(other, name)}", _LEVELS["if"]
        case Operation(operator="floor", operands=(operand,)):
            # Without an import: Python's `math` has these two.
            return f"int({render(operand, name, _LEVELS['//'])} // 1)", _ATOM
        case Operation(operator="ceil", operands=(operand,)):
            negative = f"-{render(operand, name, _LEVELS['negative'])}"
            return f"-int({negative} // 1)", _LEVELS["negative"]
        case Operation(
            operator="[]",
            operands=(
                listed,
                Operation(
                    operator="-",
                    operands=(Operation(operator="len", operands=(of,)), Constant(value=1)),
                ),
            ),
        ) if of == listed:
            return f"{render(listed, name, _ATOM)}[-1]", _ATOM
        case Operation(operator="[]", operands=(listed, index)):
            return f"{render(listed, name, _ATOM)}[{render(index, name)}]", _ATOM
        case Operation(operator="log2", operands=(operand,)):
            return f"math.log2({render(operand, name)})", _ATOM
        case Operation(operator=function, operands=operands) if function in _FUNCTIONS:
            return f"{function}({', '.join(render(o, name) for o in operands)})", _ATOM
        case Operation(operator="not", operands=(operand,)):
            return f"not {render(operand, name, _LEVELS['not'])}", _LEVELS["not"]
        case Operation(operator="-", operands=(operand,)):
            own = _LEVELS["negative"]
            return f"-{render(operand, name, own)}", own
        case Operation(operator=operator, operands=(left, right)):
            own = _LEVELS[operator]
            # Comparisons do not chain, powers group from the right, and on the right of any other
            # operator the same level needs parentheses, as in `a - (b - c)`.
            is_apart = own in (_LEVELS["=="], _LEVELS["**"])
            first = render(left, name, own + is_apart)
            second = render(right, name, own + 1)
            operator = "//" if operator == "÷" else operator
            if operator == "**" and _SIMPLE.fullmatch(first) and _SIMPLE.fullmatch(second):
                return f"{first}**{second}", own
            return f"{first} {operator} {second}", own
        case _:
            raise AssertionError(form)  # folding leaves out what was not evaluated


def negated(condition: Form) -> Form:
    """The opposite of a condition."""
    match condition:
        case Constant(value=value):
            return Constant.of(not value)
        case Operation(operator="not", operands=(inner,)):
            return inner
        case Operation(operator=operator, operands=operands) if operator in _OPPOSITES:
            return Operation(_OPPOSITES[operator], operands)
        case _:
            return Operation("not", (condition,))


# ── Values ───────────────────────────────────────────────────────────────────────────────────


def literal(value: Any, name: Namer = no_name) -> str:
    """A value as Python writes it, strings in double quotes; a traced number as its form."""
    match value:
        case Traced() | TracedFloat():
            return render(value.form, name)
        case Code():
            return str(value)
        case Product():
            return _product([form_of(factor) for factor in value.factors], name)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case tuple() if whole := whole_of(value):
            # PyTorch takes one number for a size as well: `k` serves calls with either.
            return render(whole, name)
        case tuple():
            inside = ", ".join(literal(one, name) for one in value)
            return f"({inside}{',' * (len(value) == 1)})"
        case float() if value in (float("inf"), float("-inf")):
            return f'float("{value}")'
        case float():
            return _number(value)
        case _:
            return repr(value)


def _product(factors: Sequence[Form], name: Namer) -> str:
    """Factors in a row. After another factor ``h // 2`` needs parentheses, ``2 * n`` does not."""
    first, *rest = factors
    own = _LEVELS["*"]
    texts = [render(first, name, own)]
    texts += (render(factor, name, own + (not _begins_a_product(factor))) for factor in rest)
    return " * ".join(texts)


def _begins_a_product(form: Form) -> bool:
    """Whether what multiplies a form from the left may multiply its first operand instead."""
    match form:
        case Operation(operator="*", operands=(left, _)):
            return _begins_a_product(left)
        case Operation(operator="//" | "÷" | "/" | "%"):
            return False
        case _:
            return True


def _number(value: float) -> str:
    """A float as ruff formats it: ``1e-5``."""
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    return f"{mantissa}e{int(exponent)}"


# ── Calls ────────────────────────────────────────────────────────────────────────────────────


def call_doc(call: Call, name: Namer = no_name) -> BracketedDoc:
    """A call, without the arguments that are PyTorch's defaults."""
    items = []
    for arg in call.args:
        prefix = f"{arg.keyword}=" if arg.keyword else ""
        if isinstance(arg.value, Call):
            items.append(DocItem(call_doc(arg.value, name), prefix))
        elif not _is_default(arg):
            items.append(DocItem(_value_doc(arg.value, name), prefix))
    doc = bracketed(f"{call.callee}(", items)
    if call.then is None:
        return doc
    return replace(doc, closing=f"{doc.closing}.{flat(call_doc(call.then, name))}")


def _value_doc(value: Any, name: Namer) -> Doc:
    if isinstance(value, (Call, InfixCode)):
        return joined_doc(value, name)
    if isinstance(value, tuple) and value and isinstance(value[0], (Code, Call)):
        return bracketed("(", [DocItem(_value_doc(part, name)) for part in value])
    return Verbatim(literal(value, name))


def _is_default(arg: Arg) -> bool:
    if arg.default is None or isinstance(arg.value, (Traced, TracedFloat)):
        return False
    if isinstance(arg.value, tuple) and any(isinstance(one, Traced) for one in arg.value):
        return False
    return bool(arg.value == arg.default)


def joined_doc(merged: Call | InfixCode, name: Namer = no_name) -> Doc:
    """The expression that joins branches."""
    if isinstance(merged, InfixCode):
        return ChainedDoc(merged.operator, tuple(_value_doc(one, name) for one in merged.operands))
    return call_doc(merged, name)
