"""Binding arguments: from what is written to the fields of a layer or the names of a block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.suggestions import meant
from archdsl.elaborate.values import VOLUME_NAMES, Context, Values, trace, trace_row, written
from archdsl.layers import INITIALIZERS, REGISTRY, Initializer
from archdsl.layers.definition import Definition, FieldInfo, fields_of, letters_of, words_of
from archdsl.layers.elsewhere import INITIALIZERS_ELSEWHERE
from archdsl.layers.fields import COUNT, REFERENCE, WHOLE, WrongPartError
from archdsl.layers.initializers import INITIALIZER
from archdsl.network.parts import CallArgument
from archdsl.network.symbols import Constant, Parameter, Symbolic, Value, substitute, symbolic_of
from archdsl.records import dataclass
from archdsl.text import syntax
from archdsl.text.diagnostics import Edit, Fix, Label, help_of, replaced, respell
from archdsl.text.source import Span

Bare: TypeAlias = syntax.Number | syntax.Dims | syntax.Paren | syntax.Name


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
    application: Application, context: Context, derived: Mapping[str, int] | None = None
) -> Definition:
    """A definition with its fields set.

    Errors: ``ElaborationError`` at the argument that is wrong.
    """
    return bind_with_forms(application, context, derived)[0]


def bind_with_forms(
    application: Application, context: Context, derived: Mapping[str, int] | None = None
) -> tuple[Definition, dict[str, Symbolic]]:
    """The definition with its fields set, and by field the forms that are not constants."""
    definition = application.definition
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
    if item.name in given:
        before, place = given[item.name]
        raise ElaborationError(
            "repeated-argument",
            f"`{item.name}` of `{definition.name}` is given twice",
            span,
            related=(Label(place, "first given here"),),
            fixes=(_without(span, "leave one out", keeps_choices=kind.makes(value, before)),),
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
        return [(slots[0], trace_row(atoms, context), atoms[0].span.to(atoms[-1].span))]
    if len(atoms) > len(slots):
        extra = atoms[len(slots)]
        takes = ", ".join(f"`{item.name}`" for item in slots) or "none"
        raise ElaborationError(
            "surplus-argument",
            f"`{definition.name}` has no place for the argument `{extra.span.text}`",
            extra.span,
            help=f"its positional arguments: {takes}",
            fixes=(_without(extra.span.to(atoms[-1].span), f"leave out `{extra.span.text}`"),),
        )
    return [
        (
            item,
            atom.id
            if item.role.kind is REFERENCE and isinstance(atom, syntax.Name)
            else trace(atom, context),
            atom.span,
        )
        for item, atom in zip(slots, atoms, strict=False)
    ]


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


def _without(span: Span, message: str, *, keeps_choices: bool = False) -> Fix:
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
                application.extend(_as_atom(argument))
        case _:
            raise ElaborationError(
                "wrong-value",
                f"`{value.span.text}` is not an initializer",
                value.span,
                help="for example `init=he`, or `init=normal(0.01, bias=1)`",
            )
    return bind_definition(application, context)


def _as_atom(argument: syntax.Argument) -> Bare | syntax.Named:
    """An argument in parentheses as it would be written after the word."""
    if argument.pair is not None:
        raise ElaborationError("wrong-pair", "an initializer takes plain values", argument.span)
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


# ── Blocks and families ──────────────────────────────────────────────────────────────────────


def bind_formals(
    kind: str,
    formals: tuple[syntax.Formal, ...],
    call: syntax.Call,
    context: Context,
    outer: Values,
) -> tuple[Values, tuple[CallArgument, ...]]:
    """A block's or family's parameters for one call: as its body sees them, and as given."""
    name = call.name.id
    given = _assign(kind, formals, call)
    values = Values(outer)
    arguments: list[CallArgument] = []

    def bind(name: syntax.Name, argument: Symbolic, default: Value | None = None) -> None:
        values.define(name, Symbolic(argument.value, Parameter(name.id)))
        arguments.append(CallArgument(name.id, argument.value, argument.form, default))

    for formal in formals:
        argument = given.get(formal.name.id)
        if argument is None:
            if formal.default is None:
                raise ElaborationError(
                    "missing-argument",
                    f"{kind} `{name}` needs an argument for `{shown(formal)}`",
                    call.span,
                    help=f"it is written `{signature(name, formals)}`",
                )
            inside = Context(values, context.volume, context.in_network, node=context.node)
            value = trace(formal.default, inside)
            # In terms of the caller, which knows the parameters before it by their arguments.
            form = substitute(value.form, {known.name: known.form for known in arguments})
            bind(formal.name, symbolic_of(value.value, form), _constant(formal.default, outer))
            continue
        if (argument.pair is None) != (formal.pair is None):
            wanted = "the pair" if formal.pair else "one value for"
            fixes = _regrouped(formals, call)
            raise ElaborationError(
                "wrong-pair",
                f"{kind} `{name}` expects {wanted} `{shown(formal)}` here",
                argument.span,
                help=help_of(fixes) or f"it is written `{signature(name, formals)}`",
                fixes=fixes,
            )
        bind(formal.name, trace(argument.value, context), _constant(formal.default, outer))
        if formal.pair and argument.pair:
            bind(formal.pair, trace(argument.pair, context))
    return values, tuple(arguments)


def _constant(default: syntax.Expr | None, outer: Values) -> Value | None:
    """The default of a parameter, where it is the same for each call."""
    if default is None:
        return None
    try:
        traced = trace(default, Context(outer, None, in_network=False))
    except (ElaborationError, UnknownVolume):
        return None
    return traced.value if isinstance(traced.form, Constant) else None


def _assign(
    kind: str, formals: tuple[syntax.Formal, ...], call: syntax.Call
) -> dict[str, syntax.Argument]:
    name = call.name.id
    names = [formal.name.id for formal in formals]
    given: dict[str, syntax.Argument] = {}
    for index, argument in enumerate(call.arguments):
        if argument.keyword is None and index >= len(formals):
            fixes = _regrouped(formals, call)
            raise ElaborationError(
                "surplus-argument",
                f"{kind} `{name}` takes {len(formals)} argument{'s' * (len(formals) != 1)}, "
                f"not {len(call.arguments)}",
                argument.span,
                help=help_of(fixes) or f"it is written `{signature(name, formals)}`",
                fixes=fixes or (_without_rest(call, len(formals)),),
            )
        target = argument.keyword.id if argument.keyword else names[index]
        if target not in names:
            assert argument.keyword is not None
            fixes = respell(target, argument.keyword.span, names)
            raise ElaborationError(
                "unknown-attribute",
                f"{kind} `{name}` has no parameter `{target}`",
                argument.keyword.span,
                help=None if fixes else f"it is written `{signature(name, formals)}`",
                fixes=fixes,
            )
        if target in given:
            raise ElaborationError(
                "repeated-argument",
                f"`{target}` of {kind} `{name}` is given twice",
                argument.span,
                related=(Label(given[target].span, "first given here"),),
                fixes=_regrouped(formals, call) or (_without(argument.span, "leave one out"),),
            )
        given[target] = argument
    return given


def _regrouped(formals: tuple[syntax.Formal, ...], call: syntax.Call) -> tuple[Fix, ...]:
    """The fix that pairs arguments where the parameters are pairs, if their number is right."""
    by_place = [argument for argument in call.arguments if not argument.keyword]
    by_name = {argument.keyword.id for argument in call.arguments if argument.keyword}
    texts = [v.span.text for a in by_place for v in (a.value, a.pair) if v is not None]
    parts: list[str] = []
    for formal in formals:
        wanted = 2 if formal.pair else 1
        if len(texts) < wanted:
            break
        parts.append("→".join(texts[:wanted]))
        del texts[:wanted]
    missing = [f for f in formals[len(parts) :] if not f.default and f.name.id not in by_name]
    if not parts or texts or missing or by_name & {f.name.id for f in formals[: len(parts)]}:
        return ()
    listed = ", ".join(parts)
    shown = ", ".join([*parts, *(a.span.text for a in call.arguments if a.keyword)])
    place = by_place[0].span.to(by_place[-1].span)
    if listed == ", ".join(argument.span.text for argument in by_place):
        return ()
    return (replaced(place, listed, f"write `{call.name.id}({shown})`"),)


def _without_rest(call: syntax.Call, count: int) -> Fix:
    first, last = call.arguments[count], call.arguments[-1]
    shown = "the last argument" if first is last else "the last arguments"
    return _without(first.span.to(last.span), f"leave out {shown}")


def shown(formal: syntax.Formal) -> str:
    return f"{formal.name.id}→{formal.pair.id}" if formal.pair else formal.name.id


def signature(name: str, formals: Sequence[syntax.Formal]) -> str:
    """How a block is called: ``inception(n1, r3→n3, r5→n5, np)``."""
    parts = [
        shown(formal) + (f"={formal.default.span.text}" if formal.default else "")
        for formal in formals
    ]
    return f"{name}({', '.join(parts)})"


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
