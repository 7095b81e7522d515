"""``module:function``: the user's own data."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import Augmentation
from archdsl.text.diagnostics import did_you_mean
from archdsl.train.data.augmentation import (
    LabelKind,
    is_enlarged,
    plan_preparations,
    refuse_mixing,
)
from archdsl.train.data.decoding import pixels_of, with_channels
from archdsl.train.data.images import ImageData, Sample
from archdsl.train.data.preparation import (
    IMAGENET,
    VOID,
    Preparation,
    Statistics,
)
from archdsl.train.errors import TrainError

_WANTED = "(train_dataset, validation_dataset, classes) or an ImageData"


def open_own(
    name: str, module: str, function: str, input: Volume, augment: Sequence[Augmentation]
) -> ImageData:
    """What ``function()`` of the user's module returns; the working directory is on the path.

    That is ``(train_dataset, validation_dataset, classes)``, map-style data sets of (image, label)
    and the names of the classes, or an ``ImageData``, which is taken as it is. Images are either
    raw (Pillow images or uint8 tensors C×h×w), and then prepared like those of a folder; or
    finished: float tensors C×H×W of the input's volume. A label is the number of a class; or a
    mask: a Pillow image or a tensor of integers h×w, with the class of each pixel, 255 for none;
    or numbers to be told: a float tensor of one axis, in place of the classes the names of these.

    Raises ``TrainError`` where the function is missing, fails, or returns anything else, and, when
    an image is read, where it does not fit the input, holds a NaN, or has no class.
    """
    made = _call(name, module, function)
    if isinstance(made, ImageData):
        if augment:
            raise TrainError(f"`{name}` returns finished images: take `augment` out of the recipe")
        _check_counts(name, made.train, made.validation)
        return made
    if not isinstance(made, tuple) or len(made) != 3:
        raise TrainError(f"`{name}` returns {_describe(made)}, not {_WANTED}")
    train, validation, classes = made
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        raise TrainError(f"`{name}` returns {_describe(classes)} for the names of the classes")
    _check_counts(name, train, validation)
    names = tuple(map(str, classes))
    first = _fetch(name, train, 0)
    finished, label = _is_finished(first), _kind_of_label(first)
    if finished and augment:
        raise TrainError(
            f"`{name}` returns finished images, float tensors: `augment` needs uint8 tensors or "
            "Pillow images"
        )
    refuse_mixing(name, label, augment)
    if label == "mask" and len(names) > VOID:
        raise TrainError(f"`{name}` has {len(names)} classes: masks tell up to {VOID} apart")
    statistics = IMAGENET.for_channels(input.channels)
    prepare_training, prepare = plan_preparations(input, augment)
    if finished:
        statistics = Statistics((0.0,) * input.channels, (1.0,) * input.channels)
    return ImageData(
        name,
        OwnImages(name, train, len(names), prepare_training, finished=finished, label=label),
        OwnImages(name, validation, len(names), prepare, finished=finished, label=label),
        () if label == "targets" else names,
        statistics.mean,
        statistics.std,
        is_enlarged(augment),
        finished=finished,
        has_masks=label == "mask",
        targets=names if label == "targets" else (),
    )


def _call(name: str, module: str, function: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise TrainError(
                f"`{name}`: {module} needs {error.name}, which is not installed"
            ) from error
        hint = did_you_mean(module, ("folder", "fake"))
        raise TrainError(
            f"`{name}`: there is no module {module}{f': {hint}' if hint else ''}"
        ) from error
    except Exception as error:
        raise TrainError(f"`{name}`: importing {module} fails: {_describe(error)}") from error
    try:
        maker = getattr(imported, function)
    except AttributeError as error:
        hint = did_you_mean(function, (word for word in vars(imported) if word[0] != "_"))
        raise TrainError(
            f"`{name}`: {module} has no {function}{f': {hint}' if hint else ''}"
        ) from error
    if not callable(maker):
        raise TrainError(f"`{name}`: {function} is {_describe(maker)}, not a function")
    try:
        return maker()
    except TrainError:
        raise
    except Exception as error:
        raise TrainError(f"`{name}`: {function}() fails: {_describe(error)}") from error


def _check_counts(name: str, train: Any, validation: Any) -> None:
    for part, dataset in (("train", train), ("validation", validation)):
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TrainError(
                f"`{name}` returns {_describe(dataset)} for {part}: a data set has a length and an "
                "image at each index"
            )
        if not len(dataset):
            raise TrainError(f"`{name}` returns no image for {part}")


def _describe(thing: Any) -> str:
    if isinstance(thing, BaseException):
        return f"{type(thing).__name__}: {thing}"
    if isinstance(thing, tuple):
        return f"a tuple of {len(thing)}"
    return f"a value of type {type(thing).__name__}"


def _fetch(name: str, own: Any, index: int) -> Any:
    """An item of the user's data set."""
    try:
        return own[index]
    except TrainError:
        raise
    except Exception as error:
        raise TrainError(f"`{name}`: image {index} fails: {_describe(error)}") from error


def _is_finished(item: Any) -> bool:
    """Whether the image of an item is finished by the user."""
    image = item[0] if isinstance(item, tuple | list) and item else None
    return isinstance(image, Tensor) and image.is_floating_point()


def _kind_of_label(item: Any) -> LabelKind:
    """Whether the label of an item is an image of classes, numbers, or else a class."""
    label = item[1] if isinstance(item, tuple | list) and len(item) == 2 else None
    if isinstance(label, Image.Image) or (isinstance(label, Tensor) and label.dim() == 2):
        return "mask"
    is_numbers = isinstance(label, Tensor) and label.dim() == 1 and label.is_floating_point()
    return "targets" if is_numbers else "class"


class OwnImages(Dataset[Sample]):
    """The user's data set, each item checked and prepared."""

    def __init__(
        self,
        name: str,
        own: Any,
        classes: int,
        preparation: Preparation,
        *,
        finished: bool,
        label: LabelKind = "class",
    ) -> None:
        self.name = name
        self.own = own
        self.classes = classes
        self.preparation = preparation
        self.finished = finished
        self.label = label

    def __len__(self) -> int:
        return len(self.own)

    def __getitem__(self, index: int) -> Any:
        item = _fetch(self.name, self.own, index)
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise self._fault(index, f"is {_describe(item)}, not (image, label)")
        image, label = item
        pixels = self._read(index, image)
        if self.label == "mask":
            mask = self._read_mask(index, pixels, label)
            return (pixels, mask) if self.finished else self.preparation.with_mask(pixels, mask)
        if not self.finished:
            pixels = self.preparation(pixels.unsqueeze(0)).squeeze(0)
        if self.label == "targets":
            return pixels, self._check_targets(index, label)
        return pixels, self._check_label(index, label)

    def _read(self, index: int, image: Any) -> Tensor:
        """The image: uint8 C×h×w that is still to be prepared, or one that the user finished."""
        channels = self.preparation.input.channels
        is_bytes = isinstance(image, Tensor) and image.dtype == torch.uint8
        is_raw = is_bytes or isinstance(image, Image.Image)
        if is_raw if self.finished else _is_finished((image,)):
            kind = "raw, of bytes or Pillow's" if is_raw else "a finished one, of floats"
            raise self._fault(index, f"is {kind}, but the first to train with is not")
        if isinstance(image, Image.Image):
            try:
                return pixels_of(image, channels)
            except ValueError as error:
                raise self._fault(index, f"is a Pillow image, and {error}") from None
        if not isinstance(image, Tensor):
            raise self._fault(index, f"is {_describe(image)}, not a tensor or a Pillow image")
        sizes = "×".join(map(str, image.shape))
        if image.dtype == torch.uint8:
            if image.dim() != 3 or image.shape[0] not in (1, 3) or not image.numel():
                raise self._fault(index, f"is {sizes}, not C×h×w with 1 or 3 channels")
            return with_channels(image, channels)
        wanted = self.preparation.input.torch_sizes
        if not image.is_floating_point() or image.shape != wanted:
            raise self._fault(
                index,
                f"is {image.dtype} {sizes}; the network takes float "
                f"{'×'.join(map(str, wanted))} (or uint8 of any size)",
            )
        # One sum is cheaper than a look at each pixel; if it is not finite, some pixel may not be.
        if not math.isfinite(image.sum().item()) and not image.isfinite().all():
            raise self._fault(index, "holds a NaN or an infinity")
        return image.to(torch.float32)

    def _read_mask(self, index: int, pixels: Tensor, mask: Any) -> Tensor:
        """The classes of the image's pixels, uint8 h×w."""
        if isinstance(mask, Image.Image):
            if mask.mode not in ("L", "P", "1"):
                raise self._fault(index, f"has a mask of mode {mask.mode}, not of numbers (L or P)")
            mask = torch.from_numpy(np.array(mask, dtype=np.uint8))
        if not isinstance(mask, Tensor) or mask.dim() != 2 or mask.is_floating_point():
            raise self._fault(index, f"has {_describe(mask)} for its mask, not integers h×w")
        if mask.shape != pixels.shape[-2:]:
            sizes = "×".join(map(str, mask.shape)), "×".join(map(str, pixels.shape[-2:]))
            raise self._fault(index, f"is {sizes[1]}, its mask {sizes[0]}")
        classes = mask.long()
        known = classes[classes != VOID]
        if len(known) and not 0 <= int(known.min()) <= int(known.max()) < self.classes:
            wrong = int(known.min()) if int(known.min()) < 0 else int(known.max())
            raise self._fault(
                index, f"has the class {wrong} in its mask, with {self.classes} classes from 0"
            )
        return classes.to(torch.uint8)

    def _check_targets(self, index: int, targets: Any) -> Tensor:
        if not isinstance(targets, Tensor) or targets.dim() != 1 or not targets.is_floating_point():
            raise self._fault(index, f"has {_describe(targets)} for its targets, not floats")
        if len(targets) != self.classes:
            raise self._fault(index, f"has {len(targets)} targets, with {self.classes} names")
        numbers: Tensor = targets.to(torch.float32)
        if not numbers.isfinite().all():
            raise self._fault(index, "has a target that is NaN or infinite")
        return numbers

    def _check_label(self, index: int, label: Any) -> int:
        if isinstance(label, Tensor) and not label.dim() and not label.is_floating_point():
            label = label.item()
        if not isinstance(label, Integral):
            raise self._fault(index, f"has {_describe(label)} for its label, not a whole number")
        if not 0 <= int(label) < self.classes:
            raise self._fault(index, f"has the label {label}, with {self.classes} classes from 0")
        return int(label)

    def _fault(self, index: int, what: str) -> TrainError:
        return TrainError(f"`{self.name}`: image {index} {what}")
