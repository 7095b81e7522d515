"""Comments that suppress warnings: ``# archdsl: ignore[code, code]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from archdsl.records import dataclass
from archdsl.rules import RULES
from archdsl.text.diagnostics import Diagnostic, Edit, Fix, Severity, help_of, respell
from archdsl.text.source import Source, Span

# Compiled only when a text has a suppression; few do.
_COMMENTS = r'"[^"\n]*"|#[^\n]*'
_IGNORE = r"#\s*archdsl:\s*ignore\[([^\]]*)\]"
_CODE = r"[^\s,]+"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One code of a comment, and the line whose warnings it is about."""

    code: str
    span: Span
    line: int
    #: The comment with the spaces before it, where it names no other code.
    comment: Span | None


def suppress(
    source: Source, warnings: Iterable[Diagnostic], codes: frozenset[str]
) -> Iterator[Diagnostic]:
    """The warnings that no comment suppresses, and one for each comment that suppresses none.

    ``codes`` are the codes of warnings: errors cannot be suppressed.
    """
    suppressions = {id(source): find_suppressions(source)}
    used: set[Suppression] = set()
    for warning in warnings:
        found = [s for span in _places(warning) for s in _at(span, warning.code, suppressions)]
        used.update(found)
        if not found:
            yield warning
    for item in suppressions[id(source)]:
        if item not in used:
            yield _unused(item, codes)


def _places(warning: Diagnostic) -> Iterator[Span]:
    """Where a warning may be suppressed: at its place, or at its layer in another file."""
    if warning.span is None:
        return
    yield warning.span
    layer = next(iter(warning.related), None)
    if layer and layer.span.source is not warning.span.source:
        yield layer.span


def _at(span: Span, code: str, suppressions: dict[int, list[Suppression]]) -> list[Suppression]:
    source = span.source
    if id(source) not in suppressions:
        suppressions[id(source)] = find_suppressions(source)
    return [
        item for item in suppressions[id(source)] if item.code == code and item.line == span.line
    ]


def find_suppressions(source: Source) -> list[Suppression]:
    """All suppressions of a text.

    A comment behind a statement is about its line, a comment on its own line about the next line
    with code.
    """
    if "archdsl:" not in source.text:
        return []
    found: list[Suppression] = []
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
            Suppression(
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


def _unused(item: Suppression, codes: frozenset[str]) -> Diagnostic:
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
    message = f"this suppresses nothing: there is no `{item.code}` on line {item.line}"
    if item.code not in codes:
        message = f"`{item.code}` is an error, and errors cannot be suppressed"
    fix = Fix("leave the comment out", (Edit(item.comment, ""),)) if item.comment else None
    return Diagnostic(
        "unused-ignore",
        message,
        item.span,
        help=fix.message if fix else None,
        severity=Severity.WARNING,
        fixes=(fix,) if fix else (),
    )
