"""A table as data, from which text, Markdown, LaTeX, CSV and pictures are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Align: TypeAlias = Literal["left", "right", "centre"]


@dataclass(frozen=True, slots=True)
class TableCell:
    """The text of one column, or of ``span`` columns; ``exact`` is for programs.

    A cell with ``layers`` is those in brackets, one below the other, ``count`` times; its ``text``
    says the same in one line.
    """

    text: str = ""
    exact: str = ""
    span: int = 1
    layers: tuple[str, ...] = ()
    count: int = 1

    @property
    def times(self) -> str:
        """What stands behind the brackets."""
        return f"×{self.count}"

    @property
    def value(self) -> str:
        """The exact number if the text is a rounded one, or else the text."""
        return self.exact or self.text


def bracketed(layers: Sequence[str], count: int) -> TableCell:
    """The layers of a block that is there ``count`` times."""
    cell = TableCell(layers=tuple(layers), count=count)
    return replace(cell, text=f"[{'; '.join(layers)}] {cell.times}")


def placed(cells: Sequence[TableCell]) -> Iterator[tuple[int, TableCell]]:
    """Each cell with the number of its first column."""
    at = 0
    for cell in cells:
        yield at, cell
        at += cell.span


@dataclass(frozen=True, slots=True)
class TableRow:
    """Cells that fill all columns; ``is_ruled`` puts a line above them."""

    cells: tuple[TableCell, ...]
    is_ruled: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head, and notes below; ``alignments`` has one for each column."""

    title: str
    alignments: tuple[Align, ...]
    head: tuple[TableCell, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()
