"""Whether a network is right as often as it says it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: As in Guo et al. 2017, section 5.
BINS = 15


@dataclass(frozen=True)
class ConfidenceBin:
    """Images whose confidence is above ``low`` and at most ``high``.

    ``confidence`` is the mean of theirs, ``accuracy`` the share that is right; 0 for no images.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Confidence, which is the probability of the first class, against how often it is right.

    ``error`` is the expected calibration error (Guo et al. 2017, equation 3): the mean over images
    of the difference between the accuracy and the confidence of their bin, from 0 to 1.
    """

    bins: tuple[ConfidenceBin, ...]

    @property
    def images(self) -> int:
        return sum(each.images for each in self.bins)

    @property
    def confidence(self) -> float:
        """The mean over all images."""
        return sum(each.images * each.confidence for each in self.bins) / self.images

    @property
    def error(self) -> float:
        gaps = (each.images * abs(each.accuracy - each.confidence) for each in self.bins)
        return sum(gaps) / self.images


def calibrate(confidences: Tensor, is_right: Tensor, bins: int = BINS) -> Calibration:
    """The calibration of confidences (N) from 0 to 1, in bins of equal width."""
    confidences = confidences.double()
    # A confidence on the border belongs to the bin below it.
    places = ((confidences * bins).ceil().long() - 1).clamp(0, bins - 1)
    counts = torch.bincount(places, minlength=bins)
    sums = torch.bincount(places, weights=confidences, minlength=bins)
    hits = torch.bincount(places, weights=is_right.double(), minlength=bins)
    some = counts.clamp_min(1)
    rows = zip(counts.tolist(), (sums / some).tolist(), (hits / some).tolist(), strict=True)
    return Calibration(
        tuple(ConfidenceBin(i / bins, (i + 1) / bins, *row) for i, row in enumerate(rows))
    )
