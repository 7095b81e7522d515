"""Expressions of programs, and their text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_LEVELS = {
    "or": 1,
    "and": 2,
    "not": 3,
    **dict.fromkeys(["==", "!=", "<", "<=", ">", ">="], 4),
    **dict.fromkeys(["+", "-"], 5),
    **dict.fromkeys(["*", "/", "//", "%"], 6),
    "neg": 7,
    "**": 8,
}


FUNCTIONS = ("min", "max", "floor", "ceil", "round", "round_to", "log2", "len", "sum", "size")


@dataclass(frozen=True)
class Expr:
    """``op`` is an operator, one of ``FUNCTIONS``, ``num`` for a literal or ``name``.

    ``list`` has its items, ``[]`` the name of a list and a number. What is no value but an argument
    of a call: ``word`` is the name of a block or a part, ``layer`` a layer with its arguments.
    """

    op: str
    args: tuple[object, ...]

    def __str__(self) -> str:
        return _render(self, 0)


def num(value: float | tuple[int, ...]) -> Expr:
    return Expr("num", (value,))


def name(word: str) -> Expr:
    return Expr("name", (word,))


def _render(expr: Expr, level: int) -> str:
    match expr.op:
        case "num":
            return literal(expr.args[0])
        case "name" | "word":
            return str(expr.args[0])
        case "list":
            return f"[{', '.join(_render(item, 0) for item in expr.args)}]"
        case "[]":
            return f"{expr.args[0]}[{_render(expr.args[1], 0)}]"
        case "layer":
            return _called(expr.args[0])
        case function if function in FUNCTIONS:
            return f"{expr.op}({', '.join(_render(arg, 0) for arg in expr.args)})"
        case "not":
            text = f"not {_render(expr.args[0], 3)}"
        case "neg":
            text = f"-{_render(expr.args[0], 7)}"
        case "**":
            # It groups from the right, and a minus before it is about the whole power.
            text = f"{_render(expr.args[0], 9)}**{_render(expr.args[1], 7)}"
        case op:
            own = _LEVELS[op]
            left, right = expr.args
            # Comparisons are not chained.
            text = f"{_render(left, own + (own == 4))} {op} {_render(right, own + 1)}"
    return f"({text})" if _LEVELS[expr.op] < level else text


def _called(layer: Any) -> str:
    """A layer as an argument: ``relu``, ``leakyrelu(0.1)``, ``bn(eps=0.1)``."""
    settings = [f"{key}={literal(value)}" for key, value in layer.settings]
    inside = [*map(str, layer.args), *settings]
    return f"{layer.word}({', '.join(inside)})" if inside else layer.word


def literal(value: object) -> str:
    """A number, a truth value or a size, as it is written."""
    match value:
        case Expr() | str():
            return str(value)
        case bool():
            return "true" if value else "false"
        case tuple():
            return "x".join(map(str, value))
        case _:
            return repr(value)


def as_atom(expr: Expr) -> str:
    """An expression as an argument: in parentheses where it is more than a word."""
    is_word = expr.op in ("num", "name", "[]") and not str(expr).startswith("-")
    return str(expr) if is_word else f"({expr})"
