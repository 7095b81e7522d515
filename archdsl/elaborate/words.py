"""What to say of words, names and braces that do not fit where they stand."""

from __future__ import annotations

from archdsl import syntax
from archdsl.diagnostics import Label, suggest
from archdsl.elaborate.scope import PartNames, Scope
from archdsl.elaborate.values import VOLUME_NAMES, Fault, is_word
from archdsl.layers import REGISTRY, Layer
from archdsl.layers.layer import words_of


def taken(name: syntax.Name, kind: str, parts: PartNames) -> Fault:
    found = parts.find(name.id)
    assert found is not None
    return Fault(
        "repeated-name",
        f"`{name.id}` names {kind} already",
        name.span,
        related=(Label(found[1], "first named here"),),
    )


def unknown_word(atom: syntax.Name, step: syntax.Step, scope: Scope) -> Fault:
    """What to say of a word that is no layer, flag, value or part in this place."""
    if scope.definitions.find_block(atom.id):
        return Fault(
            "unknown-word",
            f"block `{atom.id}` is called with parentheses",
            atom.span,
            help=f"write `{atom.id}(…)`",
        )
    if scope.parts.find(atom.id):
        return Fault(
            "misplaced-argument",
            f"the part `{atom.id}` can only begin a statement",
            atom.span,
        )
    if scope.values.find(atom.id) or atom.id in VOLUME_NAMES:
        return Fault("misplaced-argument", f"the value `{atom.id}` follows no layer", atom.span)
    before = _layer_before(atom, step)
    flags = words_of(before) if before else {}
    if is_word(atom.id) and before:
        return Fault(
            "unknown-attribute",
            f"`{before.name}` has no flag `{atom.id}`",
            atom.span,
            help=f"its flags are {', '.join(f'`{f}`' for f in flags)}" if flags else None,
        )
    known = {*REGISTRY, *flags, *scope.parts.names(), *scope.values.names()}
    nearest = suggest(atom.id, known) or suggest(atom.id, scope.definitions.block_names())
    return Fault(
        "unknown-word",
        f"`{atom.id}` is no layer" + (f", and no flag of `{before.name}`" if before else ""),
        atom.span,
        help=f"did you mean `{nearest}`?" if nearest else "`archdsl layers` lists all layers",
    )


def _layer_before(atom: syntax.Name, step: syntax.Step) -> type[Layer] | None:
    before = None
    for other in step.atoms:
        if other is atom:
            return before
        if isinstance(other, (syntax.Name, syntax.Call)):
            name = other.id if isinstance(other, syntax.Name) else other.name.id
            before = REGISTRY.get(name, before)
    return before


def refuse_labels_in_copies(step: syntax.Step) -> None:
    """Names inside unnamed copies would belong to the block around, once for each copy."""
    for atom in step.atoms:
        label = _first_label(atom) if isinstance(atom, syntax.Body) else None
        if label is not None:
            raise Fault(
                "repeated-name",
                f"`{label.id}` would be named once for each copy",
                label.span,
                help="name the repeated statement: `stage: { … } ×n`",
            )


def _first_label(body: syntax.Body) -> syntax.Name | None:
    for chain in body.chains:
        for statement in chain.statements:
            if not isinstance(statement, syntax.Step):
                continue
            if statement.label is not None:
                return statement.label
            for atom in statement.atoms:
                found = _first_label(atom) if isinstance(atom, syntax.Body) else None
                if found is not None:
                    return found
    return None


def is_aux(step: syntax.Step) -> bool:
    first = step.atoms[0]
    return isinstance(first, syntax.Call) and first.name.id == "aux"


def check_aux(call: syntax.Call, step: syntax.Step) -> None:
    if not is_aux(step) or len(step.atoms) > 2 or step.repeat is not None:
        raise misplaced_aux(call)
    if len(step.atoms) < 2 or not isinstance(step.atoms[1], syntax.Body):
        raise Fault(
            "missing-argument",
            "an auxiliary head needs its layers in braces",
            call.span,
            help="for example `aux(0.3) { gap; fc 1000 }`",
        )


def misplaced_aux(call: syntax.Call) -> Fault:
    return Fault(
        "misplaced-aux",
        "an auxiliary head is a statement of its own on the trunk of a network",
        call.span,
    )
