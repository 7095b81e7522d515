"""The command line: argv, files, the terminal and the exit code; nothing else.

Exit codes: 0 all is well, 1 the specifications have findings, 2 the call or a file is at fault,
70 a bug in archdsl, 130 interrupted, 141 the reader of the output went away.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]

FAULT = 2
INTERNAL = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
COMPLETE = "_ARCHDSL_COMPLETE"

#: New objects between two rounds of the garbage collector. What a command imports and makes of a
#: spec stays: with Python's 700, a sixth of the start-up time is spent on searching it.
GARBAGE_THRESHOLD = 50_000


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    _prepare_streams()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        code = PIPE_CLOSED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        # Errors of files are handled where they are used: only the output itself is left.
        _discard_output()
        print(f"error: cannot write the output: {error.strerror or error}", file=sys.stderr)
        code = FAULT
    sys.exit(code)


def _run(argv: list[str]) -> int:
    """The exit code of a call.

    Commands are run here rather than by click's ``main``, which would give an interrupt and a
    closed pipe the exit code of a finding.
    """
    import click

    from archdsl.cli.commands import commands
    from archdsl.cli.terminal import show_fault

    wanted = os.environ.get(COMPLETE)
    if wanted:
        from click.shell_completion import shell_complete

        return shell_complete(commands, {}, "archdsl", COMPLETE, wanted)
    try:
        with commands.make_context("archdsl", argv) as context:
            commands.invoke(context)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        show_fault(error)
        return error.exit_code
    except Exception as error:
        if not _is_own_mistake(error):
            raise
        return INTERNAL
    return 0


def _is_own_mistake(error: Exception) -> bool:
    """Whether the error is a module that failed its validation; if so, say what is wrong."""
    from archdsl.validation import InvalidModuleError  # only needed after an error

    if not isinstance(error, InvalidModuleError):
        return False
    from archdsl.report.text import printable

    sys.stdout.flush()
    print(f"internal error: {printable(str(error))}", file=sys.stderr)
    print(
        "Nothing was written. This is a bug in archdsl, not a fault of the spec: please report "
        "it, with the spec.",
        file=sys.stderr,
    )
    return True


def _prepare_streams() -> None:
    """Print escapes for characters that a terminal lacks; replace closed streams."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Keep the interpreter from flushing once more, at exit, what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
