"""What an ``if`` may lead to, and the word for the module that holds it."""

from __future__ import annotations

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


def word_of(cond: syntax.Cond) -> str | None:
    """The word for the module of an ``if`` without a name, the same whichever body is taken.

    It is the word of the first layer or block if that is the same in all bodies, else ``layers``.
    None where a body is more than a plain row of layers and blocks.
    """
    words: list[str] = []
    rest: syntax.Cond | syntax.Body | None = cond
    while rest is not None:
        body, rest = (rest.then, rest.otherwise) if isinstance(rest, syntax.Cond) else (rest, None)
        found = _row_words(body)
        if found is None:
            return None
        words += found[:1]
    return words[0] if len(set(words)) == 1 else "layers"


def _row_words(body: syntax.Body) -> list[str] | None:
    """The words of the layers and blocks in a body; None where it is not a plain row of these."""
    words: list[str] = []
    for statement in body.chains[0].statements:
        match statement:
            case syntax.Cond():
                word = word_of(statement)
                if word is None:
                    return None
                words.append(word)
            case syntax.Step(label=None, atoms=atoms):
                for atom in atoms:
                    match atom:
                        case syntax.Name(id=name) | syntax.Call(name=syntax.Name(id=name)):
                            layer = REGISTRY.get(name)
                            if name == "aux":
                                return None
                            if layer is None and not isinstance(atom, syntax.Call):
                                if atom is atoms[0]:
                                    return None
                                continue
                            if layer is not None and not _is_plain(layer):
                                return None
                            words += [name] if layer is not Identity else []
                        case syntax.Body():
                            inner = _row_words(atom)
                            if inner is None:
                                return None
                            words += inner
            case syntax.Step():
                return None
    return words


def _is_plain(layer: type[Layer]) -> bool:
    """Whether a layer reads the one volume before it and nothing else."""
    reads_parts = any(item.role.kind is REFERENCE for item in fields_of(layer))
    return not reads_parts and not issubclass(layer, MergeLayer)
