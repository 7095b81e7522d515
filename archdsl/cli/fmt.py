"""``archdsl fmt``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from archdsl.api import format_source
from archdsl.cli.files import SPECS, STDIN, SpecFile, find_specs, read_file, write_files
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import color_option, input_option, paths_argument
from archdsl.cli.terminal import (
    CLEAN,
    FINDINGS,
    ColorChoice,
    CommandError,
    exit_code,
    print_bytes,
    print_diagnostics,
    print_text,
    wants_color,
)
from archdsl.formatting import FormatError
from archdsl.layers.volume import Volume
from archdsl.report.text import count_of, paint, printable
from archdsl.text.diagnostics import ArchError, Diagnostic
from archdsl.text.source import Source

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_COLORS = {"-": "red", "+": "green", "@": "cyan"}


@click.command(cls=HelpedCommand)
@paths_argument
@click.option("--check", "only_check", is_flag=True, help="Write nothing; fail if a file differs.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change, and fail then.")
@click.option("--volumes", is_flag=True, help="Write or refresh the volume behind each line.")
@input_option
@color_option
@click.pass_context
def fmt(
    ctx: click.Context,
    paths: tuple[str, ...],
    only_check: bool,
    diff: bool,
    volumes: bool,
    input_volume: Volume | None,
    color: ColorChoice,
) -> None:
    """Format specs: one style, every comment kept, the meaning never changed.

    PATH is a file, a folder (all its .arch files) or - for the standard input, whose text goes to
    the standard output; without one, ./specs. A file with errors is left as it is.

    \b
    archdsl fmt                               all of specs/, in place
    archdsl fmt --check specs                 for CI: is everything formatted?
    archdsl fmt --volumes specs/vgg16.arch    with → 112x112x64 behind each line
    archdsl fmt - < draft.arch

    Exit codes: 0 done, 1 errors, or files that differ with --check or --diff, 2 a wrong call or a
    file at fault.
    """
    if input_volume is not None and not volumes:
        raise click.UsageError("`--input` is about volumes: add `--volumes`", ctx)
    if STDIN in paths and len(paths) > 1:
        raise click.UsageError("`-` must be the only path: its text goes to standard output", ctx)
    if not paths and not Path(SPECS).is_dir():
        raise CommandError(f"there is no folder `{SPECS}` here; name a file or a folder")
    found = find_specs(paths)
    diagnostics = list(found.diagnostics)
    results = list(_format(found.files, volumes, input_volume, diagnostics))
    changed = [result for result in results if result.is_changed]
    is_dry, is_stream = only_check or diff, paths == (STDIN,)
    if diff:
        for result in changed:
            _print_diff(result, color)
    elif is_stream and not is_dry:
        for result in results:
            print_bytes(result.text.encode())
    elif not is_stream:
        if not is_dry:
            _write(changed)
        _print_summary(changed, len(results) - len(changed), is_dry)
    print_diagnostics(diagnostics, color)
    ctx.exit(exit_code(diagnostics) or (FINDINGS if is_dry and changed else CLEAN))


@dataclass(frozen=True, slots=True)
class _Formatted:
    """A file, its text, and the formatted text."""

    file: SpecFile
    source: Source
    text: str

    @property
    def is_changed(self) -> bool:
        return self.text != self.source.text


def _format(
    files: Sequence[SpecFile],
    volumes: bool,
    input: Volume | None,
    diagnostics: list[Diagnostic],
) -> Iterator[_Formatted]:
    """Format files; the faults of those that cannot be formatted go into the list."""
    for file in files:
        try:
            source = read_file(file)
            yield _Formatted(file, source, format_source(source, volumes, input))
        except ArchError as error:
            diagnostics.extend(error.diagnostics)
        except FormatError:
            raise CommandError(
                f"formatting would change what {printable(file.path)} means, so nothing is "
                "written; this is a fault of archdsl: please report it with the file"
            ) from None


def _write(changed: Sequence[_Formatted]) -> None:
    """Write what has changed; a read-only file is not replaced either."""
    for result in changed:
        if not os.access(result.file.path, os.W_OK):
            raise CommandError(f"cannot write {result.file.path}: it is read-only")
    contents = {Path(result.file.path): result.text.encode() for result in changed}
    write_files(contents, keep_modes=True)


def _print_summary(changed: Sequence[_Formatted], left: int, is_dry: bool) -> None:
    for result in changed:
        verb = "would reformat" if is_dry else "reformatted"
        print_text(f"{verb} {printable(result.file.path)}")
    verdicts = []
    if changed:
        verb = "would be reformatted" if is_dry else "reformatted"
        verdicts.append(f"{count_of(len(changed), 'file')} {verb}")
    if left or not changed:
        verb = "already formatted" if is_dry else "left unchanged"
        verdicts.append(f"{count_of(left, 'file')} {verb}")
    print_text(", ".join(verdicts))


def _print_diff(result: _Formatted, color: ColorChoice) -> None:
    """Print a unified diff; invisible characters are shown as escapes."""
    from difflib import unified_diff

    is_colored = wants_color(color, sys.stdout)
    name = printable(result.source.path)
    before, after = (_LINE.findall(text) for text in (result.source.text, result.text))
    for line in unified_diff(before, after, name, name):
        is_header = line.startswith(("---", "+++"))
        color_of_line = None if is_header else _COLORS.get(line[0])
        text, end, _ = line.partition("\n")
        shown = printable(text)
        if color_of_line:
            shown = paint(is_colored, fg=color_of_line)(shown)
        print_text(shown if end else f"{shown}\n\\ No newline at end of file", is_colored)
