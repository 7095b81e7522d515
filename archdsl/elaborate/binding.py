"""Binding arguments: from what is written to the fields of a layer or the names of a block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from archdsl.elaborate.errors import ElaborationError
from archdsl.elaborate.names import VOLUME_NAMES, Context
from archdsl.elaborate.suggestions import meant
from archdsl.elaborate.values import trace, trace_row, written
from archdsl.layers import INITIALIZERS, REGISTRY, Initializer
from archdsl.layers.definition import (
    Definition,
    FieldInfo,
    fields_of,
    letters_of,
    without_arguments,
    words_of,
)
from archdsl.layers.elsewhere import INITIALIZERS_ELSEWHERE
from archdsl.layers.fields import COUNT, REFERENCE, WHOLE, WrongPartError
from archdsl.layers.initializers import INITIALIZER
from archdsl.network.symbols import Constant, ListValue, Symbolic
from archdsl.records import dataclass
from archdsl.text import syntax
from archdsl.text.diagnostics import Edit, Fix, Label, replaced, respell
from archdsl.text.source import Span

Bare: TypeAlias = (
    syntax.Number | syntax.Dims | syntax.Paren | syntax.Name | syntax.Element | syntax.Text
)


@dataclass
class Application:
    """A word with the arguments that follow it, not yet interpreted."""

    definition: type[Definition]
    span: Span
    bare: list[Bare] = field(default_factory=list)
    settings: list[syntax.Flag | syntax.Named | syntax.Name] = field(default_factory=list)

    def extend(self, atom: Bare | syntax.Flag | syntax.Named, is_setting: bool = False) -> None:
        if is_setting or isinstance(atom, (syntax.Flag, syntax.Named)):
            self.settings.append(atom)  # type: ignore[arg-type]
        else:
            self.bare.append(atom)
        self.span = self.span.to(atom.span)

    @property
    def takes_reference(self) -> bool:
        return any(item.role.kind is REFERENCE for item in fields_of(self.definition))


def bind_definition(
    application: Application, context: Context, derived: Mapping[str, Any] | None = None
) -> Definition:
    """A definition with its fields set.

    Errors: ``ElaborationError`` at the argument that is wrong.
    """
    return bind_with_forms(application, context, derived)[0]


def bind_with_forms(
    application: Application, context: Context, derived: Mapping[str, Any] | None = None
) -> tuple[Definition, dict[str, Symbolic]]:
    """The definition with its fields set, and by field the forms that are not constants."""
    definition = application.definition
    if not (application.bare or application.settings or derived):
        plain = without_arguments(definition)
        if plain is not None:
            return plain, {}
    given: dict[str, tuple[Any, Span]] = {}
    forms: dict[str, Symbolic] = {}
    for name, value, span in _positional(application, context):
        bare = application.bare if name.role.is_variadic else ()
        _set(definition, given, forms, name, value, span, bare)
    for setting in application.settings:
        item, value = _read_setting(definition, setting, context)
        _set(definition, given, forms, item, value, setting.span)
    for item in fields_of(definition):
        if item.is_required and item.name not in given:
            raise ElaborationError(
                "missing-argument",
                f"`{definition.name}` needs `{item.name}`: {item.role.doc}",
                application.span,
                help=f"for example `{definition.usage()}`",
            )
    values = {name: value for name, (value, _) in given.items()}
    return definition(**values, **(derived or {})), forms


def _set(
    definition: type[Definition],
    given: dict[str, tuple[Any, Span]],
    forms: dict[str, Symbolic],
    item: FieldInfo,
    value: Any,
    span: Span,
    bare: Sequence[Bare] = (),
) -> None:
    """Convert a value and keep it.

    Errors: ``ElaborationError``, at the one of ``bare`` that is wrong.
    """
    if isinstance(value, Symbolic):
        if not isinstance(value.form, Constant):
            forms[item.name] = value
        value = value.value
    kind = item.role.kind
    if isinstance(value, ListValue):
        message = f"`{item.name}` of `{definition.name}` must be {kind.phrase}, not a list"
        raise ElaborationError("wrong-value", message, span)
    if item.name in given:
        before, place = given[item.name]
        raise ElaborationError(
            "repeated-argument",
            f"`{item.name}` of `{definition.name}` is given twice",
            span,
            related=(Label(place, "first given here"),),
            fixes=(
                without_argument(span, "leave one out", keeps_choices=kind.makes(value, before)),
            ),
        )
    try:
        given[item.name] = (kind.convert(value), span)
    except WrongPartError as error:
        message = f"`{item.name}` of `{definition.name}` {error.predicate}"
        place = span if error.index is None or not bare else bare[error.index].span
        raise ElaborationError("wrong-value", message, place) from None
    except (TypeError, ValueError):
        text = " ".join(span.text.split())
        message = f"`{item.name}` of `{definition.name}` must be {kind.phrase}, not `{text}`"
        if written(value) not in text and not isinstance(value, tuple):
            message += f" ({written(value)})"
        is_whole = isinstance(value, float) and kind in (COUNT, WHOLE)
        help = "`round(…)`, `floor(…)` or `ceil(…)` makes a whole number" if is_whole else None
        raise ElaborationError("wrong-value", message, span, help=help) from None


def _positional(application: Application, context: Context) -> list[tuple[FieldInfo, Any, Span]]:
    definition = application.definition
    slots = [item for item in fields_of(definition) if item.role.is_positional]
    atoms = application.bare
    if not atoms:
        return []
    if slots and slots[0].role.is_variadic:
        row: list[syntax.Expr] = []
        for atom in atoms:
            if isinstance(atom, syntax.Text):
                message = f"`{definition.name}` takes numbers, not `{atom.span.text}`"
                raise ElaborationError("wrong-value", message, atom.span)
            row.append(atom)
        return [(slots[0], trace_row(row, context), atoms[0].span.to(atoms[-1].span))]
    if len(atoms) > len(slots):
        extra = atoms[len(slots)]
        takes = ", ".join(f"`{item.name}`" for item in slots) or "none"
        raise ElaborationError(
            "surplus-argument",
            f"`{definition.name}` has no place for the argument `{extra.span.text}`",
            extra.span,
            help=f"its positional arguments: {takes}",
            fixes=(
                without_argument(extra.span.to(atoms[-1].span), f"leave out `{extra.span.text}`"),
            ),
        )
    return [
        (item, _read_bare(item, atom, context), atom.span)
        for item, atom in zip(slots, atoms, strict=False)
    ]


def _read_bare(item: FieldInfo, atom: Bare, context: Context) -> Any:
    if isinstance(atom, syntax.Text):
        return atom.text
    if item.role.kind is REFERENCE and isinstance(atom, syntax.Name):
        return atom.id
    return trace(atom, context)


def _read_setting(
    definition: type[Definition],
    setting: syntax.Flag | syntax.Named | syntax.Name,
    context: Context,
) -> tuple[FieldInfo, Any]:
    match setting:
        case syntax.Name():
            return words_of(definition)[setting.id]
        case syntax.Flag():
            item = letters_of(definition).get(setting.letter)
            if item is None:
                letters = ", ".join(f"`{letter}`" for letter in letters_of(definition))
                raise ElaborationError(
                    "unknown-attribute",
                    f"`{definition.name}` has no `{setting.letter}`",
                    setting.span,
                    help=f"its letters are {letters}" if letters else None,
                )
            sizes = setting.sizes
            return item, sizes[0] if len(sizes) == 1 else sizes
        case syntax.Named():
            return _read_named(definition, setting, context)


def _read_named(
    definition: type[Definition], setting: syntax.Named, context: Context
) -> tuple[FieldInfo, Any]:
    fields = {item.name: item for item in fields_of(definition) if not item.role.is_derived}
    item = fields.get(setting.name.id)
    if item is None:
        listed = ", ".join(f"`{name}`" for name in fields)
        known = f"its attributes are {listed}" if fields else None
        fixes = _as_letter(definition, setting) or respell(
            setting.name.id, setting.name.span, fields
        )
        raise ElaborationError(
            "unknown-attribute",
            f"`{definition.name}` has no attribute `{setting.name.id}`",
            setting.name.span,
            help=None if fixes else known,
            fixes=fixes,
        )
    value = setting.value
    if item.role.kind is INITIALIZER:
        return item, _read_initializer(value, context)
    # The word in `mode=nearest` is not a value; the field's kind knows its words.
    if (
        isinstance(value, syntax.Name)
        and value.id not in ("true", "false", *VOLUME_NAMES)
        and not context.names_size(value.id)
        and context.values.find(value.id) is None
    ):
        return item, value.id
    return item, trace(value, context)


def _as_letter(definition: type[Definition], setting: syntax.Named) -> tuple[Fix, ...]:
    """``s=2`` as ``s2``, or in full where its value is not a literal."""
    letter, value = setting.name.id, setting.value
    if letter not in letters_of(definition):
        return ()
    in_full = letters_of(definition)[letter].name
    if not isinstance(value, (syntax.Number, syntax.Dims)):
        return (replaced(setting.name.span, in_full, f"write `{in_full}=…`"),)
    short = f"{letter}{value.span.text}"
    return (replaced(setting.span, short, f"write `{short}` or `{in_full}=…`"),)


def without_argument(span: Span, message: str, *, keeps_choices: bool = False) -> Fix:
    """A fix that leaves an argument out, with the comma or the spaces before it."""
    text = span.source.text
    start = len(text[: span.start].rstrip())
    if text[start - 1 : start] == ",":
        start -= 1
    return Fix(message, (Edit(Span(span.source, start, span.end), ""),), keeps_choices)


def _read_initializer(value: syntax.Expr, context: Context) -> Definition:
    """What ``init=he`` or ``init=normal(0.01, bias=1)`` means."""
    match value:
        case syntax.Name():
            application = Application(find_initializer(value), value.span)
        case syntax.Call():
            application = Application(find_initializer(value.name), value.span)
            for argument in value.arguments:
                application.extend(as_atom(argument, "an initializer"))
        case _:
            raise ElaborationError(
                "wrong-value",
                f"`{value.span.text}` is not an initializer",
                value.span,
                help="for example `init=he`, or `init=normal(0.01, bias=1)`",
            )
    return bind_definition(application, context)


def as_atom(argument: syntax.Argument, what: str) -> Bare | syntax.Named:
    """An argument in parentheses as it would be written after the word."""
    if argument.pair is not None:
        raise ElaborationError("wrong-pair", f"{what} takes plain values", argument.span)
    if argument.keyword is not None:
        return syntax.Named(argument.span, argument.keyword, argument.value)
    return _as_bare(argument.value)


def find_initializer(word: syntax.Name) -> type[Initializer]:
    """The definition of an initializer.

    Errors: ``ElaborationError`` with what may have been meant.
    """
    definition = INITIALIZERS.get(word.id)
    if definition is not None:
        return definition
    fixes, help = meant(word, INITIALIZERS, "an initializer", INITIALIZERS_ELSEWHERE)
    if not fixes:
        listed = ", ".join(f"`{name}`" for name in INITIALIZERS)
        help = f"{help}; choose from {listed}" if help else f"choose from {listed}"
    raise ElaborationError(
        "unknown-word",
        f"there is no initializer `{word.id}`",
        word.span,
        help=help,
        fixes=fixes,
    )


def bare_arguments(call: syntax.Call) -> list[Bare]:
    """The arguments of a layer written with parentheses, as bare ones: ``take(0, 1)``."""
    bare: list[Bare] = []
    for argument in call.arguments:
        if argument.pair is not None or argument.keyword is not None:
            raise ElaborationError(
                "wrong-pair",
                f"layer `{call.name.id}` takes plain values in parentheses",
                argument.span,
                help=f"for example `{REGISTRY[call.name.id].usage()}`",
            )
        bare.append(_as_bare(argument.value))
    return bare


def _as_bare(value: syntax.Expr) -> Bare:
    if isinstance(value, (syntax.Number, syntax.Dims, syntax.Name)):
        return value
    return syntax.Paren(value.span, value)
