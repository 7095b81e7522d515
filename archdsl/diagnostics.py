"""Diagnostics: what is wrong with a specification, as data.

A stage collects all independent diagnostics and raises them together in one ``ArchError``.
Rendering lives in ``archdsl.report.diagnostics``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

from archdsl.source import Span


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"


CODES = {
    # text
    "not-utf8": "the file is not UTF-8 text",
    "unreadable-file": "the file cannot be read",
    "unexpected-character": "a character that is no part of the language",
    "unexpected-word": "a word, number or sign where the language does not allow it",
    "unclosed-bracket": "a brace or parenthesis that is never closed",
    "unmatched-bracket": "a closing brace or parenthesis that was never opened",
    "nested-too-deeply": "braces, parentheses or block calls nested beyond the bound",
    "number-too-large": "a number beyond the bound",
    # words
    "unknown-word": "a word that is no layer, flag, block, value or part",
    "unknown-attribute": "an attribute the layer does not have",
    "undefined-name": "a name that nothing defines",
    "repeated-name": "a name defined twice, or used for two different things",
    "reserved-word": "a word of the language used as a name",
    "unknown-metric": "`expect` names a quantity that is not computed",
    # arguments
    "missing-argument": "a layer, block or family lacks an argument",
    "surplus-argument": "a layer, block or family has an argument too many",
    "repeated-argument": "an argument given twice",
    "wrong-pair": "a pair `a→b` where a single value belongs, or the reverse",
    "wrong-value": "a value of the wrong kind or out of range",
    "misplaced-argument": "an argument that belongs to no layer",
    "inexact-division": "`/` that does not divide exactly",
    # structure
    "empty-branch": "a branch, group, block or network without a layer",
    "missing-branches": "a merge without branches",
    "unmerged-branches": "branches that no merge joins",
    "misplaced-aux": "an auxiliary head that does not hang off the trunk of a network",
    "misplaced-statement": "a statement where it has no meaning",
    "recursive-block": "a block or family that contains itself",
    "use-cycle": "files that use each other",
    "missing-input": "bare statements without an input volume",
    "no-network": "a file without a network",
    "too-many-layers": "a repeat or an expansion beyond the bound",
    # volumes
    "branch-size-mismatch": "branches of a merge differ in size",
    "kernel-larger-than-input": "a window larger than its padded input",
    "indivisible-channels": "channels that cannot be split into equal groups",
    "needs-image": "a layer of images applied to a vector",
    "wrong-padding": "padding that the layer does not allow",
    "empty-volume": "a volume without elements",
    "wrong-volume": "a volume that differs from the one written",
    "failed-claim": "a claim of `expect` that does not hold",
    # warnings
    "bias-before-norm": "a bias that the normalization behind it subtracts",
    "dropout-before-norm": "dropout before batch normalization",
    "dropped-rows": "rows or columns at the end of a volume that no window reads",
    "even-kernel-same": "an even window with `same`, which has no middle",
    "softmax-before-loss": "a softmax before a loss that has its own",
    "heavy-fc": "most parameters in one fully-connected layer",
    "dead-layer": "a layer whose result nothing reads",
    "unused-name": "a value, parameter or block that is never used",
    "unused-use": "a used file of which nothing is called",
    "constant-condition": "an `if` that always goes one way",
    "no-effect": "something written that changes nothing",
    "loose-claim": "a claim that would hold for quite another number",
    "unused-ignore": "a comment that silences nothing",
    "unknown-code": "a comment that silences a warning there is none of",
    # training
    "memory-exceeded": "a batch that takes more memory than there is",
    # the module
    "torch-disagrees": "a number that is another in the emitted module",
}


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

    A safe fix mends how something is written. One that is not safe changes what its author
    chose: a number, a claim, a layer.
    """

    message: str
    edits: tuple[Edit, ...]
    is_safe: bool = True


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
        if self.code not in CODES:
            raise ValueError(f"undeclared diagnostic code {self.code!r}")

    @property
    def file(self) -> str:
        """The path of the file the diagnostic is about."""
        return self.span.source.path if self.span else self.path or "<text>"


class ArchError(Exception):
    """One or more diagnostics that keep a specification from becoming a model."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(f"{_place(d)}: {d.message}" for d in self.diagnostics))


def _place(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    return f"{diagnostic.file}:{span.line}:{span.column}" if span else diagnostic.file


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to ``word``, where one is near enough to be meant."""
    candidates = {candidate.lower(): candidate for candidate in sorted(set(known), reverse=True)}
    matches = get_close_matches(word.lower(), sorted(candidates), n=1, cutoff=0.7)
    return candidates[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    nearest = suggest(word, known)
    return f"did you mean `{nearest}`?" if nearest else None


def respell(word: str, span: Span, known: Iterable[str]) -> tuple[Fix, ...]:
    """The nearest known word in place of the one at ``span``, where one is near enough."""
    nearest = suggest(word, known)
    return (respelled(span, nearest),) if nearest else ()


def respelled(span: Span, nearest: str) -> Fix:
    return replaced(span, nearest, f"did you mean `{nearest}`?")


def replaced(span: Span, text: str, message: str, *, is_safe: bool = True) -> Fix:
    """A fix of one edit: ``text`` in place of what stands at ``span``."""
    return Fix(message, (Edit(span, text),), is_safe)


def help_of(fixes: tuple[Fix, ...]) -> str | None:
    """What the first fix says, for the reader who mends by hand."""
    return fixes[0].message if fixes else None
