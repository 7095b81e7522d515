"""``archdsl evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from archdsl.cli.extras import needing
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import checkpoint_option, data_root_option
from archdsl.cli.terminal import print_text
from archdsl.report.text import printable


@click.command(cls=HelpedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", metavar="DATA", help="A data set other than the run's own.")
@checkpoint_option
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "mps"]),
    default="cpu",
    show_default=True,
    help="Where to compute.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Processes that read data.",
)
@data_root_option
@click.option("--download", is_flag=True, help="Fetch a data set that is missing.")
def evaluate(
    run: Path,
    data: str | None,
    weights: Literal["best", "last"],
    device: str,
    workers: int,
    data_root: Path,
    download: bool,
) -> None:
    """Evaluate a trained network on validation images: top-1, top-5 and its confusions.

    RUN is a folder that `archdsl train` wrote. evaluation.json and confusion.svg go there, too.

    \b
    archdsl evaluate runs/lenet5
    archdsl evaluate runs/lenet5 --data mnist --download

    Exit codes: 0 done, 2 a wrong call, or a folder or data at fault.
    """
    with needing("train", "training"):
        from archdsl.train.evaluation import evaluate_run, write_evaluation
        from archdsl.train.finished import open_run

        finished = open_run(run, weights, device)
        found = evaluate_run(
            finished, data, root=data_root, download=download, workers=workers, device=device
        )
        paths = write_evaluation(finished, found)
    print_text(f"top-1 {found.top1:.2%}  top-5 {found.top5:.2%}  of {found.images:,} images")
    for path in paths:
        print_text(f"wrote {printable(path.as_posix())}")
