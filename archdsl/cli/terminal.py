"""What is printed, where, and whether in colour."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Literal, TextIO, TypeAlias

import click

from archdsl.report.text import printable
from archdsl.text.diagnostics import Diagnostic, Severity

ColorChoice: TypeAlias = Literal["auto", "always", "never"]

CLEAN = 0
FINDINGS = 1
#: A wrong call, or a file that cannot be read or written.
FAULT = 2


class CommandError(click.ClickException):
    """The call cannot be carried out: one line and exit code 2."""

    exit_code = FAULT


def show_fault(error: click.ClickException) -> None:
    """Say what is wrong with a call; user input is made safe to print."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(context.get_usage(), err=True)
        click.echo(f"Try '{context.command_path} --help'.\n", err=True)
    lines = error.format_message().expandtabs(2).splitlines()
    click.echo("error: " + "\n".join(map(printable, lines)), err=True)


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def wants_color(choice: ColorChoice, stream: TextIO) -> bool:
    """Whether to colour a stream: as asked, as the environment says, or on terminals.

    See https://no-color.org and https://force-color.org.
    """
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def print_text(text: str, color: bool = False) -> None:
    """Print to the standard output."""
    click.echo(text, color=color)


def print_lines(lines: Iterable[str], color: bool = False) -> None:
    """Print lines to the standard output, many at once, without having all of them."""
    rest = iter(lines)
    while some := list(islice(rest, 1000)):
        click.echo("\n".join(some), color=color)


def print_bytes(content: bytes) -> None:
    """Put bytes on the standard output as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def print_note(text: str) -> None:
    """Print a remark that is not a fault, to the standard error."""
    click.echo(f"note: {printable(text)}", err=True)


def print_warning(text: str) -> None:
    """Print what is probably not meant, to the standard error."""
    click.echo(f"warning: {printable(text)}", err=True)


def print_diagnostics(diagnostics: Sequence[Diagnostic], color: ColorChoice) -> None:
    """Print diagnostics to the standard error, after everything printed before."""
    if not diagnostics:
        return
    from archdsl.report.diagnostics import render_diagnostics

    sys.stdout.flush()
    is_colored = wants_color(color, sys.stderr)
    click.echo(render_diagnostics(diagnostics, is_colored), err=True, color=is_colored)
    if is_terminal(sys.stderr):
        click.echo(f"\nfor more about a code: archdsl explain {diagnostics[0].code}", err=True)


def exit_code(diagnostics: Sequence[Diagnostic], *, strict: bool = False) -> int:
    """2 where a file could not be read, else 1 where anything is wrong.

    Warnings are wrong only where ``strict`` says so.
    """
    if any(d.span is None and d.code in ("unreadable-file", "not-utf8") for d in diagnostics):
        return FAULT
    is_wrong = any(strict or d.severity is Severity.ERROR for d in diagnostics)
    return FINDINGS if is_wrong else CLEAN
