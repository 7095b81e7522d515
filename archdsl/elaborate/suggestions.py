"""What a word that means nothing here was meant to be: another name, a misspelling, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from archdsl.layers import INITIALIZERS
from archdsl.layers.definition import Definition, called, fields_of
from archdsl.layers.elsewhere import forms_of, missing_here
from archdsl.layers.fields import FieldKind
from archdsl.layers.initializers import INITIALIZER
from archdsl.text import syntax
from archdsl.text.diagnostics import Edit, Fix, help_of, replaced, respell


def meant(
    word: syntax.Name,
    definitions: Mapping[str, type[Definition]],
    kind: str,
    elsewhere: Mapping[str, str],
    others: Iterable[str] = (),
) -> tuple[tuple[Fix, ...], str | None]:
    """The fixes for a word that has no definition here, and the help, where there is any.

    ``kind`` is what the definitions define ("a layer"). ``elsewhere`` are the names of other
    frameworks for such things: none of them is a misspelling. ``others`` are further words that
    would be allowed in the place.
    """
    found = called(word.id, definitions)
    if found is not None:
        definition, is_same = found
        if not is_same:
            return (), f"the nearest here is `{definition.name}`"
        message = f"that {kind.rsplit(maxsplit=1)[-1]} is called `{definition.name}`"
        return (replaced(word.span, definition.name, message),), message
    hint = missing_here(word.id, elsewhere, kind)
    if hint is not None:
        return (), hint
    fixes = respell(word.id, word.span, {*definitions, *others}, forms_of(elsewhere))
    return fixes, help_of(fixes)


def with_sign(
    definition: type[Definition] | None, word: syntax.Name, atoms: Sequence[syntax.Atom]
) -> Fix | None:
    """The fix of attributes that are written without `=`: ``stride 2 bias false``, ``bilinear``.

    ``atoms`` are the atoms of the statement, the word among them. What follows the word is fixed,
    too, as far as it is written in the same way.
    """
    if definition is None:
        return None
    kinds = {
        item.name: item.role.kind for item in fields_of(definition) if not item.role.is_derived
    }
    edits: list[Edit] = []
    index = next(index for index, atom in enumerate(atoms) if atom is word)
    while index < len(atoms):
        name = atoms[index]
        if not isinstance(name, syntax.Name):
            break
        value = atoms[index + 1] if index + 1 < len(atoms) else None
        owner = next((field for field, kind in kinds.items() if name.id in kind.words), None)
        if owner is not None:
            edits.append(Edit(name.span, f"{owner}={name.id}"))
            index += 1
        elif name.id in kinds and value is not None and _is_value(value, kinds[name.id]):
            edits.append(Edit(name.span.to(value.span), f"{name.id}={value.span.text}"))
            index += 2
        else:
            break
    if not edits:
        return None
    return Fix(f"write `{' '.join(edit.replacement for edit in edits)}`", tuple(edits))


def _is_value(atom: syntax.Atom, kind: FieldKind) -> bool:
    """Whether an atom can be what an attribute of a kind is set to."""
    match atom:
        case syntax.Number() | syntax.Dims() | syntax.Paren():
            return True
        case syntax.Name(id=name):
            is_word = name in kind.words or name in ("true", "false")
            return is_word or (kind is INITIALIZER and name in INITIALIZERS)
    return False
