"""Sets of labelled images: in memory, or in files."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from archdsl.train.data.decoding import BrokenImageError, decode_quickly, read_content
from archdsl.train.data.preparation import Normalization, Preparation, Statistics
from archdsl.train.errors import TrainError

#: An image of the network's input volume, C×H×W, and the index of its class; or in place of that
#: its mask or its targets. The numbers of the image are pixels from 0 to 255, mostly uint8, or
#: already normalized where the user's data is.
Sample = tuple[Tensor, Any]
Images = Dataset[Sample]


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images to train with and images to validate with, of the network's input volume.

    ``mean`` and ``std`` are what the images are normalized with, one number per channel, for
    pixels from 0 to 1; ``enlarged`` says that validation images are cut out of enlarged ones, as
    those of ``random_crop`` are. A file that is classified needs all three. ``finished`` images
    are as the network takes them; all others go through ``normalize``, on the device that trains.
    """

    name: str
    train: Images
    #: Without augmentation.
    validation: Images
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    enlarged: bool = False
    finished: bool = True
    #: Whether the label of an image is a mask, uint8 H×W, with the class of each pixel.
    has_masks: bool = False
    #: The names of the numbers that are told of an image, float32; empty where it has a class.
    targets: tuple[str, ...] = ()

    def normalize(self, images: Tensor) -> Tensor:
        """A batch as the network takes it, float32 N×C×H×W, on the device where it is."""
        return images.float() if self.finished else self._normalization(images)

    def denormalize(self, images: Tensor) -> Tensor:
        """Pixels from 0 to 1 of what ``normalize`` returns; the user's finished images stay."""
        return self._normalization.undo(images)

    @cached_property
    def _normalization(self) -> Normalization:
        return Normalization(Statistics(self.mean, self.std))

    @property
    def train_without_augmentation(self) -> Images:
        """The images to train with, prepared like those to validate."""
        prepared = getattr(_origin(self.validation), "preparation", None)
        if prepared is None:  # the user's own ImageData
            return self.train
        plain: Any = copy.copy(_origin(self.train))
        plain.preparation = prepared
        return Subset(plain, self.train.indices) if isinstance(self.train, Subset) else plain

    def validated_as(self, preparation: Preparation, statistics: Statistics) -> ImageData:
        """The same, with the images to validate with prepared and normalized as in another run.

        Images that the user prepared stay as they are.
        """
        validation: Any = self.validation
        if isinstance(getattr(validation, "preparation", None), Preparation):
            validation = copy.copy(validation)
            validation.preparation = preparation
        return replace(self, validation=validation, mean=statistics.mean, std=statistics.std)

    @property
    def is_quick(self) -> bool:
        """Whether nothing has to be read, decoded or augmented: one process does the rest."""
        return getattr(_origin(self.train), "is_quick", False)

    @property
    def broken(self) -> tuple[Path, ...]:
        """The broken images met so far, by this process and its workers; sorted."""
        met: set[Path] = set()
        for part in (self.train, self.validation):
            images = _origin(part)
            if isinstance(images, EncodedImages):
                met.update(images.broken)
        return tuple(sorted(met))


def _origin(images: Images) -> Images:
    """The set from which a subset was taken."""
    while isinstance(images, Subset):
        images = images.dataset
    return images


def is_known(images: Images) -> bool:
    """Whether a set is one of archdsl's, in which only the augmentations are random."""
    return getattr(_origin(images), "is_known", False)


class MemoryImages(Dataset[Sample]):
    """Images held as one uint8 tensor, N×C×h×w, decoded once.

    A whole batch is prepared at once, which costs far less than image by image.
    """

    is_known = True

    def __init__(self, images: Tensor, labels: Tensor, preparation: Preparation) -> None:
        self.images = images
        self.labels: list[int] = labels.tolist()
        self.preparation = preparation

    @property
    def is_quick(self) -> bool:
        return not self.preparation.changes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([range(len(self))[index]])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """What PyTorch's data loader calls for a batch."""
        batch = self.preparation(torch.from_numpy(self.images.numpy()[list(indices)]))
        return list(zip(batch.unbind(), (self.labels[i] for i in indices), strict=True))


class EncodedImages(Dataset[Sample]):
    """Images decoded when asked for; a subclass knows where their bytes are.

    An image that does not decode raises a ``TrainError`` naming it. With ``skip_broken`` the next
    good one takes its place, label and all: which one depends on the files alone, not on workers
    or on the order of reading. Flags in memory shared with the workers tell which broken images
    were met, each counted once.
    """

    is_known = True

    def __init__(
        self,
        labels: Sequence[int] | Tensor,
        preparation: Preparation,
        *,
        skip_broken: bool = False,
    ) -> None:
        self.labels = labels
        self.preparation = preparation
        self._broken: Tensor | None = None
        if skip_broken:
            flags = torch.zeros(len(labels), dtype=torch.bool)
            self._broken = flags.share_memory_()  # type: ignore[no-untyped-call]

    def name_of(self, index: int) -> str:
        """The file of an image."""
        raise NotImplementedError

    def read(self, index: int) -> bytes:
        """Its bytes. Raises ``TrainError`` where they cannot be read."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def skips_broken(self) -> bool:
        return self._broken is not None

    @property
    def broken(self) -> tuple[Path, ...]:
        """The broken images met so far."""
        if self._broken is None:
            return ()
        return tuple(Path(self.name_of(i)) for i in self._broken.nonzero().flatten().tolist())

    def __getitem__(self, index: int) -> Sample:
        image, found = self.decode(range(len(self))[index])
        label = self.labels[found]
        return (
            self.preparation(image.unsqueeze(0)).squeeze(0),
            label if isinstance(label, Tensor) else int(label),
        )

    def decode(self, index: int) -> tuple[Tensor, int]:
        """The image at ``index``, or the next one that decodes, and where it was."""
        if self._broken is None:
            try:
                return self._decode_one(index), index
            except BrokenImageError as error:
                raise TrainError(f"{error}; `--skip-broken` continues without it") from error
        for candidate in (*range(index, len(self)), *range(index)):
            if self._broken[candidate]:
                continue
            try:
                return self._decode_one(candidate), candidate
            except BrokenImageError:
                self._broken[candidate] = True
        folder = os.path.commonpath([self.name_of(0), self.name_of(len(self) - 1)])
        raise TrainError(f"{folder}: no image can be decoded")

    def _decode_one(self, index: int) -> Tensor:
        channels = self.preparation.input.channels
        return decode_quickly(self.read(index), self.name_of(index), channels)


class FileImages(EncodedImages):
    """Images of which each is a file."""

    def __init__(
        self,
        paths: Sequence[str],
        labels: Sequence[int] | Tensor,
        preparation: Preparation,
        *,
        skip_broken: bool = False,
    ) -> None:
        super().__init__(labels, preparation, skip_broken=skip_broken)
        self.paths = paths

    def name_of(self, index: int) -> str:
        return self.paths[index]

    def read(self, index: int) -> bytes:
        return read_content(Path(self.paths[index]))
