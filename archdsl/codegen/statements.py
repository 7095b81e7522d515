"""The statements of ``forward``, and the variables of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from archdsl.codegen.layout import Doc, Verbatim, lay_out
from archdsl.codegen.names import PythonScope

#: Variables for branches that are more than one expression.
LETTERS = "yzuvw"


#: The ways that were taken to a place: by the number of each fork, the number of the way.
Path: TypeAlias = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Moment:
    """A place in the row of statements, on some ways through the forks of an ``if``."""

    index: float
    path: Path

    def is_before(self, other: Moment) -> bool:
        """Whether the other comes after it, and not on another way."""
        return self.index < other.index and all(
            self.path[fork] == way for fork, way in other.path.items() if fork in self.path
        )


@dataclass(eq=False)
class ForwardValue:
    """One result on its way, from the statement that gives it to the last that reads it."""

    #: The variable it is put into if that is free.
    home: str
    #: Whether it keeps its variable for good, as a value with a name in the spec does.
    is_named: bool = False
    variable: str = ""
    #: Where it is read, among all statements.
    reads: list[Moment] = field(default_factory=list)


#: The text of a statement, given the variables of the values it reads.
Write = Callable[[list[str]], Doc]


@dataclass(eq=False)
class ForwardStatement:
    """One statement: the values it reads, those it gives, and its text."""

    reads: list[ForwardValue]
    gives: list[ForwardValue]
    write: Write
    #: A loop reads a value, and leaves its result in the same variable.
    is_loop: bool = False
    #: A copy is left out where both values are in one variable.
    is_copy: bool = False
    declares: str = ""
    #: Whether it gives a variable that is not declared yet and is returned in the end.
    is_first: bool = False
    moment: Moment = field(default_factory=lambda: Moment(-1, {}))


@dataclass(eq=False)
class Branching:
    """An ``if`` on attributes of the module, with the statements of each way."""

    conditions: tuple[str, ...]
    ways: list[list[ForwardStatement | Branching]] = field(default_factory=list)


@dataclass(eq=False)
class StatementWriter:
    """A method's body: statements in a row, then their lines, each value in a variable."""

    scope: PythonScope
    #: The statements of the block at hand, and how many statements there are in all.
    block: list[ForwardStatement | Branching] = field(default_factory=list)
    count: int = 0
    path: Path = field(default_factory=dict)
    #: The attributes that an `if` asks.
    asked: set[str] = field(default_factory=set)

    def add(self, statement: ForwardStatement) -> None:
        index = self.count
        self.count += 1
        statement.moment = Moment(index, self.path)
        self.block.append(statement)
        for value in statement.reads:
            value.reads.append(statement.moment)
        if statement.is_loop:
            # Except what flows through it, all that a loop reads is read again in its next turn.
            for value in statement.reads[1:]:
                value.reads.append(Moment(index + 0.5, self.path))

    def block_lines(
        self,
        block: Iterable[ForwardStatement | Branching],
        holds: dict[str, ForwardValue],
        indent: int,
    ) -> list[str]:
        lines: list[str] = []
        for one in block:
            if isinstance(one, Branching):
                lines += self._branching_lines(one, holds, indent)
            else:
                lines += self.statement_lines(one, holds, indent)
        return lines

    def statement_lines(
        self, statement: ForwardStatement, holds: dict[str, ForwardValue], indent: int
    ) -> Iterator[str]:
        if statement.is_loop:
            yield from self._loop_lines(statement, holds, indent)
            return
        for value in statement.gives:
            # What the ways of an `if` give is in one variable.
            value.variable = value.variable or self._variable(value, statement.moment, holds)
            holds[value.variable] = value
        names = [value.variable for value in statement.reads]
        target = ", ".join(value.variable for value in statement.gives)
        if statement.is_copy and [target] == names:
            return
        declared = self._declared(statement, target)
        yield from lay_out(f"{declared} = ", statement.write(names), indent)

    def _branching_lines(
        self, branching: Branching, holds: dict[str, ForwardValue], indent: int
    ) -> Iterator[str]:
        """``if`` … ``elif`` … ``else``."""
        before = dict(holds)
        written = []
        for way in branching.ways:
            found = dict(before)
            written.append(self.block_lines(way, found, indent + 1))
            holds.update(found)
        if all(lines == written[0] for lines in written):
            # The ways differ only in their layers.
            yield from self.block_lines(branching.ways[0], before, indent)
            return
        self.asked |= {*branching.conditions}
        first, *rest = branching.conditions
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

    def _declared(self, statement: ForwardStatement, target: str) -> str:
        if statement.is_first:
            return f"{target}: Tensor"
        match statement.declares:
            case "head":
                return f"{target}: Tensor | None"
            case _ if len(statement.gives) == 1 and statement.gives[0].is_named:
                return f"{target}: Tensor"
            case _:
                return target

    def _loop_lines(
        self, statement: ForwardStatement, holds: dict[str, ForwardValue], indent: int
    ) -> Iterator[str]:
        """A loop over modules, on a variable that holds what goes into it."""
        (result,) = statement.gives
        start, *others = statement.reads
        is_read = _is_read_after(start, statement.moment)
        if result.variable:
            pass  # another way has already chosen it
        elif is_read or start.is_named or result.home != start.variable:
            result.variable = self._variable(result, statement.moment, holds)
        else:
            result.variable = start.variable
        if result.variable != start.variable:
            declared = self._declared(statement, result.variable)
            yield from lay_out(f"{declared} = ", Verbatim(start.variable), indent)
        holds[result.variable] = result
        module = self.scope.give("module")
        self.scope.taken.discard(module)
        names = [result.variable, *(value.variable for value in others)]
        head = statement.write([])
        assert isinstance(head, Verbatim)
        yield from lay_out(f"for {module} in {head.text}:", Verbatim(""), indent)
        called = Verbatim(f"{module}({', '.join(names)})")
        yield from lay_out(f"{result.variable} = ", called, indent + 1)

    def _variable(self, value: ForwardValue, moment: Moment, holds: dict[str, ForwardValue]) -> str:
        """The variable for a value: its home, or another that holds nothing that is still read."""
        candidates = [value.home]
        if not value.is_named:
            candidates += ["x", *LETTERS]
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


def _is_read_after(value: ForwardValue, moment: Moment) -> bool:
    return any(moment.is_before(read) for read in value.reads)
