"""Diagnostics for the terminal, in the manner of rustc."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archdsl.report.excerpt import ExcerptMark, Inks, render_excerpt
from archdsl.report.text import count_of, paint, printable
from archdsl.text.diagnostics import Diagnostic, Severity
from archdsl.text.source import Source

_COLORS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}
#: Between the place and the calls that lead to it.
_CONTEXT_GAP = " " * 5


def render_diagnostics(diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """All diagnostics and a line that counts them; nothing where there are none."""
    listed = list(diagnostics)
    if not listed:
        return ""
    parts = [*(_render_diagnostic(diagnostic, color) for diagnostic in listed)]
    return "\n\n".join([*parts, _summary(listed, color)])


def _summary(diagnostics: list[Diagnostic], color: bool) -> str:
    counts = []
    for severity in Severity:
        count = sum(d.severity is severity for d in diagnostics)
        if count:
            style = paint(color, fg=_COLORS[severity], bold=True)
            counts.append(style(count_of(count, severity.value)))
    return ", ".join(counts)


def _render_diagnostic(diagnostic: Diagnostic, color: bool) -> str:
    bold = paint(color, bold=True)
    headline = paint(color, fg=_COLORS[diagnostic.severity], bold=True)
    lines = [
        headline(f"{diagnostic.severity.value}[{diagnostic.code}]")
        + bold(f": {printable(diagnostic.message)}")
    ]
    lines.extend(_places(diagnostic, color))
    lines.extend(f"{bold('help')}: {text}" for text in _remark(diagnostic.help))
    for note in diagnostic.notes:
        lines.extend(f"{bold('note')}: {text}" for text in _remark(note))
    return "\n".join(lines)


def _remark(text: str | None) -> Iterator[str]:
    """A remark as one text, with further lines indented below the first."""
    if text:
        yield "\n      ".join(printable(line) for line in text.splitlines())


def _places(diagnostic: Diagnostic, color: bool) -> Iterator[str]:
    """The primary place with its lines, then those of other files."""
    gutter_ink = paint(color, fg="blue", bold=True)
    if diagnostic.span is None:
        yield f"  {gutter_ink('-->')} {printable(diagnostic.file)}"
        return
    inks = Inks(
        gutter_ink,
        paint(color, fg=_COLORS[diagnostic.severity], bold=True),
        paint(color, fg="blue", bold=True),
    )
    marks = [ExcerptMark(diagnostic.span, diagnostic.label, is_primary=True)]
    marks += [
        ExcerptMark(label.span, label.message, is_primary=False) for label in diagnostic.related
    ]
    gutter = len(str(max(mark.span.line for mark in marks)))
    for index, (source, marked) in enumerate(_by_source(marks)):
        arrow = f"{' ' * (gutter + 1)}{gutter_ink('-->')} "
        yield arrow + _location(marked[0], diagnostic.context if index == 0 else ())
        indent = " " * (gutter + len("  --> ") - 1)
        if index == 0:
            yield from (
                f"{indent}{' ' * _place_width(marked[0])}{_CONTEXT_GAP}{printable(line)}"
                for line in diagnostic.context[1:]
            )
        yield from render_excerpt(source, marked, gutter, inks)
    if diagnostic.help or diagnostic.notes:
        yield f"{' ' * gutter} {gutter_ink('|')}"


def _place(mark: ExcerptMark) -> str:
    span = mark.span
    return f"{printable(span.source.path)}:{span.line}:{span.column}"


def _place_width(mark: ExcerptMark) -> int:
    return len(_place(mark))


def _location(mark: ExcerptMark, context: tuple[str, ...]) -> str:
    trail = f"{_CONTEXT_GAP}{printable(context[0])}" if context else ""
    return _place(mark) + trail


def _by_source(marks: list[ExcerptMark]) -> list[tuple[Source, list[ExcerptMark]]]:
    """The marks of each source, the primary's first."""
    sources: dict[int, tuple[Source, list[ExcerptMark]]] = {}
    for mark in marks:
        source = mark.span.source
        sources.setdefault(id(source), (source, []))[1].append(mark)
    return list(sources.values())
