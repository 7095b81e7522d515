"""Words in code that no network runs: blocks never called, branches of `if` never taken.

Elaboration sees only what runs. This walk over the syntax tree looks at all statements, so that a
misspelt word is refused wherever it is. It knows no volumes and no values.
"""

from __future__ import annotations

from collections.abc import Iterator

from archdsl.elaborate.environment import Environment
from archdsl.elaborate.errors import ElaborationError
from archdsl.elaborate.values import VOLUME_NAMES
from archdsl.elaborate.words import NameScope, is_item, unknown_block, unknown_word
from archdsl.layers import REGISTRY, Layer
from archdsl.layers.definition import fields_of, words_of
from archdsl.layers.fields import REFERENCE
from archdsl.text import syntax
from archdsl.text.diagnostics import Diagnostic


def check_words(program: syntax.Program, environment: Environment) -> Iterator[Diagnostic]:
    """Yield a diagnostic for each unknown word of a program."""
    shared = environment.values.names()
    bare = tuple(i for i in program.items if isinstance(i, (syntax.Step, syntax.Cond, syntax.Let)))
    if bare:
        span = bare[0].span
        body = syntax.Body(span, (syntax.Chain(span, bare),), forked=False)
        yield from _body(body, NameScope(environment, shared, set(_labels(body))))
    for item in program.items:
        match item:
            case syntax.Block() | syntax.Network():
                formals = {
                    name.id
                    for formal in item.formals
                    for name in (formal.name, formal.pair)
                    if name is not None
                }
                names = NameScope(environment, shared | formals, set(_labels(item.body)))
                yield from _body(item.body, names)


def has_inner_items(program: syntax.Program) -> bool:
    """Whether a block or network is inside another, so that its name is not in scope."""
    return any(
        is_item(step)
        for item in program.items
        if isinstance(item, (syntax.Block, syntax.Network))
        for step in syntax.find(item.body, syntax.Step)
    )


def _labels(body: syntax.Body) -> Iterator[str]:
    return (step.label.id for step in syntax.find(body, syntax.Step) if step.label)


def _statements(body: syntax.Body) -> Iterator[syntax.Statement]:
    for chain in body.chains:
        yield from chain.statements


def _body(body: syntax.Body, names: NameScope) -> Iterator[Diagnostic]:
    lets = {s.name.id for s in _statements(body) if isinstance(s, syntax.Let)}
    inner = NameScope(names.environment, names.values | lets, names.parts)
    for statement in _statements(body):
        if isinstance(statement, syntax.Step):
            if isinstance(statement, (syntax.Train, syntax.Init)):
                continue  # its words are not layers, and it always runs
            fault = _step(statement, inner)
            if fault is not None:
                yield fault.diagnostic
            if is_item(statement):
                continue  # its names are not in scope here
        for deeper in syntax.bodies_of(statement):
            yield from _body(deeper, inner)


def _step(step: syntax.Step, names: NameScope) -> ElaborationError | None:
    """The first unknown word of a statement: what follows it may depend on it."""
    layer: type[Layer] | None = None
    for index, atom in enumerate(step.atoms):
        match atom:
            case syntax.Name():
                if not _is_known(atom.id, layer, names, is_first=index == 0):
                    return unknown_word(atom, step, names)
                layer = REGISTRY.get(atom.id, layer)
            case syntax.Call(name=name) if name.id in REGISTRY:
                layer = REGISTRY[name.id]
            case syntax.Call(name=name) if name.id != "aux":
                if not names.environment.find_block(name.id):
                    return (
                        None
                        if names.environment.is_partial
                        else unknown_block(atom, names.environment)
                    )
                layer = None
    return None


def _is_known(word: str, layer: type[Layer] | None, names: NameScope, *, is_first: bool) -> bool:
    if word in REGISTRY or (is_first and word in names.parts):
        return True
    if layer is None:
        return False
    takes_reference = any(item.role.kind is REFERENCE for item in fields_of(layer))
    return (
        word in words_of(layer) or word in names.values or word in VOLUME_NAMES or takes_reference
    )
