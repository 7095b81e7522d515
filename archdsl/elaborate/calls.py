"""Binding the arguments of a call: the parameters of a block, a phrase or a family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace

from archdsl.elaborate.binding import Application, as_atom, bind_with_forms, without_argument
from archdsl.elaborate.environment import BlockDefinition, Environment
from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.names import Context, Values
from archdsl.elaborate.scope import (
    Cursor,
    LayerArgument,
    PartNames,
    Scope,
    WordArgument,
    result_of,
)
from archdsl.elaborate.values import trace
from archdsl.elaborate.words import hidden
from archdsl.layers import REGISTRY, Layer, MergeLayer
from archdsl.network.parts import CallArgument
from archdsl.network.symbols import Constant, Parameter, Symbolic, Value, substitute, symbolic_of
from archdsl.records import dataclass
from archdsl.text import syntax
from archdsl.text.diagnostics import Fix, Label, help_of, replaced, respell


@dataclass
class Given:
    """What a call gives: values as the body sees them and as the caller wrote them, and words."""

    values: Values
    arguments: list[CallArgument] = field(default_factory=list)
    words: dict[str, WordArgument] = field(default_factory=dict)
    parts: PartNames = field(default_factory=PartNames)


def bind_formals(
    kind: str,
    formals: tuple[syntax.Formal, ...],
    call: syntax.Call,
    caller: Scope,
    context: Context,
    home: Environment,
    *,
    is_inlined: bool = False,
) -> Given:
    """A block's or family's parameters for one call.

    ``is_inlined`` leaves the values in the terms of the caller, among whose layers a phrase stands.
    """
    name = call.name.id
    given = _assign(kind, formals, call)
    found = Given(Values(home.values))

    def bind(name: syntax.Name, argument: Symbolic, default: Value | None = None) -> None:
        form = argument.form if is_inlined else Parameter(name.id)
        found.values.define(name, Symbolic(argument.value, form))
        found.arguments.append(CallArgument(name.id, argument.value, argument.form, default))

    for formal in formals:
        argument = given.get(formal.name.id)
        if argument is None and formal.default is None:
            raise ElaborationError(
                "missing-argument",
                f"{kind} `{name}` needs an argument for `{shown(formal)}`",
                call.span,
                help=f"it is written `{signature(name, formals)}`",
            )
        if argument is not None and (argument.pair is None) != (formal.pair is None):
            wanted = "the pair" if formal.pair else "one value for"
            fixes = _regrouped(formals, call)
            raise ElaborationError(
                "wrong-pair",
                f"{kind} `{name}` expects {wanted} `{shown(formal)}` here",
                argument.span,
                help=help_of(fixes) or f"it is written `{signature(name, formals)}`",
                fixes=fixes,
            )
        if formal.kind is not None:
            _bind_word(formal, argument, found, caller, context, home, is_inlined=is_inlined)
        elif argument is None:
            assert formal.default is not None
            inside = replace(context, values=found.values)
            value = trace(formal.default, inside)
            # In terms of the caller, which knows the parameters before it by their arguments.
            form = substitute(value.form, {known.name: known.form for known in found.arguments})
            default = _constant(formal.default, home.values)
            bind(formal.name, symbolic_of(value.value, form), default)
        else:
            default = _constant(formal.default, home.values)
            bind(formal.name, trace(argument.value, context), default)
            if formal.pair and argument.pair:
                bind(formal.pair, trace(argument.pair, context))
    return found


# ── Blocks, layers and parts as arguments ────────────────────────────────────────────────────


def _bind_word(
    formal: syntax.Formal,
    argument: syntax.Argument | None,
    found: Given,
    caller: Scope,
    context: Context,
    home: Environment,
    *,
    is_inlined: bool,
) -> None:
    """Bind a parameter that is not a value."""
    assert formal.kind is not None
    found.values.refuse_known(formal.name)
    if argument is None:
        assert formal.default is not None
        # A default means what it means where the block is written.
        caller = Scope(home, found.values, PartNames(), words=found.words)
        context = replace(context, values=found.values)
        value = formal.default
    else:
        value = argument.value
    match formal.kind.id:
        case "block":
            found.words[formal.name.id] = _block_argument(value, caller)
        case "layer":
            layer = _layer_argument(value, caller, context)
            # In a class of its own, the terms of the caller mean nothing.
            found.words[formal.name.id] = layer if is_inlined else LayerArgument(layer.layer, {})
        case _:
            found.parts.own[formal.name.id] = (_part_argument(value, caller), formal.name.span)


def _block_argument(value: syntax.Expr, caller: Scope) -> BlockDefinition:
    if isinstance(value, syntax.Name):
        block = caller.find_block(value.id)
        if block is not None:
            return block
        if caller.environment.is_partial:
            raise UnknownVolume
        names = caller.environment.block_names()
        is_layer = value.id in REGISTRY
        fixes = () if is_layer else respell(value.id, value.span, names)
        help = f"`{value.id}` is a layer, and a block is needed here" if is_layer else None
        message = f"there is no block `{value.id}`"
        raise ElaborationError("undefined-name", message, value.span, help=help, fixes=fixes)
    help = "give its name, without parentheses"
    message = f"`{' '.join(value.span.text.split())}` is not the name of a block"
    raise ElaborationError("wrong-value", message, value.span, help=help)


def _layer_argument(value: syntax.Expr, caller: Scope, context: Context) -> LayerArgument:
    """A layer with its arguments in parentheses, where it has any: ``leakyrelu(0.1)``."""
    name = value.name if isinstance(value, syntax.Call) else value
    if not isinstance(name, syntax.Name):
        message = f"`{' '.join(value.span.text.split())}` is not a layer"
        help = "for example `relu`, or `leakyrelu(0.1)`"
        raise ElaborationError("wrong-value", message, value.span, help=help)
    known = caller.words.get(name.id)
    if isinstance(known, LayerArgument) and name is value:
        return known
    definition = REGISTRY.get(name.id)
    if definition is None:
        is_block = caller.find_block(name.id) is not None
        fixes = () if is_block else respell(name.id, name.span, REGISTRY)
        hint = f"`{name.id}` is a block, and a layer is needed here" if is_block else None
        message = f"`{name.id}` is not a layer"
        raise ElaborationError("unknown-word", message, name.span, help=hint, fixes=fixes)
    application = Application(definition, value.span)
    if application.takes_reference or issubclass(definition, MergeLayer):
        message = f"`{name.id}` reads more than the volume before it and cannot be an argument"
        raise ElaborationError("wrong-value", message, name.span)
    if isinstance(value, syntax.Call):
        for argument in value.arguments:
            application.extend(as_atom(argument, f"layer `{name.id}`"))
    layer, forms = bind_with_forms(application, context)
    assert isinstance(layer, Layer)
    return LayerArgument(layer, forms)


def _part_argument(value: syntax.Expr, caller: Scope) -> Cursor:
    if not isinstance(value, syntax.Name):
        message = f"`{' '.join(value.span.text.split())}` is not the name of a part"
        raise ElaborationError("wrong-value", message, value.span)
    known = caller.parts.find(value.id)
    if known is None:
        if value.id in caller.parts.all_hidden():
            raise hidden(value, caller.parts)
        fixes = respell(value.id, value.span, caller.parts.names())
        message = f"no part named `{value.id}` exists here yet"
        raise ElaborationError("undefined-name", message, value.span, fixes=fixes)
    return result_of(value, known)


# ── Arguments and parameters ─────────────────────────────────────────────────────────────────


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
                fixes=_regrouped(formals, call)
                or (without_argument(argument.span, "leave one out"),),
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
    return without_argument(first.span.to(last.span), f"leave out {shown}")


def shown(formal: syntax.Formal) -> str:
    if formal.pair:
        return f"{formal.name.id}→{formal.pair.id}"
    return f"{formal.name.id}: {formal.kind.id}" if formal.kind else formal.name.id


def signature(name: str, formals: Sequence[syntax.Formal]) -> str:
    """How a block is called: ``inception(n1, r3→n3, r5→n5, np)``."""
    parts = [
        shown(formal) + (f"={formal.default.span.text}" if formal.default else "")
        for formal in formals
    ]
    return f"{name}({', '.join(parts)})"
