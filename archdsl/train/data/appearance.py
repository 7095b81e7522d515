"""How the images of a data set look: by this, an image of another kind is noticed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

import torch
from torch import Tensor

from archdsl.train.data.images import ImageData
from archdsl.train.errors import TrainError

#: So many images tell mean and deviation well enough, and are read in a moment.
SAMPLE = 256
#: How many standard deviations from the mean are unlike. None of the 1,000 held-out digits is more
#: than 4 away from the mean of the digits; inverted, none is less than 20 away.
UNLIKE = 5.0
#: Data whose images are all alike would make the least difference remarkable.
LEAST_STD = 0.02


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a quantity over images."""

    mean: float
    std: float

    def distance(self, value: float) -> float:
        """How many standard deviations a value is from the mean."""
        return abs(value - self.mean) / max(self.std, LEAST_STD)


@dataclass(frozen=True)
class Appearance:
    """How images look before they are normalized.

    ``brightness`` is the mean of all pixels, from 0 (black) to 1. ``polarity`` is where this mean
    is between the darkest and the brightest pixel of the image: 0.1 for bright strokes on black,
    0.9 for dark strokes on white, at any contrast. ``background`` is the median of the pixels along
    the edges, from 0 to 255, a number per channel.
    """

    brightness: Spread
    polarity: Spread
    background: tuple[int, ...]

    @classmethod
    def of(cls, images: Tensor) -> Appearance:
        """That of images, N×C×H×W, with pixels from 0 to 255."""
        shares = images.float() / 255
        polarities = _polarities(shares)
        polarities = polarities[~polarities.isnan()]
        edges = torch.cat(
            [images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]], dim=-1
        )
        background = edges.float().median(dim=-1).values.median(dim=0).values
        return cls(
            _spread(shares.mean(dim=(1, 2, 3))),
            _spread(polarities if len(polarities) else torch.full((1,), 0.5)),
            tuple(round(value) for value in background.tolist()),
        )

    @classmethod
    def read(cls, facts: Any) -> Appearance:
        """That of the facts of a run. Raises ``ValueError`` for anything else."""
        try:
            brightness, polarity = (
                Spread(float(facts[name]["mean"]), float(facts[name]["std"]))
                for name in ("brightness", "polarity")
            )
            return cls(brightness, polarity, tuple(map(int, facts["background"])))
        except (TypeError, LookupError) as error:
            raise ValueError("not an appearance") from error

    def facts(self) -> dict[str, Any]:
        return {**asdict(self), "background": list(self.background)}

    def remark(self, image: Tensor, data: str, *, inverted: bool) -> str | None:
        """What is unlike the images of ``data`` in an image, C×H×W with pixels from 0 to 255."""
        shares = image.float()[None] / 255
        brightness, polarity = float(shares.mean()), float(_polarities(shares))
        if isnan(polarity):
            return "all its pixels are equal"
        is_odd = self.polarity.distance(polarity) > UNLIKE
        if not is_odd and self.brightness.distance(brightness) <= UNLIKE:
            return None
        said = (
            f"its mean brightness is {brightness:.0%}, that of the images of {data} "
            f"{self.brightness.mean:.0%} ± {self.brightness.std:.0%}"
        )
        if is_odd and self.polarity.distance(1 - polarity) < self.polarity.distance(polarity):
            tried = "without --invert" if inverted else "--invert"
            return f"{said}; dark and bright seem to be reversed: try {tried}"
        return said


def _spread(values: Tensor) -> Spread:
    return Spread(round(float(values.mean()), 6), round(float(values.std(correction=0)), 6))


def _polarities(shares: Tensor) -> Tensor:
    """That of each image; NaN where all its pixels are equal."""
    grey = shares.mean(dim=1).flatten(1)
    low, high = grey.amin(dim=1), grey.amax(dim=1)
    return torch.where(high > low, (grey.mean(dim=1) - low) / (high - low), torch.nan)


def measure_appearance(data: ImageData) -> Appearance | None:
    """How the images to train with look, from some at equal distances, without augmentation.

    None where the user normalizes them: archdsl does not see their pixels. Images that cannot be
    read are left to the run.
    """
    if data.finished:
        return None
    plain = data.train_without_augmentation
    count = len(plain)  # type: ignore[arg-type]
    few = min(count, SAMPLE)
    images = []
    for place in range(few):
        try:
            images.append(plain[place * count // few][0])
        except TrainError:
            continue
    return Appearance.of(torch.stack(images)) if images else None
