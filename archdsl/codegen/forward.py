"""The ``forward`` of a class: one step a line.

The steps are first put into a row of operations on values. A variable is then given to each value,
and written over only when nobody reads what it holds any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeGuard

from archdsl.classplan import (
    ApplyStep,
    ClassPlan,
    CopiesStep,
    ForkStep,
    HeadStep,
    InstanceItem,
    OptionStep,
    ReferenceStep,
    SequentialItem,
    in_row,
)
from archdsl.codegen.expressions import joined_doc
from archdsl.codegen.layout import BracketedDoc, Doc, Verbatim, lay_out
from archdsl.codegen.names import PythonScope
from archdsl.codegen.turns import Turn, Way
from archdsl.layers import MergeLayer
from archdsl.layers.call import Code
from archdsl.network.parts import ReferencePart

_BODY = 2  # levels of indentation of a method's body
#: Variables for branches that are more than one expression.
_LETTERS = "yzuvw"


#: The ways that were taken to a place: by the number of a fork, that of the way.
_Path: TypeAlias = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Moment:
    """A place in the row of operations, on some ways through the forks of an ``if``."""

    index: float
    path: _Path

    def is_before(self, other: _Moment) -> bool:
        """Whether the other comes after it, and not on another way."""
        return self.index < other.index and all(
            self.path[fork] == way for fork, way in other.path.items() if fork in self.path
        )


@dataclass(eq=False)
class _Value:
    """One result on its way, from the operation that gives it to the last that reads it."""

    #: The variable it is put into if that is free.
    home: str
    #: Whether the variable is its own for good, as a name of the spec is.
    is_named: bool = False
    variable: str = ""
    #: Where it is read, in the row of all operations.
    reads: list[_Moment] = field(default_factory=list)


#: The text of an operation, given the variables of the values it reads.
_Write = Callable[[list[str]], Doc]


@dataclass(eq=False)
class _Operation:
    """One statement: the values it reads, those it gives, and its text."""

    reads: list[_Value]
    gives: list[_Value]
    write: _Write
    #: A loop reads its value, and gives the last one in the same variable.
    is_loop: bool = False
    #: A copy is no statement where both values are in one variable.
    is_copy: bool = False
    declares: str = ""
    moment: _Moment = field(default_factory=lambda: _Moment(-1, {}))


@dataclass(eq=False)
class _Turn:
    """An ``if`` on attributes of the module, with the operations of each way."""

    conditions: tuple[str, ...]
    ways: list[list[_Operation | _Turn]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Operand:
    """A branch as a piece of an expression, with the values in it."""

    reads: tuple[_Value, ...]
    write: Callable[[list[str]], str]


@dataclass(eq=False)
class Forward:
    """Writes the forward pass of one class.

    ``merges`` has the layers that join branches, by node.
    """

    plan: ClassPlan
    steps: tuple[Way, ...]
    merges: Mapping[int, MergeLayer]
    scope: PythonScope = field(default_factory=lambda: PythonScope(("self", "x", *_LETTERS)))
    #: What is written, and how many operations that are in a row.
    block: list[_Operation | _Turn] = field(default_factory=list)
    count: int = 0
    path: _Path = field(default_factory=dict)
    #: The latest value of each node.
    values: dict[int, _Value] = field(default_factory=dict)
    #: The outputs of auxiliary heads, in their order.
    heads: list[_Value] = field(default_factory=list)
    depth: int = 0
    pieces: int = 0
    turns: int = 0
    #: The attributes that an `if` asks.
    asked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.referenced = {reference.node for reference in _references(self.steps)}
        self.start = self.values[self.plan.input] = _Value("x", variable="x")
        self.outer: list[_Value] = []
        for reference in self.plan.references:
            value = _Value(self.scope.give(reference.target), is_named=True)
            value.variable = value.home
            self.values[reference.node] = value
            self.outer.append(value)
        self.result = self._steps(self.steps, self.start, "x")

    @property
    def parameters(self) -> list[str]:
        """The tensors the method takes besides ``x``."""
        return [value.variable for value in self.outer]

    def lines(self) -> list[str]:
        """The lines of the body."""
        end = _Moment(self.count, {})
        for value in (self.result, *self.heads):
            value.reads.append(end)
        holds = {value.variable: value for value in (self.start, *self.outer)}
        last = self.block[-1] if self.block else None
        if self._is_returned(last):
            lines = self._block_lines(self.block[:-1], holds, _BODY)
            doc = last.write([value.variable for value in last.reads])
            if isinstance(doc, BracketedDoc):
                # What a function of torch gives has a type; of a module it is named first.
                return [*lines, *lay_out("return ", doc, _BODY)]
            return [*lines, *self._operation_lines(last, holds, _BODY), *self._return_lines()]
        return [*self._block_lines(self.block, holds, _BODY), *self._return_lines()]

    def _is_returned(self, last: _Operation | _Turn | None) -> TypeGuard[_Operation]:
        """Whether what comes last is a merge that gives the result of all."""
        if not isinstance(last, _Operation) or last.declares != "merge":
            return False
        return last.gives[-1] is self.result and not self.heads

    def _block_lines(
        self, block: Iterable[_Operation | _Turn], holds: dict[str, _Value], indent: int
    ) -> list[str]:
        lines: list[str] = []
        for one in block:
            if isinstance(one, _Turn):
                lines += self._turn_lines(one, holds, indent)
            else:
                lines += self._operation_lines(one, holds, indent)
        return lines

    def _operation_lines(
        self, operation: _Operation, holds: dict[str, _Value], indent: int
    ) -> Iterator[str]:
        if operation.is_loop:
            yield from self._loop_lines(operation, holds, indent)
            return
        for value in operation.gives:
            # What each way gives is in one variable.
            value.variable = value.variable or self._variable(value, operation.moment, holds)
            holds[value.variable] = value
        names = [value.variable for value in operation.reads]
        target = ", ".join(value.variable for value in operation.gives)
        if operation.is_copy and [target] == names:
            return
        declared = self._declared(operation, target)
        yield from lay_out(f"{declared} = ", operation.write(names), indent)

    def _turn_lines(self, turn: _Turn, holds: dict[str, _Value], indent: int) -> Iterator[str]:
        """``if`` … ``elif`` … ``else``."""
        before = dict(holds)
        written = []
        for way in turn.ways:
            found = dict(before)
            written.append(self._block_lines(way, found, indent + 1))
            holds.update(found)
        if all(lines == written[0] for lines in written):
            # The ways differ in the layers alone.
            yield from self._block_lines(turn.ways[0], before, indent)
            return
        self.asked |= {*turn.conditions}
        first, *rest = turn.conditions
        if not rest and written[1] and not written[0]:
            yield from lay_out(f"if not self.{first}:", Verbatim(""), indent)
            yield from written[1]
            return
        words = [f"if self.{first}:", *(f"elif self.{name}:" for name in rest), "else:"]
        while written and not written[-1]:
            written.pop()
        for word, lines in zip(words, written, strict=False):
            yield from lay_out(word, Verbatim(""), indent)
            yield from lines or lay_out("pass", Verbatim(""), indent + 1)

    def _declared(self, operation: _Operation, target: str) -> str:
        match operation.declares:
            case "head":
                return f"{target}: Tensor | None"
            case _ if len(operation.gives) == 1 and operation.gives[0].is_named:
                return f"{target}: Tensor"
            case _:
                return target

    def _return_lines(self) -> Iterator[str]:
        result = self.result.variable
        if self.heads:
            heads = [value.variable for value in self.heads]
            known = " and ".join(f"{head} is not None" for head in heads)
            yield from lay_out(f"if {known}:", Verbatim(""), _BODY)
            yield from lay_out(f"return {', '.join([result, *heads])}", Verbatim(""), _BODY + 1)
        yield from lay_out(f"return {result}", Verbatim(""), _BODY)

    # ── Variables ────────────────────────────────────────────────────────────────────────────

    def _add(self, operation: _Operation) -> None:
        index = self.count
        self.count += 1
        operation.moment = _Moment(index, self.path)
        self.block.append(operation)
        for value in operation.reads:
            value.reads.append(operation.moment)
        if operation.is_loop:
            # Beside what flows, all that a loop reads is read again in its next turn.
            for value in operation.reads[1:]:
                value.reads.append(_Moment(index + 0.5, self.path))

    def _variable(self, value: _Value, moment: _Moment, holds: dict[str, _Value]) -> str:
        """The variable for a value: its home, or another that holds nothing that is still read."""
        candidates = [value.home]
        if not value.is_named:
            candidates += ["x", *_LETTERS]
        for name in candidates:
            held = holds.get(name)
            if held is None or (not held.is_named and not _is_read_after(held, moment)):
                return name
        count = 1
        while (name := f"y{count}") in self.scope.taken or (
            name in holds and _is_read_after(holds[name], moment)
        ):
            count += 1
        return name

    def _loop_lines(
        self, operation: _Operation, holds: dict[str, _Value], indent: int
    ) -> Iterator[str]:
        """A loop over modules, on a variable that holds what goes into it."""
        (result,) = operation.gives
        start, *others = operation.reads
        is_read = _is_read_after(start, operation.moment)
        if result.variable:
            pass  # another way has found it
        elif is_read or start.is_named or result.home != start.variable:
            result.variable = self._variable(result, operation.moment, holds)
        else:
            result.variable = start.variable
        if result.variable != start.variable:
            declared = self._declared(operation, result.variable)
            yield from lay_out(f"{declared} = ", Verbatim(start.variable), indent)
        holds[result.variable] = result
        module = self.scope.give("module")
        self.scope.taken.discard(module)
        names = [result.variable, *(value.variable for value in others)]
        head = operation.write([])
        assert isinstance(head, Verbatim)
        yield from lay_out(f"for {module} in {head.text}:", Verbatim(""), indent)
        called = Verbatim(f"{module}({', '.join(names)})")
        yield from lay_out(f"{result.variable} = ", called, indent + 1)

    # ── Steps: ``current`` is the value so far, new results go to ``home`` ───────────────────

    def _steps(self, steps: Iterable[Way], current: _Value, home: str) -> _Value:
        for step in steps:
            match step:
                case ReferenceStep(part=part):
                    current = self.values[part.node]
                case HeadStep(apply=apply):
                    self._head(apply, current)
                case ApplyStep(pieces=(_, *_)):
                    self._split(step, current)
                case ApplyStep(each=True):
                    current = self._each(step, current, home)
                case ApplyStep():
                    operand = self._applied(step, current)
                    current = self._store(operand, step.output, step.label, home)
                case ForkStep():
                    current = self._fork(step, current, home)
                case Turn():
                    current = self._turn(step, current, home)
                case OptionStep(steps=inner):
                    current = self._steps(inner, current, home)
                case CopiesStep(copies=copies):
                    for copy in copies:
                        current = self._steps(copy, current, home)
        return current

    def _turn(self, turn: Turn, current: _Value, home: str) -> _Value:
        """An ``if`` that changes how things are wired: all ways end in one value."""
        written = _Turn(turn.conditions)
        is_new = turn.output not in self.values
        around, path = self.block, self.path
        around.append(written)
        value = _Value(home)
        self.turns += 1
        fork = self.turns
        for way, steps in enumerate(turn.ways):
            self.block = []
            written.ways.append(self.block)
            self.path = {**path, fork: way}
            end = self._steps(steps, current, home)
            last = self.block[-1] if self.block else None
            if _is_plain(last) and last.gives == [end] and not end.is_named:
                last.gives[0] = value
            else:
                self._add(
                    _Operation([end], [value], lambda names: Verbatim(names[0]), is_copy=True)
                )
        self.block, self.path = around, path
        if is_new:
            self.values[turn.output] = value
        return value

    def _value(self, node: int, label: str | None, home: str) -> _Value:
        """The value of a node: in a variable of its own where a later step takes it up."""
        if node in self.referenced and label:
            value = _Value(self.scope.give(label), is_named=True)
        else:
            value = _Value(home)
        # What holds no layers gives the node before it, which is still what it was.
        self.values.setdefault(node, value)
        return value

    def _store(self, operand: _Operand, node: int, label: str | None, home: str) -> _Value:
        value = self._value(node, label, home)
        self._operate(operand, [value])
        return value

    def _operate(self, operand: _Operand, gives: list[_Value], declares: str = "") -> None:
        def write(names: list[str]) -> Doc:
            return Verbatim(operand.write(names))

        self._add(_Operation([*operand.reads], gives, write, declares=declares))

    def _applied(self, apply: ApplyStep, current: _Value, module: str | None = None) -> _Operand:
        referenced = [self.values[reference.node] for reference in apply.references]
        called = module or f"self.{apply.attribute}"

        def write(names: list[str]) -> str:
            first, *rest = names
            first = f"torch.flatten({first}, 1)" if apply.flatten else first
            return f"{called}({', '.join([first, *rest])})"

        return _Operand((current, *referenced), write)

    def _head(self, apply: ApplyStep, current: _Value) -> None:
        operand = self._applied(apply, current)
        value = _Value(self.scope.give(apply.attribute), is_named=True)

        def write(names: list[str]) -> str:
            return f"{operand.write(names)} if self.training else None"

        self._operate(_Operand(operand.reads, write), [value], "head")
        self.heads.append(value)

    def _split(self, apply: ApplyStep, current: _Value) -> None:
        """A module with several results; the chain goes on with its own input."""
        pieces = []
        for _ in apply.pieces:
            self.pieces += 1
            pieces.append(_Value(self.scope.give(f"x{self.pieces}"), is_named=True))
        self._operate(self._applied(apply, current), pieces)
        self.values.update(zip(apply.pieces, pieces, strict=True))

    def _each(self, apply: ApplyStep, current: _Value, home: str) -> _Value:
        """A ``nn.ModuleList`` whose modules read earlier parts beside what flows."""
        assert isinstance(apply.item, SequentialItem)
        copies = [*in_row(apply.item.items)]
        reads = [_references_of(copy) for copy in copies]
        if all(one == reads[0] for one in reads):
            others = [self.values[reference.node] for reference in apply.references]
            value = self._value(apply.output, apply.label, home)
            loop = Verbatim(f"self.{apply.attribute}")
            self._add(_Operation([current, *others], [value], lambda _: loop, is_loop=True))
            return value
        for index, item in enumerate(copies):
            is_last = index == len(copies) - 1
            one = ApplyStep(
                apply.attribute, item, apply.output if is_last else -1, references=reads[index]
            )
            operand = self._applied(one, current, f"self.{apply.attribute}[{index}]")
            current = self._store(operand, one.output, apply.label if is_last else None, home)
        return current

    # ── Forks ────────────────────────────────────────────────────────────────────────────────

    def _fork(self, fork: ForkStep, current: _Value, home: str) -> _Value:
        operands: list[_Operand] = []
        before = self.depth
        for branch in fork.branches:
            simple = self._simple(branch, current)
            if simple is not None:
                operands.append(simple)
                continue
            # Each branch of several steps has a variable; all are needed until the merge.
            letter = _LETTERS[self.depth] if self.depth < len(_LETTERS) else f"y{self.depth}"
            self.depth += 1
            end = self._steps(branch, current, letter)
            operands.append(_Operand((end,), lambda names: names[0]))
        self.depth = before
        layer = self.merges[fork.node]

        def write(names: list[str]) -> Doc:
            rest = iter(names)
            texts = [o.write([next(rest) for _ in o.reads]) for o in operands]
            return joined_doc(layer.combine(tuple(map(Code, texts))))

        value = self._value(fork.node, None, home)
        reads = [value for operand in operands for value in operand.reads]
        self._add(_Operation(reads, [value], write, declares="merge"))
        return value

    def _simple(self, branch: tuple[Way, ...], current: _Value) -> _Operand | None:
        """A branch as one expression, where it is short enough to be read as one."""
        if branch and isinstance(branch[0], ReferenceStep):
            current = self.values[branch[0].part.node]
            branch = branch[1:]
        match branch:
            case ():
                return _Operand((current,), lambda names: names[0])
            case (ApplyStep(each=False, pieces=()) as apply,) if (
                apply.output not in self.referenced
            ):
                return self._applied(apply, current)
            case _:
                return None


def _is_plain(last: _Operation | _Turn | None) -> TypeGuard[_Operation]:
    return isinstance(last, _Operation) and not last.is_loop


def _is_read_after(value: _Value, moment: _Moment) -> bool:
    return any(moment.is_before(read) for read in value.reads)


def _references_of(item: object) -> tuple[ReferencePart, ...]:
    return item.plan.references if isinstance(item, InstanceItem) else ()


def _references(steps: Iterable[Way]) -> Iterator[ReferencePart]:
    for step in steps:
        match step:
            case ReferenceStep(part=part):
                yield part
            case ApplyStep(references=references):
                yield from references
            case HeadStep(apply=apply):
                yield from apply.references
            case ForkStep(branches=branches):
                for branch in branches:
                    yield from _references(branch)
            case Turn(ways=ways):
                for way in ways:
                    yield from _references(way)
            case OptionStep(steps=inner):
                yield from _references(inner)
            case CopiesStep(copies=copies):
                for copy in copies:
                    yield from _references(copy)
