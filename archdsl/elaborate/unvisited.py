"""Words in code that no network runs: blocks never called, branches of `if` never taken.

Elaboration sees only what runs. This walk over the syntax tree looks at all statements, so that a
misspelt word is refused wherever it is. It knows no volumes and no values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import replace

from archdsl.elaborate.environment import Environment
from archdsl.elaborate.errors import ElaborationError
from archdsl.elaborate.names import SIZE_NAMES
from archdsl.elaborate.reuse import no_such_part, reused_name
from archdsl.elaborate.words import NameScope, is_item, unknown_block, unknown_word
from archdsl.layers import REGISTRY, Layer
from archdsl.layers.definition import fields_of, words_of
from archdsl.layers.fields import REFERENCE
from archdsl.network.functions import FUNCTIONS
from archdsl.text import syntax
from archdsl.text.diagnostics import Diagnostic


def check_words(program: syntax.Program, environment: Environment) -> Iterator[Diagnostic]:
    """Yield a diagnostic for each unknown word of a program."""
    shared = environment.values.names()
    bare = tuple(
        i
        for i in program.items
        if isinstance(i, (syntax.Step, syntax.Cond, syntax.For, syntax.Let))
    )
    if bare:
        span = bare[0].span
        body = syntax.Body(span, (syntax.Chain(span, bare),), forked=False)
        yield from _body(body, NameScope(environment, shared, _Labels(body, (), environment)))
    for item in program.items:
        match item:
            case syntax.Block() | syntax.Network():
                yield from _body(item.body, _names_in(item, environment, shared))


def _names_in(
    item: syntax.Block | syntax.Network, environment: Environment, shared: Set[str]
) -> NameScope:
    """What the body of a definition may name."""
    by_kind: dict[str, set[str]] = {"value": set(), "block": set(), "layer": set(), "part": set()}
    for formal in item.formals:
        kind = formal.kind.id if formal.kind else "value"
        named = {name.id for name in (formal.name, formal.pair) if name is not None}
        # Where the kind is wrong, any use may be right.
        for key in by_kind if kind not in by_kind else (kind,):
            by_kind[key] |= named
    parts = _Labels(item.body, item.formals, environment)
    parts.names |= by_kind["part"]
    if isinstance(item, syntax.Network) and isinstance(item.input, syntax.Ports):
        parts.names |= {port.name.id for port in item.input.ports}
    values = shared | by_kind["value"]
    return NameScope(environment, values, parts, by_kind["block"], by_kind["layer"])


def has_inner_items(program: syntax.Program) -> bool:
    """Whether a block or network is inside another, so that its name is not in scope."""
    return any(
        is_item(step)
        for item in program.items
        if isinstance(item, (syntax.Block, syntax.Network))
        for step in syntax.find(item.body, syntax.Step)
    )


class _Labels(Set[str]):
    """The names of the parts in a body, and of those that phrases put there.

    One with values in it may be any that looks like it. A phrase that is given for a parameter may
    put any part there.
    """

    def __init__(
        self, body: syntax.Body, formals: tuple[syntax.Formal, ...], environment: Environment
    ) -> None:
        self.names: set[str] = set()
        self.patterns: list[re.Pattern[str]] = []
        self._add(body, formals, environment, set())

    def _add(
        self,
        body: syntax.Body,
        formals: tuple[syntax.Formal, ...],
        environment: Environment,
        seen: set[int],
    ) -> None:
        given = {formal.name.id for formal in formals if formal.kind and formal.kind.id == "block"}
        self.names |= set(_labels(body))
        self.patterns += [
            re.compile(r"\w+".join(map(re.escape, found.texts)))
            for found in syntax.find(body, syntax.Quoted)
            if found.values
        ]
        for call in syntax.find(body, syntax.Call):
            if call.name.id in given:
                self.patterns.append(re.compile(r"\w+"))
                continue
            found = environment.find_block(call.name.id)
            if found and found.block.is_phrase and id(found.block) not in seen:
                seen.add(id(found.block))
                self._add(found.block.body, found.block.formals, found.home, seen)

    def __contains__(self, name: object) -> bool:
        is_like = any(pattern.fullmatch(str(name)) for pattern in self.patterns)
        return name in self.names or is_like

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _labels(body: syntax.Body) -> Iterator[str]:
    for step in syntax.named_statements(body):
        match step.label:
            case syntax.Name(id=name) | syntax.Quoted(texts=(name,)):
                yield name


def _statements(body: syntax.Body) -> Iterator[syntax.Statement]:
    for chain in body.chains:
        yield from chain.statements


def _body(body: syntax.Body, names: NameScope) -> Iterator[Diagnostic]:
    lets = {s.name.id for s in _statements(body) if isinstance(s, syntax.Let)}
    inner = replace(names, values=names.values | lets)
    for statement in _statements(body):
        if isinstance(statement, syntax.Step):
            if isinstance(statement, (syntax.Train, syntax.Init)):
                continue  # its words are not layers, and it always runs
            is_reuse = isinstance(statement, syntax.Reuse)
            fault = _reuse(statement, inner) if is_reuse else _step(statement, inner)
            if fault is not None:
                yield fault.diagnostic
            if is_item(statement):
                continue  # its names are not in scope here
        own = {statement.name.id} if isinstance(statement, syntax.For) else set()
        for deeper in syntax.bodies_of(statement):
            yield from _body(deeper, replace(inner, values=inner.values | own))


def _reuse(step: syntax.Step, names: NameScope) -> ElaborationError | None:
    """A part that is named nowhere around."""
    try:
        name = reused_name(step)
    except ElaborationError as fault:
        return fault
    return None if name.id in names.parts else no_such_part(name, names.parts)


def _step(step: syntax.Step, names: NameScope) -> ElaborationError | None:
    """The first unknown word of a statement: what follows it may depend on it."""
    layer: type[Layer] | None = None
    for index, atom in enumerate(step.atoms):
        match atom:
            case syntax.Name():
                if atom.id in names.layers:
                    layer = None
                    continue
                if not _is_known(atom.id, layer, names, is_first=index == 0):
                    return unknown_word(atom, step, names)
                layer = REGISTRY.get(atom.id, layer)
            case syntax.Call(name=name) if names.finds_block(name.id):
                layer = None
            case syntax.Call(name=name) if layer and name.id in FUNCTIONS:
                pass  # an argument
            case syntax.Call(name=name) if name.id in REGISTRY:
                layer = REGISTRY[name.id]
            case syntax.Call(name=name) if name.id != "aux":
                return None if names.environment.is_partial else unknown_block(atom, names)
    return None


def _is_known(word: str, layer: type[Layer] | None, names: NameScope, *, is_first: bool) -> bool:
    if word in REGISTRY or (is_first and word in names.parts):
        return True
    if layer is None:
        return False
    takes_reference = any(item.role.kind is REFERENCE for item in fields_of(layer))
    return word in words_of(layer) or word in names.values or word in SIZE_NAMES or takes_reference
