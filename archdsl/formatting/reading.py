"""A text as its author laid it out: statements and braces, and what is between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeAlias

from archdsl.formatting.spelling import Spelling, spell
from archdsl.records import dataclass
from archdsl.text.source import Source
from archdsl.text.syntax import Lexeme

_TRIVIA = re.compile(r"#[^\n]*|\n")
_ITEMS = {"NETWORK", "BLOCK", "PHRASE"}
_NO_STEPS = {*_ITEMS, "USE", "LET", "IF", "EXPECT"}


@dataclass(frozen=True, slots=True)
class CommentLexeme:
    """A comment, and the line breaks between it and what is before it."""

    text: str
    breaks: int


@dataclass(frozen=True, slots=True)
class Gap:
    """What is before a lexeme: comments, the line breaks behind the last of them, a wide space."""

    comments: tuple[CommentLexeme, ...] = ()
    breaks: int = 0
    is_wide: bool = False

    @property
    def is_break(self) -> bool:
        return self.breaks > 0 or bool(self.comments)


@dataclass(frozen=True, slots=True)
class WordLexeme:
    """A lexeme inside a statement."""

    spelling: Spelling
    gap: Gap
    start: int


@dataclass(frozen=True)
class Braces:
    """Braces with their branches; without a ``|`` there is one branch."""

    open: Gap
    branches: tuple[Branch, ...]
    is_forked: bool
    close: Gap

    @cached_property
    def is_broken(self) -> bool:
        """Whether a line ends inside them, so that they cannot go on one line as they are."""
        return any(branch.gap.is_break or branch.is_long for branch in self.branches) or bool(
            self.close.comments
        )

    @cached_property
    def holds_lines(self) -> bool:
        """Whether they must be opened: a comment is inside, or braces inside are broken."""
        return bool(self.close.comments) or any(
            branch.gap.comments or any(s.is_broken or s.gap.comments for s in branch.statements)
            for branch in self.branches
        )

    @property
    def begins_with_break(self) -> bool:
        return bool(self.branches) and self.branches[0].gap.is_break


@dataclass(frozen=True)
class Branch:
    """Statements in braces; ``gap`` is what is before the first, or before its ``|``."""

    gap: Gap
    statements: tuple[LexedStatement, ...]

    @property
    def is_long(self) -> bool:
        """Whether it takes more than one line."""
        return self.has_rows or any(statement.is_broken for statement in self.statements)

    @property
    def has_rows(self) -> bool:
        """Whether the author wrote its statements on more than one line."""
        return any(statement.gap.is_break for statement in self.statements[1:])


@dataclass(frozen=True)
class LexedStatement:
    """A statement or item; its first word's gap is the statement's own."""

    gap: Gap
    parts: tuple[StatementPart, ...]
    start: int
    first: str

    @property
    def is_item(self) -> bool:
        return self.first in _ITEMS

    @property
    def is_step(self) -> bool:
        return self.first not in _NO_STEPS

    @property
    def braces(self) -> Iterator[Braces]:
        return (part for part in self.parts if isinstance(part, Braces))

    @cached_property
    def is_broken(self) -> bool:
        """Whether a line ends inside it: at a comment, or in braces."""
        return any(
            part.is_broken or part.open.comments
            if isinstance(part, Braces)
            else index > 0 and bool(part.gap.comments)
            for index, part in enumerate(self.parts)
        )

    @cached_property
    def claim(self) -> int:
        """The index of the arrow of its claim; the number of parts where there is none."""
        if self.is_step:
            for index in range(len(self.parts) - 1, 0, -1):
                part = self.parts[index]
                if isinstance(part, Braces):
                    break
                if part.spelling.kind == "_ARROW" and part.spelling.depth == 0:
                    return index
                if part.gap.comments:
                    break
        return len(self.parts)


StatementPart: TypeAlias = WordLexeme | Braces


def read_layout(
    source: Source, lexemes: Sequence[Lexeme]
) -> tuple[tuple[LexedStatement, ...], Gap]:
    """The statements of a text, and what follows the last one."""
    reader = _Reader(source, lexemes)
    statements = reader.statements()
    return statements, reader.gap()


class _Reader:
    def __init__(self, source: Source, lexemes: Sequence[Lexeme]) -> None:
        self.text = source.text
        self.lexemes = lexemes
        self.index = 0

    @property
    def kind(self) -> str:
        return self.lexemes[self.index].kind

    def gap(self) -> Gap:
        """What is before the current lexeme."""
        start = self.lexemes[self.index - 1].span.end if self.index else 0
        between = self.text[start : self.lexemes[self.index].span.start]
        if between in ("", " "):
            return Gap()
        comments: list[CommentLexeme] = []
        breaks = 0
        for match in _TRIVIA.finditer(between):
            if match.group() == "\n":
                breaks += 1
                continue
            comments.append(CommentLexeme(match.group().rstrip(), breaks))
            breaks = 0
        is_wide = not breaks and not comments and between.rpartition(";")[2] not in ("", " ")
        return Gap(tuple(comments), breaks, is_wide)

    def statements(self) -> tuple[LexedStatement, ...]:
        """Statements up to the end of a chain."""
        found: list[LexedStatement] = []
        while self.kind not in ("BAR", "RBRACE", "$END"):
            found.append(self.statement())
        return tuple(found)

    def statement(self) -> LexedStatement:
        first = self.lexemes[self.index]
        members: list[tuple[Lexeme, Gap] | Braces] = []
        while not members or not self.lexemes[self.index].is_separated:
            if self.kind in ("BAR", "RBRACE", "$END"):
                break
            if self.kind == "LBRACE":
                members.append(self.braces())
                continue
            members.append((self.lexemes[self.index], self.gap()))
            self.index += 1
        spellings = spell(None if isinstance(m, Braces) else m[0] for m in members)
        parts: list[StatementPart] = []
        for member, spelling in zip(members, spellings, strict=True):
            if isinstance(member, Braces):
                parts.append(member)
            else:
                assert spelling is not None
                parts.append(WordLexeme(spelling, member[1], member[0].span.start))
        before = parts[0].open if isinstance(parts[0], Braces) else parts[0].gap
        return LexedStatement(before, tuple(parts), first.span.start, first.kind)

    def braces(self) -> Braces:
        open_ = self.gap()
        self.index += 1
        branches: list[Branch] = []
        is_forked = False
        while True:
            bar = None
            if self.kind == "BAR":
                is_forked = True
                bar = self.gap()
                self.index += 1
            statements = self.statements()
            if statements:
                first = statements[0].gap
                branches.append(Branch(_joined(bar, first) if bar else first, statements))
            if self.kind != "BAR":
                break
        close = self.gap()
        self.index += 1
        return Braces(open_, tuple(branches), is_forked, close)


def _joined(bar: Gap, first: Gap) -> Gap:
    """What is before a branch, on both sides of its ``|``, as if all of it came before."""
    if not first.comments:
        return Gap(bar.comments, max(bar.breaks, first.breaks), first.is_wide)
    own, *others = first.comments
    own = CommentLexeme(own.text, max(own.breaks, bar.breaks))
    return Gap((*bar.comments, own, *others), first.breaks)
