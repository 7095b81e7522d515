"""Excerpts: numbered lines of a source with marks under them, for diagnostics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from archdsl.report.text import TAB_WIDTH, Paint, character_columns, escape_character, printable
from archdsl.text.source import Source, Span

MAX_COLUMNS = 120
#: Columns kept before the first mark where a line is too long to be shown whole.
LEAD = 40


@dataclass(frozen=True, slots=True)
class ExcerptMark:
    """A span to underline, with what is said about it."""

    span: Span
    message: str
    is_primary: bool


@dataclass(frozen=True, slots=True)
class Inks:
    """The paints of an excerpt."""

    gutter: Paint
    primary: Paint
    related: Paint


def render_excerpt(source: Source, marks: list[ExcerptMark], gutter: int, inks: Inks) -> list[str]:
    """The marked lines of one source; ``gutter`` is how wide its line numbers are."""
    bar = inks.gutter("|")
    lines = [f"{' ' * gutter} {bar}"]
    previous = 0
    for number, marked in _with_gaps(_by_line(marks)):
        if previous and number > previous + 1:
            lines.append(inks.gutter("..."))
        previous = number
        text, below = _render_line(source.line(number), marked, inks)
        lines.append(f"{inks.gutter(str(number).rjust(gutter))} {bar} {text}".rstrip())
        lines.extend(f"{' ' * gutter} {bar} {row}".rstrip() for row in below)
    return lines


def _by_line(marks: list[ExcerptMark]) -> dict[int, list[ExcerptMark]]:
    lines: dict[int, list[ExcerptMark]] = {}
    for mark in marks:
        lines.setdefault(mark.span.line, []).append(mark)
    return lines


def _with_gaps(lines: dict[int, list[ExcerptMark]]) -> Iterator[tuple[int, list[ExcerptMark]]]:
    """The lines in order; a gap of one line is shown, since a sign for it would be no shorter."""
    for number in sorted(lines):
        if number - 1 not in lines and number - 2 in lines:
            yield number - 1, []
        yield number, lines[number]


# ── One line ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Underline:
    """A mark in columns of the terminal: from ``start`` to ``end``, exclusive."""

    start: int
    end: int
    mark: ExcerptMark


def _render_line(text: str, marks: list[ExcerptMark], inks: Inks) -> tuple[str, list[str]]:
    """A line as it is shown, and the rows of marks under it."""
    cells, edges = _cells(text)
    underlines = [_underline(text, mark, edges) for mark in marks]
    shown, shift, limit = _window(cells, edges, underlines)
    if not underlines:
        return shown, []
    moved = [
        _Underline(
            min(max(u.start - shift, 0), limit - 1),
            min(max(u.end - shift, 1), limit),
            u.mark,
        )
        for u in underlines
    ]
    moved.sort(key=lambda u: (u.start, u.mark.is_primary))
    return shown, _rows(moved, inks)


@lru_cache(maxsize=1)  # for a text with many faults in one line
def _cells(text: str) -> tuple[list[str], list[int]]:
    """What is printed for each character, and the column where each begins."""
    cells: list[str] = []
    edges = [0]
    for character in text:
        column = edges[-1]
        if character == "\t":
            cells.append(" " * (TAB_WIDTH - column % TAB_WIDTH))
            edges.append(column + len(cells[-1]))
            continue
        cell = escape_character(character)
        cells.append(cell)
        width = character_columns(cell) if len(cell) == 1 else len(cell)
        edges.append(column + width)
    return cells, edges


def _underline(text: str, mark: ExcerptMark, edges: list[int]) -> _Underline:
    """The columns of a mark; of a span over several lines, only the first is underlined."""
    first = mark.span.column - 1
    goes_on = mark.span.end_line > mark.span.line
    last = len(text.rstrip()) if goes_on else mark.span.end_column - 1
    start = edges[min(first, len(text))]
    return _Underline(start, max(edges[min(last, len(text))], start + 1), mark)


def _window(
    cells: list[str], edges: list[int], underlines: list[_Underline]
) -> tuple[str, int, int]:
    """The part of a line that is shown, how far its columns move, and where marks must end."""
    if edges[-1] <= MAX_COLUMNS:
        return "".join(cells), 0, edges[-1] + 2
    first = min((u.start for u in underlines), default=0)
    primary = next((u.start for u in underlines if u.mark.is_primary), first)
    anchor = first if primary - first < MAX_COLUMNS - 2 * LEAD else primary
    begin = 0
    if max((u.end for u in underlines), default=0) > MAX_COLUMNS - 1:
        # No further than needed for the end of the line to be shown.
        left = min(anchor - LEAD, edges[-1] - MAX_COLUMNS)
        begin = next(index for index, edge in enumerate(edges) if edge >= left)
    end = begin
    while end < len(cells) and edges[end + 1] - edges[begin] <= MAX_COLUMNS:
        end += 1
    before, after = "…" * (begin > 0), "…" * (end < len(cells))
    shown = before + "".join(cells[begin:end]) + after
    shift = edges[begin] - len(before)
    return shown, shift, edges[end] - shift + 1


def _rows(underlines: list[_Underline], inks: Inks) -> list[str]:
    """The row of marks with the last label behind it, the other labels below, one per row."""
    width = max(u.end for u in underlines)
    signs = [" "] * width
    # The primary mark is drawn last: where marks overlap it stays whole.
    for underline in sorted(underlines, key=lambda u: u.mark.is_primary):
        sign = "^" if underline.mark.is_primary else "-"
        signs[underline.start : underline.end] = sign * (underline.end - underline.start)
    row = _paint_signs("".join(signs), inks)
    waiting = [u for u in underlines if u.mark.message]
    if waiting and waiting[-1].end == width and waiting[-1] is underlines[-1]:
        last = waiting.pop()
        row += " " + _ink(last, inks)(printable(last.mark.message))
    rows = [row]
    if waiting:
        rows.append(_connectors(waiting, inks))
    while waiting:
        last = waiting.pop()
        left = [u for u in waiting if u.start < last.start]
        rows.append(
            _connectors(left, inks, last.start) + _ink(last, inks)(printable(last.mark.message))
        )
    return rows


def _connectors(underlines: list[_Underline], inks: Inks, width: int = 0) -> str:
    """A row of ``|`` that leads from marks to their labels, filled up to ``width``."""
    row, column = "", 0
    for underline in underlines:
        if underline.start < column:
            continue
        row += " " * (underline.start - column) + _ink(underline, inks)("|")
        column = underline.start + 1
    return row + " " * (width - column)


def _ink(underline: _Underline, inks: Inks) -> Paint:
    return inks.primary if underline.mark.is_primary else inks.related


def _paint_signs(signs: str, inks: Inks) -> str:
    """The marks in their colours, run by run."""
    inked = {"^": inks.primary, "-": inks.related}
    row, start = "", 0
    for end in range(1, len(signs) + 1):
        if end == len(signs) or signs[end] != signs[start]:
            run = signs[start:end]
            row += inked[run[0]](run) if run[0] in inked else run
            start = end
    return row
