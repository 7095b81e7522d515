"""Applying fixes: the edits of diagnostics, carried out on a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from archdsl.records import dataclass
from archdsl.text.diagnostics import Diagnostic, Edit, Fix
from archdsl.text.source import Source, Span


@dataclass(frozen=True, slots=True)
class FixedText:
    """A text after fixes, and the diagnostics whose fixes were carried out."""

    text: str
    diagnostics: tuple[Diagnostic, ...]


def applicable(diagnostic: Diagnostic, source: Source, *, unsafe: bool = False) -> Fix | None:
    """The first fix of a diagnostic that is allowed and changes nothing but this source."""
    for fix in diagnostic.fixes:
        is_allowed = fix.is_safe or unsafe
        if is_allowed and all(edit.span.source.path == source.path for edit in fix.edits):
            return fix
    return None


def apply_fixes(
    source: Source, diagnostics: Iterable[Diagnostic], *, unsafe: bool = False
) -> FixedText:
    """One fix for each diagnostic, in order; one that meets an earlier fix's edits is left out."""
    fixed: list[Diagnostic] = []
    edits: list[Edit] = []
    for diagnostic in diagnostics:
        fix = applicable(diagnostic, source, unsafe=unsafe)
        if fix is None or any(meet(edit, other) for edit in fix.edits for other in edits):
            continue
        fixed.append(diagnostic)
        edits.extend(fix.edits)
    return FixedText(edited(source.text, edits), tuple(fixed))


def edited(text: str, edits: Iterable[Edit]) -> str:
    """A text after edits that do not meet."""
    for edit in sorted(edits, key=lambda edit: edit.span.start, reverse=True):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


def meet(edit: Edit, other: Edit) -> bool:
    """Whether two edits touch the same characters, or insert at the same place."""
    return edit.span.start <= other.span.end and other.span.start <= edit.span.end


def before_edits(edits: Iterable[Edit]) -> Callable[[int], int]:
    """A function from an offset in the text after edits to the offset before them."""
    moves: list[tuple[int, int]] = []
    moved = 0
    for edit in sorted(edits, key=lambda edit: edit.span.start):
        grown = len(edit.replacement) - (edit.span.end - edit.span.start)
        moves.append((edit.span.start + moved, grown))
        moved += grown

    def back(offset: int) -> int:
        return offset - sum(min(grown, offset - start) for start, grown in moves if start < offset)

    return back


def relocate(diagnostic: Diagnostic, source: Source, edits: Iterable[Edit]) -> Diagnostic:
    """A diagnostic of the text after the edits as one of the text before them."""
    back = before_edits(edits)

    def before(span: Span) -> Span:
        return Span(source, back(span.start), back(span.end))

    return replace(
        diagnostic,
        span=before(diagnostic.span) if diagnostic.span else None,
        related=tuple(replace(label, span=before(label.span)) for label in diagnostic.related),
        fixes=tuple(
            replace(fix, edits=tuple(replace(e, span=before(e.span)) for e in fix.edits))
            for fix in diagnostic.fixes
        ),
    )
