"""What an evaluation of masks, images or numbers writes: its numbers, and the worst images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from archdsl.report.text import count_of
from archdsl.train.evaluation_report import displayed, draw_confusion, write_numbers
from archdsl.train.finished import Finished
from archdsl.train.masks import coloured
from archdsl.train.other_evaluation import (
    ReconstructionEvaluation,
    RegressionEvaluation,
    SegmentationEvaluation,
    WorstOutput,
)
from archdsl.train.report import save_figure

#: The width of a panel in inches, and its largest height in widths.
_SIDE, _TALLEST = 1.9, 2.0
#: Targets that are written beside an image.
_MOST_TARGETS = 6

#: A part of a row of a picture: its heading, and an image as rows, or lines of text.
Panel = tuple[str, list[object] | str]


def write_segmentation(finished: Finished, found: SegmentationEvaluation) -> list[Path]:
    """Write ``evaluation.json`` and pictures of the confusions and the worst masks."""
    facts = {
        "task": finished.task,
        "images": found.images,
        "accuracy": found.accuracy,
        "miou": found.miou,
        "classes": finished.classes,
        "scores": [asdict(each) for each in found.classes],
        "confusion": found.confusion,
        "worst": [image.facts() for image in found.worst],
    }
    folder, title = finished.run.folder, f"mIoU {found.miou:.2%} of {found.images:,} images"

    def panels(image: WorstOutput) -> list[Panel]:
        return [
            (f"mIoU {image.numbers['miou']:.1%}", displayed(image.pixels)),
            ("target", displayed(coloured(image.target))),
            ("prediction", displayed(coloured(image.output))),
        ]

    return [
        write_numbers(finished, facts),
        *draw_confusion(folder / "confusion", finished.classes, found.confusion, title),
        *_draw_worst(finished, found.worst, panels, "lowest mIoU"),
    ]


def write_reconstruction(finished: Finished, found: ReconstructionEvaluation) -> list[Path]:
    """Write ``evaluation.json`` and a picture of the worst images beside what was made of them."""
    facts = {
        "task": finished.task,
        "images": found.images,
        "mse": found.mse,
        "mae": found.mae,
        "psnr": found.psnr,
        "worst": [image.facts() for image in found.worst],
    }

    def panels(image: WorstOutput) -> list[Panel]:
        both = torch.stack([image.target, image.output])
        if not finished.facts["data"]["finished"]:
            both = (both.clamp(0, 1) * 255).round().to(torch.uint8)
        return [
            (f"MSE {image.numbers['mse']:.4g}", displayed(both[0])),
            ("reconstruction", displayed(both[1])),
        ]

    return [
        write_numbers(finished, facts),
        *_draw_worst(finished, found.worst, panels, "largest mean squared error"),
    ]


def write_regression(finished: Finished, found: RegressionEvaluation) -> list[Path]:
    """Write ``evaluation.json`` and a picture of the worst images with targets and answers."""
    facts = {
        "task": finished.task,
        "images": found.images,
        "mse": found.mse,
        "mae": found.mae,
        "targets": [asdict(target) for target in found.targets],
        "worst": [
            {
                **image.facts(),
                "target": _by_name(finished, image.target),
                "prediction": _by_name(finished, image.output),
            }
            for image in found.worst
        ],
    }

    def panels(image: WorstOutput) -> list[Panel]:
        wanted, told = (_by_name(finished, each) for each in (image.target, image.output))
        rows = [f"{name}: {told[name]:.4g}, not {wanted[name]:.4g}" for name in wanted]
        return [
            (f"MSE {image.numbers['mse']:.4g}", displayed(image.pixels)),
            ("", "\n".join(rows[:_MOST_TARGETS])),
        ]

    return [
        write_numbers(finished, facts),
        *_draw_worst(finished, found.worst, panels, "largest mean squared error"),
    ]


def _by_name(finished: Finished, numbers: Tensor) -> dict[str, float]:
    return dict(zip(finished.targets, numbers.tolist(), strict=True))


def _draw_worst(
    finished: Finished,
    worst: Sequence[WorstOutput],
    panels: Callable[[WorstOutput], list[Panel]],
    what: str,
) -> list[Path]:
    """The worst images in two columns, the worst first, each with its panels side by side."""
    from matplotlib.figure import Figure

    shown = [panels(image) for image in worst]
    across, rows = len(shown[0]), -(-len(shown) // 2)
    high, wide = worst[0].pixels.shape[-2:]
    tall = _SIDE * min(high / wide, _TALLEST) + 0.35
    figure = Figure(figsize=(_SIDE * 2 * across, tall * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, 2 * across, squeeze=False)
    for axes in grid.flatten():
        axes.set_axis_off()
    for place, parts in enumerate(shown):
        row, column = divmod(place, 2)
        for number, (heading, content) in enumerate(parts):
            axes = grid[row, across * column + number]
            axes.set_title(heading, fontsize=9, parse_math=False)
            if isinstance(content, str):
                axes.text(0, 0.5, content, fontsize=8, va="center", parse_math=False)
            else:
                axes.imshow(content, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    figure.suptitle(f"{count_of(len(worst), 'image')} with the {what}")
    return save_figure(figure, finished.run.folder / "worst")
