"""What an ``if`` may lead to, and the word for the module that holds it."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.elaborate.names import Values
from archdsl.elaborate.scope import LayerArgument, PartNames, Scope
from archdsl.elaborate.words import is_function, is_phrase
from archdsl.layers import REGISTRY, Layer, MergeLayer
from archdsl.layers.definition import fields_of
from archdsl.layers.fields import REFERENCE
from archdsl.layers.plumbing import Identity
from archdsl.text import syntax


def count_conditions(cond: syntax.Cond) -> int:
    """How many conditions an ``if`` has, those of its ``else if`` included."""
    count = 0
    rest: syntax.Cond | syntax.Body | None = cond
    while isinstance(rest, syntax.Cond):
        count, rest = count + 1, rest.otherwise
    return count


def word_of(cond: syntax.Cond, scope: Scope) -> str | None:
    """The word for the module of an ``if`` without a name, the same whichever body is taken.

    It is the word of the first layer or block if that is the same in all bodies, else ``layers``.
    None where a body is more than a plain row of layers and blocks.
    """
    words: list[str] = []
    rest: syntax.Cond | syntax.Body | None = cond
    while rest is not None:
        body, rest = (rest.then, rest.otherwise) if isinstance(rest, syntax.Cond) else (rest, None)
        found = _row_words(body, scope)
        if found is None:
            return None
        words += found[:1]
    return words[0] if len(set(words)) == 1 else "layers"


def _row_words(body: syntax.Body, scope: Scope) -> list[str] | None:
    """The words of the layers and blocks in a body; None where it is not a plain row of these."""
    words: list[str] = []
    if not body.chains:
        return words  # refused where it is taken
    for statement in body.chains[0].statements:
        match statement:
            case syntax.Cond():
                word = word_of(statement, scope)
                if word is None:
                    return None
                words.append(word)
            case syntax.For(label=None, body=inner):
                found = _row_words(inner, scope)
                if found is None:
                    return None
                words += found
            case syntax.Step(label=None, atoms=atoms):
                found = _words_of(atoms, scope)
                if found is None:
                    return None
                words += found
            case syntax.Step() | syntax.For():
                return None
    return words


def _words_of(atoms: Sequence[syntax.Atom], scope: Scope) -> list[str] | None:
    """The same for one statement without a name."""
    words: list[str] = []
    layer: type[Layer] | None = None
    for atom in atoms:
        inside: list[str] | None = []
        match atom:
            case syntax.Name(id=name) if isinstance(given := scope.words.get(name), LayerArgument):
                # Whatever is given: the name of what holds it must not depend on that.
                layer = type(given.layer)
                words.append("layers")
            case syntax.Name(id=name) | syntax.Call(name=syntax.Name(id=name)):
                found = REGISTRY.get(name)
                if name == "aux":
                    return None
                if found is not None:
                    if not _is_plain(found):
                        return None
                    layer = found
                    words += [name] if found is not Identity else []
                elif isinstance(atom, syntax.Name):
                    if atom is atoms[0]:
                        return None
                elif is_phrase(name, scope):
                    inside = _phrase_words(name, scope)
                elif _takes_parts(name, scope):
                    return None
                elif layer is None or not is_function(name, scope):
                    words.append(name)
            case syntax.Body():
                inside = _row_words(atom, scope)
        if inside is None:
            return None
        words += inside
    return words


def _phrase_words(name: str, scope: Scope) -> list[str] | None:
    """The words in a phrase, which mean what they mean where it is written."""
    definition = scope.find_block(name)
    assert definition is not None
    block, home = definition.block, definition.home
    kinds = {formal.name.id: formal.kind.id for formal in block.formals if formal.kind}
    if "block" in kinds.values() or any(block is outer for outer in scope.blocks):
        return None
    words = {name: LayerArgument(Identity(), {}) for name, kind in kinds.items() if kind == "layer"}
    blocks = (*scope.blocks, block)
    inside = Scope(home, Values(home.values), PartNames(), blocks=blocks, words=words)
    return _row_words(block.body, inside)


def _takes_parts(name: str, scope: Scope) -> bool:
    found = scope.find_block(name)
    return found is not None and any(f.kind and f.kind.id == "part" for f in found.block.formals)


def _is_plain(layer: type[Layer]) -> bool:
    """Whether a layer reads the one volume before it and nothing else."""
    reads_parts = any(item.role.kind is REFERENCE for item in fields_of(layer))
    return not reads_parts and not issubclass(layer, MergeLayer)
