"""``archdsl predict``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import is_folder, write_files
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import checkpoint_option
from archdsl.cli.terminal import CommandError, print_text, print_warning, show_fault
from archdsl.report.text import printable

if TYPE_CHECKING:
    from archdsl.train.prediction import Prediction


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
@click.option("--invert", is_flag=True, help="Exchange dark and bright in the images.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help="Text for the terminal, or all numbers for programs.",
)
@click.option(
    "--save-input",
    metavar="PNG",
    type=click.Path(path_type=str),
    help="Save the image as the network saw it; of several images, into a folder.",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@checkpoint_option
@click.pass_context
def predict(
    ctx: click.Context,
    run: Path,
    images: tuple[Path, ...],
    top: int,
    invert: bool,
    output_format: Literal["text", "json", "csv"],
    save_input: str | None,
    force: bool,
    weights: Literal["best", "last"],
) -> None:
    """Say what a trained network sees in images, with probabilities.

    \b
    archdsl predict runs/lenet5 digit.png
    archdsl predict runs/lenet5 black_on_white.png --invert --save-input seen.png
    archdsl predict runs/vgg16 photos/*.jpg --top 3 --format csv > classes.csv

    An image that looks unlike those of the training is pointed out. One that cannot be read is
    reported, and the others are still classified.

    Exit codes: 0 done, 2 a wrong call, or a folder or an image at fault.
    """
    targets = _places(images, save_input, force)
    with needing("train", "training"):
        from archdsl.train.errors import TrainError
        from archdsl.train.finished import open_run
        from archdsl.train.prediction import predict_file, render_pixels

        finished = open_run(run, weights)
        finished.refuse_finished_data()
        found: list[Prediction] = []
        contents: dict[Path, bytes] = {}
        for path in images:
            try:
                prediction = predict_file(finished, path, top, invert=invert)
            except TrainError as fault:
                # The other images are still classified.
                show_fault(CommandError(str(fault)))
                continue
            found.append(prediction)
            if path in targets:
                contents[targets[path]] = render_pixels(prediction.pixels)
            if output_format == "text":
                _print_classes(prediction)
            if prediction.remark:
                print_warning(f"{path.as_posix()}: {prediction.remark}")
    if output_format == "json":
        print_text(_render_json(found))
    if output_format == "csv":
        print_text(_render_csv(found))
    write_files(contents)
    if len(found) < len(images):
        ctx.exit(2)


def _places(images: Sequence[Path], target: str | None, force: bool) -> dict[Path, Path]:
    """Where the input of each image is saved.

    Errors:
        CommandError: where a file is there already, or two images have the same name.
    """
    if target is None:
        return {}
    if len(images) == 1 and not is_folder(target):
        places = {images[0]: Path(target)}
    elif Path(target).suffix:
        raise CommandError(f"--save-input {target} is one file: name a folder for several images")
    else:
        places = {path: Path(target) / f"{path.stem}.png" for path in images}
    names = set(places.values())
    if len(names) < len(places):
        raise CommandError("images of the same name cannot be saved into one folder")
    for place in sorted(names):
        if place.exists() and not force:
            raise CommandError(f"{place} already exists; use --force to overwrite it")
    return places


def _print_classes(prediction: Prediction) -> None:
    print_text(printable(prediction.path.as_posix()))
    for name, share in prediction.classes:
        print_text(f"  {share:7.2%}  {printable(name)}")


def _render_json(predictions: Sequence[Prediction]) -> str:
    facts = [
        {
            "image": prediction.path.as_posix(),
            "classes": [
                {"class": name, "probability": round(share, 6)}
                for name, share in prediction.classes
            ],
            "warning": prediction.remark,
        }
        for prediction in predictions
    ]
    return json.dumps(facts, indent=2, ensure_ascii=False)


def _render_csv(predictions: Sequence[Prediction]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", "rank", "class", "probability"])
    for prediction in predictions:
        for rank, (name, share) in enumerate(prediction.classes, 1):
            writer.writerow([prediction.path.as_posix(), rank, name, f"{share:.6f}"])
    return out.getvalue().removesuffix("\n")
