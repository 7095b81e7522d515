"""Lines, and the columns in which neighbouring lines are aligned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import TypeAlias

from archdsl.records import dataclass

WIDTH = 100
CLAIM_GAP = 4
COMMENT_GAP = 2
#: The extra indentation of the rest of a line that has to be broken in parentheses.
CONTINUATION = 4

_NUMBERS = {"INT", "FLOAT", "QUANTITY"}


@dataclass(slots=True)
class LinePiece:
    """A word, number or sign with what separates it from the piece before."""

    text: str
    is_spaced: bool
    kind: str
    #: Whether the author left more than one space before it.
    is_wide: bool = False
    #: Whether a line may be broken before it.
    can_break: bool = False
    #: Whether it begins a statement that is not inside braces of its line.
    begins: bool = False
    #: Additional spaces that move it to its column.
    padding: int = 0


@dataclass(slots=True)
class TextLine:
    """A line as it will be written."""

    number: int
    indent: int
    lead: str = ""
    pieces: list[LinePiece] = field(default_factory=list)
    claim: str | None = None
    comment: str | None = None
    claim_gap: int = 1
    comment_gap: int = COMMENT_GAP

    @property
    def body_width(self) -> int:
        spaces = sum(p.padding + p.is_spaced for p in self.pieces[1:])
        return self.indent + len(self.lead) + spaces + sum(len(p.text) for p in self.pieces)

    @property
    def width(self) -> int:
        """Up to the comment."""
        return self.body_width + (self.claim_gap + len(self.claim) if self.claim else 0)

    def render(self) -> str:
        """The text; more than one line where it has to be broken in parentheses."""
        parts = [" " * self.indent, self.lead]
        column = self.indent + len(self.lead)
        for index, piece in enumerate(self.pieces):
            space = piece.is_spaced + piece.padding if index else 0
            if piece.can_break and column + space + _reach(self.pieces, index) > WIDTH:
                column = self.indent + len(self.lead) + CONTINUATION
                parts.append("\n" + " " * column)
                space = 0
            parts += (" " * space, piece.text)
            column += space + len(piece.text)
        if self.claim:
            parts += (" " * self.claim_gap, self.claim)
        if self.comment:
            parts += (" " * self.comment_gap if self.pieces else "", self.comment)
        return "".join(parts).rstrip(" ")


def _reach(pieces: Sequence[LinePiece], start: int) -> int:
    """How many columns a line takes from a piece to the next place where it can be broken."""
    width = len(pieces[start].text)
    for piece in pieces[start + 1 :]:
        if piece.can_break or piece.kind == "SEP":
            break
        width += piece.is_spaced + len(piece.text)
    return width


def align(run: Sequence[TextLine]) -> None:
    """Align neighbouring lines: the columns of their author, claims, comments."""
    if any(piece.is_wide for line in run for piece in line.pieces):
        _align_pieces(run)
    claims = [line for line in run if line.claim]
    for line, column in _column(claims, CLAIM_GAP, lambda x: x.body_width, lambda x: x.claim):
        line.claim_gap = column - line.body_width
    comments = [line for line in run if line.comment]
    for line, column in _column(comments, COMMENT_GAP, lambda x: x.width, lambda x: x.comment):
        line.comment_gap = column - line.width


def _column(
    lines: Sequence[TextLine],
    gap: int,
    width: Callable[[TextLine], int],
    text: Callable[[TextLine], str | None],
) -> Iterator[tuple[TextLine, int]]:
    """The column at which the text after each line begins; lines that are too long are left out."""
    rows = sorted(
        ((width(line), len(text(line) or ""), line) for line in lines), key=lambda row: row[:2]
    )
    longest = max((length for _, length, _ in rows), default=0)
    while rows and rows[-1][0] + gap + longest > WIDTH:
        _, length, _ = rows.pop()
        if length == longest:
            longest = max((length for _, length, _ in rows), default=0)
    for _, _, line in rows:
        yield line, rows[-1][0] + gap


# ── The columns of the author ────────────────────────────────────────────────────────────────

#: A place in a line: the statement, and the word in it.
ColumnPlace: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A piece that could begin a column, shared by lines of the same shape up to there."""

    line: TextLine
    index: int
    shape: tuple[str, ...]

    @property
    def piece(self) -> LinePiece:
        return self.line.pieces[self.index]

    @property
    def column(self) -> int:
        line = self.line
        before = line.pieces[: self.index]
        spaces = sum(piece.padding + piece.is_spaced for piece in before[1:])
        return line.indent + len(line.lead) + spaces + sum(len(piece.text) for piece in before)


def _align_pieces(lines: Sequence[TextLine]) -> None:
    """Align again, from left to right, the columns that the author began with a wide space."""
    columns: dict[ColumnPlace, dict[tuple[str, ...], list[_Cell]]] = {}
    for line in lines:
        for place, cell in _cells(line).items() if line.width <= WIDTH else ():
            columns.setdefault(place, {}).setdefault(cell.shape, []).append(cell)
    for _, shapes in sorted(columns.items()):
        for cells in shapes.values():
            if any(cell.piece.is_wide for cell in cells):
                _align_cells(cells)


def _align_cells(cells: Sequence[_Cell]) -> None:
    target = max(cell.column for cell in cells)
    padding = [target - cell.column for cell in cells]
    if any(c.line.width + p > WIDTH for c, p in zip(cells, padding, strict=True)):
        return
    for cell, spaces in zip(cells, padding, strict=True):
        cell.piece.padding = spaces


def _cells(line: TextLine) -> dict[ColumnPlace, _Cell]:
    """The pieces of a line that follow a space, by their places."""
    found: dict[ColumnPlace, _Cell] = {}
    heads: list[str] = [""]
    shape: list[str] = []
    word = 0
    for index, piece in enumerate(line.pieces):
        if piece.begins and index:
            heads.append("")
            shape, word = [], 0
        if index and piece.is_spaced:
            found[len(heads), word] = _Cell(line, index, (*heads, *shape))
        shape.append(_kind(piece))
        if not heads[-1] and piece.kind in ("NAME", "CALL_NAME") and not _is_label(line, index):
            heads[-1] = piece.text
        word += 1
    return found


def _is_label(line: TextLine, index: int) -> bool:
    return index + 1 < len(line.pieces) and line.pieces[index + 1].kind == "COLON"


def _kind(piece: LinePiece) -> str:
    return "number" if piece.kind in _NUMBERS else piece.kind
