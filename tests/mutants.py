"""Small changes of a Python module, one at a time: what an emission that goes wrong could write."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

#: What is changed, where it hangs, in which field, and what comes into its place.
Change: TypeAlias = tuple[str, ast.AST, str, Any]

_OPERATORS = {
    ast.Add: (ast.Mult(), ast.Sub()),
    ast.Mult: (ast.Add(), ast.FloorDiv()),
    ast.Sub: (ast.Add(),),
    ast.FloorDiv: (ast.Mult(), ast.Mod()),
    ast.Div: (ast.Mult(),),
}
_COMPARISONS = {
    ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(),
    ast.Lt: ast.LtE(),
    ast.LtE: ast.Lt(),
    ast.Gt: ast.GtE(),
    ast.GtE: ast.Gt(),
    ast.Is: ast.IsNot(),
    ast.IsNot: ast.Is(),
    ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
}
#: What is called in place of something else.
_CALLEES = {
    "ReLU": "Tanh",
    "MaxPool2d": "AvgPool2d",
    "AvgPool2d": "MaxPool2d",
    "Conv2d": "ConvTranspose2d",
    "BatchNorm2d": "InstanceNorm2d",
    "ones_": "zeros_",
    "zeros_": "ones_",
    "cat": "stack",
}


@dataclass(frozen=True)
class Mutant:
    """A module with one change: what was changed, and where."""

    change: str
    line: int
    source: str


def mutants_of(source: str) -> Iterator[Mutant]:
    """Every change of every kind; docstrings and annotations stay as they are.

    What is not changed is left as it is written: each mutant has one other statement at its top.
    """
    tree = ast.parse(source)
    lines = source.splitlines()
    for statement in tree.body:
        if _is_docstring(statement):
            continue
        before = "\n".join(lines[: statement.lineno - 1])
        after = "\n".join(lines[statement.end_lineno or 0 :])
        holder = ast.Module([statement], [])
        _without_docstrings(holder)
        seen = {ast.unparse(holder)}
        for change, node, field, new in list(_changes(holder)):
            old = getattr(node, field)
            setattr(node, field, new)
            try:
                text = ast.unparse(ast.fix_missing_locations(holder))
            finally:
                setattr(node, field, old)
            if text not in seen:
                seen.add(text)
                line = getattr(node, "lineno", statement.lineno)
                yield Mutant(change, line, f"{before}\n{text}\n{after}\n")


def _without_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_docstring(s)] or [ast.Pass()]


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _changes(tree: ast.Module) -> Iterator[Change]:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "elts", "args", "bases"):
            value = getattr(node, field, None)
            if isinstance(value, list) and not isinstance(node, ast.arguments):
                yield from _list_changes(node, field, value)
        yield from _node_changes(node)
        if isinstance(node, ast.FunctionDef):
            yield from _name_changes(node)
    yield from _attribute_changes(tree)


def _list_changes(node: ast.AST, field: str, items: list[Any]) -> Iterator[Change]:
    """One gone, one twice, neighbours in each other's place."""
    keep = [ast.Pass()] if field in ("body", "orelse") else []
    for index, item in enumerate(items):
        rest = [*items[:index], *items[index + 1 :]]
        yield f"{field}: one gone", node, field, rest or keep
        if not isinstance(item, ast.ClassDef | ast.FunctionDef):
            yield f"{field}: one twice", node, field, [*items[: index + 1], *items[index:]]
        if index:
            before = [*items[: index - 1], item, items[index - 1]]
            yield f"{field}: swapped", node, field, [*before, *items[index + 1 :]]


def _node_changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Constant(value=bool(value)):
            yield "a truth", node, "value", not value
            yield "a number for a truth", node, "value", int(value)
        case ast.Constant(value=int(value)):
            for new in (value + 1, value - 1, float(value)):
                yield "a number", node, "value", new
            if value in (0, 1):
                yield "a truth for a number", node, "value", bool(value)
        case ast.Constant(value=float(value)):
            yield "a number", node, "value", value * 1.5
        case ast.Constant(value=str(value)):
            yield "a string", node, "value", value + "x"
            yield "no string", node, "value", ""
        case ast.BinOp(op=operator, left=left, right=right):
            for new in _OPERATORS.get(type(operator), ()):
                yield "an operator", node, "op", new
            yield "one operand", node, "right", left
            yield "one operand", node, "left", right
        case ast.Compare(ops=[operator]):
            yield "a comparison", node, "ops", [_COMPARISONS[type(operator)]]
        case ast.BoolOp(op=operator, values=values):
            yield "and, or", node, "op", ast.Or() if isinstance(operator, ast.And) else ast.And()
            for index in range(len(values)):
                yield (
                    "half a condition",
                    node,
                    "values",
                    [v for i, v in enumerate(values) if i - index],
                )
        case ast.If(test=test) | ast.IfExp(test=test):
            yield "a condition turned", node, "test", ast.UnaryOp(ast.Not(), test)
            yield "always", node, "test", ast.Constant(True)
            yield "never", node, "test", ast.Constant(False)
        case ast.UnaryOp(op=ast.USub()):
            yield "a sign", node, "op", ast.UAdd()
        case ast.For(iter=iterated) | ast.comprehension(iter=iterated):
            backwards = ast.Call(ast.Name("reversed", ast.Load()), [iterated], [])
            yield "a loop backwards", node, "iter", backwards
        case ast.Call(func=ast.Attribute(attr=name), keywords=keywords):
            if name in _CALLEES:
                yield "another callee", node.func, "attr", _CALLEES[name]
            yield from _keyword_changes(node, keywords)
        case ast.Call(keywords=keywords):
            yield from _keyword_changes(node, keywords)
        case ast.arguments(defaults=defaults, args=args):
            for index in range(len(defaults)):
                changed = [*defaults]
                changed[index] = ast.Constant(7)
                yield "a default", node, "defaults", changed
            if len(args) > 2:
                yield "parameters swapped", node, "args", [args[0], args[2], args[1], *args[3:]]
        case ast.Return(value=value) if value is not None:
            yield "a result in a tuple", node, "value", ast.Tuple([value], ast.Load())


def _keyword_changes(node: ast.Call, keywords: list[ast.keyword]) -> Iterator[Change]:
    for index, keyword in enumerate(keywords):
        yield "a keyword gone", node, "keywords", [k for k in keywords if k is not keyword]
        if index:
            other = keywords[index - 1]
            one, two = ast.keyword(keyword.arg, other.value), ast.keyword(other.arg, keyword.value)
            swapped = [*keywords[: index - 1], two, one, *keywords[index + 1 :]]
            yield "keywords swapped", node, "keywords", swapped


def _name_changes(function: ast.FunctionDef) -> Iterator[Change]:
    """Each variable replaced by each other one of its function."""
    names = [n for n in ast.walk(function) if isinstance(n, ast.Name)]
    stored = {n.id for n in names if isinstance(n.ctx, ast.Store)}
    locals_ = sorted(stored | {a.arg for a in function.args.args} - {"self"})
    for name in names:
        if name.id in locals_:
            for other in locals_:
                yield f"{name.id} → {other}", name, "id", other


def _attribute_changes(tree: ast.Module) -> Iterator[Change]:
    """Each attribute of ``self`` replaced by the two that are next to it."""
    for cls in ast.walk(tree):
        if not isinstance(cls, ast.ClassDef):
            continue
        found = [
            node
            for node in ast.walk(cls)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        ]
        names = [*dict.fromkeys(node.attr for node in found)]
        for node in found:
            place = names.index(node.attr)
            for other in {*names[max(place - 2, 0) : place + 3]} - {node.attr}:
                yield f"self.{node.attr} → self.{other}", node, "attr", other
