"""From statements to lines: what goes on one line, and how far it is indented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace

from archdsl.formatting.columns import CONTINUATION, LinePiece, TextLine, align
from archdsl.formatting.reading import (
    Braces,
    Branch,
    CommentLexeme,
    Gap,
    LexedStatement,
    WordLexeme,
)
from archdsl.formatting.rows import (
    Mode,
    StatementRow,
    fits,
    flat_pieces,
    flat_statement,
    modes_of,
    piece_of,
    rows_in,
)
from archdsl.records import dataclass

INDENT = 2
BAR = "| "


def render_layout(statements: Sequence[LexedStatement], end: Gap) -> str:
    """The text of a file's statements, and of what follows the last one."""
    layout = _Layout()
    place = layout.place(0)
    layout.rows(statements, place)
    layout.gap(end, place, 0, is_last=True)
    for run in layout.runs:
        align(run)
    return "".join(f"{line.render()}\n" for line in layout.lines)


@dataclass
class _Position:
    """Where lines go: their indentation, and the run of lines whose columns are aligned."""

    indent: int
    run: list[TextLine] = field(default_factory=list)


class _Layout:
    """The lines of a text, as far as they are written."""

    def __init__(self) -> None:
        self.lines: list[TextLine] = []
        self.runs: list[list[TextLine]] = []
        #: Whether a blank line here would be one too many.
        self.is_fresh = True

    def place(self, indent: int) -> _Position:
        place = _Position(indent)
        self.runs.append(place.run)
        return place

    def begin(self, place: _Position, indent: int, lead: str = "") -> TextLine:
        """A new line."""
        line = TextLine(len(self.lines), indent, lead)
        self.lines.append(line)
        place.run.append(line)
        self.is_fresh = False
        return line

    def gap(self, gap: Gap, place: _Position, indent: int, is_last: bool = False) -> None:
        """Comments and a blank line before a row, or before what ends the braces."""
        for comment in gap.comments:
            self.comment(comment, place, indent)
        if gap.breaks > 1 and not is_last:
            self._blank(place)

    def comment(self, comment: CommentLexeme, place: _Position, indent: int) -> None:
        """Write a comment behind the last line or on its own line, as its author did."""
        last = self.lines[-1] if self.lines else None
        if comment.breaks == 0 and last and last.pieces and last.comment is None:
            last.comment = comment.text
            return
        if comment.breaks > 1:
            self._blank(place)
        self.lines.append(TextLine(len(self.lines), indent, comment=comment.text))
        self.is_fresh = False

    def _blank(self, place: _Position) -> None:
        if self.is_fresh:
            return
        self.lines.append(TextLine(len(self.lines), 0))
        self.is_fresh = True
        place.run = []
        self.runs.append(place.run)

    def rows(
        self,
        statements: Sequence[LexedStatement],
        place: _Position,
        first_gap: Gap | None = None,
        lead: str = "",
        one_each: bool = False,
    ) -> None:
        """Write statements, keeping those of one line together where they fit, after ``lead``."""
        for row in rows_in(statements, one_each):
            is_first = row[0] is statements[0]
            gap = first_gap if is_first and first_gap is not None else row[0].gap
            self.gap(gap, place, place.indent)
            for part in [row] if fits([row], place.indent) else [[one] for one in row]:
                leads = lead if part[0] is statements[0] else ""
                self.row([part], place, leads)

    def row(self, row: StatementRow, place: _Position, lead: str) -> None:
        """Write one row."""
        writer = _LineWriter(self, place, lead)
        must_open = not fits(row, place.indent)
        for index, statements in enumerate(row):
            if index:
                writer.line.pieces.append(LinePiece("|", True, "BAR"))
            for number, statement in enumerate(statements):
                if number:
                    writer.line.pieces.append(LinePiece(";", False, "SEP"))
                is_last = index == len(row) - 1 and number == len(statements) - 1
                writer.statement(statement, must_open, is_last)

    def inside(self, braces: Braces, indent: int) -> None:
        """Write the contents of open braces."""
        self.is_fresh = True
        one_each = not braces.is_broken
        place = self.place(indent + len(BAR) * braces.is_forked)
        if braces.is_forked:
            self.branches(braces.branches, place, one_each)
        elif braces.branches:
            (branch,) = braces.branches
            self.rows(branch.statements, place, branch.gap, one_each=one_each)
        self.gap(braces.close, place, indent, is_last=True)

    def branches(self, branches: Sequence[Branch], place: _Position, one_each: bool) -> None:
        """Write branches, a ``|`` before the first of each line."""
        for group in _groups(branches, place.indent, one_each):
            self.gap(group[0].gap, place, place.indent - len(BAR))
            if len(group) == 1:
                self.rows(group[0].statements, place, Gap(), BAR)
            else:
                self.row([branch.statements for branch in group], place, BAR)


def _groups(branches: Sequence[Branch], indent: int, one_each: bool) -> Iterator[list[Branch]]:
    """Branches as their author put them on lines; one that takes several lines has its own."""
    group: list[Branch] = []
    for branch in branches:
        is_alone = one_each or branch.is_long or (group and group[-1].is_long)
        if group and (is_alone or branch.gap.is_break):
            yield from _fitting(group, indent)
            group = []
        group.append(branch)
    yield from _fitting(group, indent)


def _fitting(group: list[Branch], indent: int) -> list[list[Branch]]:
    if fits([branch.statements for branch in group], indent):
        return [group]
    return [[branch] for branch in group]


class _LineWriter:
    """One row being written."""

    def __init__(self, layout: _Layout, place: _Position, lead: str) -> None:
        self.layout = layout
        self.place = place
        self.line = layout.begin(place, place.indent - len(lead), lead)

    def turn(self, indent: int) -> None:
        self.line = self.layout.begin(self.place, indent)

    def statement(self, statement: LexedStatement, must_open: bool, is_last: bool) -> None:
        modes = modes_of(statement, must_open)
        claim = statement.claim if is_last else len(statement.parts)
        for index, part in enumerate(statement.parts[:claim]):
            gap = part.open if isinstance(part, Braces) else part.gap
            if index and gap.comments:
                self._comments(gap)
            line, start = self.line, len(self.line.pieces)
            if isinstance(part, WordLexeme):
                self.line.pieces.append(piece_of(part))
            else:
                self._braces(part, next(modes))
            if not index:
                first = line.pieces[start]
                first.is_spaced, first.is_wide, first.begins = True, statement.gap.is_wide, True
        if claim < len(statement.parts):
            words = (
                part.spelling for part in statement.parts[claim:] if isinstance(part, WordLexeme)
            )
            self.line.claim = "".join(" " * w.is_spaced + w.text for w in words).strip()

    def _comments(self, gap: Gap) -> None:
        """Comments in the middle of a statement, which continues below them."""
        indent = self.place.indent + CONTINUATION
        for comment in gap.comments:
            self.layout.comment(replace(comment, breaks=min(comment.breaks, 1)), self.place, indent)
        self.turn(indent)

    def _braces(self, braces: Braces, mode: Mode) -> None:
        if mode is Mode.INLINE:
            self.line.pieces += flat_pieces(braces)
            return
        self.line.pieces.append(LinePiece("{", True, "LBRACE", braces.open.is_wide))
        if mode is Mode.OPEN:
            self.layout.inside(braces, self.place.indent + INDENT)
            self.turn(self.place.indent)
        else:
            self._hanging(braces)
        self.line.pieces.append(LinePiece("}", True, "RBRACE"))

    def _hanging(self, braces: Braces) -> None:
        column = self.line.body_width + 1
        for number, row in enumerate(rows_in(braces.branches[0].statements)):
            if number:
                self.turn(column)
            for place, statement in enumerate(row):
                if place:
                    self.line.pieces.append(LinePiece(";", False, "SEP"))
                self.line.pieces += flat_statement(statement)
