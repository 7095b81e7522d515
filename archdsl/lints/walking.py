"""Walks over the syntax tree: statements, and the names they refer to."""

from __future__ import annotations

from collections.abc import Iterator

from archdsl.elaborate.values import names_in
from archdsl.text import syntax


def bodies_of(statement: syntax.Statement) -> Iterator[syntax.Body]:
    """The braces directly inside a statement."""
    if isinstance(statement, syntax.Step):
        yield from (atom for atom in statement.atoms if isinstance(atom, syntax.Body))
        return
    rest: syntax.Statement | syntax.Body | None = statement
    while isinstance(rest, syntax.Cond):
        yield rest.then
        rest = rest.otherwise
    if isinstance(rest, syntax.Body):
        yield rest


def statements_of(item: syntax.Item) -> Iterator[syntax.Statement]:
    """All statements of an item, outer before inner; a bare statement is its own."""
    match item:
        case syntax.Network(body=body) | syntax.Block(body=body):
            pending = [body]
        case syntax.Instance(body=body):
            pending = [body] if body else []
        case syntax.Use():
            return
        case _:
            yield item
            pending = list(bodies_of(item))
    while pending:
        for chain in pending.pop().chains:
            for statement in chain.statements:
                yield statement
                pending.extend(bodies_of(statement))


def expressions_of(statement: syntax.Statement) -> Iterator[syntax.Expr]:
    """The expressions directly in a statement; a word among the atoms is one of them."""
    match statement:
        case syntax.Let(value=value):
            yield value
        case syntax.Cond():
            rest: syntax.Body | syntax.Cond | None = statement
            while isinstance(rest, syntax.Cond):
                yield rest.test
                rest = rest.otherwise
        case syntax.Step(atoms=atoms, repeat=repeat, claim=claim):
            yield from (expr for expr in (repeat, claim) if expr is not None)
            for atom in atoms:
                if isinstance(atom, syntax.Named):
                    yield atom.value
                elif not isinstance(atom, (syntax.Body, syntax.Flag, syntax.Number, syntax.Dims)):
                    yield atom


def names_of(item: syntax.Item) -> Iterator[str]:
    """The names an item refers to: those it defines are not among them."""
    match item:
        case syntax.Network(formals=formals, input=input, output=output):
            yield from names_in(input)
            yield from names_in(output)
        case syntax.Block(formals=formals):
            pass
        case syntax.Instance(call=call):
            formals = ()
            yield from names_in(call)
        case _:
            formals = ()
    for formal in formals:
        if formal.default is not None:
            yield from names_in(formal.default)
    for statement in statements_of(item):
        for expression in expressions_of(statement):
            yield from names_in(expression)


def called_names(item: syntax.Item) -> Iterator[str]:
    """The blocks and families an item calls."""
    if isinstance(item, syntax.Instance):
        yield item.call.name.id
    for statement in statements_of(item):
        if isinstance(statement, syntax.Step):
            yield from (atom.name.id for atom in statement.atoms if isinstance(atom, syntax.Call))
