"""The ``forward`` of a class: one step a line."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from archdsl.codegen.classes import Use
from archdsl.codegen.constructor import literal
from archdsl.codegen.layout import Bracketed, Chained, Doc, Item, Text, bracketed, flat, lay_out
from archdsl.graph import RecallPart
from archdsl.layers import Call, MergeLayer
from archdsl.layers.call import Code, Operation
from archdsl.modules import Apply, Fork, Head, Recall, Step

#: Variables and modules that a method has already.
_TAKEN = frozenset(
    ["x", "y", "z", "u", "v", "w", "heads", "copy", "self", "torch", "nn", "range", "list"]
)
_BODY = 2  # levels of indentation of a method's body


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a method, before it is laid out."""

    prefix: str
    doc: Doc
    suffix: str = ""
    indent: int = _BODY

    def lines(self) -> list[str]:
        return lay_out(self.prefix, self.doc, self.indent, self.suffix)


def _returning(statements: list[Statement]) -> list[Statement]:
    """The body with its ``return``. What a module returns is untyped, so it is named first."""
    if statements:
        *before, last = statements
        if last.prefix == "x = " and isinstance(last.doc, Bracketed):
            return [*before, replace(last, prefix="return ")]
    return [*statements, Statement("return ", Text("x"))]


class Forward:
    """Writes the forward pass of one class. ``heads`` are collected where it has any."""

    def __init__(self, use: Use) -> None:
        self.use = use
        self.plan = use.plan
        self.variables = {recall.node: self._name(recall.target) for recall in use.plan.recalls}
        self.recalled = {recall.node for recall in _recalls(use.plan.steps)}
        self.alive = 0
        self.pieces = 0

    @property
    def parameters(self) -> list[str]:
        """The tensors the method takes besides ``x``."""
        return [self.variables[recall.node] for recall in self.plan.recalls]

    def lines(self, has_heads: bool = False) -> list[str]:
        """The lines of the body; with heads, what the caller returns is left in ``x``."""
        current, statements = self._steps(self.plan.steps, "x", "x")
        if current != "x":
            statements.append(Statement("x = ", Text(current)))
        if not has_heads:
            statements = _returning(statements)
        return [line for statement in statements for line in statement.lines()]

    # ── Steps: ``current`` holds the volume so far, new results go to ``target`` ─────────────

    def _steps(
        self, steps: tuple[Step, ...], current: str, target: str
    ) -> tuple[str, list[Statement]]:
        lines: list[Statement] = []
        for step in steps:
            match step:
                case Recall(part=part):
                    current = self.variables[part.node]
                case Head(apply=apply):
                    lines.append(Statement("if self.training:", Text("")))
                    called = Text(self._apply(apply, current))
                    lines.append(Statement("heads.append(", called, ")", _BODY + 1))
                case Apply(pieces=(_, *_) as pieces):
                    called = Text(self._apply(step, current))
                    lines.append(Statement(f"{self._name_pieces(pieces)} = ", called))
                case Apply(each=True):
                    lines += self._loop(step, current, target)
                    current = self._store(step.output, step.label, target, lines)
                case Apply():
                    variable = self._variable(step.output, step.label, target)
                    declared = variable if variable == target else f"{variable}: Tensor"
                    called = Text(self._apply(step, current))
                    lines.append(Statement(f"{declared} = ", called))
                    current = variable
                case Fork():
                    more, joined = self._fork(step, current)
                    lines += more
                    variable = self._variable(step.node, None, target)
                    lines.append(Statement(f"{variable} = ", joined))
                    current = variable
        return current, lines

    def _apply(self, apply: Apply, current: str) -> str:
        argument = f"torch.flatten({current}, 1)" if apply.flatten else current
        recalled = [self.variables[recall.node] for recall in apply.recalls]
        return f"self.{apply.attribute}({', '.join([argument, *recalled])})"

    def _name_pieces(self, pieces: tuple[int, ...]) -> str:
        names = [f"x{self.pieces + number}" for number in range(1, len(pieces) + 1)]
        self.pieces += len(pieces)
        self.variables.update(zip(pieces, names, strict=True))
        return ", ".join(names)

    def _loop(self, apply: Apply, current: str, target: str) -> Iterator[Statement]:
        recalled = [self.variables[recall.node] for recall in apply.recalls]
        if current != target:
            yield Statement(f"{target} = ", Text(current))
        yield Statement(f"for copy in self.{apply.attribute}:", Text(""))
        called = Text(f"copy({', '.join([target, *recalled])})")
        yield Statement(f"{target} = ", called, indent=_BODY + 1)

    def _store(self, output: int, label: str | None, target: str, lines: list[Statement]) -> str:
        variable = self._variable(output, label, target)
        if variable != target:
            lines.append(Statement(f"{variable}: Tensor = ", Text(target)))
        return variable

    def _variable(self, output: int, label: str | None, target: str) -> str:
        """Where a result goes: a variable of its own name where a later step recalls it."""
        if output not in self.recalled:
            return target
        if output not in self.variables:
            self.variables[output] = self._name(label or "kept")
        return self.variables[output]

    def _name(self, label: str) -> str:
        is_taken = label in _TAKEN or re.fullmatch(r"y\d+", label) or keyword.iskeyword(label)
        return f"{label}_" if is_taken else label

    # ── Forks ────────────────────────────────────────────────────────────────────────────────

    def _fork(self, fork: Fork, current: str) -> tuple[list[Statement], Doc]:
        lines: list[Statement] = []
        operands: list[Code] = []
        for branch in fork.branches:
            simple = self._simple(branch, current)
            if simple is not None:
                operands.append(Code(simple))
                continue
            # Each branch of several steps has a variable; all are alive until the merge.
            target = "yzuvw"[self.alive] if self.alive < 5 else f"y{self.alive}"
            result, more = self._steps(branch, current, target)
            self.alive += 1
            lines += more
            operands.append(Code(result))
        self.alive -= sum(1 for branch in fork.branches if self._simple(branch, current) is None)
        layer = self.use.node(fork.node).layer
        assert isinstance(layer, MergeLayer)
        return lines, _joined(layer.combine(tuple(operands)))

    def _simple(self, branch: tuple[Step, ...], current: str) -> str | None:
        """A branch as one expression, where it is short enough to be read as one."""
        match branch:
            case ():
                return current
            case (Recall(part=part),):
                return self.variables[part.node]
            case (Apply() as apply,) if not self._is_kept(apply):
                return self._apply(apply, current)
            case (Recall(part=part), Apply() as apply) if not self._is_kept(apply):
                return self._apply(apply, self.variables[part.node])
            case _:
                return None

    def _is_kept(self, apply: Apply) -> bool:
        return apply.each or apply.output in self.recalled


def _joined(merged: Call | Operation) -> Doc:
    if isinstance(merged, Operation):
        return Chained(merged.operator, tuple(_value_doc(operand) for operand in merged.operands))
    return _call_doc(merged)


def _call_doc(call: Call) -> Bracketed:
    items = []
    for arg in call.args:
        prefix = f"{arg.keyword}=" if arg.keyword else ""
        items.append(Item(_value_doc(arg.value), prefix))
    doc = bracketed(f"{call.callee}(", items)
    if call.then is None:
        return doc
    return replace(doc, closing=f"{doc.closing}.{flat(_call_doc(call.then))}")


def _value_doc(value: object) -> Doc:
    if isinstance(value, (Call, Operation)):
        return _joined(value)
    if isinstance(value, tuple) and value and isinstance(value[0], (Code, Call)):
        return bracketed("(", [Item(_value_doc(part)) for part in value])
    return Text(literal(value))  # type: ignore[arg-type]


def _recalls(steps: tuple[Step, ...]) -> Iterator[RecallPart]:
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
