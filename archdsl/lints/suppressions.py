"""Comments that silence warnings: ``# archdsl: ignore[code, code]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from archdsl.records import dataclass
from archdsl.rules import RULES
from archdsl.text.diagnostics import Diagnostic, Edit, Fix, Severity, help_of, respell
from archdsl.text.source import Source, Span

# Compiled when a text has a silence: few have.
_COMMENTS = r'"[^"\n]*"|#[^\n]*'
_IGNORE = r"#\s*archdsl:\s*ignore\[([^\]]*)\]"
_CODE = r"[^\s,]+"


@dataclass(frozen=True, slots=True)
class Silence:
    """One code of a comment, and the line whose warnings it is about."""

    code: str
    span: Span
    line: int
    #: The comment with the spaces before it, where it names nothing else.
    comment: Span | None


def silence(
    source: Source, warnings: Iterable[Diagnostic], codes: frozenset[str]
) -> Iterator[Diagnostic]:
    """The warnings that no comment silences, and one for each comment that silences none.

    ``codes`` are those of warnings: errors are not silenced.
    """
    silences = {id(source): find_silences(source)}
    used: set[Silence] = set()
    for warning in warnings:
        found = [s for span in _places(warning) for s in _at(span, warning.code, silences)]
        used.update(found)
        if not found:
            yield warning
    for item in silences[id(source)]:
        if item not in used:
            yield _unused(item, codes)


def _places(warning: Diagnostic) -> Iterator[Span]:
    """Where a warning may be silenced: at its place, or in the file where its layer is written."""
    if warning.span is None:
        return
    yield warning.span
    layer = next(iter(warning.related), None)
    if layer and layer.span.source is not warning.span.source:
        yield layer.span


def _at(span: Span, code: str, silences: dict[int, list[Silence]]) -> list[Silence]:
    source = span.source
    if id(source) not in silences:
        silences[id(source)] = find_silences(source)
    return [item for item in silences[id(source)] if item.code == code and item.line == span.line]


def find_silences(source: Source) -> list[Silence]:
    """All silences of a text: behind a statement for its line, on a line of their own for the
    next line with code."""
    if "archdsl:" not in source.text:
        return []
    found: list[Silence] = []
    for comment in re.finditer(_COMMENTS, source.text):
        match = re.match(_IGNORE, comment.group())
        if match is None:
            continue
        line = source.locate(comment.start())[0]
        start = comment.start() - (source.locate(comment.start())[1] - 1)
        before = source.text[start : comment.start()]
        target = line if before.strip() else _next_code(source, line)
        begin = comment.start() + match.start(1)
        codes = list(re.finditer(_CODE, match.group(1)))
        whole = None
        if len(codes) == 1 and match.end() == len(comment.group()):
            whole = Span(source, start + len(before.rstrip()), comment.end())
        found += (
            Silence(
                code.group(), Span(source, begin + code.start(), begin + code.end()), target, whole
            )
            for code in codes
        )
    return found


def _next_code(source: Source, line: int) -> int:
    lines = source.text.split("\n")
    for number in range(line + 1, len(lines) + 1):
        text = lines[number - 1].strip()
        if text and not text.startswith("#"):
            return number
    return line


def _unused(item: Silence, codes: frozenset[str]) -> Diagnostic:
    if item.code not in RULES:
        fixes = respell(item.code, item.span, codes)
        return Diagnostic(
            "unknown-code",
            f"there is no warning `{item.code}`",
            item.span,
            help=help_of(fixes),
            severity=Severity.WARNING,
            fixes=fixes,
        )
    message = f"this silences nothing: there is no `{item.code}` on line {item.line}"
    if item.code not in codes:
        message = f"`{item.code}` is an error, and errors are not silenced"
    fix = Fix("leave the comment out", (Edit(item.comment, ""),)) if item.comment else None
    return Diagnostic(
        "unused-ignore",
        message,
        item.span,
        help=fix.message if fix else None,
        severity=Severity.WARNING,
        fixes=(fix,) if fix else (),
    )
