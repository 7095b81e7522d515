"""Diagnostics: what is wrong with a specification, as data.

A stage collects all independent diagnostics and raises them together in one ``ArchError``.
Rendering lives in ``archdsl.report.diagnostics``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

from archdsl.records import dataclass
from archdsl.rules import RULES
from archdsl.text.source import Source, Span


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Label:
    """A place with what is to be said about it."""

    span: Span
    message: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A span of the text and what to put there; an insertion where the span is empty."""

    span: Span
    replacement: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that together make a diagnostic disappear.

    A fix that keeps choices corrects how something is written; others change what the author
    chose: a number, a claim, a layer. A fix that keeps choices is safe once the text that results
    has been checked, which ``archdsl.text.verification`` does.
    """

    message: str
    edits: tuple[Edit, ...]
    keeps_choices: bool = True
    is_safe: bool = False


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong: stable ``code``, primary place, related places, help."""

    code: str
    message: str
    span: Span | None
    label: str = ""
    related: tuple[Label, ...] = ()
    context: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    severity: Severity = Severity.ERROR
    path: str | None = None
    fixes: tuple[Fix, ...] = ()

    def __post_init__(self) -> None:
        if self.code not in RULES:
            raise ValueError(f"undeclared diagnostic code {self.code!r}")

    @property
    def file(self) -> str:
        """The path of the file the diagnostic is about."""
        return self.span.source.path if self.span else self.path or "<text>"

    def moved(self, old: Source, new: Source) -> Diagnostic:
        """The same diagnostic, its places in one source moved to another of the same length."""

        def move(span: Span) -> Span:
            return replace(span, source=new) if span.source is old else span

        related = tuple(replace(label, span=move(label.span)) for label in self.related)
        return replace(self, span=self.span and move(self.span), related=related)


class ArchError(Exception):
    """One or more diagnostics that keep a specification from becoming a model."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(f"{_place(d)}: {d.message}" for d in self.diagnostics))


def _place(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    return f"{diagnostic.file}:{span.line}:{span.column}" if span else diagnostic.file


def suggest(word: str, known: Iterable[str], cutoff: float = 0.7) -> str | None:
    """The known word nearest to ``word``, where one is near enough to be meant."""
    from difflib import get_close_matches  # after a fault only

    candidates = {candidate.lower(): candidate for candidate in sorted(set(known), reverse=True)}
    matches = get_close_matches(word.lower(), sorted(candidates), n=1, cutoff=cutoff)
    return candidates[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    nearest = suggest(word, known)
    return f"did you mean `{nearest}`?" if nearest else None


def is_slip(word: str, meant: str, known: Iterable[str]) -> bool:
    """Whether a word can only be a slip of the pen for the one that is meant.

    That is so if one letter is wrong, missing, too many or swapped with the next, and no other
    known word is as near. Words that differ in a digit, and words of a single letter, are different
    names.
    """
    word, meant = word.lower(), meant.lower()
    if re.findall(r"\d", word) != re.findall(r"\d", meant) or len(word) < 2:
        return False
    if word == meant:
        return True
    return {near for other in known if _is_one_apart(word, near := other.lower())} == {meant}


def _is_one_apart(word: str, other: str) -> bool:
    """Whether one insertion, deletion, substitution or swap of neighbours makes one the other."""
    if word == other or abs(len(word) - len(other)) > 1:
        return word == other
    start = 0
    while word[start : start + 1] == other[start : start + 1]:
        start += 1
    first, second = word[start:], other[start:]
    if len(first) != len(second):
        return first[1:] == second or first == second[1:]
    return first[1:] == second[1:] or (first[:2] == second[1::-1] and first[2:] == second[2:])


def respell(
    word: str, span: Span, known: Iterable[str], elsewhere: Iterable[str] = ()
) -> tuple[Fix, ...]:
    """The nearest known word in place of the one at ``span``, where one is near enough.

    ``elsewhere`` are words that are not known here but may have been meant.
    """
    known = set(known)
    nearest = suggest(word, known)
    return (respelled(span, nearest, {*known, *elsewhere}),) if nearest else ()


def respelled(span: Span, nearest: str, known: Iterable[str]) -> Fix:
    """The fix of a misspelling; ``known`` are all the words that may have been meant."""
    message = f"did you mean `{nearest}`?"
    return replaced(span, nearest, message, keeps_choices=is_slip(span.text, nearest, known))


def replaced(span: Span, text: str, message: str, *, keeps_choices: bool = True) -> Fix:
    """A fix of one edit: ``text`` in place of the characters of ``span``."""
    return Fix(message, (Edit(span, text),), keeps_choices)


def help_of(fixes: tuple[Fix, ...]) -> str | None:
    """What the first fix says, for the reader who fixes by hand."""
    return fixes[0].message if fixes else None
