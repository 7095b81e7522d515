"""One style for all texts; the meaning of a text never changes.

A text is laid out again from its lexemes, so that no word and no comment can be lost. The author
decides which statements share a line and which braces are open; the rest is decided here.
"""

from __future__ import annotations

from archdsl.collector import without_collector
from archdsl.formatting.layout import render_layout
from archdsl.formatting.meaning import is_same
from archdsl.formatting.reading import read_layout
from archdsl.text.parser import lex, parse_program
from archdsl.text.source import Source

__all__ = ["FormatError", "render_formatted"]


class FormatError(Exception):
    """The formatter would have changed what a text means: a fault of archdsl, not of the text."""


@without_collector()
def render_formatted(source: Source) -> str:
    """The text of a source in the one style.

    Errors:
        ArchError: with every syntax error of the text.
        FormatError: where the result would mean something else.
    """
    program = parse_program(source)
    text = render_layout(*read_layout(source, lex(source)))
    if text != source.text and not is_same(program, parse_program(Source(text, source.path))):
        raise FormatError(source.path)
    return text
