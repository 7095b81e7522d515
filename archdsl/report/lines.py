"""Diagnostics, one line each: for editors and ``grep``, and as annotations of GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterable

from archdsl.report.text import printable
from archdsl.text.diagnostics import Diagnostic


def render_concise(diagnostics: Iterable[Diagnostic]) -> str:
    """``path:line:column: error[code]: message``, one line each."""
    return "\n".join(
        f"{_place(d)}: {d.severity.value}[{d.code}]: {printable(d.message)}" for d in diagnostics
    )


def _place(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    path = printable(diagnostic.file)
    return f"{path}:{span.line}:{span.column}" if span else path


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Workflow commands of GitHub Actions, which shows them at their lines.

    See https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
    """
    return "\n".join(map(_command, diagnostics))


def _command(diagnostic: Diagnostic) -> str:
    properties: dict[str, str | int] = {"file": diagnostic.file}
    span = diagnostic.span
    if span:
        properties["line"] = span.line
        if span.end_line == span.line:  # otherwise columns are not allowed
            properties |= {"col": span.column, "endColumn": span.end_column}
        else:
            properties["endLine"] = span.end_line
    properties["title"] = diagnostic.code
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    remarks = [diagnostic.message]
    if diagnostic.help:
        remarks.append(f"help: {diagnostic.help}")
    remarks += (f"note: {note}" for note in diagnostic.notes)
    return f"::{diagnostic.severity.value} {listed}::{_escaped(chr(10).join(remarks))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
