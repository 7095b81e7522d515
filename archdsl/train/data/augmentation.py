"""Augmentations: what the definitions of ``archdsl.recipe.augmentations`` do to an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import (
    Augmentation,
    ColorPCA,
    CutMix,
    HorizontalFlip,
    Mixing,
    MixUp,
    RandAugment,
    RandomCrop,
    RandomResizedCrop,
    Rotate,
    Shift,
)
from archdsl.train.data.preparation import (
    VOID,
    Preparation,
    RandomChange,
    centre_preparation,
    cover,
    enlarge,
)
from archdsl.train.errors import TrainError

#: The principal components of ImageNet's colours (red, green, blue from 0 to 1), a column each, and
#: the square roots of their variances. Krizhevsky et al. 2012 (section 4.1) describe the method but
#: print no numbers; these are the ones of fb.resnet.torch (Gross & Wilber 2016, imagenet.lua).
COMPONENTS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
DEVIATIONS = (0.2175, 0.0188, 0.0045)


#: What is told of an image: its class, the class of each pixel, or numbers.
LabelKind = Literal["class", "mask", "targets"]

#: Changes a batch: images and labels.
Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def plan_preparations(
    input: Volume, augment: Sequence[Augmentation]
) -> tuple[Preparation, Preparation]:
    """How to prepare images for training, and those for validation.

    Where training sees windows of a larger image, validation sees its centre, at the same scale;
    with ``random_resized_crop`` as in torchvision's references: 224 out of 256.

    Raises ``TrainError`` for an augmentation that the input does not allow.
    """
    centre = centre_preparation(input, enlarged=is_enlarged(augment))
    crops = [
        definition
        for definition in augment
        if isinstance(definition, RandomCrop | RandomResizedCrop)
    ]
    resized = bool(crops) and isinstance(crops[0], RandomResizedCrop)
    changes = tuple(_changes(input, augment))
    return (
        Preparation(input, None if resized else centre.frame, changes),
        centre,
    )


def is_enlarged(augment: Sequence[Augmentation]) -> bool:
    """Whether training sees windows of images larger than the input."""
    return any(
        isinstance(definition, RandomResizedCrop)
        or (isinstance(definition, RandomCrop) and not definition.padding)
        for definition in augment
    )


def _changes(input: Volume, augment: Sequence[Augmentation]) -> Iterator[RandomChange]:
    """What changes an image; and its mask, without blending classes, where pixels are moved."""
    if not augment:
        return
    # Only here: importing it takes longer than all else that `archdsl predict` does.
    from torchvision.transforms import InterpolationMode, v2  # type: ignore[import-untyped]

    size = input.height, input.width
    nearest = InterpolationMode.NEAREST_EXACT
    for definition in augment:
        match definition:
            case RandomCrop(padding=0):
                yield RandomChange(CoveringCrop(size), CoveringCrop(size, of_classes=True))
            case RandomCrop(padding=padding):
                yield RandomChange(
                    v2.RandomCrop(size, padding=padding),
                    v2.RandomCrop(size, padding=padding, fill=VOID),
                )
            case RandomResizedCrop(scale=scale):
                yield RandomChange(
                    v2.RandomResizedCrop(size, scale=(scale, 1.0), antialias=True),
                    v2.RandomResizedCrop(size, scale=(scale, 1.0), interpolation=nearest),
                )
            case HorizontalFlip():
                yield RandomChange(v2.RandomHorizontalFlip(), v2.RandomHorizontalFlip())
            case ColorPCA(strength=strength):
                if input.channels != 3:
                    raise TrainError(f"`augment color_pca` needs colours; the input is {input}")
                yield RandomChange(ColorShift(strength))
            case Rotate(degrees=degrees):
                yield RandomChange(
                    v2.RandomRotation(degrees, interpolation=InterpolationMode.BILINEAR),
                    v2.RandomRotation(degrees, interpolation=InterpolationMode.NEAREST, fill=VOID),
                )
            case Shift(share=share):
                yield RandomChange(RandomShift(share), RandomShift(share, fill=VOID))
            case RandAugment(num_ops=num_ops, magnitude=magnitude):
                if any(
                    isinstance(before, ColorPCA) for before in augment[: augment.index(definition)]
                ):
                    # torchvision assumes that floats are from 0 to 1.
                    raise TrainError(
                        "`augment randaugment` works on bytes: write it before `color_pca`"
                    )
                yield RandomChange(v2.RandAugment(num_ops, magnitude))
            case Mixing():
                pass  # of whole batches
            case _:
                raise TrainError(f"`augment {definition.name}` cannot be used in training")


def plan_mixing(augment: Sequence[Augmentation], classes: int) -> Mix | None:
    """What mixes the images of a batch, N×C×H×W, and turns their labels (N) into shares.

    The shares are N × classes; the result is None where nothing is mixed. torchvision's transforms
    do the mixing; where there are several, one is drawn for each batch.
    """
    mixing = [definition for definition in augment if isinstance(definition, Mixing)]
    if not mixing:
        return None
    from torchvision.transforms import v2

    makers: dict[type[Mixing], Any] = {MixUp: v2.MixUp, CutMix: v2.CutMix}
    ways: list[Mix] = [
        makers[type(definition)](alpha=definition.alpha, num_classes=classes)
        for definition in mixing
    ]
    choice: Mix = v2.RandomChoice(ways) if len(ways) > 1 else ways[0]
    return choice


def refuse_mixing(name: str, label: LabelKind, augment: Sequence[Augmentation]) -> None:
    """Raises ``TrainError`` for augmentations that labels other than classes cannot follow."""
    if label == "class":
        return
    what = "masks" if label == "mask" else "numbers to be told"
    for definition in augment:
        if isinstance(definition, Mixing):
            raise TrainError(
                f"`augment {definition.name}` mixes the classes of images; `{name}` has {what}"
            )
        if isinstance(definition, RandAugment) and label == "mask":
            raise TrainError(
                f"`augment {definition.name}` moves pixels, and the masks of `{name}` cannot follow"
            )


class CoveringCrop(nn.Module):
    """A random window of an image that is first brought to the enlarged frame."""

    def __init__(self, size: tuple[int, int], *, of_classes: bool = False) -> None:
        from torchvision.transforms import v2

        super().__init__()
        self.frame = enlarge(size)
        self.crop = v2.RandomCrop(size)
        self.of_classes = of_classes

    def forward(self, image: Tensor) -> Tensor:
        window: Tensor = self.crop(cover(image, self.frame, of_classes=self.of_classes))
        return window


class RandomShift(nn.Module):
    """Moves an image by whole pixels, up to a share of its size each way; ``fill`` moves in.

    What ``v2.RandomAffine`` does with ``translate``, at a tenth of its cost.
    """

    def __init__(self, share: float, fill: int = 0) -> None:
        super().__init__()
        self.share = share
        self.fill = fill

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        most = self.share * torch.tensor((height, width))
        down, right = ((2 * torch.rand(2) - 1) * most).round().int().tolist()
        return nn.functional.pad(image, (right, -right, down, -down), value=self.fill)


class ColorShift(nn.Module):
    """Adds one random colour to all pixels, along the principal components of ImageNet's.

    Each component is scaled by its deviation times a normal random number of the given standard
    ``strength``. Takes 3×h×w with pixels from 0 to 255; returns float32, not rounded nor clamped.
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, image: Tensor) -> Tensor:
        along = torch.randn(3) * self.strength * torch.tensor(DEVIATIONS)
        shift = torch.tensor(COMPONENTS) @ along
        return image + 255 * shift.view(3, 1, 1)
