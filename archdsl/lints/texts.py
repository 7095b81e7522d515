"""Lints about what is written: names, conditions and repeats without effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.names import Context, Values
from archdsl.elaborate.values import truth
from archdsl.layers import REGISTRY
from archdsl.layers.regularization import Dropout, DropPath
from archdsl.lints.subject import LintedText, warning
from archdsl.text import syntax
from archdsl.text.diagnostics import Diagnostic, Edit, Fix
from archdsl.text.source import Span

_RANDOM = {Dropout.name, DropPath.name}


def unused_name(text: LintedText) -> Iterator[Diagnostic]:
    """A value, a parameter or a block that nothing uses."""
    items = text.program.items
    names = {id(item): {*syntax.names_in(item), *_called_names(item)} for item in items}
    everywhere = set().union(*names.values()) if names else set()
    for item in items:
        if isinstance(item, syntax.Let):
            if item.name.id not in everywhere:
                yield _unused("the value", item.name)
            continue
        if isinstance(item, (syntax.Network, syntax.Block)):
            for name in _formal_names(item):
                if name.id not in names[id(item)]:
                    yield _unused("the parameter", name)
        for statement in syntax.statements_of(item):
            if isinstance(statement, syntax.Let) and statement.name.id not in names[id(item)]:
                yield _unused("the value", statement.name)
    yield from _unused_blocks(text.program)


def _formal_names(item: syntax.Network | syntax.Block) -> Iterator[syntax.Name]:
    for formal in item.formals:
        yield from (name for name in (formal.name, formal.pair) if name is not None)


def _unused_blocks(program: syntax.Program) -> Iterator[Diagnostic]:
    """Blocks that no network of the file reaches; a file with only blocks is for other files."""
    blocks = {item.name.id: item for item in program.items if isinstance(item, syntax.Block)}
    others = [i for i in program.items if not isinstance(i, (syntax.Block, syntax.Use, syntax.Let))]
    if not others:
        return
    reached: set[str] = set()
    pending = [name for item in others for name in _called_names(item)]
    while pending:
        name = pending.pop()
        if name in blocks and name not in reached:
            reached.add(name)
            pending.extend(_called_names(blocks[name]))
    for name, block in blocks.items():
        if name not in reached:
            yield _unused("the phrase" if block.is_phrase else "the block", block.name)


def _called_names(item: syntax.Item) -> Iterator[str]:
    """The blocks and families an item calls."""
    if isinstance(item, syntax.Instance):
        yield item.call.name.id
    for step in syntax.find(item, syntax.Step):
        yield from (atom.name.id for atom in step.atoms if isinstance(atom, syntax.Call))
    yield from _given_names(item)


def _given_names(item: syntax.Item) -> Iterator[str]:
    """The names that an item gives to calls: some may be of blocks."""
    for argument in syntax.find(item, syntax.Argument):
        if isinstance(argument.value, syntax.Name):
            yield argument.value.id
    for formal in syntax.find(item, syntax.Formal):
        if formal.kind and isinstance(formal.default, syntax.Name):
            yield formal.default.id


def _unused(what: str, name: syntax.Name) -> Diagnostic:
    return warning("unused-name", f"{what} `{name.id}` is never used", name.span)


def unused_use(text: LintedText) -> Iterator[Diagnostic]:
    """A file from which nothing is used."""
    if not text.uses or not text.models:
        return
    called = {name for item in text.program.items for name in _called_names(item)}
    for item in text.program.items:
        if isinstance(item, syntax.Use) and not called & text.uses.get(
            item.span, frozenset(called)
        ):
            message = f'nothing from "{item.path}" is used'
            yield warning("unused-use", message, item.span)


def constant_condition(text: LintedText) -> Iterator[Diagnostic]:
    """An `if` that always goes one way, because nothing in its condition can change."""
    for item in text.program.items:
        for statement in syntax.statements_of(item):
            cond: syntax.Cond | syntax.Body | None = (
                statement if isinstance(statement, syntax.Cond) else None
            )
            while isinstance(cond, syntax.Cond):
                if not any(True for _ in syntax.names_in(cond.test)):
                    yield from _constant(cond)
                cond = cond.otherwise


def _constant(cond: syntax.Cond) -> Iterator[Diagnostic]:
    try:
        holds = truth(cond.test, Context(Values(), None, in_network=False))
    except (ElaborationError, UnknownVolume):
        return
    which = "the `else` is never built" if holds else "what follows is never built"
    if holds and cond.otherwise is None:
        which = "the `if` can be removed"
    message = f"this condition is always {'true' if holds else 'false'}: {which}"
    yield warning("constant-condition", message, cond.test.span)


def no_effect(text: LintedText) -> Iterator[Diagnostic]:
    """Something that is written but changes nothing."""
    for item in text.program.items:
        for statement in syntax.statements_of(item):
            if isinstance(statement, syntax.Step):
                yield from _no_effect(statement)


def idle_reference(text: LintedText) -> Iterator[Diagnostic]:
    """A name right behind its own part: it refers to the result, and does not run it again.

    Only statements of the same braces are compared.
    """
    rows: list[Sequence[syntax.Item]] = [text.program.items]
    rows += [chain.statements for item in text.program.items for chain in syntax.chains_of(item)]
    for row in rows:
        for before, step in pairwise(row):
            match before, step:
                case (
                    syntax.Step(label=syntax.Name(id=name))
                    | syntax.Step(atoms=(syntax.Name(id=name),)),
                    syntax.Step(label=None, atoms=(syntax.Name(id=again) as word, *_)),
                ) if name == again and again not in REGISTRY and not isinstance(before, syntax.Aux):
                    yield warning(
                        "idle-reference",
                        f"`{again}` changes nothing: its result is what comes in",
                        word.span,
                        help="a name refers to a result; to run layers again, write them again or "
                        "call a block",
                    )


def _no_effect(step: syntax.Step) -> Iterator[Diagnostic]:
    repeat = step.repeat
    if isinstance(repeat, syntax.Number) and repeat.value == 1 and step.label is None:
        source, start = step.span.source, step.atoms[-1].span.end
        place = Span(source, start, repeat.span.end)
        fix = Fix("leave it out", (Edit(place, ""),))
        sign = place.text.strip()
        span = Span(source, place.end - len(sign), place.end)
        yield warning("no-effect", f"`{sign}` repeats nothing", span, fixes=(fix,))
    for word, rate in zip(step.atoms, step.atoms[1:], strict=False):
        if not isinstance(word, syntax.Name) or word.id not in _RANDOM:
            continue
        value = rate.value if isinstance(rate, syntax.Named) else rate
        if isinstance(value, syntax.Number) and value.value == 0:
            span = word.span.to(rate.span)
            yield warning("no-effect", f"`{span.text}` does nothing", span, help="leave it out")
