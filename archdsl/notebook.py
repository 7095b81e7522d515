"""The ``%%arch`` cell of notebooks: picture, table and diagnostics of the networks in it."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from archdsl.drawing import DrawingError, Options, render_drawing
from archdsl.drawing.options import PAGES
from archdsl.drawing.styles import STYLES
from archdsl.frontend import read_input, read_partly
from archdsl.model import Model, PartialModel
from archdsl.report.diagnostics import render_diagnostics
from archdsl.report.table import render_report
from archdsl.report.text import printable
from archdsl.text.source import Source

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def register(shell: InteractiveShell) -> None:
    """Give a shell the cell ``%%arch``."""
    # IPython's stubs take it for a method.
    shell.register_magic_function(_Cells(shell).arch, "cell", "arch")  # type: ignore[arg-type]


class _Parser(argparse.ArgumentParser):
    """Parses the line behind ``%%arch``; a mistake is one line, not the end of the kernel."""

    def error(self, message: str) -> NoReturn:
        from IPython.core.error import UsageError

        raise UsageError(f"%%arch: {message}")


def _parser() -> _Parser:
    parser = _Parser(prog="%%arch", add_help=False, exit_on_error=False)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--input")
    parser.add_argument("--style", choices=[style.name for style in STYLES], default="graph")
    parser.add_argument("--fit", choices=["none", *PAGES], default="none")
    return parser


class _Cells:
    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell

    def arch(self, line: str, cell: str) -> None:
        """Show the networks of the cell, and what is wrong with them.

        %%arch [NAME] [--input HxWxC] [--style STYLE] [--fit PAGE]

        NAME gets the Model, or a tuple of Models where the cell has several networks, but only if
        nothing is wrong. `use "…"` looks beside the notebook. A network with a fault is drawn up
        to that fault.
        """
        parser = _parser()
        arguments = _parsed(parser, line)
        models, diagnostics = read_partly(Source(cell, "<cell>"), arguments.input)
        self._show(models, arguments, parser)
        if diagnostics:
            print(render_diagnostics(diagnostics, color=True), file=sys.stderr)
        elif arguments.name is not None:
            self.shell.user_ns[arguments.name] = models[0] if len(models) == 1 else models

    def _show(self, models: tuple[Model, ...], arguments: Any, parser: _Parser) -> None:
        from IPython.display import display

        options = Options(fit=arguments.fit)
        try:
            for drawn in _together(models, arguments.style):
                is_table = arguments.style == "table"
                format = "md" if is_table and arguments.fit == "none" else "svg"
                drawing = render_drawing(drawn, format, options, arguments.style)
                display(drawing)  # type: ignore[no-untyped-call]
                for note in drawing.notes:
                    print(f"note: {printable(note)}")
        except DrawingError as error:
            parser.error(str(error))
        for model in models:
            if not isinstance(model, PartialModel):
                print(render_report(model))


def _together(models: tuple[Model, ...], style: str) -> list[tuple[Model, ...]]:
    """The networks of each picture: a table shows all sound ones, every other style one each.

    Only the graph shows a network with faults.
    """
    if style == "graph":
        return [(model,) for model in models]
    sound = tuple(model for model in models if not isinstance(model, PartialModel))
    if style == "table":
        return [sound] if sound else []
    return [(model,) for model in sound]


def _parsed(parser: _Parser, line: str) -> Any:
    try:
        arguments = parser.parse_args(shlex.split(line))
        arguments.input = arguments.input and read_input(arguments.input)
    except ValueError as error:  # an unclosed quote, or not a volume
        parser.error(str(error))
    except argparse.ArgumentError as error:
        parser.error(str(error))
    if arguments.name is not None and not arguments.name.isidentifier():
        parser.error(f"{arguments.name!r} is not a variable name")
    return arguments
