"""Loaders whose order and augmentation depend on the seed and the epoch alone.

So a run that was killed resumes exactly as it would have continued, and two processes together see
the same batches that one would see.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from archdsl.recipe.augmentations import Augmentation, Mixing
from archdsl.train.data.images import is_known
from archdsl.train.stopping import ignore_signals


def mix(*numbers: int) -> int:
    """A seed from several numbers: PyTorch's generator on the CPU uses only 32 bits."""
    return crc32(":".join(map(str, numbers)).encode())


class EpochSampler(Sampler[int]):
    """Shuffles by seed and epoch; process ``rank`` of ``world`` takes every ``world``-th image.

    Yields ``epoch · n + index``, so that a dataset can tell the epoch in any worker. The first
    ``skip`` images of the process are left out: a resumed run has seen them.
    """

    def __init__(
        self, size: int, *, seed: int, shuffle: bool, rank: int = 0, world: int = 1
    ) -> None:
        self.size = size
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world = world
        self.epoch = self.skip = 0

    @property
    def share(self) -> int:
        """How many images each process takes in an epoch: the last ones may repeat the first."""
        return (self.size + self.world - 1) // self.world

    def __len__(self) -> int:
        return self.share - self.skip

    def __iter__(self) -> Iterator[int]:
        order = list(range(self.size))
        if self.shuffle:
            generator = torch.Generator().manual_seed(mix(self.seed, self.epoch))
            order = torch.randperm(self.size, generator=generator).tolist()
        missing = self.share * self.world - self.size
        order += order[:missing]
        base = self.epoch * self.size
        yield from (base + index for index in order[self.rank :: self.world][self.skip :])


class SeededDataset(Dataset[tuple[Tensor, int]]):
    """A dataset whose random augmentation depends on seed, epoch and image, not on the worker."""

    def __init__(self, dataset: Dataset[Any], size: int, *, seed: int, is_random: bool) -> None:
        self.dataset = dataset
        self.size = size
        self.seed = seed
        self.is_random = is_random

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        index = position % self.size
        if not self.is_random:
            image, label = self.dataset[index]
            return image, label
        with seeded(mix(self.seed, position), also_python=not is_known(self.dataset)):
            image, label = self.dataset[index]
        return image, label

    def __getitems__(self, positions: list[int]) -> list[Any]:
        """A whole batch at once, where the dataset is quicker that way."""
        batch = getattr(self.dataset, "__getitems__", None)
        if self.is_random or batch is None:
            return [self[position] for position in positions]
        items: list[Any] = batch([position % self.size for position in positions])
        return items


@contextmanager
def seeded(seed: int, *, also_python: bool) -> Iterator[None]:
    """Make what is drawn inside depend on the seed, and what is drawn afterwards not.

    With ``also_python``, also what Python's and NumPy's generators draw.
    """
    # `torch.manual_seed` looks for devices each time, which takes longer than an augmentation.
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    if also_python:
        others = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)
        if also_python:
            random.setstate(others[0])
            np.random.set_state(others[1])


class Loader:
    """The images of one process, in the steps of a run.

    A step takes ``batch`` images of this process, in ``parts`` that are computed one by one.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        size: int,
        *,
        batch: int,
        parts: int = 1,
        workers: int,
        seed: int,
        shuffle: bool,
        augment: Sequence[Augmentation] = (),
        rank: int,
        world: int,
    ) -> None:
        # What the user's own data set draws is not known.
        is_random = any(not isinstance(page, Mixing) for page in augment) or not is_known(dataset)
        self.batch = batch
        self.part = batch // parts
        self.seed = seed
        self.sampler = EpochSampler(size, seed=seed, shuffle=shuffle, rank=rank, world=world)
        self.generator = torch.Generator()
        self.loader = DataLoader(
            SeededDataset(dataset, size, seed=seed, is_random=is_random),
            batch_size=self.part,
            sampler=self.sampler,
            num_workers=workers,
            worker_init_fn=ignore_signals,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=self.generator,
        )

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.sampler.share // self.batch)

    @property
    def own_images(self) -> int:
        """The images that no other process sees."""
        sampler = self.sampler
        return len(range(sampler.rank, sampler.size, sampler.world))

    def images_in(self, step: int) -> int:
        """How many images a step of the epoch takes: the last one may have fewer."""
        return min(self.batch, self.sampler.share - step * self.batch)

    def parts_in(self, step: int) -> int:
        """How many parts these images are computed in."""
        return -(-self.images_in(step) // self.part)

    def close(self) -> None:
        """End the workers, which would otherwise wait for the next epoch."""
        workers: Any = self.loader._iterator
        if workers is not None:
            # PyTorch does this when the last reference is gone, but a traceback may hold one.
            workers._shutdown_workers()
            self.loader._iterator = None

    def batches(self, epoch: int, step: int) -> Iterator[Any]:
        """The parts of an epoch from a step on, each a pair of images and labels."""
        self.sampler.epoch, self.sampler.skip = epoch, step * self.batch
        # The seeds of the workers follow from this one.
        self.generator.manual_seed(mix(self.seed, epoch))
        return iter(self.loader)
