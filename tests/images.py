"""What the tests of data share: volumes, faults and pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from archdsl.layers.volume import Volume
from archdsl.train.data import ImageData, open_data
from archdsl.train.errors import TrainError

LENET = Volume.image(32, 32, 1)
SMALL = Volume.image(24, 24, 3)
COLOURS = {"blue": (0, 0, 250), "green": (0, 250, 0), "red": (250, 0, 0)}
PER_CLASS = 4


def fault_of(call: Callable[[], Any]) -> str:
    """The line of the fault that the call raises."""
    try:
        call()
    except TrainError as fault:
        # A loader held by a traceback until the next collection takes seconds to end its workers.
        fault.__traceback__ = None
        message = str(fault)
    else:
        pytest.fail("no fault was raised")
    assert "\n" not in message
    return message


def pixels_of(data: ImageData, image: Tensor) -> Tensor:
    """Pixels from 0 to 255: as they are, or back from normalized numbers."""
    if not data.finished:
        return image.float()
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.mean, data.std))
    return (image * std + mean) * 255


class Ramp(Dataset[Any]):
    """One image whose pixel in row r and column c is r, c, 0."""

    def __init__(self, height: int, width: int) -> None:
        places = (torch.arange(size, dtype=torch.uint8) for size in (height, width))
        row, column = torch.meshgrid(*places, indexing="ij")
        self.image = torch.stack([row, column, torch.zeros_like(row)])

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.image, 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of four plain images each, in both parts."""
    path = tmp_path / "photos"
    for part in ("train", "val"):
        for name, colour in COLOURS.items():
            (path / part / name).mkdir(parents=True)
            for index in range(PER_CLASS):
                image = Image.new("RGB", (40 + index, 50), colour)
                image.save(path / part / name / f"{index}.png")
    return path


def open_photos(folder: Path, **options: Any) -> ImageData:
    """The images of ``folder``, of the input ``SMALL`` by default."""
    return open_data(f"folder:{folder}", input=options.pop("input", SMALL), **options)
