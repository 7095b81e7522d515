"""Evaluation: how often a trained network is right, and which classes it confuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from archdsl.train.calibration import Calibration, calibrate
from archdsl.train.data import ImageData, open_data
from archdsl.train.data.images import EncodedImages
from archdsl.train.errors import TrainError
from archdsl.train.finished import Finished
from archdsl.train.task import TOP

BATCH = 256
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


def open_evaluated(
    finished: Finished, data: str | None, *, root: Path, download: bool
) -> ImageData:
    """A data set that a network is evaluated on, the run's own by default.

    Its images to validate with are prepared and normalized as those of the run.

    Errors:
        TrainError: where the data cannot be read, or has other labels than the network tells.
    """
    facts = finished.facts
    opened = open_data(
        data or facts["data"]["name"],
        input=finished.input,
        root=root,
        download=download,
        seed=facts["options"]["seed"],
        classes=len(finished.classes) or None,
        skip_broken=bool(facts["options"].get("skip_broken")),
    )
    _refuse_misfit(finished, opened)
    return opened.validated_as(finished.preparation, finished.statistics)


def _refuse_misfit(finished: Finished, opened: ImageData) -> None:
    """Raises ``TrainError`` for data that is not of the kind that the network was trained with."""
    facts, task = finished.facts, finished.task
    if opened.finished != facts["data"].get("finished", False):
        raise TrainError(f"the run and {opened.name} do not agree on who normalizes the images")
    if task == "reconstruction":
        return
    kinds = {"segmentation": "masks", "regression": "numbers to be told"}
    kind = kinds["segmentation"] if opened.has_masks else "classes"
    kind = kinds["regression"] if opened.targets else kind
    if kind != kinds.get(task, "classes"):
        raise TrainError(f"{opened.name} has {kind}, and the run is one of {task}")
    if task == "regression" and list(opened.targets) != finished.targets:
        raise TrainError(
            f"the network tells {', '.join(finished.targets)}; {opened.name} has "
            f"{', '.join(opened.targets)}"
        )
    count = len(finished.classes)
    if task != "regression" and len(opened.classes) != count:
        raise TrainError(
            f"the network tells {count} classes apart, {opened.name} has {len(opened.classes)}"
        )


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
    """Evaluate a network that tells classes of images apart on validation images.

    ``top`` is up to which k the share of images is counted whose class is among the first k, and
    at least 5.

    Errors:
        TrainError: as for ``open_evaluated``.
    """
    count = len(finished.classes)
    if top > max(count, TOP):
        raise TrainError(f"top-{top} of {count} classes: there are no more than {count}")
    opened = open_evaluated(finished, data, root=root, download=download)
    most = min(max(top, TOP), count)
    confusion = torch.zeros(count, count, dtype=torch.long)
    places = torch.zeros(most, dtype=torch.long)
    confidences, hits = [], []
    worst: Worst[Callable[[str | None], WorstImage]] = Worst(WORST)
    for x, y in DataLoader(opened.validation, batch_size=BATCH, num_workers=workers):
        scores = finished.probabilities(opened.normalize(x.to(device))).cpu()
        ranked = scores.topk(most, dim=1)
        guesses = ranked.indices[:, 0]
        confusion += count_pairs(y, guesses, count)
        places += (ranked.indices == y[:, None]).sum(dim=0)
        confidences.append(ranked.values[:, 0])
        hits.append(guesses == y)
        _keep_worst(worst, finished.classes, x, y, scores)
    images = int(confusion.sum())
    accuracies = tuple(hit / images for hit in places.cumsum(0).tolist())
    rows = tuple(tuple(row) for row in confusion.tolist())
    calibration = calibrate(torch.cat(confidences), torch.cat(hits))
    kept = tuple(make(file) for file, make in worst.named(opened))
    return Evaluation(images, accuracies, rows, calibration, kept, top)


def count_pairs(labels: Tensor, guesses: Tensor, classes: int) -> Tensor:
    """How often each class, a row, was taken for each, a column: K×K."""
    pairs = labels * classes + guesses
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _keep_worst(
    worst: Worst[Callable[[str | None], WorstImage]],
    classes: list[str],
    images: Tensor,
    labels: Tensor,
    scores: Tensor,
) -> None:
    """Keep the images of a batch whose own class gets the lowest probability."""
    first = worst.seen
    guesses = scores.argmax(dim=1)
    chances = scores.gather(1, labels[:, None]).squeeze(1)

    def image(i: int) -> Callable[[str | None], WorstImage]:
        guess = int(guesses[i])
        return partial(
            WorstImage,
            first + i,
            classes[int(labels[i])],
            float(chances[i]),
            classes[guess],
            float(scores[i, guess]),
            images[i].clone(),
        )

    worst.add(-chances, image)


Kept = TypeVar("Kept")


class Worst(Generic[Kept]):
    """Keeps what belongs to the images that a network is worst at; of equal ones, the first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[tuple[float, int, Kept]] = []
        self.seen = 0

    def add(self, badness: Tensor, make: Callable[[int], Kept]) -> None:
        """Look at a batch: how bad each image is, and what is kept of the one at a place."""
        order = torch.sort(badness, descending=True, stable=True).indices
        self.kept += [
            (-float(badness[i]), self.seen + i, make(i)) for i in order[: self.most].tolist()
        ]
        self.kept = sorted(self.kept, key=lambda row: row[:2])[: self.most]
        self.seen += len(badness)

    def named(self, data: ImageData) -> Iterator[tuple[str | None, Kept]]:
        """What was kept, the worst first, with the file of its image, where it is known."""
        source = data.validation
        # With broken images left out, another file may have taken the place.
        is_named = isinstance(source, EncodedImages) and not source.skips_broken
        for _, index, kept in self.kept:
            yield source.name_of(index) if is_named else None, kept  # type: ignore[attr-defined]
