"""The ``train { … }`` section: its statements into a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from archdsl.elaborate.binding import Application, bind_definition
from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.names import Context
from archdsl.elaborate.suggestions import meant, with_sign
from archdsl.elaborate.values import evaluate
from archdsl.layers.definition import Definition, fields_of, words_of
from archdsl.layers.fields import COUNT, POSITIVE
from archdsl.recipe import OPTIONS, Recipe, RecipeOption, RecipeRole
from archdsl.recipe.elsewhere import OPTIONS_ELSEWHERE
from archdsl.recipe.schedules import Schedule
from archdsl.text import syntax
from archdsl.text.diagnostics import Label, help_of, respell

_KINDS = {
    RecipeRole.OPTIMIZER: "an optimizer",
    RecipeRole.SCHEDULE: "a schedule",
    RecipeRole.AUGMENTATION: "an augmentation",
    RecipeRole.LOSS: "a loss",
    RecipeRole.AVERAGE: "an average",
}
_NUMBERS = {"batch": COUNT, "epochs": COUNT, "patience": COUNT, "clip": POSITIVE}
#: Before the name of an output, what the loss of it is called.
_LOSS_OF = "loss "
#: A recipe has one option of each of these roles, written without the role before it.
_HEADLESS = (RecipeRole.OPTIMIZER, RecipeRole.AVERAGE)
_HEADS = (
    "data",
    *_NUMBERS,
    RecipeRole.AUGMENTATION.value,
    RecipeRole.SCHEDULE.value,
    RecipeRole.LOSS.value,
)


def read_recipe(
    step: syntax.Step, context: Context, outputs: Sequence[str]
) -> tuple[Recipe, list[ElaborationError]]:
    """The recipe of a ``train`` section, and what is wrong in it, statement by statement.

    ``outputs`` are the names of the network's outputs.
    """
    if len(step.atoms) != 2 or not isinstance(step.atoms[1], syntax.Body) or step.label:
        raise ElaborationError(
            "misplaced-statement",
            "a recipe is written `train { … }`",
            step.span,
            help="for example `train { data digits; epochs 10; adam lr=0.001 }`",
        )
    settings: dict[str, Any] = {}
    places: dict[str, syntax.Step] = {}
    faults: list[ElaborationError] = []
    for statement in _statements(step.atoms[1]):
        try:
            if not isinstance(statement, syntax.Step):
                raise ElaborationError(
                    "misplaced-statement", "a recipe has no such statement", statement.span
                )
            name, value = _read(statement, context, outputs)
            if name in places:
                of, _, output = name.partition(" ")
                given = f"a {of} of `{output}`" if output else f"its {of}"
                raise ElaborationError(
                    "repeated-argument",
                    f"the recipe gives {given} twice",
                    statement.span,
                    related=(Label(places[name].span, "first given here"),),
                )
            places[name], settings[name] = statement, value
        except ElaborationError as fault:
            faults.append(fault)
        except UnknownVolume:
            pass
    losses = {name: settings.pop(name) for name in [*settings] if name.startswith(_LOSS_OF)}
    named = [
        (output, losses[_LOSS_OF + output]) for output in outputs if _LOSS_OF + output in losses
    ]
    recipe = Recipe(**settings, losses=tuple(named))
    if not faults:
        faults += _misfits(recipe, places)
    return recipe, faults


def _misfits(recipe: Recipe, places: dict[str, syntax.Step]) -> Iterator[ElaborationError]:
    """The faults of statements that do not go together."""
    if recipe.losses and "loss" in places:
        named = places[_LOSS_OF + recipe.losses[0][0]].span
        yield ElaborationError(
            "wrong-value",
            "this loss belongs to no output, but others do",
            places["loss"].span,
            help=f"name its output, as `{named.text}` does",
            related=(Label(named, "a loss of one output"),),
        )
    elif recipe.loss.weight is not None:
        yield ElaborationError(
            "wrong-value",
            "a weight is for one of several losses, of outputs with names",
            places["loss"].span,
        )
    for schedule in recipe.schedule:
        if schedule.is_stepwise and not recipe.optimizer.has_momentum:
            name = recipe.optimizer.name
            raised = f"`{schedule.name}` changes the momentum, but `{name}` has none"
            yield ElaborationError(
                "wrong-value",
                raised,
                places["schedule"].span,
                help=f"give it one: `{name} momentum=0.9`",
            )


def _statements(body: syntax.Body) -> Iterator[syntax.Statement]:
    if body.forked:
        raise ElaborationError("unmerged-branches", "a recipe has no branches", body.span)
    for chain in body.chains:
        yield from chain.statements


def _read(step: syntax.Step, context: Context, outputs: Sequence[str]) -> tuple[str, Any]:
    """Which field of the recipe a statement sets, and its value."""
    head, *atoms = step.atoms
    if not isinstance(head, syntax.Name) or step.label or step.repeat or step.claim:
        raise ElaborationError("misplaced-statement", "a recipe has no such statement", step.span)
    for role in _HEADLESS:
        if head.id in OPTIONS[role]:
            words = _chain(list(step.atoms), role, context)
            if len(words) > 1:
                raise ElaborationError(
                    "surplus-argument", f"a recipe has one {role.value}", step.span
                )
            return role.value, words[0]
    if head.id not in _HEADS:
        known = {*_HEADS, *(option for role in _HEADLESS for option in OPTIONS[role])}
        raise _unknown(head, known, RecipeRole.OPTIMIZER)
    if not atoms:
        raise ElaborationError("missing-argument", f"`{head.id}` needs an argument", head.span)
    if head.id == "data":
        return "data", _single_name(head, atoms)
    if head.id in _NUMBERS:
        return head.id, _single_number(head, atoms, context)
    role = RecipeRole(head.id)
    if role is RecipeRole.LOSS:
        output = _output_of(atoms, outputs)
        losses = _chain(atoms[1:] if output else atoms, role, context)
        if len(losses) > 1:
            raise ElaborationError("surplus-argument", "an output has one loss", step.span)
        return _LOSS_OF + output if output else "loss", losses[0]
    definitions = _chain(atoms, role, context)
    for definition in definitions:
        if isinstance(definition, Schedule) and definition.is_alone and len(definitions) > 1:
            message = f"`{definition.name}` cannot be combined with another schedule"
            raise ElaborationError("wrong-value", message, step.span)
    return head.id, tuple(definitions)


def _output_of(atoms: list[syntax.Atom], outputs: Sequence[str]) -> str:
    """The output that a loss names before itself; empty where it names none."""
    match atoms:
        case [syntax.Name() as output, syntax.Name(id=loss), *_] if (
            loss in OPTIONS[RecipeRole.LOSS]
        ) and output.id not in OPTIONS[RecipeRole.LOSS].keys() - set(outputs):
            pass
        case _:
            return ""
    if output.id in outputs:
        return output.id
    fixes = respell(output.id, output.span, outputs)
    listed = ", ".join(f"`{name}`" for name in outputs)
    help = (
        f"its outputs are {listed}" if outputs else "its output has no name: write the loss alone"
    )
    message = f"the network has no output `{output.id}`"
    raise ElaborationError(
        "undefined-name", message, output.span, help=help_of(fixes) or help, fixes=fixes
    )


def _single_name(head: syntax.Name, atoms: list[syntax.Atom]) -> str:
    if len(atoms) > 1 or not isinstance(atoms[0], syntax.Name):
        raise ElaborationError(
            "wrong-value", f"`{head.id}` needs the name of a data set", atoms[0].span
        )
    return atoms[0].id


def _single_number(head: syntax.Name, atoms: list[syntax.Atom], context: Context) -> Any:
    atom, kind = atoms[0], _NUMBERS[head.id]
    if len(atoms) > 1 or not isinstance(atom, (syntax.Number, syntax.Paren, syntax.Name)):
        raise ElaborationError("wrong-value", f"`{head.id}` needs one number", atom.span)
    try:
        return kind.convert(evaluate(atom, context))
    except (TypeError, ValueError):
        raise ElaborationError(
            "wrong-value", f"`{head.id}` must be {kind.phrase}", atom.span
        ) from None


def _chain(atoms: list[syntax.Atom], role: RecipeRole, context: Context) -> list[RecipeOption]:
    """Options of one role with their arguments: ``random_crop padding=4 hflip``."""
    applications: list[Application] = []
    for atom in atoms:
        match atom:
            case syntax.Name(id=word) if word in OPTIONS[role]:
                applications.append(Application(OPTIONS[role][word], atom.span))
            case syntax.Name(id=word) if applications and word in words_of(
                applications[-1].definition
            ):
                applications[-1].extend(atom, is_setting=True)
            case syntax.Name(id=word) if applications and context.values.find(word):
                applications[-1].extend(atom)
            case syntax.Name(id=word) if applications and _has_field(
                applications[-1].definition, word
            ):
                raise _without_sign(atom, applications[-1].definition, atoms)
            case syntax.Name():
                raise _unknown(atom, set(OPTIONS[role]), role)
            case syntax.Call() | syntax.Body():
                raise ElaborationError(
                    "misplaced-argument", "this has no place in a recipe", atom.span
                )
            case _ if not applications:
                raise ElaborationError("misplaced-argument", "this follows no option", atom.span)
            case _:
                applications[-1].extend(atom)
    return [bind_definition(application, context) for application in applications]  # type: ignore[misc]


def _has_field(definition: type[Definition], word: str) -> bool:
    return any(item.name == word for item in fields_of(definition))


def _unknown(word: syntax.Name, known: set[str], role: RecipeRole) -> ElaborationError:
    fixes, hint = meant(word, OPTIONS[role], _KINDS[role], OPTIONS_ELSEWHERE[role], known)
    listed = ", ".join(f"`{name}`" for name in sorted(known))
    message = f"a recipe has no `{word.id}`"
    if not fixes:
        hint = f"{hint}; choose from {listed}" if hint else f"choose from {listed}"
    return ElaborationError("unknown-word", message, word.span, help=hint, fixes=fixes)


def _without_sign(
    word: syntax.Name, definition: type[Definition], atoms: list[syntax.Atom]
) -> ElaborationError:
    """The fault of an attribute that is written as a flag."""
    fix = with_sign(definition, word, atoms)
    return ElaborationError(
        "unknown-attribute",
        f"`{definition.name}` has no flag `{word.id}`",
        word.span,
        help=fix.message if fix else f"an attribute is written `{word.id}=…`",
        fixes=(fix,) if fix else (),
    )
