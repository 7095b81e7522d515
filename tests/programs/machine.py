"""What statements mean, elaborated a second time: the layers that they place, and their inputs.

States are immutable, so that a statement can be tried and thrown away while a program grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from programs import tree
from programs.layers import Volume, infer, need
from programs.values import (
    GivenLayer,
    Listed,
    Run,
    State,
    bind,
    bind_formals,
    evaluate,
    is_reserved,
    reserved,
)

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
        #: What flowed into the blocks that were given it as a part, too.
        self.echoes: list[int] = []

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
        need_statements(body)
        return self.chain(body, state, is_trunk)._replace(values=state.values)

    def chain(self, body: tree.Body, state: State, is_trunk: bool) -> State:
        for statement in body:
            state = self.statement(statement, state, is_trunk)
        return state

    def statement(self, statement: tree.Statement, state: State, is_trunk: bool) -> State:
        match statement:
            case tree.Let():
                return self._define(statement.name, evaluate(statement.value, state), state)
            case tree.If():
                need_statements(statement.then)
                if isinstance(statement.otherwise, tuple):
                    need_statements(statement.otherwise)
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
            case tree.Step() | tree.For():
                return self._step(statement, state, is_trunk)

    def _define(self, name: str, value: Any, state: State) -> State:
        need(name not in state.parts and name not in state.words, "a part of this name")
        need(not is_reserved(name) and name not in state.values, "a value of this name")
        return state._replace(values={**state.values, name: value})

    def _step(self, step: tree.Step | tree.For, state: State, is_trunk: bool) -> State:
        label = self._label(step, state)
        is_reuse = isinstance(step, tree.Step) and isinstance(step.atoms[0], tree.Reuse)
        need(not (is_reuse and len(step.atoms) > 1), "layers behind a reuse")
        turns = self._turns(step, state)
        need(len(turns) >= bool(label), "no copies of a part")
        need(len(turns) <= 5, "many copies")
        need(len(turns) < 2 or label is not None or not _has_labels(step), "labels in copies")
        has_scope = label is not None and not is_reuse and self._has_scope(step, state)
        after = state
        is_head = isinstance(step, tree.Step) and isinstance(step.atoms[0], tree.Head)
        first, hollow, echoes = len(self.nodes), self.hollow, len(self.echoes)
        for value in turns:
            inner = after
            if has_scope:
                inner = after._replace(own=frozenset(), parts=state.parts, runs={})
            if isinstance(step, tree.For):
                need_statements(step.body)
                inner = self._define(step.name, value, inner)
                inner = self.chain(step.body, inner, is_trunk and not has_scope)
            else:
                for atom in step.atoms:
                    inner = self._atom(atom, inner, is_trunk and not has_scope)
            if has_scope:
                inner = inner._replace(own=state.own, parts=state.parts, runs=state.runs)
            after = inner._replace(values=state.values)
        if isinstance(step, tree.For):
            self._define(step.name, None, state)
        else:
            self.seen.setdefault(id(step), set()).add(after.volume)
            need(step.claim is None or step.claim == after.volume, "a claim")
        if label:
            found = None if is_head else (after.node, after.volume)
            after = after._replace(parts={**after.parts, label: found}, own=after.own | {label})
            if len(self.nodes) == first:
                self.hollow += 1
            elif not is_head and not is_reuse:
                # A block that was given what flows into it as a part cannot run again, unless
                # the part that runs again has made that itself.
                echoed = any(node < first for node in self.echoes[echoes:])
                run = Run(step, state, first, len(self.nodes), self.hollow > hollow or echoed)
                after = after._replace(runs={**after.runs, label: run})
        return after

    def _label(self, step: tree.Step | tree.For, state: State) -> str | None:
        """The name of a part; one in quotes with its values."""
        if isinstance(step, tree.Step):
            need(bool(step.atoms), "an empty statement")
        label = step.label
        if isinstance(label, tree.Quoted):
            need(len(label.texts) == len(label.values) + 1, "texts between values")
            values = [evaluate(value, state) for value in label.values]
            need(all(type(value) is int for value in values), "a whole number in a name")
            texts = zip(map(str, values), label.texts[1:], strict=True)
            name = label.texts[0] + "".join(value + text for value, text in texts)
            need(name.isidentifier() and name.isascii() and name[0] != "_", "a name")
        elif label is None:
            return None
        else:
            name = label
            first = step.atoms[0] if isinstance(step, tree.Step) else None
            word = first.word if isinstance(first, tree.Layer) else None
            need(name not in reserved() or (name == word != "id"), "a reserved name")
        need(name not in state.own and name not in state.values, "a name given twice")
        need(name not in state.words, "a name given twice")
        return name

    def _turns(self, step: tree.Step | tree.For, state: State) -> list[Any]:
        """One value for each copy of a statement."""
        if isinstance(step, tree.For):
            if isinstance(step.values, tree.Range):
                start, stop = (evaluate(e, state) for e in (step.values.start, step.values.stop))
                need(type(start) is type(stop) is int and start <= stop, "a range")
                return list(range(start, stop))
            values = evaluate(step.values, state)
            need(isinstance(values, Listed), "a list")
            return list(values)
        if step.repeat is None:
            return [None]
        copies = evaluate(step.repeat, state)
        need(type(copies) is int, "a whole count")
        need(copies >= (1 if step.label or step.repeat.op == "num" else 0), "a count below 1")
        need(copies <= 5, "many copies")
        return [None] * copies

    def _has_scope(self, step: tree.Step | tree.For, state: State) -> bool:
        """Whether names inside a statement that has a name are its own."""
        if isinstance(step, tree.For) or step.repeat is not None:
            return True
        for atom in step.atoms:
            if isinstance(atom, (tree.Group, tree.Merge)):
                return True
            if isinstance(atom, tree.Call):
                block = self._block(atom.block, state)
                if block is not None and block.is_phrase:
                    return True
        return False

    def _block(self, name: str, state: State) -> tree.Block | None:
        """The block of a name: one that is given, or one of the file."""
        given = state.words.get(name)
        return given if isinstance(given, tree.Block) else self.blocks.get(name)

    def _atom(self, atom: tree.Atom, state: State, is_trunk: bool) -> State:
        match atom:
            case tree.Layer():
                args = bind(atom, state)
                if atom.word == "id":
                    return state
                return self._place(atom.word, args, (state,), state)
            case tree.Call():
                return self._call(atom, state)
            case tree.Given():
                given = state.words.get(atom.word)
                need(isinstance(given, GivenLayer), "no layer")
                assert isinstance(given, GivenLayer)
                if given.word == "id":
                    return state
                return self._place(given.word, given.args, (state,), state)
            case tree.Merge():
                ends, inner = [], state
                for branch in atom.branches:
                    need_statements(branch)
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
                args = {"sizes": state.volume[:-1]}
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
        need(found is not None and not is_reserved(part), "no such part")
        assert found is not None
        return state._replace(node=found[0], volume=found[1])

    def _again(self, run: Run, state: State) -> State:
        """A statement once more, from where it began but behind another layer.

        It must place the same layers. What a part without layers stands for would be unclear.
        """
        need(not run.is_unclear, "an unclear part")
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
        block = self._block(call.block, state)
        need(block is not None, "no such block")
        assert block is not None
        need(block.name not in self.calls, "a block in itself")
        bound = bind_formals(block.formals, call.args, state, self.globals, self.blocks)
        inner = State(state.node, state.volume, bound.values, bound.parts, frozenset(bound.parts))
        if not block.is_phrase and state.node in [part[0] for part in bound.parts.values()]:
            self.echoes.append(state.node)
        self.calls.append(block.name)
        try:
            end = self.body(block.body, inner._replace(words=bound.words), False)
        finally:
            self.calls.pop()
        state = state._replace(node=end.node, volume=end.volume)
        if not block.is_phrase:
            return state
        # The names in a phrase belong to the scope around its call.
        own = end.own - bound.parts.keys()
        taken = {*state.own, *state.values, *state.words}
        need(not own & taken, "a name given twice")
        parts = {name: end.parts[name] for name in own}
        return state._replace(
            parts={**state.parts, **parts}, own=state.own | own, runs={**state.runs, **end.runs}
        )


#: Layers whose module is the same for all heights and widths, `same` with a stride apart.
_FREE = frozenset(
    "conv maxpool avgpool gap gmp bn dropout upsample concat add mul "
    "relu relu6 silu hardswish hardsigmoid sigmoid tanh leakyrelu elu gelu "
    "sub max selu mish softplus hardtanh".split()
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


def need_statements(body: tree.Body) -> None:
    """Braces must hold something that can place a layer."""
    steps = [s for s in body if isinstance(s, (tree.Step, tree.If, tree.For))]
    need(bool(steps), "empty braces")
    need(not any(isinstance(s, tree.Step) and not s.atoms for s in steps), "an empty statement")


def _has_labels(step: tree.Step | tree.For) -> bool:
    """Whether braces name something that is named alike in each copy."""
    if isinstance(step, tree.For):
        return _names_something(step.body)
    bodies = [
        body
        for atom in step.atoms
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
            case tree.Step() | tree.For():
                label = statement.label
                if isinstance(label, tree.Quoted) and label.values:
                    continue  # what is inside belongs to that part
                if label or _has_labels(statement):
                    return True
            case tree.If():
                other = statement.otherwise
                if _names_something(statement.then):
                    return True
                if other and _names_something((other,) if isinstance(other, tree.If) else other):
                    return True
    return False
