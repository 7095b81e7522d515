"""``archdsl predict``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import is_folder, write_files
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import checkpoint_option
from archdsl.cli.terminal import CommandError, print_text, print_warning, show_fault
from archdsl.report.text import printable

if TYPE_CHECKING:
    from archdsl.train.finished import Finished
    from archdsl.train.prediction import Prediction
    from archdsl.train.task import TaskKind

#: How many classes are shown.
TOP = 5
#: What is written beside an image, by the task of the network.
_WRITTEN = {"segmentation": "mask", "reconstruction": "reconstruction"}
#: The columns of CSV.
_HEADINGS = {
    "classification": ["image", "rank", "class", "probability"],
    "segmentation": ["image", "mask", "class", "pixels"],
    "reconstruction": ["image", "reconstruction", "mse"],
    "regression": ["image", "target", "value"],
}


@click.command(cls=HelpedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(1),
    help="Classes shown.  [default: 5]",
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
@click.option(
    "--save-output",
    metavar="PNG",
    type=click.Path(path_type=str),
    help="Where the mask goes, or what an autoencoder returns; of several images, into a folder.  "
    "[default: beside the image]",
)
@click.option("--overlay", is_flag=True, help="Save a mask as colours on the image.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@checkpoint_option
@click.pass_context
def predict(
    ctx: click.Context,
    run: Path,
    images: tuple[Path, ...],
    top: int | None,
    invert: bool,
    output_format: Literal["text", "json", "csv"],
    save_input: str | None,
    save_output: str | None,
    overlay: bool,
    force: bool,
    weights: Literal["best", "last"],
) -> None:
    """Say what a trained network sees in images.

    That is classes with probabilities, or the numbers that it tells. Of a network that segments
    images, it is a mask, written beside each image as NAME-mask.png, in which each pixel is the
    number of its class; of an autoencoder, NAME-reconstruction.png.

    \b
    archdsl predict runs/lenet5 digit.png
    archdsl predict runs/lenet5 black_on_white.png --invert --save-input seen.png
    archdsl predict runs/vgg16 photos/*.jpg --top 3 --format csv > classes.csv
    archdsl predict runs/unet cells.png --overlay --save-output seen.png

    An image that looks unlike those of the training is pointed out. One that cannot be read is
    reported, and the others are still looked at.

    Exit codes: 0 done, 2 a wrong call, or a folder or an image at fault.
    """
    inputs = _places(images, save_input, "--save-input", force)
    with needing("train", "training"):
        from archdsl.train.errors import TrainError
        from archdsl.train.finished import open_run
        from archdsl.train.prediction import predict_file, render_answer, render_pixels

        finished = open_run(run, weights)
        finished.refuse_finished_data()
        _refuse_misfits(finished, top, save_output, overlay)
        outputs = _output_places(finished, images, save_output, force)
        seen = {place.resolve() for place in inputs.values()}
        if both := [place for place in outputs.values() if place.resolve() in seen]:
            raise CommandError(f"{min(both)} would be both input and output")
        found: list[Prediction] = []
        contents: dict[Path, bytes] = {}
        for path in images:
            try:
                prediction = predict_file(finished, path, top or TOP, invert=invert)
            except TrainError as fault:
                # The other images are still classified.
                show_fault(CommandError(str(fault)))
                continue
            found.append(prediction)
            if path in inputs:
                contents[inputs[path]] = render_pixels(prediction.pixels)
            if path in outputs:
                contents[outputs[path]] = render_answer(finished, prediction, is_overlay=overlay)
            if output_format == "text":
                _print_numbers(prediction, finished.task, outputs.get(path))
            if prediction.remark:
                print_warning(f"{path.as_posix()}: {prediction.remark}")
    write_files(contents)
    if output_format == "json":
        print_text(_render_json(found, finished.task, outputs))
    if output_format == "csv":
        print_text(_render_csv(found, finished.task, outputs))
    if len(found) < len(images):
        ctx.exit(2)


def _refuse_misfits(
    finished: Finished, top: int | None, save_output: str | None, overlay: bool
) -> None:
    """Raises ``CommandError`` for options that say nothing about a network's task."""
    has_image = finished.task in _WRITTEN
    for option, is_given, fits in (
        ("--top", top is not None, finished.task == "classification"),
        ("--save-output", save_output is not None, has_image),
        ("--overlay", overlay, finished.task == "segmentation"),
    ):
        if is_given and not fits:
            folder = finished.run.folder
            raise CommandError(f"{option} says nothing about {folder}, a run of {finished.task}")


def _output_places(
    finished: Finished, images: Sequence[Path], target: str | None, force: bool
) -> dict[Path, Path]:
    """Where what the network makes of each image is saved; nowhere, where that is no image."""
    what = _WRITTEN.get(finished.task)
    if what is None:
        return {}
    if target is not None:
        return _places(images, target, "--save-output", force)
    places = {path: path.with_name(f"{path.stem}-{what}.png") for path in images}
    return _refuse_taken(places, force)


def _places(
    images: Sequence[Path], target: str | None, option: str, force: bool
) -> dict[Path, Path]:
    """Where something of each image is saved.

    Errors:
        CommandError: where a file is there already, or two images have the same name.
    """
    if target is None:
        return {}
    if len(images) == 1 and not is_folder(target):
        places = {images[0]: Path(target)}
    elif Path(target).suffix:
        raise CommandError(f"{option} {target} is one file: name a folder for several images")
    else:
        places = {path: Path(target) / f"{path.stem}.png" for path in images}
    return _refuse_taken(places, force)


def _refuse_taken(places: dict[Path, Path], force: bool) -> dict[Path, Path]:
    names = set(places.values())
    if len(names) < len(places):
        raise CommandError("images of the same name cannot be saved into one folder")
    images = {image.resolve() for image in places}
    for place in sorted(names):
        if place.resolve() in images:
            raise CommandError(f"{place} is one of the images, and would be overwritten")
        if place.exists() and not force:
            raise CommandError(f"{place} already exists; use --force to overwrite it")
    return places


# ── What is printed ──────────────────────────────────────────────────────────────────────────


def _print_numbers(prediction: Prediction, task: TaskKind, place: Path | None) -> None:
    to = f" → {printable(place.as_posix())}" if place is not None else ""
    print_text(printable(prediction.path.as_posix()) + to)
    for name, value in prediction.numbers:
        match task:
            case "regression":
                print_text(f"  {value:>12.6g}  {printable(name)}")
            case "reconstruction":
                print_text(f"  mean squared error {value:.4g}, of pixels from 0 to 1")
            case _:
                print_text(f"  {value:7.2%}  {printable(name)}")


def _render_json(
    predictions: Sequence[Prediction], task: TaskKind, places: Mapping[Path, Path]
) -> str:
    facts = [
        {
            "image": prediction.path.as_posix(),
            **_facts(prediction, task, places.get(prediction.path)),
            "warning": prediction.remark,
        }
        for prediction in predictions
    ]
    return json.dumps(facts, indent=2, ensure_ascii=False)


def _facts(prediction: Prediction, task: TaskKind, place: Path | None) -> dict[str, Any]:
    written = {_WRITTEN[task]: place.as_posix()} if place is not None else {}
    match task:
        case "regression":
            return {"targets": dict(prediction.numbers)}
        case "reconstruction":
            return {**written, **dict(prediction.numbers)}
    name = "pixels" if task == "segmentation" else "probability"
    return {
        **written,
        "classes": [{"class": word, name: round(share, 6)} for word, share in prediction.numbers],
    }


def _render_csv(
    predictions: Sequence[Prediction], task: TaskKind, places: Mapping[Path, Path]
) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEADINGS[task])
    for prediction in predictions:
        image, place = prediction.path.as_posix(), places.get(prediction.path)
        written = place.as_posix() if place is not None else ""
        for rank, (name, value) in enumerate(prediction.numbers, 1):
            match task:
                case "regression":
                    writer.writerow([image, name, repr(value)])
                case "reconstruction":
                    writer.writerow([image, written, repr(value)])
                case "segmentation":
                    writer.writerow([image, written, name, f"{value:.6f}"])
                case _:
                    writer.writerow([image, rank, name, f"{value:.6f}"])
    return out.getvalue().removesuffix("\n")
