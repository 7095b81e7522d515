"""``archdsl predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from archdsl.cli.extras import needing
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import checkpoint_option
from archdsl.cli.terminal import CommandError, print_text, show_fault
from archdsl.report.text import printable


@click.command(cls=HelpedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Classes shown.",
)
@checkpoint_option
@click.pass_context
def predict(
    ctx: click.Context,
    run: Path,
    images: tuple[Path, ...],
    top: int,
    weights: Literal["best", "last"],
) -> None:
    """Say what a trained network sees in images, with probabilities.

    \b
    archdsl predict runs/lenet5 digit.png
    archdsl predict runs/vgg16 photos/*.jpg --top 3

    An image that cannot be read is reported, and the others are still classified.

    Exit codes: 0 done, 2 a wrong call, or a folder or an image at fault.
    """
    with needing("train", "training"):
        from archdsl.train.data import prepare_image
        from archdsl.train.errors import TrainError
        from archdsl.train.finished import open_run

        finished = open_run(run, weights)
        data = finished.facts["data"]
        if data["finished"]:
            raise TrainError(
                f"the images of {data['name']} come finished from the user's own data, so archdsl "
                "does not know how to prepare a file like them"
            )
        broken = 0
        for path in images:
            try:
                image = prepare_image(
                    path,
                    input=finished.input,
                    mean=tuple(data["mean"]),
                    std=tuple(data["std"]),
                    enlarged=data["enlarged"],
                )
            except TrainError as fault:
                # The other images are still classified.
                show_fault(CommandError(str(fault)))
                broken += 1
                continue
            scores = finished.probabilities(image[None])[0]
            found = scores.topk(min(top, len(finished.classes)))
            print_text(printable(path.as_posix()))
            for share, index in zip(found.values.tolist(), found.indices.tolist(), strict=True):
                print_text(f"  {share:7.2%}  {printable(finished.classes[index])}")
    if broken:
        ctx.exit(2)
