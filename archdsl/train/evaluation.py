"""Evaluation: how often a trained network is right, and which classes it confuses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from archdsl.train.checkpoints import write_text
from archdsl.train.data import open_data
from archdsl.train.errors import TrainError
from archdsl.train.finished import Finished
from archdsl.train.report import save_figure

_BATCH = 256
#: With more classes, the numbers in the cells would be illegible.
_MAX_CELLS = 25


@dataclass(frozen=True)
class Evaluation:
    """Shares of images whose class is the first, or among the first five, of the network's.

    ``confusion[i][j]`` counts images of class i that were taken for class j.
    """

    images: int
    top1: float
    top5: float
    confusion: tuple[tuple[int, ...], ...]


def evaluate_run(
    finished: Finished, data: str | None, *, root: Path, download: bool, workers: int, device: str
) -> Evaluation:
    """Evaluate on the validation images of a data set, the run's own by default.

    Errors:
        TrainError: where the data cannot be read or has other classes.
    """
    facts = finished.facts
    opened = open_data(
        data or facts["data"]["name"],
        input=finished.input,
        root=root,
        download=download,
        seed=facts["options"]["seed"],
        classes=len(finished.classes),
        skip_broken=bool(facts["options"].get("skip_broken")),
    )
    if opened.finished != facts["data"].get("finished", False):
        raise TrainError(f"the run and {opened.name} do not agree on who normalizes the images")
    if len(opened.classes) != len(finished.classes):
        raise TrainError(
            f"the network tells {len(finished.classes)} classes apart, {opened.name} has "
            f"{len(opened.classes)}"
        )
    count = len(finished.classes)
    confusion = torch.zeros(count, count, dtype=torch.long)
    hits5 = images = 0
    for x, y in DataLoader(opened.validation, batch_size=_BATCH, num_workers=workers):
        scores = finished.probabilities(opened.normalize(x.to(device))).cpu()
        ranked = scores.topk(min(5, count), dim=1).indices
        confusion += _count(y, ranked[:, 0], count)
        hits5 += int((ranked == y[:, None]).any(dim=1).sum())
        images += len(y)
    hits1 = int(confusion.diagonal().sum())
    rows = tuple(tuple(row) for row in confusion.tolist())
    return Evaluation(images, hits1 / images, hits5 / images, rows)


def _count(labels: Tensor, guesses: Tensor, classes: int) -> Tensor:
    pairs = labels * classes + guesses
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def write_evaluation(finished: Finished, evaluation: Evaluation) -> list[Path]:
    """Write ``evaluation.json`` and the picture of the confusions into the run's folder."""
    folder = finished.run.folder
    facts = {
        "images": evaluation.images,
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "classes": finished.classes,
        "confusion": evaluation.confusion,
    }
    path = folder / "evaluation.json"
    text = json.dumps(facts, ensure_ascii=False) + "\n"
    write_text(path, text)
    return [path, *_draw_confusion(folder, finished.classes, evaluation)]


def _draw_confusion(folder: Path, classes: list[str], evaluation: Evaluation) -> list[Path]:
    from matplotlib.figure import Figure

    count = len(classes)
    shares = torch.tensor(evaluation.confusion, dtype=torch.float)
    shares = shares / shares.sum(dim=1, keepdim=True).clamp_min(1)
    size = min(4 + 0.3 * count, 14)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares.tolist(), cmap="cividis", vmin=0, vmax=1)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    axes.set_title(f"top-1 {evaluation.top1:.2%} of {evaluation.images:,} images")
    if count <= _MAX_CELLS:
        axes.set_xticks(range(count), classes, rotation=45, ha="right")
        axes.set_yticks(range(count), classes)
        for i, row in enumerate(evaluation.confusion):
            for j, number in enumerate(row):
                color = "black" if shares[i, j] > 0.5 else "white"
                axes.text(j, i, str(number), ha="center", va="center", color=color, fontsize=8)
    return save_figure(figure, folder / "confusion")
