"""A table as plain text, Markdown and CSV, and by `latex.py` as LaTeX."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from archdsl.drawing.tables.latex import latex_of
from archdsl.drawing.tables.table import Align, Table, TableCell, placed

_GAP = "  "


def spread(cells: Sequence[TableCell]) -> Iterator[TableCell]:
    """A cell for each column: one that spans several is repeated."""
    for cell in cells:
        for _ in range(cell.span):
            yield replace(cell, span=1)


# ── Plain text ───────────────────────────────────────────────────────────────────────────────


def text_of(table: Table) -> str:
    """For a terminal or a README: columns aligned, lines between the parts."""
    widths = _widths(table)
    rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    lines = [table.title, "", _line(table.head, table, widths), rule]
    for row in table.rows:
        lines += [rule] if row.is_ruled else []
        lines += [_line(cells, table, widths) for cells in _lines_in(row.cells)]
    lines += ["", *table.notes] if table.notes else []
    return "\n".join(lines) + "\n"


def _lines_in(cells: Sequence[TableCell]) -> Iterator[tuple[TableCell, ...]]:
    """The lines of a row: several if it has layers in brackets. What has one is in the middle."""
    height = max(len(cell.layers) or 1 for cell in cells)
    stacks = [_stack(cell, height) for cell in cells]
    for line in range(height):
        yield tuple(
            TableCell(stack[line], span=cell.span)
            for stack, cell in zip(stacks, cells, strict=True)
        )


def _stack(cell: TableCell, height: int) -> list[str]:
    """The lines of a cell, with nothing above and below if the row is higher."""
    lines = list(_bracketed(cell)) if cell.layers else [cell.text]
    above = (height - len(lines)) // 2 if cell.layers else height // 2
    return [""] * above + lines + [""] * (height - len(lines) - above)


def _bracketed(cell: TableCell) -> Iterator[str]:
    """Lines of equal width, so that all are centred alike."""
    width = max(map(_columns, cell.layers))
    last = len(cell.layers) - 1
    for number, layer in enumerate(cell.layers):
        left, right = "[]" if not last else "⎡⎤" if not number else "⎣⎦" if number == last else "⎢⎥"
        times = cell.times if number == len(cell.layers) // 2 else " " * len(cell.times)
        yield f"{left}{_aligned(layer, width, 'left')}{right} {times}"


def _widths(table: Table) -> list[int]:
    """The widths of the columns, with room for their own cells and for those that span several."""
    rows = [table.head, *(cells for row in table.rows for cells in _lines_in(row.cells))]
    widths = [0] * len(table.alignments)
    for cells in rows:
        for at, cell in placed(cells):
            if cell.span == 1:
                widths[at] = max(widths[at], _columns(cell.text))
    for cells in rows:
        for at, cell in placed(cells):
            lack = _columns(cell.text) - sum(widths[at : at + cell.span])
            lack -= len(_GAP) * (cell.span - 1)
            widths[at + cell.span - 1] += max(0, lack)
    return widths


def _line(cells: Sequence[TableCell], table: Table, widths: Sequence[int]) -> str:
    texts = []
    for at, cell in placed(cells):
        width = sum(widths[at : at + cell.span]) + len(_GAP) * (cell.span - 1)
        align = "centre" if cell.span > 1 else table.alignments[at]
        texts.append(_aligned(cell.text, width, align))
    return _GAP.join(texts).rstrip()


def _aligned(text: str, width: int, align: Align) -> str:
    space = width - _columns(text)
    match align:
        case "left":
            return text + " " * space
        case "right":
            return " " * space + text
        case "centre":
            return " " * (space // 2) + text + " " * (space - space // 2)


def _columns(text: str) -> int:
    """Columns of a terminal: East Asian characters take two, combining marks take none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────


def markdown_of(table: Table) -> str:
    """A table of GitHub's Markdown; a cell across several columns is repeated in each."""
    marks = {"left": "---", "right": "--:", "centre": ":-:"}
    rows = [_markdown_row(table.head)]
    rows.append("|" + "|".join(marks[align] for align in table.alignments) + "|")
    rows += [_markdown_row(row.cells) for row in table.rows]
    notes = [line for note in table.notes for line in ("", _markdown(note))]
    return "\n".join([f"**{_markdown(table.title)}**", "", *rows, *notes]) + "\n"


def _markdown_row(cells: Sequence[TableCell]) -> str:
    return "| " + " | ".join(map(_markdown_cell, spread(cells))) + " |"


def _markdown_cell(cell: TableCell) -> str:
    if not cell.layers:
        return _markdown(cell.text)
    return f"[ {'<br>'.join(map(_markdown, cell.layers))} ] {cell.times}"


def _markdown(text: str) -> str:
    """Text escaped for Markdown; ``_`` inside a word has no meaning there."""
    for sign in "\\`*|<#":
        text = text.replace(sign, f"\\{sign}")
    return text


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────


def csv_of(table: Table) -> str:
    """For programs: the exact numbers, each column filled, and no notes."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for cells in (table.head, *(row.cells for row in table.rows)):
        writer.writerow([cell.value for cell in spread(cells)])
    return file.getvalue()


#: The function for each file ending.
TEXTS: dict[str, Callable[[Table], str]] = {
    "txt": text_of,
    "md": markdown_of,
    "tex": latex_of,
    "csv": csv_of,
}
