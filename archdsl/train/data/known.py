"""The known sets that torchvision fetches and reads: ``mnist``, ``cifar10`` and similar ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import Augmentation
from archdsl.train.data.augmentation import is_enlarged, plan_preparations
from archdsl.train.data.decoding import with_channels
from archdsl.train.data.images import ImageData, MemoryImages
from archdsl.train.data.preparation import Preparation, Statistics, pad_small
from archdsl.train.errors import TrainError

#: Means and deviations of the training images, all pixels of a channel together. MNIST's are the
#: ones of PyTorch's own example (pytorch/examples, mnist/main.py).
MNIST = Statistics((0.1307,), (0.3081,))
FASHION_MNIST = Statistics((0.2860,), (0.3530,))
CIFAR10 = Statistics((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
CIFAR100 = Statistics((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))


@dataclass(frozen=True)
class _Known:
    #: The class in ``torchvision.datasets``, and its folder below the root.
    reader: str
    folder: str
    statistics: Statistics


KNOWN = {
    "mnist": _Known("MNIST", "MNIST", MNIST),
    "fashion_mnist": _Known("FashionMNIST", "FashionMNIST", FASHION_MNIST),
    "cifar10": _Known("CIFAR10", "cifar-10-batches-py", CIFAR10),
    "cifar100": _Known("CIFAR100", "cifar-100-python", CIFAR100),
}


def open_known(
    name: str, root: Path, download: bool, input: Volume, augment: Sequence[Augmentation]
) -> ImageData:
    """Torchvision's set of that name, all of it in memory; its test images are for validation.

    Raises ``TrainError`` where the set is not in ``root`` and may not or cannot be fetched, or
    where its files are damaged.
    """
    known = KNOWN[name]
    statistics = known.statistics.for_channels(input.channels)
    prepare_training, prepare = plan_preparations(input, augment)
    training = _read(name, root, True, download)
    test = _read(name, root, False, download)
    return ImageData(
        name,
        _hold(name, training, root, prepare_training),
        _hold(name, test, root, prepare),
        # torchvision calls a digit "3 - three".
        tuple(word.partition(" - ")[0] for word in training.classes),
        statistics.mean,
        statistics.std,
        is_enlarged(augment),
        finished=False,
    )


def _read(name: str, root: Path, train: bool, download: bool) -> Any:
    """The set as torchvision holds it, which is untyped."""
    from torchvision import datasets  # type: ignore[import-untyped]

    known = KNOWN[name]
    folder = root / known.folder
    try:
        return getattr(datasets, known.reader)(root, train=train, download=download)
    except MemoryError:
        raise
    # A missing file, a bad checksum, no network, a full disk, a damaged pickle or index.
    except Exception as error:
        why = str(error) or type(error).__name__
        if download:
            raise TrainError(f"{name} could not be fetched into {folder}: {why}") from error
        if "not found" in why:
            state = "is incomplete or damaged in" if folder.exists() else "is not in"
            raise TrainError(f"{name} {state} {folder}: fetch it with `--download`") from error
        raise TrainError(f"{name} is damaged in {folder}: {why}") from error


def _hold(name: str, read: Any, root: Path, prepare: Preparation) -> MemoryImages:
    images = torch.as_tensor(read.data)
    images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2)
    labels: Tensor = torch.as_tensor(read.targets)
    folder = root / KNOWN[name].folder
    if len(images) != len(labels) or not len(images):
        raise TrainError(
            f"{name} is damaged in {folder}: {len(images)} images and {len(labels)} labels"
        )
    if not 0 <= labels.min() <= labels.max() < len(read.classes):
        raise TrainError(
            f"{name} is damaged in {folder}: a label of {int(labels.max())}, "
            f"with {len(read.classes)} classes"
        )
    images = pad_small(with_channels(images, prepare.input.channels), prepare.size)
    return MemoryImages(images.contiguous(), labels, prepare)
