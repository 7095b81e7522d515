"""Loaders whose order and augmentation hang on the seed and the epoch alone.

So a run that was killed goes on exactly as it would have gone, and two processes see together the
very batches that one would see.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler


def mix(seed: int, number: int) -> int:
    """A seed from two numbers: PyTorch's generator on the CPU looks at 32 bits only."""
    return crc32(f"{seed}:{number}".encode())


class EpochSampler(Sampler[int]):
    """Shuffles by seed and epoch; process ``rank`` of ``world`` takes every ``world``-th image.

    Yields ``epoch · n + index``, so that a dataset can tell the epoch in any worker.
    """

    def __init__(
        self, size: int, *, seed: int, shuffle: bool, rank: int = 0, world: int = 1
    ) -> None:
        self.size = size
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world = world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        # Every process takes as many steps as the others: the last images repeat the first.
        return (self.size + self.world - 1) // self.world

    def __iter__(self) -> Iterator[int]:
        order = list(range(self.size))
        if self.shuffle:
            generator = torch.Generator().manual_seed(mix(self.seed, self.epoch))
            order = torch.randperm(self.size, generator=generator).tolist()
        missing = len(self) * self.world - self.size
        order += order[:missing]
        base = self.epoch * self.size
        yield from (base + index for index in order[self.rank :: self.world])


class SeededDataset(Dataset[tuple[Tensor, int]]):
    """A dataset whose random augmentation hangs on seed, epoch and image, not on the worker."""

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
        # `torch.manual_seed` looks for devices each time, which takes longer than an augmentation.
        generator = torch.default_generator
        before = generator.get_state()
        generator.manual_seed(mix(self.seed, position))
        image, label = self.dataset[index]
        generator.set_state(before)
        return image, label

    def __getitems__(self, positions: list[int]) -> list[Any]:
        """A whole batch at once, where the dataset is quicker that way."""
        batch = getattr(self.dataset, "__getitems__", None)
        if self.is_random or batch is None:
            return [self[position] for position in positions]
        items: list[Any] = batch([position % self.size for position in positions])
        return items


def make_loader(
    dataset: Dataset[Any],
    size: int,
    *,
    batch: int,
    workers: int,
    seed: int,
    is_training: bool,
    is_random: bool,
    rank: int,
    world: int,
) -> DataLoader[Any]:
    """A loader for one process; ``batch`` counts its own images."""
    return DataLoader(
        SeededDataset(dataset, size, seed=seed, is_random=is_random),
        batch_size=batch,
        sampler=EpochSampler(size, seed=seed, shuffle=is_training, rank=rank, world=world),
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),
    )
