"""What an evaluation writes: its numbers, and pictures of confusions, reliability and the worst."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archdsl.report.text import count_of
from archdsl.train.calibration import Calibration
from archdsl.train.checkpoints import write_text
from archdsl.train.evaluation import Evaluation, WorstImage
from archdsl.train.finished import Finished
from archdsl.train.report import save_figure
from archdsl.train.task import TOP

#: With more classes, the numbers in the cells would be illegible.
_MAX_CELLS = 25
#: Images in a row, and letters of a class below one.
_ROW = 4
_LETTERS = 18


def write_evaluation(finished: Finished, evaluation: Evaluation) -> list[Path]:
    """Write ``evaluation.json`` and its pictures into the run's folder: confusions, reliability,
    and the worst images."""
    folder, classes = finished.run.folder, finished.classes
    calibration = evaluation.calibration
    facts = {
        "images": evaluation.images,
        **{f"top{k}": evaluation.top(k) for k in sorted({1, TOP, evaluation.k})},
        "classes": classes,
        "confusion": evaluation.confusion,
        "scores": [asdict(score) for score in evaluation.scores(classes)],
        "calibration": {
            "error": calibration.error,
            "confidence": calibration.confidence,
            "bins": [asdict(each) for each in calibration.bins],
        },
        "worst": [image.facts() for image in evaluation.worst],
    }
    path = write_numbers(finished, facts)
    title = f"top-1 {evaluation.top1:.2%} of {evaluation.images:,} images"
    return [
        path,
        *draw_confusion(folder / "confusion", classes, evaluation.confusion, title),
        *_draw_calibration(folder / "reliability", calibration),
        *_draw_worst(folder / "worst", evaluation.worst),
    ]


def write_numbers(finished: Finished, facts: dict[str, Any]) -> Path:
    """Write ``evaluation.json`` into the run's folder."""
    path = finished.run.folder / "evaluation.json"
    write_text(path, json.dumps(facts, ensure_ascii=False) + "\n")
    return path


def draw_confusion(
    path: Path, classes: Sequence[str], confusion: Sequence[Sequence[int]], title: str
) -> list[Path]:
    """A matrix with a row for each class and a column for what it was taken for."""
    from matplotlib.figure import Figure

    count = len(classes)
    shares = torch.tensor(confusion, dtype=torch.float)
    shares = shares / shares.sum(dim=1, keepdim=True).clamp_min(1)
    size = min(4 + 0.3 * count, 14)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares.tolist(), cmap="cividis", vmin=0, vmax=1)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    axes.set_title(title)
    if count <= _MAX_CELLS:
        axes.set_xticks(range(count), classes, rotation=45, ha="right")
        axes.set_yticks(range(count), classes)
        for i, row in enumerate(confusion):
            for j, number in enumerate(row):
                color = "black" if shares[i, j] > 0.5 else "white"
                axes.text(j, i, str(number), ha="center", va="center", color=color, fontsize=8)
    return save_figure(figure, path)


def _draw_calibration(path: Path, calibration: Calibration) -> list[Path]:
    """A reliability diagram (Guo et al. 2017, figure 1): accuracy by confidence, and how many
    images have which confidence."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    bins = calibration.bins
    lows, width = [each.low for each in bins], 1 / len(bins)
    figure = Figure(figsize=(5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    some = [each for each in bins if each.images]
    upper.bar(
        [each.low for each in some],
        [each.accuracy for each in some],
        width,
        align="edge",
        color="#4c78a8",
        edgecolor="white",
        label="accuracy",
    )
    upper.plot([0, 1], [0, 1], "--", color="black", linewidth=1, label="accuracy = confidence")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    upper.set_title(f"expected calibration error {calibration.error:.2%}, {len(bins)} bins")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    shares = [each.images / calibration.images for each in bins]
    lower.bar(lows, shares, width, align="edge", color="#9aa5b1", edgecolor="white")
    for each, share in zip(bins, shares, strict=True):
        if each.images:
            middle = (each.low + each.high) / 2
            lower.text(middle, share, f"{each.images:,}", ha="center", va="bottom", fontsize=7)
    lower.set(xlabel="confidence", ylabel="images", ylim=(0, 1.15 * max(shares)))
    for axis in (upper.xaxis, upper.yaxis, lower.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    return save_figure(figure, path)


def _draw_worst(path: Path, worst: Sequence[WorstImage]) -> list[Path]:
    """The worst images in rows, the worst first, each with its class and what it was taken for."""
    from matplotlib.figure import Figure

    rows = -(-len(worst) // _ROW)
    figure = Figure(figsize=(2.1 * _ROW, 2.5 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, _ROW, squeeze=False).flatten()
    for axes in grid:
        axes.set_axis_off()
    for axes, image in zip(grid, worst, strict=False):
        axes.imshow(displayed(image.pixels), cmap="gray", vmin=0, vmax=1)
        label, guess = _short(image.label), _short(image.guess)
        said = f"class {label}: {image.probability:.0%}\n"
        if image.guess == image.label:
            said += "right"
        else:
            said += f"taken for {guess}: {image.confidence:.0%}"
        axes.set_title(said, fontsize=9, parse_math=False)
    figure.suptitle(f"{count_of(len(worst), 'image')} whose class has the lowest probability")
    return save_figure(figure, path)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


def displayed(pixels: Tensor) -> list[object]:
    """Rows of grey or of colours from 0 to 1; the user's own floats are stretched to that."""
    if pixels.dtype == torch.uint8:
        shares = pixels.float() / 255
    else:
        low, high = pixels.min(), pixels.max()
        shares = (pixels.float() - low) / (high - low).clamp_min(1e-12)
    shown: list[object] = (shares[0] if len(shares) == 1 else shares.permute(1, 2, 0)).tolist()
    return shown
