"""``folder:PATH`` with numbers to be told: images, and ``targets.csv`` with those of each."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import Augmentation
from archdsl.report.text import printable
from archdsl.train.data.augmentation import is_enlarged, plan_preparations, refuse_mixing
from archdsl.train.data.images import FileImages, ImageData
from archdsl.train.data.preparation import IMAGENET
from archdsl.train.errors import TrainError

TABLE = "targets.csv"


@dataclass(frozen=True)
class TargetTable:
    """The names of the targets, the paths of the images, and their targets, float32 N×K."""

    names: tuple[str, ...]
    paths: list[str]
    targets: Tensor


def has_targets(path: Path) -> bool:
    """Whether a folder has a table of targets in one of its parts."""
    return any((path / part / TABLE).is_file() for part in ("train", "val"))


def open_targets(
    name: str, path: Path, input: Volume, augment: Sequence[Augmentation], skip_broken: bool
) -> ImageData:
    """The images that ``train/targets.csv`` and ``val/targets.csv`` name, with their targets.

    Raises ``TrainError`` with file and line where a table is missing or has a row that does not
    fit, an image is missing, or the parts have different targets.
    """
    refuse_mixing(name, "targets", augment)
    training, validation = (read_targets(path / part / TABLE) for part in ("train", "val"))
    if training.names != validation.names:
        raise TrainError(
            f"{path / 'val' / TABLE}:1: the targets are {', '.join(validation.names)}; in training "
            f"they are {', '.join(training.names)}"
        )
    statistics = IMAGENET.for_channels(input.channels)
    prepare_training, prepare = plan_preparations(input, augment)
    return ImageData(
        name,
        FileImages(training.paths, training.targets, prepare_training, skip_broken=skip_broken),
        FileImages(validation.paths, validation.targets, prepare, skip_broken=skip_broken),
        (),
        statistics.mean,
        statistics.std,
        is_enlarged(augment),
        finished=False,
        targets=training.names,
    )


def read_targets(path: Path) -> TargetTable:
    """A table with a line of names, then a line for each image: its path, and a number for each.

    The first column has the path, from the folder of the table on. Raises ``TrainError`` with file
    and line.
    """
    rows = _rows(path)
    line, header = next(rows, (1, []))
    names = tuple(name.strip() for name in header[1:])
    if not names or not all(names) or _is_number(names[0]):
        raise TrainError(
            f"{path}:{line}: the first line names the columns: the image, and each of its targets"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TrainError(f"{path}:{line}: two targets are called {printable(twice)}")
    found: dict[str, list[float]] = {}
    for line, (image, *values) in rows:
        place = f"{path}:{line}"
        if len(values) != len(names):
            raise TrainError(
                f"{place}: {len(values)} numbers, and {len(names)} targets: {', '.join(names)}"
            )
        file = str(path.parent / image)
        if file in found:
            raise TrainError(f"{place}: {printable(image)} has a line already")
        if not image or not Path(file).is_file():
            raise TrainError(f"{place}: there is no image {printable(image)!r} in {path.parent}")
        found[file] = [
            _number(place, name, value) for name, value in zip(names, values, strict=True)
        ]
    if not found:
        raise TrainError(f"{path} names no image")
    return TargetTable(names, list(found), torch.tensor([*found.values()], dtype=torch.float32))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, with the lines that they end in."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield reader.line_num, [cell.strip() for cell in row]
    except FileNotFoundError:
        raise TrainError(f"{path} is not there: both parts need one") from None
    except OSError as error:
        raise TrainError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TrainError(f"{path}: cannot be read: it is not UTF-8") from None
    except csv.Error as error:
        raise TrainError(f"{path}:{reader.line_num}: {error}") from None


def _number(place: str, name: str, text: str) -> float:
    """A number that is finite in single precision, in which it is compared."""
    if not _is_number(text):
        raise TrainError(f"{place}: {name} is {printable(text)!r}, not a number")
    value = torch.tensor(float(text), dtype=torch.float32).item()
    if not math.isfinite(value):
        raise TrainError(f"{place}: {name} is {printable(text)}, which no network can learn")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python reads and nobody else
