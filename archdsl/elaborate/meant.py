"""What a word that means nothing here was meant to be: another name, a misspelling, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from archdsl import syntax
from archdsl.diagnostics import Fix, help_of, replaced, respell
from archdsl.layers import INITIALIZERS
from archdsl.layers.elsewhere import forms_of, missing_here
from archdsl.layers.initializers import INITIALIZER
from archdsl.layers.pages import Page, called, fields_of


def meant(
    word: syntax.Name,
    pages: Mapping[str, type[Page]],
    kind: str,
    elsewhere: Mapping[str, str],
    others: Iterable[str] = (),
) -> tuple[tuple[Fix, ...], str | None]:
    """The fixes for a word that is none of some pages, and the help, where there is any.

    ``kind`` is what such a page is ("a layer"). ``elsewhere`` are names that other frameworks have
    for such things: none of them is a misspelling. ``others`` could stand in the place as well.
    """
    found = called(word.id, pages)
    if found is not None:
        page, is_same = found
        message = f"that {kind.rsplit(maxsplit=1)[-1]} is called `{page.name}`"
        if not is_same:
            message = f"the nearest here is `{page.name}`"
        return (replaced(word.span, page.name, message, keeps_choices=is_same),), message
    hint = missing_here(word.id, elsewhere, kind)
    if hint is not None:
        return (), hint
    fixes = respell(word.id, word.span, {*pages, *others}, forms_of(elsewhere))
    return fixes, help_of(fixes)


def with_sign(
    page: type[Page] | None, word: syntax.Name, atoms: Sequence[syntax.Atom]
) -> Fix | None:
    """The fix of an attribute that is written without its ``=``: ``stride 2``, or ``bilinear``.

    ``atoms`` are those of the statement, the word among them.
    """
    if page is None:
        return None
    fields = [item for item in fields_of(page) if not item.role.is_derived]
    for item in fields:
        if word.id in item.role.kind.words:
            text = f"{item.name}={word.id}"
            return replaced(word.span, text, f"write `{text}`")
    kind = next((item.role.kind for item in fields if item.name == word.id), None)
    if kind is None:
        return None
    place = next(index for index, atom in enumerate(atoms) if atom is word)
    value = atoms[place + 1] if place + 1 < len(atoms) else None
    match value:
        case syntax.Number() | syntax.Dims() | syntax.Paren():
            pass
        case syntax.Name(id="true" | "false"):
            pass
        case syntax.Name(id=name) if name in kind.words:
            pass
        case syntax.Name(id=name) if kind is INITIALIZER and name in INITIALIZERS:
            pass
        case _:
            return None
    text = f"{word.id}={value.span.text}"
    return replaced(word.span.to(value.span), text, f"write `{text}`")
