"""Faults of syntax in the reader's words: brackets, words and signs that do not fit."""

from __future__ import annotations

import re

from archdsl.diagnostics import Diagnostic, Fix, replaced
from archdsl.source import Source, Span

_WORDS = {
    "NAME": "a name",
    "CALL_NAME": "a call",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "_ARROW": "`→`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "COMMA": "`,`",
    "BAR": "`|`",
    "DIMS": "a size such as `28x28x64`",
    "INT": "a number",
    "FLOAT": "a number",
    "QUANTITY": "a number such as `138M`",
    "RELATION": "`=`, `~`, `<=` or `>=`",
    "STRING": "a path in quotes",
}
_IMPLIED = {"FLOAT", "PLUS", "MINUS", "TIMES", "DIVIDE", "COMPARE", "AND", "OR", "NOT", "_SEP"}


def describe_token(
    source: Source, kind: str, text: str, offset: int, expected: set[str]
) -> tuple[Diagnostic, int]:
    """The diagnostic for a token of a kind that cannot stand at an offset, and the place to mend.

    ``expected`` are the kinds that could. The end of the text is a token of the kind ``$END``.
    """
    code = "unexpected-word"
    if kind == "$END":
        offset, text = len(source.text.rstrip()), ""
        message = "the text ends in the middle of a statement"
    elif kind == "_SEP":
        offset, text = len(source.text[:offset].rstrip()), ""
        message = "the statement is not finished"
    elif kind in ("BAR", "RBRACE") and source.text[:offset].rstrip()[-1:] == "|":
        return _empty_branch(source, offset), offset
    else:
        text = text.rstrip("(") or text
        message = f"`{_shown(text)}` cannot stand here"
    return _diagnose(source, code, message, text, offset, expected), offset


def describe_character(source: Source, offset: int, expected: set[str]) -> tuple[Diagnostic, int]:
    """The diagnostic for text that is no token at all, and the place to mend."""
    word = re.compile(r"\w[\w.]*|.", re.DOTALL).match(source.text, offset)
    text = word.group() if word else ""
    code, message = _describe_text(text)
    return _diagnose(source, code, message, text, offset, expected), offset


def _diagnose(
    source: Source, code: str, message: str, text: str, offset: int, expected: set[str]
) -> Diagnostic:
    wanted = sorted({_WORDS[kind] for kind in expected - _IMPLIED if kind in _WORDS})
    known = bool(wanted) and len(expected - _IMPLIED) <= 3
    end = len(source.text.rstrip())
    span = Span(source, min(offset, end), min(offset + len(text), max(end, offset)))
    fixes = _respelled(span, text)
    _, hint = _OTHER_SIGNS.get(text, ("", None))
    help_ = hint or (f"expected {' or '.join(wanted)}" if known else None)
    return Diagnostic(code, message, span, help=help_, fixes=fixes)


#: Signs of other languages: what stands in their place here, and why.
_OTHER_SIGNS = {
    ",": (" ", "arguments of a layer are separated by spaces"),
    "//": ("#", "a comment begins with `#`"),
}


def _respelled(span: Span, text: str) -> tuple[Fix, ...]:
    if text not in _OTHER_SIGNS:
        return ()
    sign, message = _OTHER_SIGNS[text]
    before = re.split(r"[;\n{}|]", span.source.text[: span.start])[-1].rstrip()
    is_argument = before.count("(") <= before.count(")") and before[-1:].isalnum()
    if text == "," and not is_argument:
        return ()
    is_followed = span.source.text[span.end : span.end + 1].isspace()
    return (replaced(span, "" if sign == " " and is_followed else sign, message),)


def _empty_branch(source: Source, offset: int) -> Diagnostic:
    span = Span(source, offset, offset + 1)
    fix = replaced(
        Span(source, offset, offset), "id ", "write `id` for the unchanged input", is_safe=False
    )
    return Diagnostic("empty-branch", "this branch is empty", span, help=fix.message, fixes=(fix,))


def _describe_text(text: str) -> tuple[str, str]:
    if len(text) > 1:
        return "unexpected-word", f"`{_shown(text)}` is neither a word nor a number"
    return "unexpected-character", f"the character {text!r} is no part of the language"


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def without_statement(text: str, offset: int) -> str:
    """The text with the statement around ``offset`` replaced by ``id``, braces untouched.

    This is how reading goes on after an error: at the next separator.
    """
    start = max(text.rfind(mark, 0, offset) for mark in ";\n{}|") + 1
    ends = [found for mark in ";\n{}|#" if (found := text.find(mark, offset)) >= 0]
    end = min(ends, default=len(text))
    if end <= start:
        return text
    return text[:start] + "id".ljust(end - start)[: end - start] + text[end:]
