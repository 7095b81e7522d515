"""Errors that are raised for a statement, until they are added to the findings."""

from __future__ import annotations

from archdsl.text.diagnostics import Diagnostic, Fix, Label, help_of
from archdsl.text.source import Span


class ElaborationError(Exception):
    """One diagnostic, on its way to the findings."""

    def __init__(
        self,
        code: str,
        message: str,
        span: Span,
        label: str = "",
        help: str | None = None,
        related: tuple[Label, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(
            code,
            message,
            span,
            label,
            related=related,
            help=help or help_of(fixes),
            fixes=fixes,
        )


class UnknownVolume(Exception):
    """A value depends on a volume that an earlier error left unknown: nothing is reported."""
