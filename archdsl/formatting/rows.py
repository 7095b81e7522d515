"""One row: the statements of one line, or branches of statements, and how wide they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import TypeAlias

from archdsl.formatting.columns import CONTINUATION, WIDTH, LinePiece
from archdsl.formatting.reading import Braces, LexedStatement, WordLexeme

#: Branches separated by ``|`` (one where nothing branches) of statements separated by ``;``.
StatementRow: TypeAlias = Sequence[Sequence[LexedStatement]]


class Mode(Enum):
    """How braces are written."""

    #: On one line.
    INLINE = auto()
    #: The first row behind the brace, the others below it.
    HANGING = auto()
    #: Each row on its own line between the braces.
    OPEN = auto()


def modes_of(statement: LexedStatement, must_open: bool) -> Iterator[Mode]:
    """How each of a statement's braces is written: as its author did, unless that is too wide."""
    modes = [_mode(statement, braces) for braces in statement.braces]
    # The branches of an `if` all have the same form.
    if must_open or (statement.first == "IF" and Mode.OPEN in modes):
        return (
            Mode.OPEN if b.branches else m for b, m in zip(statement.braces, modes, strict=True)
        )
    return iter(modes)


def _mode(statement: LexedStatement, braces: Braces) -> Mode:
    if not braces.is_broken:
        return Mode.INLINE
    never_hangs = braces.is_forked or statement.is_item or statement.first in ("IF", "FOR")
    if never_hangs or braces.holds_lines or braces.begins_with_break:
        return Mode.OPEN
    return Mode.HANGING


def rows_in(
    statements: Sequence[LexedStatement], one_each: bool = False
) -> Iterator[list[LexedStatement]]:
    """Statements as their author put them on lines, or each on its own."""
    row: list[LexedStatement] = []
    for statement in statements:
        if row and (one_each or statement.gap.is_break):
            yield row
            row = []
        row.append(statement)
    if row:
        yield row


# ── Pieces ───────────────────────────────────────────────────────────────────────────────────


def piece_of(word: WordLexeme) -> LinePiece:
    spelling = word.spelling
    return LinePiece(
        spelling.text,
        spelling.is_spaced,
        spelling.kind,
        word.gap.is_wide and spelling.is_spaced,
        can_break=spelling.follows_comma,
    )


def flat_pieces(braces: Braces) -> Iterator[LinePiece]:
    """The pieces of braces on one line."""
    yield LinePiece("{", True, "LBRACE", braces.open.is_wide)
    for index, branch in enumerate(braces.branches):
        if index or (braces.is_forked and len(braces.branches) == 1):
            yield LinePiece("|", True, "BAR")
        for number, statement in enumerate(branch.statements):
            if number:
                yield LinePiece(";", False, "SEP")
            yield from flat_statement(statement)
    yield LinePiece("}", bool(braces.branches), "RBRACE")


def flat_statement(statement: LexedStatement) -> Iterator[LinePiece]:
    """The pieces of a statement on one line, a space before the first."""
    first = True
    for part in statement.parts:
        pieces = flat_pieces(part) if isinstance(part, Braces) else (piece_of(part),)
        for piece in pieces:
            if first:
                piece.is_spaced = True
                piece.is_wide = statement.gap.is_wide
                first = False
            yield piece


# ── Widths ───────────────────────────────────────────────────────────────────────────────────


def fits(row: StatementRow, indent: int) -> bool:
    """Whether the lines of a row are narrow enough, without the contents of open braces."""
    return all(width <= WIDTH for width in _widths(row, indent))


def _widths(row: StatementRow, indent: int) -> Iterator[int]:
    ruler = _Ruler(indent)
    for index, statements in enumerate(row):
        ruler.width += 2 * (index > 0)
        for number, statement in enumerate(statements):
            ruler.width += number > 0
            ruler.measure(statement, is_first=not index and not number)
    yield from ruler.finished
    yield ruler.width


class _Ruler:
    def __init__(self, indent: int) -> None:
        self.indent = indent
        self.width = indent
        self.finished: list[int] = []

    def turn(self, width: int) -> None:
        """Continue on a new line."""
        self.finished.append(self.width)
        self.width = width

    def measure(self, statement: LexedStatement, is_first: bool) -> None:
        modes = modes_of(statement, False)
        for index, part in enumerate(statement.parts):
            is_spaced = not is_first or index > 0
            if isinstance(part, WordLexeme):
                if index and part.gap.comments:
                    self.turn(self.indent + CONTINUATION)
                self.width += len(part.spelling.text)
                self.width += is_spaced and (part.spelling.is_spaced or not index)
                continue
            mode = next(modes)
            self.width += is_spaced
            if mode is Mode.INLINE:
                self.width += _flat_width(flat_pieces(part))
            elif mode is Mode.OPEN:
                self.width += 1
                self.turn(self.indent + 1)
            else:
                start = self.width + 2
                for number, row in enumerate(rows_in(part.branches[0].statements)):
                    if number:
                        self.turn(start)
                    else:
                        self.width = start
                    self.width += sum(_flat_width(flat_statement(s)) for s in row)
                    self.width += 2 * (len(row) - 1)
                self.width += 2


def _flat_width(pieces: Iterator[LinePiece]) -> int:
    """Without a space before the first."""
    width = -1
    for piece in pieces:
        width += piece.is_spaced + len(piece.text)
    return width
