"""``archdsl evaluate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from archdsl.cli.extras import needing
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import checkpoint_option, data_root_option
from archdsl.cli.terminal import print_text
from archdsl.report.text import align, printable

if TYPE_CHECKING:
    from archdsl.train.evaluation import ClassScore

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
    default=5,
    show_default=True,
    help="Count images whose class is among the first K, too.",
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
    top: int,
    weights: Literal["best", "last"],
    device: str,
    workers: int,
    data_root: Path,
    download: bool,
) -> None:
    """Evaluate a trained network on validation images: accuracy, confusions and calibration.

    RUN is a folder that `archdsl train` wrote. All numbers go there, into evaluation.json, and
    three pictures: the confusions, the reliability of the probabilities, and the worst images.

    \b
    archdsl evaluate runs/lenet5
    archdsl evaluate runs/lenet5 --data mnist --download --top 3

    Exit codes: 0 done, 2 a wrong call, or a folder or data at fault.
    """
    with needing("train", "training"):
        from archdsl.train.evaluation import evaluate_run
        from archdsl.train.evaluation_report import write_evaluation
        from archdsl.train.finished import open_run

        finished = open_run(run, weights, device)
        found = evaluate_run(
            finished,
            data,
            root=data_root,
            download=download,
            workers=workers,
            device=device,
            top=top,
        )
        paths = write_evaluation(finished, found)
    tops = "  ".join(f"top-{k} {found.top(k):.2%}" for k in sorted({1, found.k}))
    print_text(f"{tops}  of {found.images:,} images")
    calibration = found.calibration
    print_text(
        f"calibration error {calibration.error:.2%}  mean confidence {calibration.confidence:.2%}"
    )
    print_text("")
    for line in _table(found.scores(finished.classes)):
        print_text(line)
    print_text("")
    for path in paths:
        print_text(f"wrote {printable(path.as_posix())}")


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
