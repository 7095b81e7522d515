"""What arguments, names and expressions mean, said once more from docs/language.md."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from programs import tree
from programs.expressions import Expr, name
from programs.layers import (
    ACTIVATIONS,
    FLAGS,
    LETTERS,
    MERGES,
    POSITIONS,
    VARIADIC,
    Volume,
    convert,
    need,
)


class Listed(tuple[Any, ...]):
    """A list; a plain tuple is a size."""


class GivenLayer(NamedTuple):
    """A layer that is given for a parameter."""

    word: str
    args: dict[str, Any]


class Bound(NamedTuple):
    """What the parameters of a call stand for."""

    values: Mapping[str, Any]
    words: Mapping[str, Any]
    parts: Mapping[str, Any]


class Run(NamedTuple):
    """A statement with a name, where it began, and the layers that it placed."""

    step: tree.Step | tree.For
    state: State
    first: int
    last: int
    #: Whether a name inside stands for what flows in, so that a second run would be unclear.
    is_unclear: bool


class State(NamedTuple):
    """Where a chain stands, and what is in sight."""

    node: int
    volume: Volume
    values: Mapping[str, Any] = MappingProxyType({})
    #: A part's node and volume; None for a head, whose result cannot be referred to.
    parts: Mapping[str, tuple[int, Volume] | None] = MappingProxyType({})
    #: The parts of this scope, which cannot be named again in it.
    own: frozenset[str] = frozenset()
    #: The blocks and layers given for parameters.
    words: Mapping[str, tree.Block | GivenLayer] = MappingProxyType({})
    #: The parts of this scope that can run again.
    runs: Mapping[str, Run] = MappingProxyType({})


def is_reserved(word: str) -> bool:
    """Whether the language uses a word itself: ``s2`` and ``x2`` are arguments everywhere."""
    return word in reserved() or is_argument(word)


def is_argument(word: str) -> bool:
    """Whether a word looks like an argument, and can yet name a part."""
    return re.fullmatch(r"[spgd]\d+(x\d+)*|x\d+", word) is not None


@cache
def reserved() -> frozenset[str]:
    """The words that cannot name something, but for layers at parts that begin with them."""
    listed = "network block use let if else expect and or not true false min max aux init train"
    listed += " for phrase reuse"
    words = f"{listed} H W C same ceil nobias".split()
    return frozenset([*words, *_layers()])


@cache
def _layers() -> frozenset[str]:
    more = "id flatten gap gmp bn ln in scale crop layerscale pixelunshuffle".split()
    return frozenset([*POSITIONS, *MERGES, *ACTIVATIONS, *more])


# ── Arguments ────────────────────────────────────────────────────────────────────────────────


def bind(layer: tree.Layer, state: State) -> dict[str, Any]:
    """The arguments of a layer by the names of its fields."""
    args: dict[str, Any] = {}
    places = POSITIONS.get(layer.word, ())
    if layer.word in VARIADIC:
        given = [(places[0], tuple(evaluate(arg, state) for arg in layer.args))]
    else:
        need(len(layer.args) <= len(places), "too many arguments")
        given = [
            (place, evaluate(arg, state)) for place, arg in zip(places, layer.args, strict=False)
        ]
    for key, value in layer.settings:
        if value is None:
            given.append(FLAGS[key])
        elif isinstance(value, Expr):
            given.append((key, evaluate(value, state)))
        else:
            given.append((LETTERS.get(key, key), value))
    for key, value in given:
        need(key not in args, "given twice")
        args[key] = convert(key, value)
    optional = {"out_channels", "size", "stop"} | ({"p"} if layer.word == "dropout" else set())
    need(all(p in args or p in optional for p in places), "an argument is missing")
    init = args.get("init")
    need(not (init and init.bias and args.get("bias") is False), "no bias to start")
    return args


def bind_formals(
    formals: tuple[tree.Formal, ...],
    args: tuple[tree.Argument, ...],
    state: State,
    outer: Mapping[str, Any],
    blocks: Mapping[str, tree.Block],
    has_volume: bool = True,
) -> Bound:
    """What parameters stand for in one call."""
    given: dict[str, tree.Argument] = {}
    for index, argument in enumerate(args):
        need(argument.keyword is not None or index < len(formals), "too many arguments")
        key = argument.keyword or formals[index].name
        need(key not in given, "given twice")
        given[key] = argument
    need(given.keys() <= {formal.name for formal in formals}, "no such parameter")
    values = dict(outer)
    words: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for formal in formals:
        found = given.get(formal.name)
        pairs: list[tuple[str, Any]]
        if formal.kind is not None:
            need(not is_reserved(formal.name), "a reserved name")
            home = State(state.node, state.volume if has_volume else (), values, words=words)
            word = found.value if found else formal.default
            assert word is not None or formal.default is None
            need(word is not None, "an argument is missing")
            assert word is not None
            need(found is None or found.pair is None, "a pair")
            bound = _given(formal.kind, word, state if found else home, blocks)
            (parts if formal.kind == "part" else words)[formal.name] = bound
            continue
        if found is None:
            need(formal.default is not None, "an argument is missing")
            assert formal.default is not None
            inside = State(state.node, state.volume if has_volume else (), values)
            pairs = [(formal.name, evaluate(formal.default, inside))]
        else:
            need((found.pair is None) == (formal.pair is None), "a pair")
            pairs = [(formal.name, evaluate(found.value, state))]
            if formal.pair and found.pair:
                pairs.append((formal.pair, evaluate(found.pair, state)))
        for key, value in pairs:
            need(key not in values and not is_reserved(key), "a value of this name")
            values[key] = value
    return Bound(values, words, parts)


def _given(kind: str, word: Expr, state: State, blocks: Mapping[str, tree.Block]) -> Any:
    """The block, the layer or the part that an argument names."""
    name = word.args[0] if word.op == "word" else None
    if kind == "block":
        found = state.words.get(name) if isinstance(name, str) else None
        block = found if isinstance(found, tree.Block) else blocks.get(str(name))
        need(block is not None, "no such block")
        return block
    if kind == "part":
        part = state.parts.get(str(name))
        need(part is not None, "no such part")
        return part
    if isinstance(name, str):
        found = state.words.get(name)
        need(isinstance(found, GivenLayer), "no such layer")
        return found
    layer = word.args[0]
    need(isinstance(layer, tree.Layer), "a layer")
    assert isinstance(layer, tree.Layer)
    return GivenLayer(layer.word, bind(layer, state))


def evaluate(expr: Expr, state: State) -> Any:
    """The value of an expression. Errors: ``Illegal``."""
    match expr.op, expr.args:
        case "num", (value,):
            return value
        case "name", (word,):
            if word in ("H", "W", "C"):
                need(bool(state.volume), "no volume here")
                need(word == "C" or len(state.volume) == 3, "the volume is a vector")
                return state.volume["HWC".index(word) if len(state.volume) == 3 else 0]
            need(word in state.values, "no such value")
            return state.values[word]
        case "list", items:
            listed = Listed(evaluate(item, state) for item in items)  # type: ignore[arg-type]
            need(not any(isinstance(item, Listed) for item in listed), "a list in a list")
            return listed
        case "[]", (word, index):
            listed = _listed(name(str(word)), state)
            number = evaluate(index, state)  # type: ignore[arg-type]
            need(type(number) is int and 0 <= number < len(listed), "no such element")
            return listed[number]
        case "len", (operand,):
            return len(_listed(operand, state))
        case "sum", (operand,):
            listed = _listed(operand, state)
            need(all(type(item) in (int, float) for item in listed), "numbers")
            return sum(listed)
        case "and" | "or", (left, right):
            first = _truth(left, state)
            return first if first == (expr.op == "or") else _truth(right, state)
        case "not", (operand,):
            return not _truth(operand, state)
        case "==" | "!=", (left, right):
            is_equal = evaluate(left, state) == evaluate(right, state)
            return is_equal == (expr.op == "==")
    need(expr.op not in ("word", "layer"), "no value")
    numbers = [_number(arg, state) for arg in expr.args]
    match expr.op, numbers:
        case "min" | "max" as function, _:
            chosen = min(numbers) if function == "min" else max(numbers)
            return float(chosen) if float in map(type, numbers) else chosen
        case "floor", [a]:
            return math.floor(a)
        case "ceil", [a]:
            return math.ceil(a)
        case "round", [a]:
            return round(a)
        case "neg", [a]:
            return -a
        case "log2", [a]:
            need(a > 0, "no logarithm")
            return math.log2(a)
        case "size", _:
            need(all(type(n) is int and n >= 0 for n in numbers) and len(numbers) > 1, "a size")
            return tuple(numbers)
        case "round_to", [a, b]:
            need(type(a) is int and a > 0 < b, "round_to")
            nearest = max(a, a * int(b / a + 0.5))
            return nearest + a if nearest < 0.9 * b else nearest
        case _, [a, b]:
            return _operate(expr.op, a, b)
    raise AssertionError(expr)


def _operate(op: str, a: float, b: float) -> Any:
    need(op not in ("/", "//", "%") or b != 0, "division by zero")
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "//":
            return a // b
        case "%":
            return a % b
        case "**":
            need(a != 0 and (a > 0 or float(b).is_integer()), "no such power")
            need(abs(b) < 12 and abs(a) < 60, "a large power")
            return a**b
        case "/" if isinstance(a, int) and isinstance(b, int):
            need(a % b == 0, "a rest")
            return a // b
        case "/":
            return a / b
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
        case ">=":
            return a >= b
    raise AssertionError(op)


def _listed(expr: object, state: State) -> Listed:
    assert isinstance(expr, Expr)
    value = evaluate(expr, state)
    need(isinstance(value, Listed), "a list")
    assert isinstance(value, Listed)
    return value


def _truth(expr: object, state: State) -> bool:
    assert isinstance(expr, Expr)
    value = evaluate(expr, state)
    need(isinstance(value, bool), "a condition")
    return bool(value)


def _number(expr: object, state: State) -> Any:
    assert isinstance(expr, Expr)
    value = evaluate(expr, state)
    need(isinstance(value, (int, float)) and not isinstance(value, bool), "a number")
    return value
