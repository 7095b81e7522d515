"""The ``forward`` of a class: one step a line.

The steps are first put into a row of operations on values. A variable is then given to each value,
and written over only when nobody reads what it holds any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from archdsl.codegen.expressions import joined_doc
from archdsl.codegen.layout import Bracketed, Doc, Text, lay_out
from archdsl.codegen.names import Scope
from archdsl.graph import RecallPart
from archdsl.layers import MergeLayer
from archdsl.layers.call import Code
from archdsl.modules import Apply, ClassPlan, Copies, Fork, Head, Instance, Option, Recall, Step
from archdsl.modules import Sequence as Row

_BODY = 2  # levels of indentation of a method's body
#: Variables for branches that are more than one expression.
_LETTERS = "yzuvw"


@dataclass(eq=False)
class _Value:
    """One result on its way, from the operation that gives it to the last that reads it."""

    #: The variable it is put into if that is free.
    home: str
    #: Whether the variable is its own for good, as a name of the spec is.
    is_named: bool = False
    variable: str = ""
    last_read: int = -1


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
    declares: str = ""


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
    steps: tuple[Step, ...]
    merges: Mapping[int, MergeLayer]
    scope: Scope = field(default_factory=lambda: Scope(("self", "x", *_LETTERS)))
    operations: list[_Operation] = field(default_factory=list)
    #: The latest value of each node.
    values: dict[int, _Value] = field(default_factory=dict)
    #: The outputs of auxiliary heads, in their order.
    heads: list[_Value] = field(default_factory=list)
    depth: int = 0
    pieces: int = 0

    def __post_init__(self) -> None:
        self.recalled = {recall.node for recall in _recalls(self.steps)}
        self.start = self.values[self.plan.input] = _Value("x", variable="x")
        self.outer: list[_Value] = []
        for recall in self.plan.recalls:
            value = _Value(self.scope.give(recall.target), is_named=True)
            value.variable = value.home
            self.values[recall.node] = value
            self.outer.append(value)
        self.result = self._steps(self.steps, self.start, "x")

    @property
    def parameters(self) -> list[str]:
        """The tensors the method takes besides ``x``."""
        return [value.variable for value in self.outer]

    def lines(self) -> list[str]:
        """The lines of the body."""
        self._find_last_reads()
        lines: list[str] = []
        holds = {value.variable: value for value in (self.start, *self.outer)}
        for index, operation in enumerate(self.operations):
            names = [value.variable for value in operation.reads]
            is_result = index == len(self.operations) - 1 and operation.gives[-1] is self.result
            if is_result and not self.heads and operation.declares == "merge":
                doc = operation.write(names)
                if isinstance(doc, Bracketed):
                    # What a function of torch gives has a type; of a module it is named first.
                    return [*lines, *lay_out("return ", doc, _BODY)]
            if operation.is_loop:
                lines += self._loop_lines(index, operation, holds)
                continue
            for value in operation.gives:
                value.variable = self._variable(value, index, holds)
                holds[value.variable] = value
            target = ", ".join(value.variable for value in operation.gives)
            declared = self._declared(operation, target)
            lines += lay_out(f"{declared} = ", operation.write(names), _BODY)
        return [*lines, *self._return_lines()]

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
            yield from lay_out(f"if {known}:", Text(""), _BODY)
            yield from lay_out(f"return {', '.join([result, *heads])}", Text(""), _BODY + 1)
        yield from lay_out(f"return {result}", Text(""), _BODY)

    # ── Variables ────────────────────────────────────────────────────────────────────────────

    def _find_last_reads(self) -> None:
        end = len(self.operations)
        for index, operation in enumerate(self.operations):
            for value in operation.reads:
                value.last_read = max(value.last_read, index)
            if operation.is_loop:
                # Beside what flows, all that a loop reads is read again in its next turn.
                for value in operation.reads[1:]:
                    value.last_read = max(value.last_read, index + 1)
        for value in (self.result, *self.heads):
            value.last_read = end

    def _variable(self, value: _Value, index: int, holds: dict[str, _Value]) -> str:
        """The variable for a value: its home, or another that holds nothing that is still read."""
        candidates = [value.home]
        if not value.is_named:
            candidates += ["x", *_LETTERS]
        for name in candidates:
            held = holds.get(name)
            if held is None or (held.last_read <= index and not held.is_named):
                return name
        count = 1
        while (name := f"y{count}") in self.scope.taken or (
            name in holds and holds[name].last_read > index
        ):
            count += 1
        return name

    def _loop_lines(
        self, index: int, operation: _Operation, holds: dict[str, _Value]
    ) -> Iterator[str]:
        """A loop over modules, on a variable that holds what goes into it."""
        (result,) = operation.gives
        start, *others = operation.reads
        result.variable = start.variable
        if start.last_read > index or start.is_named or result.home != start.variable:
            result.variable = self._variable(result, index, holds)
        if result.variable != start.variable:
            declared = self._declared(operation, result.variable)
            yield from lay_out(f"{declared} = ", Text(start.variable), _BODY)
        holds[result.variable] = result
        module = self.scope.give("module")
        self.scope.taken.discard(module)
        names = [result.variable, *(value.variable for value in others)]
        head = operation.write([])
        assert isinstance(head, Text)
        yield from lay_out(f"for {module} in {head.text}:", Text(""), _BODY)
        called = Text(f"{module}({', '.join(names)})")
        yield from lay_out(f"{result.variable} = ", called, _BODY + 1)

    # ── Steps: ``current`` is the value so far, new results go to ``home`` ───────────────────

    def _steps(self, steps: Iterable[Step], current: _Value, home: str) -> _Value:
        for step in steps:
            match step:
                case Recall(part=part):
                    current = self.values[part.node]
                case Head(apply=apply):
                    self._head(apply, current)
                case Apply(pieces=(_, *_)):
                    self._split(step, current)
                case Apply(each=True):
                    current = self._each(step, current, home)
                case Apply():
                    operand = self._applied(step, current)
                    current = self._store(operand, step.output, step.label, home)
                case Fork():
                    current = self._fork(step, current, home)
                case Option(steps=inner):
                    current = self._steps(inner, current, home)
                case Copies(copies=copies):
                    for copy in copies:
                        current = self._steps(copy, current, home)
        return current

    def _value(self, node: int, label: str | None, home: str) -> _Value:
        """The value of a node: in a variable of its own where a later step takes it up."""
        if node in self.recalled and label:
            value = _Value(self.scope.give(label), is_named=True)
        else:
            value = _Value(home)
        self.values[node] = value
        return value

    def _store(self, operand: _Operand, node: int, label: str | None, home: str) -> _Value:
        value = self._value(node, label, home)
        self._operate(operand, [value])
        return value

    def _operate(self, operand: _Operand, gives: list[_Value], declares: str = "") -> None:
        def write(names: list[str]) -> Doc:
            return Text(operand.write(names))

        self.operations.append(_Operation([*operand.reads], gives, write, declares=declares))

    def _applied(self, apply: Apply, current: _Value, module: str | None = None) -> _Operand:
        recalled = [self.values[recall.node] for recall in apply.recalls]
        called = module or f"self.{apply.attribute}"

        def write(names: list[str]) -> str:
            first, *rest = names
            first = f"torch.flatten({first}, 1)" if apply.flatten else first
            return f"{called}({', '.join([first, *rest])})"

        return _Operand((current, *recalled), write)

    def _head(self, apply: Apply, current: _Value) -> None:
        operand = self._applied(apply, current)
        value = _Value(self.scope.give(apply.attribute), is_named=True)

        def write(names: list[str]) -> str:
            return f"{operand.write(names)} if self.training else None"

        self._operate(_Operand(operand.reads, write), [value], "head")
        self.heads.append(value)

    def _split(self, apply: Apply, current: _Value) -> None:
        """A module with several results; the chain goes on with its own input."""
        pieces = []
        for _ in apply.pieces:
            self.pieces += 1
            pieces.append(_Value(self.scope.give(f"x{self.pieces}"), is_named=True))
        self._operate(self._applied(apply, current), pieces)
        self.values.update(zip(apply.pieces, pieces, strict=True))

    def _each(self, apply: Apply, current: _Value, home: str) -> _Value:
        """A ``nn.ModuleList`` whose modules read earlier parts beside what flows."""
        assert isinstance(apply.item, Row)
        reads = [_recalls_of(item) for item in apply.item.items]
        if all(one == reads[0] for one in reads):
            others = [self.values[recall.node] for recall in apply.recalls]
            value = self._value(apply.output, apply.label, home)
            loop = Text(f"self.{apply.attribute}")
            self.operations.append(
                _Operation([current, *others], [value], lambda _: loop, is_loop=True)
            )
            return value
        for index, item in enumerate(apply.item.items):
            is_last = index == len(apply.item.items) - 1
            one = Apply(
                apply.attribute, item, apply.output if is_last else -1, recalls=reads[index]
            )
            operand = self._applied(one, current, f"self.{apply.attribute}[{index}]")
            current = self._store(operand, one.output, apply.label if is_last else None, home)
        return current

    # ── Forks ────────────────────────────────────────────────────────────────────────────────

    def _fork(self, fork: Fork, current: _Value, home: str) -> _Value:
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
        self.operations.append(_Operation(reads, [value], write, declares="merge"))
        return value

    def _simple(self, branch: tuple[Step, ...], current: _Value) -> _Operand | None:
        """A branch as one expression, where it is short enough to be read as one."""
        if branch and isinstance(branch[0], Recall):
            current = self.values[branch[0].part.node]
            branch = branch[1:]
        match branch:
            case ():
                return _Operand((current,), lambda names: names[0])
            case (Apply(each=False, pieces=()) as apply,) if apply.output not in self.recalled:
                return self._applied(apply, current)
            case _:
                return None


def _recalls_of(item: object) -> tuple[RecallPart, ...]:
    return item.plan.recalls if isinstance(item, Instance) else ()


def _recalls(steps: Iterable[Step]) -> Iterator[RecallPart]:
    for step in steps:
        match step:
            case Recall(part=part):
                yield part
            case Apply(recalls=recalls):
                yield from recalls
            case Head(apply=apply):
                yield from apply.recalls
            case Fork(branches=branches):
                for branch in branches:
                    yield from _recalls(branch)
            case Option(steps=inner):
                yield from _recalls(inner)
            case Copies(copies=copies):
                for copy in copies:
                    yield from _recalls(copy)
