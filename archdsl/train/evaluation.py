"""Evaluation: how often a trained network is right, and which classes it confuses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from archdsl.train.calibration import Calibration, calibrate
from archdsl.train.data import ImageData, open_data
from archdsl.train.data.images import EncodedImages
from archdsl.train.errors import TrainError
from archdsl.train.finished import Finished
from archdsl.train.task import TOP

_BATCH = 256
#: How many images are kept of those about which the network is most wrong.
WORST = 16


@dataclass(frozen=True)
class ClassScore:
    """How well a class is told apart, by its images.

    ``precision`` is the share of images taken for the class that are of it, None where none is;
    ``recall`` is the share of its images that are taken for it, None where it has none; ``support``
    is how many it has.
    """

    name: str
    precision: float | None
    recall: float | None
    support: int


@dataclass(frozen=True, eq=False)
class WorstImage:
    """An image whose class the network holds for improbable.

    ``index`` is its place among the images for validation, ``file`` where it is read from.
    ``pixels`` (C×H×W) are those of the data, from 0 to 255 unless the user has normalized them.
    """

    index: int
    label: str
    probability: float
    guess: str
    confidence: float
    pixels: Tensor
    file: str | None = None

    def facts(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "file": self.file,
            "class": self.label,
            "probability": self.probability,
            "taken_for": self.guess,
            "confidence": self.confidence,
        }


@dataclass(frozen=True)
class Evaluation:
    """What came of the images of a data set.

    ``accuracies[k - 1]`` is the share of images whose class is among the network's first k, and
    ``k`` the one that was asked for;
    ``confusion[i][j]`` counts images of class i that were taken for class j.
    """

    images: int
    accuracies: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: Calibration
    worst: tuple[WorstImage, ...]
    k: int = TOP

    @property
    def top1(self) -> float:
        return self.accuracies[0]

    @property
    def top5(self) -> float:
        return self.top(TOP)

    def top(self, k: int) -> float:
        """The share of images whose class is among the first k: all, where k is all classes."""
        return self.accuracies[min(k, len(self.accuracies)) - 1]

    def scores(self, classes: list[str]) -> tuple[ClassScore, ...]:
        """Precision, recall and support of each class."""
        taken = [sum(column) for column in zip(*self.confusion, strict=True)]
        return tuple(
            ClassScore(name, _share(row[i], taken[i]), _share(row[i], sum(row)), sum(row))
            for i, (name, row) in enumerate(zip(classes, self.confusion, strict=True))
        )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def evaluate_run(
    finished: Finished,
    data: str | None,
    *,
    root: Path,
    download: bool,
    workers: int,
    device: str,
    top: int = TOP,
) -> Evaluation:
    """Evaluate on the validation images of a data set, the run's own by default.

    ``top`` is up to which k the share of images is counted whose class is among the first k, and
    at least 5.

    Errors:
        TrainError: where the data cannot be read or has other classes.
    """
    facts, count = finished.facts, len(finished.classes)
    if top > max(count, TOP):
        raise TrainError(f"top-{top} of {count} classes: there are no more than {count}")
    opened = open_data(
        data or facts["data"]["name"],
        input=finished.input,
        root=root,
        download=download,
        seed=facts["options"]["seed"],
        classes=count,
        skip_broken=bool(facts["options"].get("skip_broken")),
    )
    if opened.finished != facts["data"].get("finished", False):
        raise TrainError(f"the run and {opened.name} do not agree on who normalizes the images")
    if len(opened.classes) != count:
        raise TrainError(
            f"the network tells {count} classes apart, {opened.name} has {len(opened.classes)}"
        )
    most = min(max(top, TOP), count)
    confusion = torch.zeros(count, count, dtype=torch.long)
    places = torch.zeros(most, dtype=torch.long)
    confidences, hits = [], []
    worst = _Worst()
    for x, y in DataLoader(opened.validation, batch_size=_BATCH, num_workers=workers):
        scores = finished.probabilities(opened.normalize(x.to(device))).cpu()
        ranked = scores.topk(most, dim=1)
        guesses = ranked.indices[:, 0]
        confusion += _count(y, guesses, count)
        places += (ranked.indices == y[:, None]).sum(dim=0)
        confidences.append(ranked.values[:, 0])
        hits.append(guesses == y)
        worst.add(x, y, scores, guesses)
    images = int(confusion.sum())
    accuracies = tuple(hit / images for hit in places.cumsum(0).tolist())
    rows = tuple(tuple(row) for row in confusion.tolist())
    calibration = calibrate(torch.cat(confidences), torch.cat(hits))
    return Evaluation(images, accuracies, rows, calibration, worst.images(finished, opened), top)


def _count(labels: Tensor, guesses: Tensor, classes: int) -> Tensor:
    pairs = labels * classes + guesses
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


class _Worst:
    """Keeps the images about whose classes the network is most wrong."""

    def __init__(self) -> None:
        self.kept: list[tuple[float, int, int, int, float, Tensor]] = []
        self.seen = 0

    def add(self, images: Tensor, labels: Tensor, scores: Tensor, guesses: Tensor) -> None:
        chances = scores.gather(1, labels[:, None]).squeeze(1)
        few = chances.topk(min(WORST, len(chances)), largest=False).indices.tolist()
        for i in few:
            label, guess = int(labels[i]), int(guesses[i])
            row = float(chances[i]), self.seen + i, label, guess, float(scores[i, guess])
            self.kept.append((*row, images[i].clone()))
        self.kept = sorted(self.kept, key=lambda row: row[:2])[:WORST]
        self.seen += len(labels)

    def images(self, finished: Finished, data: ImageData) -> tuple[WorstImage, ...]:
        classes, source = finished.classes, data.validation
        # With broken images left out, another file may have taken the place.
        is_named = isinstance(source, EncodedImages) and not source.skips_broken
        return tuple(
            WorstImage(
                index,
                classes[label],
                chance,
                classes[guess],
                confidence,
                pixels,
                source.name_of(index) if is_named else None,  # type: ignore[attr-defined]
            )
            for chance, index, label, guess, confidence, pixels in self.kept
        )
