"""``archdsl show``."""

from __future__ import annotations

from pathlib import PurePosixPath

import click

from archdsl.cli.files import SpecFile, read_file
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import color_option, input_option
from archdsl.cli.terminal import ColorChoice, CommandError, exit_code, print_diagnostics, print_text
from archdsl.layers.volume import Volume
from archdsl.text.diagnostics import ArchError
from archdsl.text.source import Source


@click.command(cls=HelpedCommand)
@click.argument("spec", metavar="SPEC", type=click.Path())
@click.option(
    "--stage",
    type=click.Choice(["syntax", "graph", "model"]),
    default="model",
    show_default=True,
    help="The syntax tree, the data-flow graph, or the tree of parts with its numbers.",
)
@input_option
@color_option
@click.pass_context
def show(
    ctx: click.Context, spec: str, stage: str, input_volume: Volume | None, color: ColorChoice
) -> None:
    """Show a stage of the compiler: how a spec is read, connected, or understood.

    \b
    archdsl show specs/googlenet.arch
    archdsl show --stage syntax specs/vgg16.arch
    archdsl show --stage graph - --input 28x28x192 < block.arch

    Exit codes: 0 shown, 1 errors in the spec, 2 a wrong call or an unreadable file.
    """
    try:
        print_text(_render(read_file(SpecFile(spec, PurePosixPath())), stage, input_volume))
    except ArchError as error:
        print_diagnostics(error.diagnostics, color)
        ctx.exit(exit_code(error.diagnostics))


def _render(source: Source, stage: str, input: Volume | None) -> str:
    from archdsl.frontend import read_models
    from archdsl.report.stages import render_graph, render_parts, render_syntax
    from archdsl.text.parser import parse_program

    if stage == "syntax":
        return render_syntax(parse_program(source))
    models = read_models(source, input)
    if not models:
        raise CommandError(f"{source.path} has no network; `--stage syntax` shows its blocks")
    render = render_graph if stage == "graph" else render_parts
    return "\n\n".join(render(model) for model in models)
