"""Augmentations: random changes of the training images, none of which changes the class."""

from __future__ import annotations

from archdsl.layers.fields import COUNT, POSITIVE, RATE, WHOLE, FieldKind, attribute
from archdsl.recipe.definition import RecipeOption, RecipeRole
from archdsl.records import dataclass


def _magnitude(value: object) -> int:
    magnitude: int = WHOLE.convert(value)
    if magnitude > MAX_MAGNITUDE:
        raise ValueError
    return magnitude


#: PyTorch has 31 magnitudes.
MAX_MAGNITUDE = 30
MAGNITUDE = FieldKind(f"a whole number from 0 to {MAX_MAGNITUDE}", _magnitude)


@dataclass(frozen=True)
class Augmentation(RecipeOption):
    """A random change of a training image."""

    role = RecipeRole.AUGMENTATION


@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """A random window of the input's size.

    Images are first padded by ``padding`` zeros, or, where it is 0, enlarged by a seventh: 256 for
    a crop of 224, as Krizhevsky et al. 2012 (section 4.1) do.
    """

    name = "random_crop"
    example = "augment random_crop padding=4"
    akin = ("crop", "crops")

    padding: int = attribute(WHOLE, "zeros added on each side beforehand", 0)


@dataclass(frozen=True)
class RandomResizedCrop(Augmentation):
    """A random window of a random size and shape, resized (Szegedy et al. 2015, section 6)."""

    name = "random_resized_crop"
    example = "augment random_resized_crop scale=0.08"

    scale: float = attribute(RATE, "least share of the image's area", 0.08)


@dataclass(frozen=True)
class HorizontalFlip(Augmentation):
    """Mirrors left and right, with a probability of one half."""

    name = "hflip"
    example = "augment hflip"
    synonyms = ("horizontal_flip", "random_horizontal_flip", "mirror")
    akin = ("flip", "random_flip")


@dataclass(frozen=True)
class ColorPCA(Augmentation):
    """Shifts colours along their principal components (Krizhevsky et al. 2012, section 4.1)."""

    name = "color_pca"
    example = "augment color_pca"
    synonyms = ("pca", "lighting", "fancy_pca")

    strength: float = attribute(POSITIVE, "standard deviation of the shift", 0.1)


@dataclass(frozen=True)
class Rotate(Augmentation):
    """Turns the image by a random angle."""

    name = "rotate"
    example = "augment rotate degrees=10"
    synonyms = ("rotation", "random_rotation")

    degrees: float = attribute(POSITIVE, "largest angle, either way", 10.0)


@dataclass(frozen=True)
class Shift(Augmentation):
    """Moves the image by a random share of its size."""

    name = "shift"
    example = "augment shift share=0.1"
    synonyms = ("translate", "random_translation")

    share: float = attribute(RATE, "largest share of height and width", 0.1)


@dataclass(frozen=True)
class RandAugment(Augmentation):
    """Some random operations of fourteen, all of one magnitude (Cubuk et al. 2020)."""

    name = "randaugment"
    example = "augment randaugment num_ops=2 magnitude=9"
    synonyms = ("rand_augment",)
    akin = ("autoaugment", "auto_augment", "trivialaugment")

    num_ops: int = attribute(COUNT, "operations on each image", 2)
    magnitude: int = attribute(MAGNITUDE, "how strong they are, from 0 to 30", 9)


# ── Of a batch ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Mixing(Augmentation):
    """Mixes the images of a batch, and their classes in the same shares.

    Where there are several, each batch gets one of them, all with equal probability.
    """

    alpha: float = attribute(POSITIVE, "both parameters of the Beta distribution of shares", 1.0)


@dataclass(frozen=True)
class MixUp(Mixing):
    """Blends each image with the one before it, by random shares (Zhang et al. 2018)."""

    name = "mixup"
    example = "augment mixup alpha=0.2"
    synonyms = ("mix_up",)


@dataclass(frozen=True)
class CutMix(Mixing):
    """Fills a window of random area from the image before (Yun et al. 2019)."""

    name = "cutmix"
    example = "augment cutmix alpha=1.0"
    synonyms = ("cut_mix",)
