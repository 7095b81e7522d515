"""Text for a terminal: safe to print, measured in columns, coloured where that is wanted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import click

TAB_WIDTH = 4

#: Paints a text; ``plain`` leaves it as it is.
Paint = Callable[[str], str]

#: Controls, formats (they reorder or hide text), surrogates, private use, unassigned, and the
#: separators that a terminal or an editor may take for a new line.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def printable(text: str) -> str:
    """The text with everything that could control a terminal shown as an escape: ``\\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(escape_character(character) for character in text)


def escape_character(character: str) -> str:
    """A character as it may be printed."""
    if unicodedata.category(character) not in _INVISIBLE:
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def columns(text: str) -> int:
    """How many columns of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    return sum(character_columns(character) for character in text)


def character_columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def align(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Rows of printable cells as lines with aligned columns, those of ``right`` on that side."""
    widths = [max(map(columns, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        padded = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - columns(cell))
            padded.append(space + cell if place in right else cell + space)
        yield "  ".join(padded).rstrip()


def plain(text: str) -> str:
    """The paint that leaves a text as it is."""
    return text


def paint(color: bool, **style: Any) -> Paint:
    """A paint of ``click.style``, or none where colour is off."""
    return partial(click.style, **style) if color else plain


def count_of(number: int, noun: str) -> str:
    """``1 error``, ``2 errors``, ``3 branches``, ``4 epochs``."""
    ending = "" if number == 1 else "es" if noun.endswith(("s", "nch")) else "s"
    return f"{number:,} {noun}{ending}"
