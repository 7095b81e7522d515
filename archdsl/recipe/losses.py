"""Losses."""

from __future__ import annotations

from typing import Any

from archdsl.layers.fields import POSITIVE, RATE, attribute
from archdsl.layers.layer import Saved
from archdsl.layers.volume import Volume
from archdsl.recipe.definition import RecipeOption, RecipeRole
from archdsl.records import dataclass


def _weight() -> Any:
    return attribute(
        POSITIVE, "how much it counts among those of named outputs, 1 where it is not said", None
    )


class Loss(RecipeOption):
    """What training minimizes."""

    role = RecipeRole.LOSS

    weight: float | None

    def saves(self, output: Volume, *, is_probability: bool) -> Saved:
        """What is kept for the backward pass besides the labels, in 4 bytes per number."""
        raise NotImplementedError


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The negative logarithm of the true class's probability, from logits."""

    name = "cross_entropy"
    example = "loss cross_entropy smoothing=0.1"
    synonyms = ("ce", "cross_entropy_loss")
    akin = ("nll", "softmax")

    smoothing: float = attribute(RATE, "share of the probability spread over all classes", 0.0)
    weight: float | None = _weight()

    def saves(self, output: Volume, *, is_probability: bool) -> Saved:
        # The logarithms of the probabilities; for smoothing, which positions have a label.
        mask = output.positions if self.smoothing else 0
        if not is_probability:
            return Saved(bytes=4 * output.elements + mask)
        # Before the logarithm, probabilities of 0 are raised a little, in a copy.
        return Saved(inputs=True, bytes=8 * output.elements + mask)


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The squared distance to the one-hot vector of the true class."""

    name = "mse"
    example = "loss mse"
    synonyms = ("mse_loss", "mean_squared_error")
    akin = ("l2",)

    weight: float | None = _weight()

    def saves(self, output: Volume, *, is_probability: bool) -> Saved:
        # The one-hot vectors, besides the output itself.
        return Saved(inputs=True, bytes=4 * output.elements)
