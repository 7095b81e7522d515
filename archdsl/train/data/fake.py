"""``fake:N``: generated images, to try a network without data."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import torch
from torch import nn
from torch.utils.data import Dataset

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import Augmentation
from archdsl.train.data.augmentation import is_enlarged, plan_preparations
from archdsl.train.data.images import ImageData, Sample
from archdsl.train.data.preparation import IMAGENET, Preparation
from archdsl.train.errors import TrainError

#: A class is a grid of this many fields each way, with brightnesses below ``_BRIGHTEST``.
_FIELDS = 4
_BRIGHTEST = 192
#: An image adds noise below this power of two to each pixel.
_NOISE = 64


def open_fake(
    name: str,
    count: str,
    classes: int,
    seed: int,
    input: Volume,
    augment: Sequence[Augmentation],
) -> ImageData:
    """``count`` images to train and a quarter as many others to validate, of the input's size.

    Classes take turns. An image shows the pattern of its class under noise, so that networks can
    learn from it; everything follows from ``seed`` and the image's index.
    """
    if not (count.isascii() and count.isdecimal() and int(count) > 0):
        raise TrainError(f"`{name}`: write a number of images above 0, such as `fake:64`")
    if classes < 1:
        raise TrainError(f"`{name}`: {classes} classes cannot be made up")
    statistics = IMAGENET.for_channels(input.channels)
    prepare_training, prepare = plan_preparations(input, augment)
    number = int(count)
    held_out = range(number, number + max(1, number // 4))
    return ImageData(
        name,
        FakeImages(range(number), classes, seed, prepare_training),
        FakeImages(held_out, classes, seed, prepare),
        tuple(map(str, range(classes))),
        statistics.mean,
        statistics.std,
        is_enlarged(augment),
        finished=False,
    )


class FakeImages(Dataset[Sample]):
    """The made-up images with these numbers, each made when asked for."""

    is_known = is_quick = True

    def __init__(self, numbers: range, classes: int, seed: int, preparation: Preparation) -> None:
        self.numbers = numbers
        self.classes = classes
        self.seed = seed
        self.preparation = preparation

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Sample:
        number = self.numbers[index]
        label = number % self.classes
        volume = self.preparation.input
        size = volume.height, volume.width
        pattern = torch.randint(
            _BRIGHTEST,
            (1, volume.channels, _FIELDS, _FIELDS),
            dtype=torch.uint8,
            generator=self._generator(label, "pattern"),
        )
        # Eight pixels of noise per random number: drawing them singly would take most of the time.
        drawn = torch.empty(volume.elements // 8 + 1, dtype=torch.int64)
        drawn.random_(generator=self._generator(number, "noise"))
        noise = drawn.view(torch.uint8)[: volume.elements].view(volume.torch_sizes) & (_NOISE - 1)
        image = nn.functional.interpolate(pattern, size=size) + noise
        return self.preparation(image).squeeze(0), label

    def _generator(self, number: int, kind: str) -> torch.Generator:
        """A generator that depends on the seed, the number and the kind alone."""
        # torch's generator on the CPU uses only 32 bits of its seed.
        seed = crc32(f"{self.seed} {number} {kind}".encode())
        return torch.Generator().manual_seed(seed)
