"""The ``forward`` of a class: one step per line.

The steps are first put into a row of operations on values. A variable is then given to each value,
and overwritten only when what it holds is not read any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from archdsl.classplan import (
    ApplyStep,
    ClassPlan,
    CopiesStep,
    ForkStep,
    HeadStep,
    InstanceItem,
    OptionStep,
    ReferenceStep,
    ReuseStep,
    SequentialItem,
    argument_name,
    in_row,
)
from archdsl.codegen.expressions import joined_doc
from archdsl.codegen.layout import BracketedDoc, Doc, DocItem, Verbatim, bracketed, lay_out
from archdsl.codegen.names import PythonScope
from archdsl.codegen.statements import (
    LETTERS,
    Branching,
    ForwardStatement,
    ForwardValue,
    Moment,
    StatementWriter,
)
from archdsl.codegen.turns import Turn, Way
from archdsl.layers import MergeLayer
from archdsl.layers.call import Code
from archdsl.network.parts import ReferencePart

_BODY = 2  # levels of indentation of a method's body


@dataclass(frozen=True, slots=True)
class _Operand:
    """A branch as a piece of an expression, with the values in it."""

    reads: tuple[ForwardValue, ...]
    write: Callable[[list[str]], str]


@dataclass(eq=False)
class Forward:
    """Writes the forward pass of one class.

    ``merges`` has the layers that join branches, by node.
    """

    plan: ClassPlan
    steps: tuple[Way, ...]
    merges: Mapping[int, MergeLayer]
    #: The class of what it returns, where that has names.
    result_class: str = ""
    body: StatementWriter = field(
        default_factory=lambda: StatementWriter(PythonScope(("self", "x", *LETTERS)))
    )
    #: The latest value of each node.
    values: dict[int, ForwardValue] = field(default_factory=dict)
    #: The outputs of auxiliary heads, in their order.
    heads: list[ForwardValue] = field(default_factory=list)
    depth: int = 0
    pieces: int = 0
    turns: int = 0

    def __post_init__(self) -> None:
        self.referenced = {reference.node for reference in _references(self.steps)}
        self.referenced |= {output.node for output in self.plan.outputs}
        self.body.scope.taken.add(self.result_class)
        #: What the method takes, in its order.
        self.arguments: list[ForwardValue] = []
        for node, label in self.plan.inputs:
            value = self.values[node] = ForwardValue(argument_name(label), is_named=True)
            value.variable = value.home
            self.body.scope.taken.add(value.home)
            self.arguments.append(value)
        if not self.arguments:
            value = self.values[self.plan.input] = ForwardValue("x", variable="x")
            self.arguments.append(value)
        start = self.arguments[0]
        for reference in self.plan.references:
            value = ForwardValue(self.body.scope.give(reference.target), is_named=True)
            value.variable = value.home
            self.values[reference.node] = value
            self.arguments.append(value)
        self.result = self._steps(self.steps, start, "x")
        self.outputs = [self.values[output.node] for output in self.plan.outputs]

    @property
    def asked(self) -> set[str]:
        """The attributes that an ``if`` asks."""
        return self.body.asked

    @property
    def parameters(self) -> list[str]:
        """The tensors that the method takes."""
        return [value.variable for value in self.arguments]

    def lines(self) -> list[str]:
        """The lines of the body."""
        lines = self._lines()
        first = self._first_of_result()
        if first is None:
            return lines
        first.is_first = True
        return self._lines()

    def _first_of_result(self) -> ForwardStatement | None:
        """What gives the variable of the result first, where that is no argument.

        It gets a type: without one, the variable has what modules return, which is any.
        """
        variable = self.result.variable
        if self.outputs or any(value.variable == variable for value in self.arguments):
            return None
        for one in self.body.block:
            if isinstance(one, ForwardStatement):
                if [value.variable for value in one.gives] == [variable]:
                    return None if one.gives[0].is_named else one
            elif variable:
                return None  # under an `if`, whose ways are compared
        return None

    def _lines(self) -> list[str]:
        end = Moment(self.body.count, {})
        for value in (*(self.outputs or [self.result]), *self.heads):
            value.reads.append(end)
        holds = {value.variable: value for value in self.arguments}
        last = self.body.block[-1] if self.body.block else None
        if self._is_returned(last):
            lines = self.body.block_lines(self.body.block[:-1], holds, _BODY)
            doc = last.write([value.variable for value in last.reads])
            if isinstance(doc, BracketedDoc):
                # The result of a torch function has a type; that of modules gets a name first.
                return [*lines, *lay_out("return ", doc, _BODY)]
            return [*lines, *self.body.statement_lines(last, holds, _BODY), *self._return_lines()]
        return [*self.body.block_lines(self.body.block, holds, _BODY), *self._return_lines()]

    def _is_returned(
        self, last: ForwardStatement | Branching | None
    ) -> TypeGuard[ForwardStatement]:
        """Whether the last statement is a merge that gives the result of the class."""
        if not isinstance(last, ForwardStatement) or last.declares != "merge":
            return False
        return last.gives[-1] is self.result and not self.heads and not self.outputs

    def _return_lines(self) -> Iterator[str]:
        if self.outputs:
            given = [DocItem(Verbatim(value.variable)) for value in self.outputs]
            yield from lay_out("return ", bracketed(f"{self.result_class}(", given), _BODY)
            return
        result = self.result.variable
        if self.heads:
            heads = [value.variable for value in self.heads]
            known = " and ".join(f"{head} is not None" for head in heads)
            yield from lay_out(f"if {known}:", Verbatim(""), _BODY)
            yield from lay_out(f"return {', '.join([result, *heads])}", Verbatim(""), _BODY + 1)
        yield from lay_out(f"return {result}", Verbatim(""), _BODY)

    # ── Steps: ``current`` is the value so far, new results go to ``home`` ───────────────────

    def _steps(self, steps: Iterable[Way], current: ForwardValue, home: str) -> ForwardValue:
        for step in steps:
            match step:
                case ReferenceStep(part=part):
                    current = self.values[part.node]
                case HeadStep(apply=apply):
                    self._head(apply, current)
                case ReuseStep(apply=apply):
                    current = self._steps((apply,), current, home)
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

    def _turn(self, turn: Turn, current: ForwardValue, home: str) -> ForwardValue:
        """An ``if`` that changes how things are wired: all ways end in one value."""
        written = Branching(turn.conditions)
        is_new = turn.output not in self.values
        around, path = self.body.block, self.body.path
        around.append(written)
        value = ForwardValue(home)
        self.turns += 1
        fork = self.turns
        for way, steps in enumerate(turn.ways):
            self.body.block = []
            written.ways.append(self.body.block)
            self.body.path = {**path, fork: way}
            end = self._steps(steps, current, home)
            last = self.body.block[-1] if self.body.block else None
            if _is_plain(last) and last.gives == [end] and not end.is_named:
                last.gives[0] = value
            else:
                self.body.add(
                    ForwardStatement([end], [value], lambda names: Verbatim(names[0]), is_copy=True)
                )
        self.body.block, self.body.path = around, path
        if is_new:
            self.values[turn.output] = value
        return value

    def _value(self, node: int, label: str | None, home: str) -> ForwardValue:
        """The value of a node: in a variable of its own where a later step refers to it."""
        if node in self.referenced and label:
            value = ForwardValue(self.body.scope.give(label), is_named=True)
        else:
            value = ForwardValue(home)
        # A part without layers gives the node before it, whose value stays what it was.
        self.values.setdefault(node, value)
        return value

    def _store(self, operand: _Operand, node: int, label: str | None, home: str) -> ForwardValue:
        value = self._value(node, label, home)
        self._operate(operand, [value])
        return value

    def _operate(self, operand: _Operand, gives: list[ForwardValue], declares: str = "") -> None:
        def write(names: list[str]) -> Doc:
            return Verbatim(operand.write(names))

        self.body.add(ForwardStatement([*operand.reads], gives, write, declares=declares))

    def _applied(
        self, apply: ApplyStep, current: ForwardValue, module: str | None = None
    ) -> _Operand:
        referenced = [self.values[reference.node] for reference in apply.references]
        called = module or f"self.{apply.attribute}"

        def write(names: list[str]) -> str:
            first, *rest = names
            first = f"torch.flatten({first}, 1)" if apply.flatten else first
            return f"{called}({', '.join([first, *rest])})"

        return _Operand((current, *referenced), write)

    def _head(self, apply: ApplyStep, current: ForwardValue) -> None:
        operand = self._applied(apply, current)
        value = ForwardValue(self.body.scope.give(apply.attribute), is_named=True)

        def write(names: list[str]) -> str:
            return f"{operand.write(names)} if self.training else None"

        self._operate(_Operand(operand.reads, write), [value], "head")
        self.heads.append(value)

    def _split(self, apply: ApplyStep, current: ForwardValue) -> None:
        """A module with several results; the chain goes on with its own input."""
        pieces = []
        for _ in apply.pieces:
            self.pieces += 1
            pieces.append(ForwardValue(self.body.scope.give(f"x{self.pieces}"), is_named=True))
        self._operate(self._applied(apply, current), pieces)
        self.values.update(zip(apply.pieces, pieces, strict=True))

    def _each(self, apply: ApplyStep, current: ForwardValue, home: str) -> ForwardValue:
        """A ``nn.ModuleList`` whose modules read earlier parts besides what flows into them."""
        assert isinstance(apply.item, SequentialItem)
        copies = [*in_row(apply.item.items)]
        reads = [_references_of(copy) for copy in copies]
        if all(one == reads[0] for one in reads):
            others = [self.values[reference.node] for reference in apply.references]
            value = self._value(apply.output, apply.label, home)
            loop = Verbatim(f"self.{apply.attribute}")
            self.body.add(
                ForwardStatement([current, *others], [value], lambda _: loop, is_loop=True)
            )
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

    def _fork(self, fork: ForkStep, current: ForwardValue, home: str) -> ForwardValue:
        operands: list[_Operand] = []
        before = self.depth
        last_steps = max(
            (i for i, branch in enumerate(fork.branches) if not self._is_simple(branch)), default=-1
        )
        for index, branch in enumerate(fork.branches):
            # Branches run in the order of the spec, in which autograd adds their gradients up.
            if self._is_simple(branch) and (index > last_steps or not branch):
                operands.append(self._simple(branch, current))
                continue
            # Each branch of several steps has a variable; all are needed until the merge.
            letter = LETTERS[self.depth] if self.depth < len(LETTERS) else f"y{self.depth}"
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
        self.body.add(ForwardStatement(reads, [value], write, declares="merge"))
        return value

    def _is_simple(self, branch: tuple[Way, ...]) -> bool:
        """Whether a branch is short enough to be read as one expression."""
        match branch[1:] if branch and isinstance(branch[0], ReferenceStep) else branch:
            case ():
                return True
            case (
                (ApplyStep(each=False, pieces=()) as apply)
                | ReuseStep(apply=ApplyStep(each=False) as apply),
            ):
                return apply.output not in self.referenced
            case _:
                return False

    def _simple(self, branch: tuple[Way, ...], current: ForwardValue) -> _Operand:
        """A branch as one expression."""
        for step in branch:
            match step:
                case ReferenceStep(part=part):
                    current = self.values[part.node]
                case ApplyStep() | ReuseStep():
                    apply = step.apply if isinstance(step, ReuseStep) else step
                    return self._applied(apply, current)
        return _Operand((current,), lambda names: names[0])


def _is_plain(last: ForwardStatement | Branching | None) -> TypeGuard[ForwardStatement]:
    return isinstance(last, ForwardStatement) and not last.is_loop


def _references_of(item: object) -> tuple[ReferencePart, ...]:
    return item.plan.references if isinstance(item, InstanceItem) else ()


def _references(steps: Iterable[Way]) -> Iterator[ReferencePart]:
    for step in steps:
        match step:
            case ReferenceStep(part=part):
                yield part
            case ApplyStep(references=references):
                yield from references
            case HeadStep(apply=apply) | ReuseStep(apply=apply):
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
