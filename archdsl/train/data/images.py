"""Sets of labelled images: in memory, or one file each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from archdsl.train.data.decoding import BrokenImage, decode_image
from archdsl.train.data.preparation import Normalization, Preparation, Statistics
from archdsl.train.faults import TrainFault

#: An image of the network's input volume, C×H×W, and the index of its class. Its numbers are pixels
#: from 0 to 255, mostly uint8; or they are normalized already, where the user's data are.
Sample = tuple[Tensor, int]
Images = Dataset[Sample]


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images to train with and images to validate with, of the network's input volume.

    ``mean`` and ``std`` are what the images are normalized with, one number a channel, for pixels
    from 0 to 1; ``enlarged`` says that validation images are cut out of an enlarged one, as those
    of ``random_crop`` are. ``prepare_image`` needs all three. ``finished`` images are as the
    network takes them; all others go through ``normalize``, on the device that trains.
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

    def normalize(self, images: Tensor) -> Tensor:
        """A batch as the network takes it, float32 N×C×H×W, on the device where it is."""
        return images.float() if self.finished else self._normalization(images)

    @cached_property
    def _normalization(self) -> Normalization:
        return Normalization(Statistics(self.mean, self.std))

    @property
    def is_quick(self) -> bool:
        """Whether nothing has to be read or decoded: one process gives images fast enough then."""
        return getattr(_origin(self.train), "is_quick", False)

    @property
    def broken(self) -> tuple[Path, ...]:
        """The broken images met so far, by this process and its workers; sorted."""
        met: set[Path] = set()
        for part in (self.train, self.validation):
            images = _origin(part)
            if isinstance(images, FileImages):
                met.update(images.broken)
        return tuple(sorted(met))


def _origin(images: Images) -> Images:
    """The set that a part of it was taken from."""
    while isinstance(images, Subset):
        images = images.dataset
    return images


class MemoryImages(Dataset[Sample]):
    """Images held as one uint8 tensor, N×C×h×w, decoded once.

    A whole batch is prepared at once, which costs far less than image by image.
    """

    is_quick = True

    def __init__(self, images: Tensor, labels: Tensor, preparation: Preparation) -> None:
        self.images = images
        self.labels: list[int] = labels.tolist()
        self.preparation = preparation

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([range(len(self))[index]])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """What PyTorch's data loader asks for a batch."""
        batch = self.preparation(torch.from_numpy(self.images.numpy()[list(indices)]))
        return list(zip(batch.unbind(), (self.labels[i] for i in indices), strict=True))


class FileImages(Dataset[Sample]):
    """Images decoded when asked for.

    A file that does not decode is a ``TrainFault`` naming it. With ``skip_broken`` the next good
    file of the list takes its place, label and all: which one depends on the files alone, not on
    workers or on the order of reading. Flags in memory shared with the workers tell which broken
    files were met, each counted once.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: Sequence[int],
        preparation: Preparation,
        *,
        skip_broken: bool = False,
    ) -> None:
        self.paths = paths
        self.labels = labels
        self.preparation = preparation
        self._broken: Tensor | None = None
        if skip_broken:
            flags = torch.zeros(len(paths), dtype=torch.bool)
            self._broken = flags.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def broken(self) -> tuple[Path, ...]:
        """The broken files met so far."""
        if self._broken is None:
            return ()
        return tuple(Path(self.paths[i]) for i in self._broken.nonzero().flatten().tolist())

    def __getitem__(self, index: int) -> Sample:
        image, found = self._decode(range(len(self))[index])
        return self.preparation(image.unsqueeze(0)).squeeze(0), self.labels[found]

    def _decode(self, index: int) -> tuple[Tensor, int]:
        """The image at ``index``, or the next one that decodes, and where it was."""
        channels = self.preparation.input.channels
        if self._broken is None:
            try:
                return decode_image(Path(self.paths[index]), channels), index
            except BrokenImage as error:
                raise TrainFault(f"{error}; `--skip-broken` goes on without it") from error
        for candidate in (*range(index, len(self)), *range(index)):
            if self._broken[candidate]:
                continue
            try:
                return decode_image(Path(self.paths[candidate]), channels), candidate
            except BrokenImage:
                self._broken[candidate] = True
        raise TrainFault(f"{os.path.commonpath(self.paths)}: no image can be decoded")
