"""Which comment belongs to what, and which line breaks end a statement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from lark import Token

from archdsl.text.comment import Comment

_COMMENT = re.compile(r"#[^\n]*")
#: Tokens that are not part of a statement: it begins after them.
_BETWEEN = {"_SEP", "BAR", "NETWORK", "BLOCK", "PHRASE", "USE", "EXPECT", "LET", "IF", "FOR"}
_BEGINNINGS = {*_BETWEEN, "LBRACE"}
_CLOSING = {"RPAR", "RSQB"}
_SPECIAL = {*_BETWEEN, *_CLOSING, "LPAR", "LSQB", "CALL_NAME", "ELEMENT_NAME"}

#: The line, the offset and the text of a comment. A bar or a keyword below a comment has no text.
_Found: TypeAlias = tuple[int, int, str | None]


class Comments:
    """Follows the tokens on their way from the lexer to the parser.

    It takes out the line breaks inside parentheses, which end no statement. The lexer alone cannot
    do this: its tables do not distinguish a value inside parentheses from one outside.

    It also keeps the comments for the nodes that begin or end beside them. When Lark reduces a
    statement, everything up to the next token has been seen, including a comment behind the
    statement on its line. Where a statement can end, a comment is part of the separator; elsewhere
    the lexer skips it.
    """

    always_accept = ()

    def __init__(self) -> None:
        #: The comment at the top of the file.
        self.heading: Comment | None = None
        self._above: dict[int, tuple[str, ...]] = {}
        #: Remarks that no node has taken yet, with their places.
        self.remarks: list[tuple[int, str]] = []
        #: Comments since the last token.
        self._waiting: list[_Found] = []

    # ── Tokens ───────────────────────────────────────────────────────────────────────────────

    def skip(self, token: Token) -> Token:
        """Take a comment that the lexer skips."""
        self._waiting.append((token.line or 0, token.start_pos or 0, str(token)))
        return token

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        self.heading = None
        self._above, self.remarks, self._waiting = {}, [], []
        waiting = self._waiting
        depth = 0
        before: Token | None = None
        #: The last token that is part of a statement, or a brace.
        word: Token | None = None
        for token in stream:
            kind = token.type
            if kind in _SPECIAL:
                if kind in _CLOSING:
                    depth -= 1
                elif kind not in _BETWEEN:
                    depth += 1
                else:
                    if before is not None and before.type not in _BETWEEN:
                        word = before
                    if kind == "_SEP":
                        if "#" in token:
                            self._read(token, word, is_first=before is None)
                        if not depth or ";" in _COMMENT.sub("", token):
                            yield token
                            before = token
                        continue
            if waiting:
                self._place(token, before)
            yield token
            before = token
        if waiting:
            self._end(before)

    def _read(self, separator: Token, word: Token | None, is_first: bool) -> None:
        """Take a separator's comments: one may be behind a word, others have lines of their own."""
        line, start = separator.line or 0, separator.start_pos or 0
        lines = separator.split("\n")
        found: list[_Found] = []
        for number, text in enumerate(lines):
            column = text.find("#")
            if column >= 0:
                found.append((line + number, start + column, text[column:]))
            start += len(text) + 1
        if word is not None and found[0][0] == word.end_line:
            self._remark(found.pop(0))
        self._waiting += found
        if is_first:
            self._head()

    # ── Places ───────────────────────────────────────────────────────────────────────────────

    def _place(self, token: Token, before: Token | None) -> None:
        """Assign the comments before a token that is not a separator.

        A comment above a branch's bar, or behind it, is above the branch's first statement.
        """
        waiting, kind = self._waiting, token.type
        line, start = token.line or 0, token.start_pos or 0
        if before is not None and before.type not in _BEGINNINGS:
            for found in waiting:
                self._remark(found)
        elif kind in _BETWEEN:
            waiting.append((line, start, None))
            return
        elif kind != "RBRACE":
            texts: list[str] = []
            for place, _, text in reversed(waiting):
                if line - place > 1:
                    break
                line = place
                if text is not None:
                    texts.append(_said(text))
            if texts:
                texts.reverse()
                self._above[start] = tuple(texts)
        waiting.clear()

    def _end(self, before: Token | None) -> None:
        """Assign the comments behind the last token."""
        if before is None:
            self._head()
        elif self._waiting[0][0] == before.end_line:
            self._remark(self._waiting[0])

    def _head(self) -> None:
        """Keep the lines at the top of the file, up to one without a comment."""
        first = self._waiting[0][0]
        head = [
            _said(text)
            for number, (line, _, text) in enumerate(self._waiting)
            if text is not None and line == first + number
        ]
        self.heading = Comment(tuple(head))

    def _remark(self, found: _Found) -> None:
        _, start, text = found
        if text is not None:
            self.remarks.append((start, _said(text)))

    # ── Nodes ────────────────────────────────────────────────────────────────────────────────

    def of(self, start: int) -> Comment | None:
        """The comment of the node that begins at ``start`` and is complete now.

        Nodes inside it have already taken theirs.
        """
        above = self._above.get(start, ())
        behind = tuple(text for _, text in self.take(start)) if self.remarks else ()
        return Comment(above, behind) if above or behind else None

    def take(self, start: int) -> list[tuple[int, str]]:
        """Take the remarks behind ``start`` with their places."""
        count = len(self.remarks)
        while count and self.remarks[count - 1][0] > start:
            count -= 1
        taken = self.remarks[count:]
        del self.remarks[count:]
        return taken


def _said(comment: str) -> str:
    return comment[1:].rstrip().removeprefix(" ")
