"""Faults of syntax in the reader's words: brackets, words and signs that do not fit."""

from __future__ import annotations

import re

from archdsl.text.diagnostics import Diagnostic, Fix, replaced, respelled, suggest
from archdsl.text.source import Source, Span

_WORDS = {
    "NAME": "a name",
    "CALL_NAME": "a call",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "IN": "`in`",
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
    "STRING": "a text in quotes",
}
_IMPLIED = {
    "FLOAT",
    "PLUS",
    "MINUS",
    "TIMES",
    "DIVIDE",
    "POWER",
    "COMPARE",
    "AND",
    "OR",
    "NOT",
    "ELEMENT_NAME",
    "_SEP",
}


def describe_token(
    source: Source, kind: str, text: str, offset: int, expected: set[str]
) -> tuple[Diagnostic, int]:
    """The diagnostic for a token of a kind that is not allowed at an offset, and the place to fix.

    ``expected`` are the kinds that are allowed. The end of the text is a token of kind ``$END``.
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
    elif (end := _unfinished(source, offset)) is not None:
        offset, text, expected = end, "", {"DIMS"}
        message = "the statement is not finished"
    elif kind == "COLON" and (fault := _label_inside(source, offset)):
        return fault, offset
    else:
        text = text.rstrip("(") or text
        message = f"`{_shown(text)}` is not allowed here"
    return _diagnose(source, code, message, text, offset, expected), offset


def describe_character(source: Source, offset: int, expected: set[str]) -> tuple[Diagnostic, int]:
    """The diagnostic for text that is no token at all, and the place to fix."""
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
    hint, fixes = _OTHER_SIGNS[text](span) if text in _OTHER_SIGNS else (None, ())
    help_ = hint or (f"expected {' or '.join(wanted)}" if known else None)
    return Diagnostic(code, message, span, help=help_, fixes=fixes)


#: An operand of a division: a number, a name, or something in parentheses.
_OPERAND = r"(?:\w[\w.]*|\([^()\n]*\))"


def _comma(span: Span) -> tuple[str | None, tuple[Fix, ...]]:
    """What a comma stands for: a space between arguments, or a sign inside a number or volume."""
    text = span.source.text
    start = max(text.rfind(sign, 0, span.start) for sign in ";\n{}|") + 1
    before = text[start : span.start]
    header = re.match(r"\s*(\w+)\b", before)
    first = header[1] if header else ""
    listed = re.search(r"\d+(?:\s*,\s*\d+)*\s*$", before)
    if listed:
        begin = start + listed.start()
        numbers = re.compile(r"\d+(?:\s*,\s*\d+)+(?![\w.])").match(text, begin)
        sizes = re.findall(r"\d+", numbers.group()) if numbers else []
        ahead = before[: listed.start()].rstrip()
        is_claim = first != "network" and ahead.endswith(("→", "->"))
        is_volume = is_claim or (first == "network" and ahead.endswith(("→", "->", ":")))
        if numbers and is_volume and len(sizes) == 3:
            volume = "x".join(sizes)
            fix = replaced(Span(span.source, *numbers.span()), volume, f"write `{volume}`")
            return "sizes of a volume are joined by `x`", (fix,)
        if is_claim:
            return "a volume is written `28x28x64`, a vector `10`", ()
        if numbers and first == "expect":
            number = "_".join(sizes)
            fix = replaced(Span(span.source, *numbers.span()), number, f"write `{number}`")
            return "a long number is written `61_100_840`, or `61.1M`", (fix,)
    if first == "network":
        return "several inputs or outputs have names: `(left: 28x28x16, right: 28x28x16)`", ()
    if first in _AFTER_KEYWORD or first in ("let", "if", "else"):
        return None, ()
    if before.count("(") > before.count(")") or not re.search(r"[\w)]\s*$", before):
        return None, ()
    message = "arguments of a layer are separated by spaces"
    is_followed = text[span.end : span.end + 1].isspace()
    return message, (replaced(span, "" if is_followed else " ", message),)


def _slashes(span: Span) -> tuple[str | None, tuple[Fix, ...]]:
    """What `//` stands for: a comment, or a division that lacks its parentheses."""
    text = span.source.text
    line = text[text.rfind("\n", 0, span.start) + 1 : span.start]
    left = re.search(_OPERAND + r"\s*$", line)
    right = re.compile(r"[ \t]*(" + _OPERAND + ")").match(text, span.end)
    if left and right and re.match(r"[\d(]|[HWC]\b", right[1]):
        place = Span(span.source, span.start - len(left.group()), right.end())
        divided = f"({left.group().strip()} // {right[1]})"
        return f"write `{divided}` to divide", (replaced(place, divided, f"write `{divided}`"),)
    message = "a comment begins with `#`"
    # A word that the text uses elsewhere may be a divisor.
    uses = len(re.findall(rf"\b{re.escape(right[1])}\b", text)) if right else 0
    hint = message if uses < 2 else f"{message}, and a quotient needs parentheses"
    return hint, (replaced(span, "#", message, keeps_choices=uses < 2),)


#: Signs of other languages: what to say about them, and what replaces them here.
_OTHER_SIGNS = {",": _comma, "//": _slashes}


#: The end of a line after an arrow, with or without a comment, and at most one word of the next.
_OPEN_END = re.compile(r"(?:→|->)([ \t]*(?:#[^\n]*)?\r?\n\s*\w*\(?[ \t]*)$")


def _unfinished(source: Source, offset: int) -> int | None:
    """The end of the line before, where it ends in an arrow: the volume there is missing."""
    line = source.locate(offset)[0]
    start = offset - (source.locate(offset)[1] - 1)
    while line > 1 and not source.text[start:offset].strip():
        line -= 1
        start -= len(source.line(line)) + 1
    begin = max(0, start - len(source.line(line - 1)) - 1) if line > 1 else 0
    match = _OPEN_END.search(source.text[begin:offset])
    return begin + match.start(1) if match else None


def _label_inside(source: Source, offset: int) -> Diagnostic | None:
    """The fault of a name with a colon that does not begin its statement."""
    line = source.text.rfind("\n", 0, offset) + 1
    before = re.split(r"[;{|]", source.text[line:offset])[-1]
    match = re.fullmatch(r".*[\w)}](\s+)([A-Za-z]\w*)\s*", before)
    if match is None or before.count("(") > before.count(")"):
        return None
    start = offset - len(before)
    name = Span(source, start + match.start(2), start + match.end(2))
    gap = Span(source, start + match.start(1), start + match.start(1))
    fix = replaced(gap, ";", f"write `;` before `{match[2]}:`")
    message = f"the name `{_shown(match[2])}` does not begin a statement"
    return Diagnostic("unexpected-word", message, name, help=fix.message, fixes=(fix,))


#: What follows the words that begin a statement or a definition.
_AFTER_KEYWORD = {
    "network": r"[A-Za-z]\w*\s*[(:=]",
    "block": r"[A-Za-z]\w*\([^()\n]*\)\s*\{",
    "phrase": r"[A-Za-z]\w*\([^()\n]*\)\s*\{",
    "for": r"[A-Za-z]\w*\s+in\s",
    "use": r'"',
    "expect": r"[A-Za-z]\w*\s*(?:[=~]|[<>]=?)\s*\d",
}
#: No more faults than this are reported: nobody would read them.
MAX_KEYWORD_FAULTS = 20
_BEGINNING = re.compile(r"^[ \t]*([A-Za-z]\w*)[ \t]+(?=[A-Za-z\"])", re.MULTILINE)


def find_keyword_faults(source: Source) -> list[Diagnostic]:
    """A fault for each definition or claim whose first word is misspelt."""
    faults: list[Diagnostic] = []
    for match in _BEGINNING.finditer(source.text):
        word = match[1]
        nearest = None if word in _AFTER_KEYWORD else suggest(word, _AFTER_KEYWORD, 0.6)
        if nearest and re.compile(_AFTER_KEYWORD[nearest]).match(source.text, match.end()):
            span = Span(source, *match.span(1))
            fix = respelled(span, nearest, _AFTER_KEYWORD)
            message = f"`{_shown(word)}` is not a word of the language"
            faults.append(Diagnostic("unknown-word", message, span, help=fix.message, fixes=(fix,)))
        if len(faults) == MAX_KEYWORD_FAULTS:
            break
    return faults


def _empty_branch(source: Source, offset: int) -> Diagnostic:
    span = Span(source, offset, offset + 1)
    message = "write `id` for the unchanged input"
    fix = replaced(Span(source, offset, offset), "id ", message, keeps_choices=False)
    return Diagnostic("empty-branch", "this branch is empty", span, help=fix.message, fixes=(fix,))


def _describe_text(text: str) -> tuple[str, str]:
    if len(text) > 1:
        return "unexpected-word", f"`{_shown(text)}` is neither a word nor a number"
    return "unexpected-character", f"the character {text!r} is not part of the language"


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def without_statement(text: str, offset: int) -> str:
    """The text with the statement around ``offset`` replaced by ``id``, braces untouched.

    A ``//`` comment becomes a ``#`` comment. After an error, reading goes on at the next separator.
    """
    if text.startswith("//", offset):
        return f"{text[:offset]}# {text[offset + 2 :]}"
    start = max(text.rfind(mark, 0, offset) for mark in ";\n{}|") + 1
    ends = [found for mark in ";\n{}|#" if (found := text.find(mark, offset)) >= 0]
    end = min(ends, default=len(text))
    if end <= start:
        return text
    # Behind a brace nothing is needed, and the statement may be one that ends there.
    filler = "" if text[start - 1 : start] == "}" else "id"
    return text[:start] + filler.ljust(end - start)[: end - start] + text[end:]
