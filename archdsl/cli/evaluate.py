"""``archdsl evaluate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from archdsl.cli.extras import needing
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import checkpoint_option, data_root_option
from archdsl.cli.terminal import CommandError, print_text
from archdsl.report.text import align, printable

if TYPE_CHECKING:
    from archdsl.train.evaluation import ClassScore, Evaluation
    from archdsl.train.finished import Finished
    from archdsl.train.other_evaluation import RegressionEvaluation, SegmentationEvaluation

#: With more classes, only those are shown that are found least often, and how many.
_MOST_CLASSES = 25
_LEAST = 10


@click.command(cls=HelpedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", metavar="DATA", help="A data set other than the run's own.")
@click.option(
    "--top",
    metavar="K",
    type=click.IntRange(1),
    help="Count images whose class is among the first K, too.  [default: 5]",
)
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
    top: int | None,
    weights: Literal["best", "last"],
    device: str,
    workers: int,
    data_root: Path,
    download: bool,
) -> None:
    """Evaluate a trained network on validation images.

    RUN is a folder that `archdsl train` wrote. All numbers go there, into evaluation.json, and
    pictures. Of a network that tells classes apart these are accuracy, confusions, the reliability
    of the probabilities, and the worst images; of one that segments images, the intersection over
    union of each class, and the worst masks; of an autoencoder or of one that tells numbers, how
    far they are off.

    \b
    archdsl evaluate runs/lenet5
    archdsl evaluate runs/lenet5 --data mnist --download --top 3
    archdsl evaluate runs/unet

    Exit codes: 0 done, 2 a wrong call, or a folder or data at fault.
    """
    with needing("train", "training"):
        from archdsl.train.evaluation import evaluate_run
        from archdsl.train.evaluation_report import write_evaluation
        from archdsl.train.finished import open_run
        from archdsl.train.task import TOP

        finished = open_run(run, weights, device)
        if finished.task != "classification":
            if top is not None:
                raise CommandError(f"--top counts classes, and {run} is a run of {finished.task}")
            lines, paths = _evaluate_other(
                finished, data, data_root, download, workers=workers, device=device
            )
        else:
            found = evaluate_run(
                finished,
                data,
                root=data_root,
                download=download,
                workers=workers,
                device=device,
                top=TOP if top is None else top,
            )
            paths = write_evaluation(finished, found)
            lines = list(_of_classes(found, finished.classes))
    for line in lines:
        print_text(line)
    print_text("")
    for path in paths:
        print_text(f"wrote {printable(path.as_posix())}")


# ── Classes ──────────────────────────────────────────────────────────────────────────────────


def _of_classes(found: Evaluation, classes: list[str]) -> Iterator[str]:
    tops = "  ".join(f"top-{k} {found.top(k):.2%}" for k in sorted({1, found.k}))
    yield f"{tops}  of {found.images:,} images"
    calibration = found.calibration
    yield f"calibration error {calibration.error:.2%}  mean confidence {calibration.confidence:.2%}"
    yield ""
    yield from _table(found.scores(classes))


def _table(scores: Sequence[ClassScore]) -> Iterator[str]:
    shown = scores
    if len(scores) > _MOST_CLASSES:
        # Classes without images have no recall.
        found = [score for score in scores if score.recall is not None]
        shown = sorted(found, key=lambda score: score.recall or 0)[:_LEAST]
    rows = [("class", "precision", "recall", "support")]
    rows += [
        (printable(s.name), _percent(s.precision), _percent(s.recall), f"{s.support:,}")
        for s in shown
    ]
    rows.append(
        (
            "macro mean",
            _percent(_mean([score.precision for score in scores])),
            _percent(_mean([score.recall for score in scores])),
            f"{sum(score.support for score in scores):,}",
        )
    )
    yield from align(rows, right=(1, 2, 3))
    if len(shown) < len(scores):
        yield f"{len(scores) - len(shown):,} classes with a higher recall are in evaluation.json"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"


def _mean(shares: Sequence[float | None]) -> float | None:
    """The mean of those that are there."""
    there = [share for share in shares if share is not None]
    return sum(there) / len(there) if there else None


# ── Other tasks ──────────────────────────────────────────────────────────────────────────────


def _evaluate_other(
    finished: Finished,
    data: str | None,
    root: Path,
    download: bool,
    *,
    workers: int,
    device: str,
) -> tuple[list[str], list[Path]]:
    """What is printed of a network that tells no class of an image, and the files written."""
    from archdsl.train import other_evaluation, other_report
    from archdsl.train.evaluation import open_evaluated

    opened = open_evaluated(finished, data, root=root, download=download)
    match finished.task:
        case "segmentation":
            masks = other_evaluation.evaluate_segmentation(
                finished, opened, workers=workers, device=device
            )
            return list(_of_masks(masks)), other_report.write_segmentation(finished, masks)
        case "reconstruction":
            images = other_evaluation.evaluate_reconstruction(
                finished, opened, workers=workers, device=device
            )
            ratio = "" if images.psnr is None else f"  PSNR {images.psnr:.2f} dB"
            line = f"MSE {images.mse:.4g}  MAE {images.mae:.4g}{ratio}  of {images.images:,} images"
            return [line], other_report.write_reconstruction(finished, images)
    numbers = other_evaluation.evaluate_regression(finished, opened, workers=workers, device=device)
    return list(_of_numbers(numbers)), other_report.write_regression(finished, numbers)


def _of_masks(found: SegmentationEvaluation) -> Iterator[str]:
    yield f"mIoU {found.miou:.2%}  pixels {found.accuracy:.2%}  of {found.images:,} images"
    yield ""
    shown = list(found.classes)
    if len(shown) > _MOST_CLASSES:
        there = [score for score in shown if score.iou is not None]
        shown = sorted(there, key=lambda score: score.iou or 0)[:_LEAST]
    rows = [("class", "IoU", "recall", "pixels")]
    rows += [
        (printable(s.name), _percent(s.iou), _percent(s.recall), f"{s.support:,}") for s in shown
    ]
    yield from align(rows, right=(1, 2, 3))
    if len(shown) < len(found.classes):
        rest = len(found.classes) - len(shown)
        yield f"{rest:,} classes with a higher IoU are in evaluation.json"


def _of_numbers(found: RegressionEvaluation) -> Iterator[str]:
    yield f"MSE {found.mse:.4g}  MAE {found.mae:.4g}  of {found.images:,} images"
    yield ""
    rows = [("target", "MAE", "RMSE", "R²")]
    rows += [
        (
            printable(target.name),
            f"{target.mae:.4g}",
            f"{target.rmse:.4g}",
            "–" if target.r2 is None else f"{target.r2:.4f}",
        )
        for target in found.targets
    ]
    yield from align(rows, right=(1, 2, 3))
