"""Averages of the weights over the steps of training."""

from __future__ import annotations

from archdsl.layers.fields import COUNT, RATE, attribute
from archdsl.recipe.definition import RecipeOption, RecipeRole
from archdsl.records import dataclass


@dataclass(frozen=True)
class Average(RecipeOption):
    """An average of the weights, which is validated and saved in their place."""

    role = RecipeRole.AVERAGE

    steps: int = attribute(COUNT, "steps of training between two updates", 1)


@dataclass(frozen=True)
class ExponentialMovingAverage(Average):
    """The exponential moving average of the weights and of batch normalization's statistics."""

    name = "ema"
    example = "ema decay=0.9999 steps=32"
    akin = ("swa", "averaging", "moving_average")

    decay: float = attribute(RATE, "share of the average that is kept at each update", 0.999)
