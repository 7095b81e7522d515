"""A table as LaTeX with the rules of booktabs, no wider than the text of a page.

The widths of TeX's font are estimated. A table that is too wide is set smaller, with its headings
in several lines. If that is not enough it reaches into both margins alike, and if it were too wide
for that as well, its columns stand in parts below each other. A table that is higher than a page
goes on over the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from archdsl.drawing.tables.table import Align, Table, TableCell, placed

#: The width and height of the text in LaTeX's class ``article`` in points of TeX: the smallest page
#: that is in wide use. The caption and each note take some of the height.
TEXT_WIDTH = 345.0
_TEXT_HEIGHT = 550.0
_CAPTION = 30.0
_NOTE = 22.0
#: The width of A4 between margins of an inch, a little less than that of US letter. The text of
#: two columns is wider.
WIDE = 450.0

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

#: The widths of Computer Modern's signs as shares of its size; others are as wide as the widest.
_ADVANCES = {
    sign: advance
    for signs, advance in (
        ("ijl.,:;'!", 0.278),
        (" ", 0.334),
        ("f", 0.306),
        ("t()/[]r", 0.392),
        ("s", 0.395),
        ("ce", 0.445),
        ("0123456789agovyzqk", 0.528),
        ("bdhnpux_I", 0.556),
        ("wACDEFGHJKLNPQRSTUVXYZB", 0.785),
        ("m#×+=<>-", 0.834),
    )
    for sign in signs
}


_BREAK = r"\\"
_LETTERS: dict[Align, str] = {"left": "l", "right": "r", "centre": "c"}


@dataclass(frozen=True, slots=True)
class TypeSetting:
    """A size of type in points, its width and the room on each side of a column.

    Small sizes of Computer Modern are wider than the large ones made smaller: ``width`` is that of
    an em of the size 10, made so small that its letters are as wide.
    """

    command: str
    size: float
    width: float
    gap: float
    is_stacked: bool


SETTINGS = (
    TypeSetting("", 10, 10.0, 6, False),
    TypeSetting("", 10, 10.0, 5, True),
    TypeSetting("\\small", 9, 9.26, 4, True),
    TypeSetting("\\footnotesize", 8, 8.5, 3, True),
    TypeSetting("\\scriptsize", 7, 7.98, 1.5, True),
)
#: Smaller type is only for what fits the page with it.
_LEGIBLE = SETTINGS[3]


@dataclass(frozen=True, slots=True)
class PageLayout:
    """How a table is set: its parts, whether they are wider than the text, or go over pages."""

    setting: TypeSetting
    parts: tuple[Table, ...]
    is_wide: bool
    is_long: bool


def layout_of(table: Table) -> PageLayout:
    """The largest type with which a table fits the page, and its parts if it does not."""
    fitting = (one for one in SETTINGS if width_of(table, one) <= TEXT_WIDTH)
    setting = next(fitting, _LEGIBLE)
    is_wide = TEXT_WIDTH < width_of(table, setting) <= WIDE
    parts = (table,) if is_wide else tuple(_parts(table, setting))
    height = sum(_height(part, setting) for part in parts)
    is_long = height + _CAPTION + _NOTE * len(table.notes) > _TEXT_HEIGHT
    return PageLayout(setting, parts, is_wide, is_long)


def latex_of(table: Table) -> str:
    """One ``table``, or a ``longtable`` that goes on over pages."""
    layout = layout_of(table)
    setting = layout.setting
    notes = [f"  \\par\\smallskip\\footnotesize {_latex(note)}" for note in table.notes]
    caption = f"\\caption{{{_latex(table.title)}}}"
    gap = [] if setting == SETTINGS[0] else [f"  \\setlength{{\\tabcolsep}}{{{setting.gap:g}pt}}"]
    # The size is that of the rows; the caption and the notes have their own.
    size = [f"  {setting.command}"] if setting.command else []
    if layout.is_long:
        lines = ["% needs \\usepackage{booktabs,longtable}", "\\begingroup", *size, *gap]
        # So it is in the middle also if it is wider than the text.
        sides = ("LTleft", "LTright") if layout.is_wide else ()
        lines += [f"  \\setlength\\{side}{{0pt plus 1fill minus 1fill}}" for side in sides]
        for number, part in enumerate(layout.parts):
            lines += _long_lines(part, setting, caption if not number else "")
        return "\n".join([*lines, *notes, "\\par\\endgroup"]) + "\n"
    lines = ["% needs \\usepackage{booktabs}", "\\begin{table}", "  \\centering"]
    lines += [f"  {caption}", "  \\smallskip", *size, *gap]
    for number, part in enumerate(layout.parts):
        lines += ["  \\par\\bigskip"] if number else []
        rows = list(_tabular_lines(part, setting))
        lines += ["  \\makebox[\\textwidth][c]{%", *rows, "  }"] if layout.is_wide else rows
    return "\n".join([*lines, *notes, "\\end{table}"]) + "\n"


def _tabular_lines(table: Table, setting: TypeSetting) -> Iterator[str]:
    yield f"  \\begin{{tabular}}{{{_columns(table)}}}"
    yield "    \\toprule"
    yield f"    {_head(table, setting)}"
    yield from _row_lines(table, setting)
    yield "    \\bottomrule"
    yield "  \\end{tabular}"


def _long_lines(table: Table, setting: TypeSetting, caption: str) -> Iterator[str]:
    yield f"  \\begin{{longtable}}{{{_columns(table)}}}"
    if caption:
        yield f"    {caption} \\\\"
    yield "    \\toprule"
    yield f"    {_head(table, setting)}"
    yield "    \\endfirsthead"
    yield "    \\toprule"
    yield f"    {_head(table, setting)}"
    yield "    \\endhead"
    yield from _row_lines(table, setting)
    yield "    \\bottomrule"
    yield "  \\end{longtable}"


def _columns(table: Table) -> str:
    return "".join(_LETTERS[align] for align in table.alignments)


def _head(table: Table, setting: TypeSetting) -> str:
    texts = []
    for at, cell in placed(table.head):
        lines = [_latex(line) for line in _heading(table, setting, at, cell)]
        letter = _LETTERS[table.alignments[at]]
        stack = f"\\shortstack[{letter}]{{{_BREAK.join(lines)}}}"
        texts.append(stack if len(lines) > 1 else lines[0])
    return " & ".join(texts) + r" \\"


def _heading(table: Table, setting: TypeSetting, at: int, cell: TableCell) -> list[str]:
    """A heading in lines, if need be; the rows of its column have the room that they need."""
    if not setting.is_stacked:
        return [cell.text]
    # It can be broken after a space, a stroke or an underscore.
    words = re.findall(r"[^ /_]*[ /_]+|[^ /_]+", cell.text)
    return _filled(words, _body_widths(table, setting)[at] / setting.width)


def _filled(words: Sequence[str], room: float) -> list[str]:
    """Words in lines as wide as the room, or as the widest word."""
    room = max([room, *(_width(word.strip()) for word in words)])
    lines: list[str] = []
    for word in words:
        if lines and _width((lines[-1] + word).strip()) <= room:
            lines[-1] += word
        else:
            lines.append(word)
    return [line.strip() for line in lines] or [""]


def _row_lines(table: Table, setting: TypeSetting) -> Iterator[str]:
    for number, row in enumerate(table.rows):
        if row.is_ruled or not number:
            yield "    \\midrule"
        texts = [_cell(cell) for cell in row.cells]
        if setting.is_stacked and _has_labels(table):
            texts[0] = _column(_wrapped(row.cells[0].text, table))
        yield f"    {' & '.join(texts)} \\\\"
        # Brackets would touch what is above and below them.
        pair = table.rows[number : number + 2]
        has_brackets = any(cell.layers for one in pair for cell in one.cells)
        if len(pair) == 2 and not pair[1].is_ruled and has_brackets:
            yield "    \\addlinespace"


def _column(texts: Sequence[str]) -> str:
    """Lines below each other, centred in the height of a row."""
    lines = _BREAK.join(map(_latex, texts))
    return f"\\begin{{tabular}}{{@{{}}l@{{}}}}{lines}\\end{{tabular}}" if len(texts) > 1 else lines


def _has_labels(table: Table) -> bool:
    """Whether the first column says what the rows are, and has no heading itself."""
    return not table.head[0].text


def _wrapped(text: str, table: Table) -> list[str]:
    """A label in lines no wider than the longest word of all labels."""
    words = [word for row in table.rows for word in row.cells[0].text.split(" ")]
    return _filled(re.findall(r"[^ ]+ *", text), max(map(_width, words)))


def _cell(cell: TableCell) -> str:
    text = _latex(cell.text)
    if cell.layers:
        text = f"$\\left[{_column(cell.layers)}\\right]{{\\times}}{cell.count}$"
    return text if cell.span == 1 else f"\\multicolumn{{{cell.span}}}{{c}}{{{text}}}"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


# ── Sizes ────────────────────────────────────────────────────────────────────────────────────


def width_of(table: Table, setting: TypeSetting) -> float:
    """How wide a table is in a setting, in points of TeX; estimated, up to 7 % too wide."""
    return sum(_widths(table, setting))


def _widths(table: Table, setting: TypeSetting) -> list[float]:
    """The widths of the columns with the room around them, in points."""
    widths = _body_widths(table, setting)
    for at, cell in placed(table.head):
        lines = _heading(table, setting, at, cell)
        widths[at] = max([widths[at], *(_width(line) * setting.width for line in lines)])
    return [width + 2 * setting.gap for width in widths]


def _body_widths(table: Table, setting: TypeSetting) -> list[float]:
    """The widths that the rows need, in points."""
    widths = [0.0] * len(table.alignments)
    for row in table.rows:
        for at, cell in placed(row.cells):
            if cell.span == 1:
                widths[at] = max(widths[at], _cell_width(cell, setting))
    if setting.is_stacked and _has_labels(table):
        labels = [line for row in table.rows for line in _wrapped(row.cells[0].text, table)]
        widths[0] = max(map(_width, labels)) * setting.width
    return widths


def _cell_width(cell: TableCell, setting: TypeSetting) -> float:
    if not cell.layers:
        return _width(cell.text) * setting.width
    # The brackets, which are wider the higher they are, whatever the size of the letters.
    brackets = 2 * (5.3 if len(cell.layers) < 3 else 6.7) + 1.7
    return (max(map(_width, cell.layers)) + _width(cell.times)) * setting.width + brackets


def _width(text: str) -> float:
    return sum(_ADVANCES.get(sign, 1.0) for sign in text)


def _height(table: Table, setting: TypeSetting) -> float:
    lines = 1.0 + max(len(_heading(table, setting, at, cell)) for at, cell in placed(table.head))
    for row in table.rows:
        lines += max((len(cell.layers) or 1 for cell in row.cells), default=1)
        lines += 0.6 * row.is_ruled + 0.7 * any(cell.layers for cell in row.cells)
    return lines * 1.2 * setting.size


def _parts(table: Table, setting: TypeSetting) -> Iterator[Table]:
    """The table in parts as narrow as the page; each has the first column."""
    widths = _widths(table, setting)
    if sum(widths) <= TEXT_WIDTH:
        yield table
        return
    # As few parts as can be, as equal as they can be.
    groups = _groups(widths, len(widths))
    count = next(n for n in range(1, len(widths)) if len(_groups(widths, n)) == len(groups))
    for group in _groups(widths, count):
        columns = [0, *group]
        yield replace(
            table,
            alignments=tuple(table.alignments[at] for at in columns),
            head=_cut(table.head, columns),
            rows=tuple(
                row
                for row in (replace(row, cells=_cut(row.cells, columns)) for row in table.rows)
                if row.is_ruled or any(cell.text for cell in row.cells)
            ),
        )


def _groups(widths: Sequence[float], most: int) -> list[list[int]]:
    """The columns after the first in groups of at most so many, that fit the page beside it."""
    groups: list[list[int]] = [[]]
    for at in range(1, len(widths)):
        width = widths[0] + sum(widths[n] for n in (*groups[-1], at))
        if groups[-1] and (width > TEXT_WIDTH or len(groups[-1]) == most):
            groups.append([])
        groups[-1].append(at)
    return groups


def _cut(cells: Sequence[TableCell], columns: Sequence[int]) -> tuple[TableCell, ...]:
    """The cells in these columns; one that spans several spans those that are left."""
    found = []
    for at, cell in placed(cells):
        left = sum(at <= column < at + cell.span for column in columns)
        if left:
            found.append(replace(cell, span=left))
    return tuple(found)
