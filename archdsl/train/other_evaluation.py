"""Evaluation of networks that tell no class of an image: masks, images again, and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import isnan, log10, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from archdsl.train.data import ImageData
from archdsl.train.data.preparation import VOID, cut_centre
from archdsl.train.errors import TrainError
from archdsl.train.evaluation import BATCH, Worst, count_pairs
from archdsl.train.finished import Finished
from archdsl.train.pixel_tasks import overlaps

#: How many images are kept of those that the network is worst at.
WORST = 8
#: Images that are looked at together where each pixel is told.
_FEW = 16


@dataclass(frozen=True, eq=False)
class WorstOutput:
    """An image that the network is bad at.

    ``index`` is its place among the images for validation, ``file`` where it is read from, and
    ``numbers`` say how bad it is. ``pixels`` (C×H×W) are those of the data; ``target`` and
    ``output`` are masks h×w, images C×H×W with pixels from 0 to 1, or numbers.
    """

    index: int
    numbers: dict[str, float]
    pixels: Tensor
    target: Tensor
    output: Tensor
    file: str | None = None

    def facts(self) -> dict[str, Any]:
        return {"index": self.index, "file": self.file, **self.numbers}


# ── Masks ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ClassOverlap:
    """How well the pixels of a class are found, over all images together.

    ``iou`` is the intersection over union, None where the class occurs neither in the data nor in
    the answers; ``recall`` is the share of its pixels that are found, None where it has none, which
    are ``support``.
    """

    name: str
    iou: float | None
    recall: float | None
    support: int


@dataclass(frozen=True)
class SegmentationEvaluation:
    """What came of the images of a data set with masks.

    ``accuracy`` is the share of right pixels, of those with a class; ``miou`` the mean of the
    classes' intersections over unions, of those that occur; ``confusion[i][j]`` counts pixels of
    class i that were taken for class j.
    """

    images: int
    accuracy: float
    miou: float
    classes: tuple[ClassOverlap, ...]
    confusion: tuple[tuple[int, ...], ...]
    worst: tuple[WorstOutput, ...]


def evaluate_segmentation(
    finished: Finished, data: ImageData, *, workers: int, device: str
) -> SegmentationEvaluation:
    """Compare the masks of a network with those of the validation images.

    The worst images are those of the lowest mean intersection over union.

    Errors:
        TrainError: where no pixel has a class, so that there is nothing to compare.
    """
    count = len(finished.classes)
    confusion = torch.zeros(count, count, dtype=torch.long)
    worst: Worst[Callable[[str | None], WorstOutput]] = Worst(WORST)
    for x, y, output in _batches(finished, data, workers, device):
        guesses = output.argmax(dim=1)
        labels = cut_centre(y, (guesses.shape[1], guesses.shape[2])).long()
        known = labels != VOID
        each = torch.stack(
            [
                count_pairs(labels[i][known[i]], guesses[i][known[i]], count)
                for i in range(len(labels))
            ]
        )
        confusion += each.sum(dim=0)
        scores = [_scores(one) for one in each]
        make = partial(_kept, worst.seen, scores, x, labels, guesses)
        worst.add(torch.tensor([-score["miou"] for score in scores]), make)
    if not confusion.any():
        raise TrainError(f"no pixel of the masks of {data.name} has a class to compare with")
    rows = tuple(tuple(row) for row in confusion.tolist())
    named = zip(finished.classes, rows, overlaps(confusion).tolist(), strict=True)
    classes = tuple(
        ClassOverlap(
            name, None if isnan(iou) else iou, row[i] / sum(row) if sum(row) else None, sum(row)
        )
        for i, (name, row, iou) in enumerate(named)
    )
    total = _scores(confusion)
    kept = tuple(make(file) for file, make in worst.named(data))
    return SegmentationEvaluation(worst.seen, total["accuracy"], total["miou"], classes, rows, kept)


def _scores(confusion: Tensor) -> dict[str, float]:
    """The share of right pixels and the mIoU; 1 where no pixel has a class."""
    pixels = int(confusion.sum())
    if not pixels:
        return {"accuracy": 1.0, "miou": 1.0}
    right = int(confusion.diagonal().sum())
    return {"accuracy": right / pixels, "miou": float(overlaps(confusion).nanmean())}


# ── Images again ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ReconstructionEvaluation:
    """How far what an autoencoder returns is from its input, over all pixels of all images.

    In pixels from 0 to 1: the mean squared and the mean absolute error, and the ratio of the
    largest signal to the noise in decibels, 10·log₁₀(1/MSE). That is None for images that the user
    has normalized, whose largest signal is not known, and where there is no error.
    """

    images: int
    mse: float
    mae: float
    psnr: float | None
    worst: tuple[WorstOutput, ...]


def evaluate_reconstruction(
    finished: Finished, data: ImageData, *, workers: int, device: str
) -> ReconstructionEvaluation:
    """Compare what an autoencoder returns with the validation images.

    The worst images are those of the largest mean squared error.
    """
    squares = absolutes = 0.0
    worst: Worst[Callable[[str | None], WorstOutput]] = Worst(WORST)
    for x, _, output in _batches(finished, data, workers, device):
        target = data.denormalize(data.normalize(x))
        errors = (output - target).double().flatten(1)
        squared = errors.square().mean(dim=1)
        squares += float(squared.sum())
        absolutes += float(errors.abs().mean(dim=1).sum())
        scores = [{"mse": mse} for mse in squared.tolist()]
        worst.add(squared, partial(_kept, worst.seen, scores, x, target, output))
    mse = squares / worst.seen
    kept = tuple(make(file) for file, make in worst.named(data))
    psnr = None if data.finished else signal_to_noise(mse)
    return ReconstructionEvaluation(worst.seen, mse, absolutes / worst.seen, psnr, kept)


def signal_to_noise(mse: float) -> float | None:
    """The peak signal-to-noise ratio in decibels of pixels from 0 to 1; None without an error."""
    return -10 * log10(mse) if mse else None


# ── Numbers ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class TargetError:
    """How far a number is from its target over all images, in the target's own unit.

    ``r2`` is the coefficient of determination, 1 − (sum of squared errors) / (sum of squares about
    the mean): 0 is as good as always saying the mean. None where the target does not vary.
    """

    name: str
    mae: float
    rmse: float
    r2: float | None


@dataclass(frozen=True)
class RegressionEvaluation:
    """How far numbers are from their targets; ``mse`` and ``mae`` are over all targets."""

    images: int
    mse: float
    mae: float
    targets: tuple[TargetError, ...]
    worst: tuple[WorstOutput, ...]


def evaluate_regression(
    finished: Finished, data: ImageData, *, workers: int, device: str
) -> RegressionEvaluation:
    """Compare the numbers that a network tells with the targets of the validation images.

    The worst images are those of the largest mean squared error.
    """
    told, wanted = [], []
    worst: Worst[Callable[[str | None], WorstOutput]] = Worst(WORST)
    for x, y, output in _batches(finished, data, workers, device):
        squared = (output - y).double().square().mean(dim=1)
        scores = [{"mse": mse} for mse in squared.tolist()]
        worst.add(squared, partial(_kept, worst.seen, scores, x, y, output))
        told.append(output.double())
        wanted.append(y.double())
    targets = torch.cat(wanted)
    errors = torch.cat(told) - targets
    squares = errors.square().sum(dim=0)
    spread = (targets - targets.mean(dim=0)).square().sum(dim=0)
    rows = tuple(
        TargetError(
            name,
            float(errors[:, i].abs().mean()),
            sqrt(float(squares[i]) / len(errors)),
            1 - float(squares[i] / spread[i]) if spread[i] else None,
        )
        for i, name in enumerate(finished.targets)
    )
    mse, mae = float(errors.square().mean()), float(errors.abs().mean())
    kept = tuple(make(file) for file, make in worst.named(data))
    return RegressionEvaluation(worst.seen, mse, mae, rows, kept)


# ── Batches ──────────────────────────────────────────────────────────────────────────────────


def _batches(
    finished: Finished, data: ImageData, workers: int, device: str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Images as the data has them, their labels, and what the network says of them."""
    # What a network makes of each pixel takes much memory.
    batch = BATCH if finished.task == "regression" else _FEW
    for x, y in DataLoader(data.validation, batch_size=batch, num_workers=workers):
        yield x, y, finished.answers(data.normalize(x.to(device))).cpu()


def _kept(
    first: int,
    scores: list[dict[str, float]],
    images: Tensor,
    targets: Tensor,
    outputs: Tensor,
    i: int,
) -> Callable[[str | None], WorstOutput]:
    """What is kept of an image of a batch, but for its file."""
    tensors = images[i].clone(), targets[i].clone(), outputs[i].clone()
    return partial(WorstOutput, first + i, scores[i], *tensors)
