"""Brackets that do not match: which one is meant, and where the missing one belongs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from archdsl.records import dataclass
from archdsl.text.diagnostics import ArchError, Diagnostic, Edit, Fix, Label
from archdsl.text.source import Source, Span

MAX_NESTING = 60
#: No more faults than this are reported: nobody would read them.
MAX_FAULTS = 20

_MARKS = re.compile(r'#[^\n]*|"[^"\n]*"|[][{}()]')
#: The first line of a network or block without its brace; a member of a family needs none.
_HEADER = re.compile(
    r"^((?:network[ \t]+\w+(?:\([^()\n]*\))?[ \t]*:[^{#\n]*[^{#\s]"
    r"|(?:block|phrase)[ \t]+\w+\([^()\n]*\)))"
    r"[ \t]*(?:#[^\n]*)?$",
    re.MULTILINE,
)
_CLOSING = {"{": "}", "(": ")", "[": "]"}


def find_bracket_faults(source: Source) -> list[Diagnostic]:
    """A fault with its fix for each bracket that is not closed, or closes nothing.

    Where a brace is not closed, the indentation says which one: a line that is no deeper than the
    line of a brace is outside that brace. The indentation is ignored where it finds more faults
    than the brackets alone.

    Errors:
        ArchError: where brackets are nested beyond the bound.
    """
    found = _Scan(source, by_indentation=False).faults()
    if not found:
        return []
    indented = _Scan(source, by_indentation=True).faults()
    return indented if len(indented) == len(found) else found


@dataclass(frozen=True, slots=True)
class _Open:
    """An open bracket and its line."""

    sign: str
    offset: int
    line: int


class _Scan:
    """One walk over the brackets of a text."""

    def __init__(self, source: Source, *, by_indentation: bool) -> None:
        self.source = source
        self.by_indentation = by_indentation
        self.open: list[_Open] = []
        self.found: list[Diagnostic] = []

    def faults(self) -> list[Diagnostic]:
        #: The last line with code so far, and where its code ends.
        last = (0, 0)
        for number, start, code in _code_lines(self.source):
            if self.by_indentation:
                self._enter_line(start, code, last)
            for match in _MARKS.finditer(code):
                if len(self.found) >= MAX_FAULTS:
                    return self.found[:MAX_FAULTS]
                if match.group()[0] in "{}()[]":
                    self._read(match.group(), start + match.start(), number)
            last = (number, start + len(code))
        for opened in reversed(self.open):
            place = Span(self.source, last[1], last[1])
            self._unclosed(opened, place, self._closing(opened, last))
        return sorted(self.found, key=lambda fault: fault.span.start if fault.span else 0)

    def _enter_line(self, start: int, code: str, last: tuple[int, int]) -> None:
        """Close the braces that a line is outside of: their own lines are as deep or deeper."""
        sign = code.lstrip()[0]
        depth = len(code) - len(code.lstrip())
        while self.open and self.open[-1].sign == "{":
            opened = self.open[-1]
            outer = len(_indentation(self.source, opened.line))
            if outer < depth or (outer == depth and sign in "}|"):
                return
            self.open.pop()
            place = Span(self.source, start + depth, start + len(code))
            self._unclosed(opened, place, self._closing(opened, last))

    def _read(self, sign: str, offset: int, line: int) -> None:
        span = Span(self.source, offset, offset + 1)
        if sign in _CLOSING:
            self.open.append(_Open(sign, offset, line))
            if len(self.open) > MAX_NESTING:
                message = f"brackets are nested more than {MAX_NESTING} deep"
                raise ArchError([Diagnostic("nested-too-deeply", message, span)])
            return
        while self.open and _CLOSING[self.open[-1].sign] != sign:
            if all(_CLOSING[opened.sign] != sign for opened in self.open):
                break
            opened = self.open.pop()
            self._unclosed(opened, span, self._closing(opened, (line, offset)))
        if not self.open or _CLOSING[self.open[-1].sign] != sign:
            self._unopened(sign, span)
            return
        self.open.pop()

    def _unopened(self, sign: str, span: Span) -> None:
        """Report a bracket that closes nothing, or the missing brace before it."""
        header = self._header_before(span) if sign == "}" else None
        fix = Fix(f"leave out `{sign}`", (Edit(span, ""),))
        related: tuple[Label, ...] = ()
        if header is not None:
            fix = Fix(f"add `{{` to line {header.line}", (Edit(header.after, " {"),))
            related = (Label(header, "no `{` here"),)
        message = f"this `{sign}` closes nothing"
        self.found.append(
            Diagnostic(
                "unmatched-bracket", message, span, related=related, help=fix.message, fixes=(fix,)
            )
        )

    def _header_before(self, span: Span) -> Span | None:
        """The last line before ``span`` that begins a definition but opens no brace."""
        found = None
        for match in _HEADER.finditer(self.source.text, 0, span.start):
            found = match
        return Span(self.source, *found.span(1)) if found else None

    def _closing(self, opened: _Open, last: tuple[int, int]) -> Edit:
        """Where the missing bracket belongs, if the code inside it ends at ``last``."""
        if opened.sign != "{":
            return self._closing_in_line(opened)
        line, end = last
        if line == opened.line:
            return Edit(Span(self.source, end, end), " }")
        end += len(self.source.line(line)) - (self.source.locate(end)[1] - 1)
        return Edit(Span(self.source, end, end), f"\n{_indentation(self.source, opened.line)}}}")

    def _closing_in_line(self, opened: _Open) -> Edit:
        """Parentheses and lists end at the latest before `;`, a bar, a brace or a comment."""
        line = self.source.line(opened.line)
        column = self.source.locate(opened.offset)[1]
        ends = re.compile(r"\s*(?:[;{|}#]|$)").search(line, column)
        assert ends is not None
        place = opened.offset - column + 1 + ends.start()
        return Edit(Span(self.source, place, place), _CLOSING[opened.sign])

    def _unclosed(self, opened: _Open, found: Span, edit: Edit) -> None:
        closing = _CLOSING[opened.sign]
        if opened.sign != "{":
            found, seen = edit.span, "this is the last place for"
        elif not found.text:
            seen = "the text ends here, before"
        elif found.text in _CLOSING.values():
            seen = f"`{found.text}` found here, before"
        else:
            seen = "the indentation ends here, without"
        fix = Fix(f"add `{closing}`", (edit,))
        self.found.append(
            Diagnostic(
                "unclosed-bracket",
                f"the `{opened.sign}` of line {opened.line} is never closed",
                Span(self.source, opened.offset, opened.offset + 1),
                "opened here",
                related=(Label(found, f"{seen} its `{closing}`"),),
                help=fix.message,
                fixes=(fix,),
            )
        )


def _code_lines(source: Source) -> Iterator[tuple[int, int, str]]:
    """The lines that hold more than a comment: number, offset, and the text before a comment."""
    start = 0
    for number, line in enumerate(source.text.split("\n"), start=1):
        comments = (m for m in _MARKS.finditer(line) if m.group().startswith("#"))
        comment = next(comments, None)
        code = (line[: comment.start()] if comment else line).rstrip()
        if code:
            yield number, start, code
        start += len(line) + 1


def _indentation(source: Source, number: int) -> str:
    """The indentation of a line, or of the code after the bar with which it begins."""
    line = source.line(number)
    code = line.lstrip().removeprefix("|").lstrip()
    return line[: len(line) - len(code)].replace("|", " ")
