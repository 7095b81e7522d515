"""A table as plain text, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from archdsl.drawing.tables.table import Align, Table, TableCell, placed

_GAP = "  "


def spread(cells: Sequence[TableCell]) -> Iterator[TableCell]:
    """A cell for each column: one that spans several is repeated."""
    for cell in cells:
        for _ in range(cell.span):
            yield TableCell(cell.text, cell.exact)


# ── Plain text ───────────────────────────────────────────────────────────────────────────────


def text_of(table: Table) -> str:
    """For a terminal or a README: columns aligned, lines between the parts."""
    widths = _widths(table)
    rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    lines = [table.title, "", _line(table.head, table, widths), rule]
    for row in table.rows:
        lines += [rule] if row.is_ruled else []
        lines.append(_line(row.cells, table, widths))
    lines += ["", *table.notes] if table.notes else []
    return "\n".join(lines) + "\n"


def _widths(table: Table) -> list[int]:
    """The widths of the columns, with room for their own cells and for those that span several."""
    rows = [table.head, *(row.cells for row in table.rows)]
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
    rows = [_markdown_row([cell.text for cell in spread(table.head)])]
    rows.append("|" + "|".join(marks[align] for align in table.alignments) + "|")
    rows += [_markdown_row([cell.text for cell in spread(row.cells)]) for row in table.rows]
    notes = [line for note in table.notes for line in ("", _markdown(note))]
    return "\n".join([f"**{_markdown(table.title)}**", "", *rows, *notes]) + "\n"


def _markdown_row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(_markdown(text) for text in texts) + " |"


def _markdown(text: str) -> str:
    """Text escaped for Markdown; ``_`` inside a word has no meaning there."""
    for sign in "\\`*|<#":
        text = text.replace(sign, f"\\{sign}")
    return text


# ── LaTeX ────────────────────────────────────────────────────────────────────────────────────

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
    "⁶": r"$^{6}$",
}


def latex_of(table: Table) -> str:
    """A ``table`` with the rules of booktabs."""
    letters = {"left": "l", "right": "r", "centre": "c"}
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_latex(table.title)}}}",
        f"  \\begin{{tabular}}{{{''.join(letters[align] for align in table.alignments)}}}",
        "    \\toprule",
        f"    {_latex_row(table.head)}",
    ]
    is_ruled = True
    for row in table.rows:
        lines += ["    \\midrule"] if row.is_ruled or is_ruled else []
        lines.append(f"    {_latex_row(row.cells)}")
        is_ruled = False
    lines += ["    \\bottomrule", "  \\end{tabular}"]
    lines += [f"  \\par\\smallskip\\footnotesize {_latex(note)}" for note in table.notes]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def _latex_row(cells: Sequence[TableCell]) -> str:
    return " & ".join(_latex_cell(cell) for cell in cells) + r" \\"


def _latex_cell(cell: TableCell) -> str:
    text = _latex(cell.text)
    return text if cell.span == 1 else f"\\multicolumn{{{cell.span}}}{{c}}{{{text}}}"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


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
