"""What a program means, elaborated a second time: the layers of each network and their inputs.

States are immutable, so that a statement can be tried and thrown away while a program grows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from programs import tree
from programs.layers import (
    FLAGS,
    LETTERS,
    POSITIONS,
    VARIADIC,
    Illegal,
    Volume,
    convert,
    infer,
    need,
)
from programs.tree import Expr

#: The layers of one network; more take too long to run.
MAX_NODES = 70
MAX_ELEMENTS = 6000


class Node(NamedTuple):
    """A layer in place. ``args`` are those that the program gives."""

    word: str
    args: Mapping[str, Any]
    inputs: tuple[int, ...]
    volume: Volume
    head: int | None
    #: The layer whose module it runs again.
    shares: int | None = None


class Run(NamedTuple):
    """A statement with a name, where it began, and the layers that it placed."""

    step: tree.Step
    state: State
    first: int
    last: int
    #: Whether a part inside has no layers, so that its name stands for what flows in.
    is_hollow: bool


class State(NamedTuple):
    """Where a chain stands, and what is in sight."""

    node: int
    volume: Volume
    values: Mapping[str, Any] = MappingProxyType({})
    #: A part's node and volume; None for a head, whose result cannot be referred to.
    parts: Mapping[str, tuple[int, Volume] | None] = MappingProxyType({})
    #: The parts of this scope, which cannot be named again in it.
    own: frozenset[str] = frozenset()
    #: The parts of this scope that can run again.
    runs: Mapping[str, Run] = MappingProxyType({})


def is_reserved(word: str) -> bool:
    """Whether the language uses a word itself: ``s2`` and ``x2`` are arguments everywhere."""
    return word in reserved() or re.fullmatch(r"[spgd]\d+(x\d+)*|x\d+", word) is not None


@cache
def reserved() -> frozenset[str]:
    """The words that cannot name something, but for layers at parts that begin with them."""
    listed = (
        "network block use let if else expect and or not true false min max aux init train reuse"
    )
    words = f"{listed} H W C same ceil nobias".split()
    return frozenset([*words, *_layers()])


@cache
def _layers() -> frozenset[str]:
    more = "id flatten gap gmp bn ln in scale crop concat add mul".split()
    more += "relu relu6 silu hardswish hardsigmoid sigmoid tanh leakyrelu elu gelu".split()
    return frozenset([*POSITIONS, *more, "softmax", "prelu"])


class Machine:
    """Runs statements, and keeps the layers that they place."""

    def __init__(self, blocks: Mapping[str, tree.Block], values: Mapping[str, Any]) -> None:
        self.blocks = blocks
        self.globals = values
        self.nodes: list[Node] = []
        self.calls: list[str] = []
        self.head: int | None = None
        self.heads: list[int] = []
        self.init: tree.Init | None = None
        #: The volumes behind each statement, by identity.
        self.seen: dict[int, set[Volume]] = {}
        self.max_nodes = MAX_NODES
        #: How many parts with a name have placed no layer.
        self.hollow = 0

    def start(
        self,
        volume: Volume,
        values: Mapping[str, Any],
        named: tuple[tuple[str, Volume], ...] = (),
    ) -> State:
        """Where a network begins: its inputs are parts where they have names."""
        if not named:
            return State(self._add("input", {}, (), volume), volume, values)
        parts: dict[str, tuple[int, Volume] | None] = {}
        for label, size in named:
            need(label not in parts and label not in values, "a name given twice")
            need(not is_reserved(label), "a reserved name")
            parts[label] = (self._add("input", {}, (), size), size)
        return State(0, volume, values, parts, frozenset(parts))

    def _add(self, word: str, args: dict[str, Any], inputs: tuple[int, ...], out: Volume) -> int:
        need(len(self.nodes) < self.max_nodes, "too many layers")
        elements = 1
        for size in out:
            elements *= size
        need(elements <= MAX_ELEMENTS, "too large")
        self.nodes.append(Node(word, args, inputs, out, self.head))
        return len(self.nodes) - 1

    # ── Statements ───────────────────────────────────────────────────────────────────────────

    def body(self, body: tree.Body, state: State, is_trunk: bool) -> State:
        """The chain inside braces: its values are gone behind them, its parts are not."""
        _need_statements(body)
        return self.chain(body, state, is_trunk)._replace(values=state.values)

    def chain(self, body: tree.Body, state: State, is_trunk: bool) -> State:
        for statement in body:
            state = self.statement(statement, state, is_trunk)
        return state

    def statement(self, statement: tree.Statement, state: State, is_trunk: bool) -> State:
        match statement:
            case tree.Let():
                need(statement.name not in state.parts, "a part of this name")
                return self._define(statement.name, evaluate(statement.value, state), state)
            case tree.If():
                _need_statements(statement.then)
                if isinstance(statement.otherwise, tuple):
                    _need_statements(statement.otherwise)
                test = evaluate(statement.test, state)
                need(isinstance(test, bool), "a condition")
                if test:
                    return self.body(statement.then, state, is_trunk)
                if isinstance(statement.otherwise, tree.If):
                    return self.statement(statement.otherwise, state, is_trunk)
                if statement.otherwise is not None:
                    return self.body(statement.otherwise, state, is_trunk)
                return state
            case tree.InitAll():
                need(is_trunk and not self.calls and self.init is None, "init")
                self.init = statement.init
                return state
            case tree.Step():
                return self._step(statement, state, is_trunk)

    def _define(self, name: str, value: Any, state: State) -> State:
        need(not is_reserved(name) and name not in state.values, "a value of this name")
        return state._replace(values={**state.values, name: value})

    def _step(self, step: tree.Step, state: State, is_trunk: bool) -> State:
        label = step.label
        need(bool(step.atoms), "an empty statement")
        if label:
            need(label not in state.own and label not in state.values, "a name given twice")
            word = step.atoms[0].word if isinstance(step.atoms[0], tree.Layer) else None
            need(not is_reserved(label) or (label == word != "id"), "a reserved name")
        copies = 1
        if step.repeat is not None:
            copies = evaluate(step.repeat, state)
            need(isinstance(copies, int) and not isinstance(copies, bool), "a whole count")
            need(copies >= (1 if label or step.repeat.op == "num" else 0), "a count below 1")
            need(copies <= 5, "many copies")
            need(copies < 2 or label is not None or not _has_labels(step.atoms), "labels in copies")
        is_reuse = isinstance(step.atoms[0], tree.Reuse)
        need(not is_reuse or len(step.atoms) == 1, "layers behind a reuse")
        has_scope = (label is not None and not is_reuse) and (
            step.repeat is not None
            or any(isinstance(atom, (tree.Group, tree.Merge)) for atom in step.atoms)
        )
        after = state
        is_head = isinstance(step.atoms[0], tree.Head)
        first, hollow = len(self.nodes), self.hollow
        for _ in range(copies):
            inner = after
            if has_scope:
                inner = after._replace(own=frozenset(), parts=state.parts, runs={})
            for atom in step.atoms:
                inner = self._atom(atom, inner, is_trunk and not has_scope)
            if has_scope:
                inner = inner._replace(own=state.own, parts=state.parts, runs=state.runs)
            after = inner._replace(values=state.values)
        self.seen.setdefault(id(step), set()).add(after.volume)
        need(step.claim is None or step.claim == after.volume, "a claim")
        if label:
            found = None if is_head else (after.node, after.volume)
            after = after._replace(parts={**after.parts, label: found}, own=after.own | {label})
            if len(self.nodes) == first:
                self.hollow += 1
            elif not is_head and not is_reuse:
                run = Run(step, state, first, len(self.nodes), self.hollow > hollow)
                after = after._replace(runs={**after.runs, label: run})
        return after

    def _atom(self, atom: tree.Atom, state: State, is_trunk: bool) -> State:
        match atom:
            case tree.Layer():
                args = bind(atom, state)
                if atom.word == "id":
                    return state
                return self._place(atom.word, args, (state,), state)
            case tree.Call():
                return self._call(atom, state)
            case tree.Merge():
                ends, inner = [], state
                for branch in atom.branches:
                    _need_statements(branch)
                    start = inner._replace(node=state.node, volume=state.volume)
                    inner = self.chain(branch, start, False)._replace(values=state.values)
                    ends.append(inner)
                need(len(ends) > 1, "one branch")
                return self._place(atom.word, {}, tuple(ends), inner)
            case tree.Group():
                return self.body(atom.body, state, is_trunk)
            case tree.Recall():
                return self._referenced(atom.part, state)
            case tree.Crop():
                need(len(state.volume) == 3, "crop needs an image")
                source = self._referenced(atom.part, state)
                args = {"height": state.volume[0], "width": state.volume[1]}
                return self._place("crop", args, (source,), state)
            case tree.Reuse():
                run = state.runs.get(atom.part)
                need(run is not None, "nothing to run again")
                assert run is not None
                return self._again(run, state)
            case tree.Head():
                need(is_trunk and not self.calls, "a head in here")
                return self._head(atom, state)

    def _place(
        self, word: str, args: dict[str, Any], inputs: tuple[State, ...], state: State
    ) -> State:
        volume = infer(word, args, tuple(source.volume for source in inputs))
        node = self._add(word, args, tuple(source.node for source in inputs), volume)
        return state._replace(node=node, volume=volume)

    def _referenced(self, part: str, state: State) -> State:
        found = state.parts.get(part)
        need(found is not None and part not in reserved(), "no such part")
        assert found is not None
        return state._replace(node=found[0], volume=found[1])

    def _again(self, run: Run, state: State) -> State:
        """A statement once more, from where it began but behind another layer.

        It must place the same layers. What a part without layers stands for would be unclear.
        """
        need(not run.is_hollow, "a hollow part")
        first = len(self.nodes)
        start = run.state._replace(node=state.node, volume=state.volume)
        end = self._step(run.step, start, False)
        olds, news = self.nodes[run.first : run.last], self.nodes[first:]
        need(len(olds) == len(news), "other layers")
        for index, (old, new) in enumerate(zip(olds, news, strict=True)):
            need((old.word, old.args) == (new.word, new.args), "another layer")
            pairs = zip(old.inputs, new.inputs, strict=True)
            need(all(_fits(old, *self._volumes(pair)) for pair in pairs), "another module")
            owner = run.first + index if old.shares is None else old.shares
            self.nodes[first + index] = new._replace(shares=owner, head=self.head)
        return state._replace(node=end.node, volume=end.volume)

    def _volumes(self, nodes: tuple[int, ...]) -> tuple[Volume, ...]:
        return tuple(self.nodes[node].volume for node in nodes)

    def _head(self, head: tree.Head, state: State) -> State:
        self.head = len(self.heads)
        self.heads.append(-1)
        inner = state._replace(own=frozenset(), runs={})
        end = self.body(head.body, inner, False)
        need(end.node != state.node, "an empty head")
        self.heads[self.head], self.head = end.node, None
        return state

    def _call(self, call: tree.Call, state: State) -> State:
        block = self.blocks.get(call.block)
        need(block is not None, "no such block")
        assert block is not None
        need(block.name not in self.calls, "a block in itself")
        values = bind_formals(block.formals, call.args, state, self.globals)
        self.calls.append(block.name)
        try:
            end = self.body(block.body, State(state.node, state.volume, values), False)
        finally:
            self.calls.pop()
        return state._replace(node=end.node, volume=end.volume)


#: Layers whose module is the same for all heights and widths, `same` with a stride apart.
_FREE = frozenset(
    "conv maxpool avgpool gap gmp bn dropout upsample concat add mul "
    "relu relu6 silu hardswish hardsigmoid sigmoid tanh leakyrelu elu gelu".split()
)


def _fits(node: Node, before: Volume, now: Volume) -> bool:
    """Whether a layer for one volume is the same module as for another; no in doubt."""
    if before == now:
        return True
    is_plain = node.args.get("padding") != "same" or node.args.get("stride") in (1, (1, 1))
    is_pool = node.word in ("maxpool", "avgpool")
    return (
        node.word in _FREE
        and len(before) == len(now)
        and before[-1] == now[-1]
        and (is_plain or (node.word == "conv" and "stride" not in node.args and not is_pool))
    )


def _need_statements(body: tree.Body) -> None:
    steps = [s for s in body if isinstance(s, (tree.Step, tree.If))]
    need(bool(steps), "empty braces")
    need(all(isinstance(s, tree.If) or s.atoms for s in steps), "an empty statement")


def _has_labels(atoms: tuple[tree.Atom, ...]) -> bool:
    """Whether braces name something; branches of `if` are not looked into by the language."""
    bodies = [
        body
        for atom in atoms
        for body in (
            atom.branches
            if isinstance(atom, tree.Merge)
            else [atom.body]
            if isinstance(atom, (tree.Group, tree.Head))
            else []
        )
    ]
    return any(map(_names_something, bodies))


def _names_something(body: tree.Body) -> bool:
    for statement in body:
        match statement:
            case tree.Step():
                if statement.label or _has_labels(statement.atoms):
                    return True
            case tree.If():
                other = statement.otherwise
                if _names_something(statement.then):
                    return True
                if other and _names_something((other,) if isinstance(other, tree.If) else other):
                    return True
    return False


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
    optional = {"out_channels", "size"} | ({"p"} if layer.word == "dropout" else set())
    need(all(p in args or p in optional for p in places), "an argument is missing")
    init = args.get("init")
    need(not (init and init.bias and args.get("bias") is False), "no bias to start")
    return args


def bind_formals(
    formals: tuple[tree.Formal, ...],
    args: tuple[tree.Argument, ...],
    state: State,
    outer: Mapping[str, Any],
    has_volume: bool = True,
) -> dict[str, Any]:
    """The values of parameters for one call."""
    given: dict[str, tree.Argument] = {}
    for index, argument in enumerate(args):
        need(argument.keyword is not None or index < len(formals), "too many arguments")
        key = argument.keyword or formals[index].name
        need(key not in given, "given twice")
        given[key] = argument
    need(given.keys() <= {formal.name for formal in formals}, "no such parameter")
    values = dict(outer)
    for formal in formals:
        found = given.get(formal.name)
        pairs: list[tuple[str, Any]]
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
    return values


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
        case "and" | "or", (left, right):
            first = _truth(left, state)
            return first if first == (expr.op == "or") else _truth(right, state)
        case "not", (operand,):
            return not _truth(operand, state)
        case "==" | "!=", (left, right):
            is_equal = evaluate(left, state) == evaluate(right, state)
            return is_equal == (expr.op == "==")
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


# ── Files ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Meaning:
    """One network of a file."""

    name: str
    machine: Machine
    end: State
    #: The layers behind the outputs that have names.
    outputs: tuple[tuple[str, int], ...] = ()


def run(program: tree.Program) -> list[Meaning]:
    """All networks of a file, as the language defines them. Errors: ``Illegal``."""
    blocks: dict[str, tree.Block] = {}
    values: dict[str, Any] = {}
    families: dict[str, tree.Network] = {}
    names: set[str] = set()
    for item in program.items:
        match item:
            case tree.Let():
                need(item.name not in values and not is_reserved(item.name), "a value twice")
                values[item.name] = evaluate(item.value, State(0, (), values))
            case tree.Block():
                need(item.name not in blocks and not is_reserved(item.name), "a block twice")
                _check_formals(item.formals)
                _need_statements(item.body)
                blocks[item.name] = item
            case tree.Network() | tree.Member():
                need(item.name not in names, "a network twice")
                names.add(item.name)
                if isinstance(item, tree.Network) and item.formals:
                    _check_formals(item.formals)
                    families[item.name] = item
    found = []
    for item in program.items:
        match item:
            case tree.Network() if all(formal.default for formal in item.formals):
                found.append(run_network(item, item.name, (), blocks, values))
            case tree.Member():
                need(item.family in families, "no such family")
                family = families[item.family]
                meaning = run_network(family, item.name, item.args, blocks, values)
                for statement in item.body:
                    assert isinstance(statement, tree.InitAll)
                    meaning.machine.init = statement.init
                found.append(meaning)
    need(bool(found), "no network")
    return found


def run_network(
    network: tree.Network,
    name: str,
    args: tuple[tree.Argument, ...],
    blocks: Mapping[str, tree.Block],
    values: Mapping[str, Any],
    checks_output: bool = True,
) -> Meaning:
    """One network, or one member of a family."""
    machine = Machine(blocks, values)
    outside = State(0, (), values)
    bound = bind_formals(network.formals, args, outside, values, has_volume=False)
    header = State(0, (), bound)
    named = tuple((label, _volume(evaluate(given, header))) for label, given in network.inputs)
    first = named[0][1] if named else _volume(evaluate(network.input, header))
    state = machine.start(first, bound, named)
    inputs = len(machine.nodes)
    end = machine.body(network.body, state, True)
    if network.outputs:
        return Meaning(name, machine, end, _outputs(network, machine, end, header, inputs))
    if checks_output:
        need(end.volume == _volume(evaluate(network.output, header)), "another output")
    need(end.node >= inputs, "no layer")
    return Meaning(name, machine, end)


def _outputs(
    network: tree.Network, machine: Machine, end: State, header: State, inputs: int
) -> tuple[tuple[str, int], ...]:
    """The layers behind the outputs that have names."""
    need(not machine.heads, "heads beside named outputs")
    labels = [label for label, _ in network.outputs]
    need(len(set(labels)) == len(labels), "an output twice")
    found = []
    for label, volume in network.outputs:
        part = end.parts.get(label)
        need(label in end.own and part is not None, "no such output")
        assert part is not None
        need(part[0] >= inputs, "an input")
        need(part[1] == _volume(evaluate(volume, header)), "another output")
        found.append((label, part[0]))
    return tuple(found)


def _volume(value: Any) -> Volume:
    sizes = value if isinstance(value, tuple) else (value,)
    need(len(sizes) in (1, 3), "no volume")
    need(all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in sizes), "no volume")
    return sizes


def _check_formals(formals: tuple[tree.Formal, ...]) -> None:
    names = [n for formal in formals for n in (formal.name, formal.pair) if n]
    need(len(set(names)) == len(names) and not any(map(is_reserved, names)), "parameters")
    need(not any(formal.pair and formal.default for formal in formals), "a pair has no default")


__all__ = ["Illegal", "Machine", "Meaning", "Node", "State", "evaluate", "run", "run_network"]
