"""The statement ``init …``: what the weights of a whole network start as."""

from __future__ import annotations

from archdsl.elaborate.binding import Application, bind_definition, find_initializer
from archdsl.elaborate.errors import ElaborationError
from archdsl.elaborate.names import Context
from archdsl.elaborate.scope import Scope
from archdsl.elaborate.suggestions import with_sign
from archdsl.layers import Initializer, Layer, WeightLayer
from archdsl.layers.definition import words_of
from archdsl.text import syntax
from archdsl.text.diagnostics import Label
from archdsl.text.source import Span

_EXAMPLE = "for example `init he`, or `init normal 0.01 bias 1`"


def read_initialization(
    step: syntax.Step, scope: Scope, context: Context, before: Span | None
) -> Initializer:
    """The initializer of a network; ``before`` is where it was given already."""
    if scope.blocks or not scope.is_trunk:
        raise ElaborationError(
            "misplaced-statement",
            "`init` as a statement is about a whole network and belongs to its body",
            step.span,
            help="for a single layer it is an attribute: `conv 3x3 64 init=he`",
        )
    if before is not None:
        raise ElaborationError(
            "repeated-argument",
            "a network has one `init`",
            step.span,
            related=(Label(before, "first given here"),),
        )
    if step.label or step.repeat or step.claim:
        message = "`init` takes no name, repeat or volume"
        raise ElaborationError("misplaced-statement", message, step.span, help=_EXAMPLE)
    if len(step.atoms) < 2:
        message = "`init` needs an initializer"
        raise ElaborationError("missing-argument", message, step.span, help=_EXAMPLE)
    definition = bind_definition(_application(step, context), context)
    assert isinstance(definition, Initializer)
    return definition


def _application(step: syntax.Step, context: Context) -> Application:
    _, word, *atoms = step.atoms
    if not isinstance(word, syntax.Name):
        message = f"`{word.span.text}` is not an initializer"
        raise ElaborationError("wrong-value", message, word.span, help=_EXAMPLE)
    application = Application(find_initializer(word), word.span)
    rest = iter(atoms)
    for atom in rest:
        match atom:
            case syntax.Name(id="bias"):
                application.extend(_bias(atom, next(rest, None)))
            case syntax.Name(id=flag) if flag in words_of(application.definition):
                application.extend(atom, is_setting=True)
            case syntax.Name(id=name) if context.values.find(name) is None:
                message = f"`{application.definition.name}` has no flag `{name}`"
                fix = with_sign(application.definition, atom, step.atoms)
                help, fixes = (fix.message, (fix,)) if fix else (_usage(application), ())
                raise ElaborationError(
                    "unknown-attribute", message, atom.span, help=help, fixes=fixes
                )
            case syntax.Call() | syntax.Body():
                message = f"`{application.definition.name}` takes no such argument"
                raise ElaborationError(
                    "misplaced-argument", message, atom.span, help=_usage(application)
                )
            case _:
                application.extend(atom)
    return application


def _bias(word: syntax.Name, value: syntax.Atom | None) -> syntax.Named:
    """``bias 1`` as an attribute."""
    if not isinstance(value, (syntax.Number, syntax.Name, syntax.Paren)):
        raise ElaborationError(
            "missing-argument", "`bias` needs a number", word.span, help=_EXAMPLE
        )
    return syntax.Named(word.span.to(value.span), word, value)


def _usage(application: Application) -> str:
    return f"for example `{application.definition.usage()}`"


def check_bias(layer: Layer, span: Span) -> None:
    """Refuse a start value for the bias of a layer that has no bias."""
    if not isinstance(layer, WeightLayer) or layer.bias or layer.init is None:
        return
    if layer.init.bias:
        message = f"this `{layer.name}` has no bias to start as {layer.init.bias:g}"
        raise ElaborationError(
            "wrong-value", message, span, help="leave out `nobias` or the bias of `init`"
        )
