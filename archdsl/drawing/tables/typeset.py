"""A table as a picture, set with the rules of booktabs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from archdsl.drawing.canvas.marks import Group, Mark, Picture, Point, Text, polyline
from archdsl.drawing.canvas.typeface import text_width
from archdsl.drawing.options import PAGES, Options, note_small_text
from archdsl.drawing.tables.table import Table, TableCell, placed

_TITLE = 11.0
_SIZE = 9.0
_NOTE = 8.0
_LEADING = 1.45
#: The room between columns, and around the picture.
_GAP = 11.0
_MARGIN = 6.0
#: The room above and below a horizontal rule.
_AIR = 3.0
#: The room between a bracket and the layers in it.
_BRACKET = 3.0


def typeset(table: Table, options: Options) -> Picture:
    """The picture of a table, fitted to the page that the options name."""
    picture = _Setter(table).picture()
    if options.fit == "none":
        return picture
    page = PAGES[options.fit]
    scale = min(page.width / picture.width, page.height / picture.height, page.growth)
    return note_small_text(replace(picture, scale=scale), page)


class _Setter:
    """Sets rows from the top down."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.widths = _widths(table)
        self.width = sum(self.widths) + _GAP * (len(self.widths) - 1)
        self.marks: list[Mark] = []
        self.y = _MARGIN

    def picture(self) -> Picture:
        table = self.table
        self.y += _TITLE
        self.marks.append(Text((_MARGIN, self.y), table.title, _TITLE, "ink", True, "start"))
        self.y += 2 * _AIR
        self._rule(1.2)
        self._row(table.head, bold=True)
        self._rule(0.7)
        for number, row in enumerate(table.rows):
            if row.is_ruled and number:
                self._rule(0.5)
            self._row(row.cells)
        self._rule(1.2)
        for line in _broken(table.notes, self.width):
            self.y += _LEADING * _NOTE
            self.marks.append(Text((_MARGIN, self.y), line, _NOTE, "muted", anchor="start"))
        description = f"A table of {len(table.rows)} rows and {len(self.widths)} columns"
        width, height = self.width + 2 * _MARGIN, self.y + _MARGIN
        return Picture(table.title, description, tuple(self.marks), width, height)

    def _rule(self, line: float) -> None:
        self.y += _AIR
        ends = ((_MARGIN, self.y), (_MARGIN + self.width, self.y))
        self.marks.append(polyline(ends, stroke="ink", line=line))
        self.y += _AIR - 1.0

    def _row(self, cells: Sequence[TableCell], bold: bool = False) -> None:
        height = max(len(cell.layers) or 1 for cell in cells)
        top = self.y + (_AIR if height > 1 else 0.0)
        self.y = top + height * _LEADING * _SIZE - 1.0
        # The baseline of what has one line: in the middle of the row.
        middle = self.y - (height - 1) / 2 * _LEADING * _SIZE
        texts: list[Mark] = []
        for at, cell in placed(cells):
            x = _MARGIN + sum(self.widths[:at]) + _GAP * at
            width = sum(self.widths[at : at + cell.span]) + _GAP * (cell.span - 1)
            if not cell.text:
                continue
            if cell.layers:
                texts += _bracketed(cell, (x + width / 2, middle))
                continue
            align = "centre" if cell.span > 1 else self.table.alignments[at]
            match align:
                case "left":
                    texts.append(Text((x, middle), cell.text, _SIZE, "ink", bold, "start"))
                case "right":
                    texts.append(Text((x + width, middle), cell.text, _SIZE, "ink", bold, "end"))
                case "centre":
                    texts.append(Text((x + width / 2, middle), cell.text, _SIZE, "ink", bold))
        self.marks.append(Group(tuple(texts), "", ("row",)))
        self.y += 2.0 + (_AIR if height > 1 else 0.0)


def _bracketed(cell: TableCell, centre: Point) -> Iterator[Mark]:
    """Layers below each other in brackets around a point on the baseline of a single line."""
    x, middle = centre[0] - _cell_width(cell) / 2, centre[1]
    inner = max(text_width(layer, _SIZE) for layer in cell.layers)
    leading = _LEADING * _SIZE
    first = middle - (len(cell.layers) - 1) / 2 * leading
    left, right = x + _BRACKET, x + 3 * _BRACKET + inner
    for number, layer in enumerate(cell.layers):
        at = (x + 2 * _BRACKET, first + number * leading)
        yield Text(at, layer, _SIZE, "ink", anchor="start")
    top, bottom = first - _SIZE, first + (len(cell.layers) - 1) * leading + 0.35 * _SIZE
    for edge, end in ((left, left + _BRACKET / 1.5), (right, right - _BRACKET / 1.5)):
        points = ((end, top), (edge, top), (edge, bottom), (end, bottom))
        yield polyline(points, stroke="ink", line=0.7)
    yield Text((right + _BRACKET, middle), cell.times, _SIZE, "ink", anchor="start")


def _cell_width(cell: TableCell) -> float:
    if not cell.layers:
        return text_width(cell.text, _SIZE)
    inner = max(text_width(layer, _SIZE) for layer in cell.layers)
    return 4 * _BRACKET + inner + text_width(cell.times, _SIZE)


def _widths(table: Table) -> list[float]:
    widths = [0.0] * len(table.alignments)
    for at, cell in placed(table.head):
        widths[at] = text_width(cell.text, _SIZE, bold=True)
    for row in table.rows:
        for at, cell in placed(row.cells):
            if cell.span == 1:
                widths[at] = max(widths[at], _cell_width(cell))
    for row in table.rows:
        for at, cell in placed(row.cells):
            room = sum(widths[at : at + cell.span]) + _GAP * (cell.span - 1)
            widths[at + cell.span - 1] += max(0.0, _cell_width(cell) - room)
    return widths


def _broken(notes: Sequence[str], width: float) -> Iterator[str]:
    """The notes in lines no wider than the table."""
    for note in notes:
        line = ""
        for word in note.split(" "):
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, _NOTE) > width:
                yield line
                line = word
            else:
                line = longer
        yield line
