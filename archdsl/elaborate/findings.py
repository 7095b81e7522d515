"""The faults of a text as they are found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archdsl.text.diagnostics import ArchError, Diagnostic, Fix

#: Nobody reads more, and each unknown word costs a search for the one that was meant.
MAX_FINDINGS = 100


class Findings:
    """Diagnostics in the order they are found: one per mistake, up to a limit."""

    def __init__(self) -> None:
        self._found: dict[object, Diagnostic] = {}
        #: How many were added, repeats included: it does not change in a stage without faults.
        self.added = 0

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep a diagnostic, unless its mistake is known: members of a family repeat its faults.

        Errors:
            ArchError: with all findings, once there are ``MAX_FINDINGS``.
        """
        self.added += 1
        if any(_is_shipped(fix) for fix in diagnostic.fixes):
            fixable = tuple(fix for fix in diagnostic.fixes if not _is_shipped(fix))
            diagnostic = replace(diagnostic, fixes=fixable)
        self._found.setdefault((diagnostic.code, diagnostic.span), diagnostic)
        if len(self._found) == MAX_FINDINGS:
            *others, last = self._found.values()
            note = f"after {MAX_FINDINGS} errors the rest of the text is not checked"
            raise ArchError([*others, replace(last, notes=(*last.notes, note))])

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._found.values())


def _is_shipped(fix: Fix) -> bool:
    """Whether a fix would change a text that ships with the tool."""
    return any(edit.span.source.is_shipped for edit in fix.edits)
