"""Losses."""

from __future__ import annotations

from dataclasses import dataclass

from archdsl.layers.fields import RATE, attribute
from archdsl.recipe.page import Role, Word


@dataclass(frozen=True)
class Loss(Word):
    """What training makes small."""

    role = Role.LOSS


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The negative logarithm of the true class's probability, from logits."""

    name = "cross_entropy"
    example = "loss cross_entropy smoothing=0.1"
    synonyms = ("ce", "crossentropy", "nll", "softmax")

    smoothing: float = attribute(RATE, "share of the probability spread over all classes", 0.0)


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The squared distance to the one-hot vector of the true class."""

    name = "mse"
    example = "loss mse"
    synonyms = ("l2",)
