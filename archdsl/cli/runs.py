"""``archdsl runs``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import write_files
from archdsl.cli.lazy_help import HelpedCommand, HelpedGroup
from archdsl.cli.terminal import CommandError, print_note, print_text, print_warning
from archdsl.report.text import align, printable
from archdsl.text.diagnostics import did_you_mean

if TYPE_CHECKING:
    from archdsl.train.runs import RunSummary

_RUNS = "runs"
_HEADER = ("run", "network", "parameters", "data", "optimizer", "epochs", "top-1", "loss")
_ENDINGS = (".svg", ".png")


class _RunsGroup(HelpedGroup):
    """Without the name of a command, the runs are listed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunsGroup)
def runs() -> None:
    """List runs with their numbers, or compare some.

    \b
    archdsl runs
    archdsl runs elsewhere/runs
    archdsl runs compare runs/lenet5 runs/lenet5-2

    Exit codes: 0 done, 2 a wrong call, or a folder at fault.
    """


@runs.command("list", cls=HelpedCommand)
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table for the terminal, or all numbers for programs.",
)
def list_runs(folders: tuple[Path, ...], output_format: str) -> None:
    """List the runs in a folder, by default in runs/, with their numbers.

    top-1 is the best on validation images, and loss the lowest. A run that is still training is
    listed as it is now.

    \b
    archdsl runs
    archdsl runs elsewhere/runs --format json

    Exit codes: 0 listed, 2 a wrong call, or a folder at fault.
    """
    with needing("train", "listing runs"):
        from archdsl.train.errors import TrainError
        from archdsl.train.runs import find_runs, read_run

        for folder in folders:
            help = did_you_mean(str(folder), ("compare",))
            if help and not folder.exists():
                raise CommandError(f"there is no folder {folder}; {help}")
        wanted = folders or (Path(_RUNS),)
        found: list[RunSummary] = []
        for folder in (path for place in wanted for path in find_runs(place)):
            try:
                found.append(read_run(folder).summary())
            except TrainError as fault:
                # The other runs are still listed.
                print_warning(str(fault))
    if output_format == "json":
        facts = [summary.facts() for summary in found]
        print_text(json.dumps(facts, indent=2, ensure_ascii=False))
    elif found:
        _print_summaries(found)
    else:
        print_note(f"there is no run in {', '.join(path.as_posix() for path in wanted)}")


@runs.command(cls=HelpedCommand)
@click.argument("folders", metavar="RUN RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default="comparison.svg",
    show_default=True,
    help="The picture of the curves, as SVG or PNG.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.pass_context
def compare(ctx: click.Context, folders: tuple[Path, ...], output: Path, force: bool) -> None:
    """Compare runs: their numbers, their curves in one picture, and the settings that differ.

    \b
    archdsl runs compare runs/lenet5 runs/lenet5-2
    archdsl runs compare runs/lenet5* -o curves.png

    Exit codes: 0 done, 2 a wrong call, or a folder at fault.
    """
    if len(folders) < 2:
        raise click.UsageError("name two runs or more", ctx)
    if output.suffix not in _ENDINGS:
        raise CommandError(f"{output} is not the name of a picture: it ends in .svg or .png")
    if output.exists() and not force:
        raise CommandError(f"{output} already exists; use --force to overwrite it")
    with needing("train", "comparing runs"):
        from archdsl.train.report import render_figure
        from archdsl.train.runs import differences, draw_comparison, names_of, read_run

        found = [read_run(folder) for folder in folders]
        _print_summaries([run.summary() for run in found])
        rows = differences(found)
        picture = render_figure(draw_comparison(found), output.suffix[1:])
        names = names_of(found)
    print_text("")
    if rows:
        table = [("", *map(printable, names))]
        table += [(printable(name), *map(printable, values)) for name, values in rows]
        for line in align(table):
            print_text(line)
    else:
        print_text("All settings are the same.")
    write_files({output: picture})
    print_text(f"\nwrote {printable(output.as_posix())}")


def _print_summaries(summaries: Sequence[RunSummary]) -> None:
    rows = [_HEADER]
    rows += [
        (
            printable(each.run),
            printable(each.network),
            f"{each.parameters:,}",
            printable(each.data),
            printable(f"{each.optimizer} {each.lr:g}"),
            f"{each.epochs}/{each.planned}",
            "–" if each.top1 is None else f"{each.top1:.2%}",
            "–" if each.loss is None else f"{each.loss:.4f}",
        )
        for each in summaries
    ]
    for line in align(rows, right=(2, 5, 6, 7)):
        print_text(line)
