"""What a parameter of a block is in a table: ``#3×3 reduce``, read off the block's branches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archdsl.drawing.tables.trunk import size_text
from archdsl.layers import REGISTRY, Family
from archdsl.text import syntax


@dataclass(frozen=True, slots=True)
class _Word:
    """A layer as it is written in a block: its family, kernel, and the names behind it."""

    family: Family
    kernel: str
    names: tuple[str, ...]


def headings_of(block: syntax.Block) -> dict[str, str]:
    """By parameter, its heading where it is the channels of one convolution in a branch.

    The last convolution of a branch is ``#3×3``, one before it ``#3×3 reduce``, one behind a
    pooling ``pool proj``: the headings of GoogLeNet's table. Other parameters have none.
    """
    formals = {name.id for formal in block.formals for name in (formal.name, formal.pair) if name}
    found: dict[str, set[str]] = {}
    for branch in syntax.branches_in(block.body):
        words = [word for statement in branch.statements for word in _words(statement)]
        for number, word in enumerate(words):
            for name in formals.intersection(word.names):
                found.setdefault(name, set()).add(_heading(words, number))
    return {name: texts.pop() for name, texts in found.items() if len(texts) == 1}


def _heading(words: list[_Word], number: int) -> str:
    if any(word.family is Family.POOLING for word in words[:number]):
        return "pool proj"
    later = [word for word in words[number + 1 :] if word.family is Family.CONVOLUTION]
    return f"#{later[0].kernel} reduce" if later else f"#{words[number].kernel}"


def _words(statement: syntax.Statement) -> Iterator[_Word]:
    """The convolutions and poolings of a statement, in order."""
    if not isinstance(statement, syntax.Step):
        return
    found: list[tuple[str, list[syntax.Atom]]] = []
    for atom in statement.atoms:
        if isinstance(atom, syntax.Name) and atom.id in REGISTRY:
            found.append((atom.id, []))
        elif found:
            found[-1][1].append(atom)
    for word, arguments in found:
        family = REGISTRY[word].family
        if family in (Family.CONVOLUTION, Family.POOLING):
            names = tuple(a.id for a in arguments if isinstance(a, syntax.Name))
            yield _Word(family, _kernel(arguments), names if family is Family.CONVOLUTION else ())


def _kernel(arguments: list[syntax.Atom]) -> str:
    match arguments[:1]:
        case [syntax.Dims(sizes=sizes)]:
            return size_text(sizes)
        case [syntax.Number(value=value)]:
            return f"{value}×{value}"
    return ""
