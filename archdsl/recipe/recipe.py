"""A recipe: how a network is trained."""

from __future__ import annotations

from dataclasses import asdict, field
from typing import Any

from archdsl.recipe.augmentations import Augmentation
from archdsl.recipe.averages import Average
from archdsl.recipe.definition import RecipeOption
from archdsl.recipe.losses import CrossEntropy, Loss
from archdsl.recipe.optimizers import Adam, Optimizer
from archdsl.recipe.schedules import Schedule
from archdsl.records import dataclass


@dataclass(frozen=True)
class Recipe:
    """What a ``train`` section says, with defaults for what it does not say.

    ``data`` is the name of a data set, or None where the spec leaves it open; ``batch`` counts the
    images of one step, over all devices together. ``clip`` is the largest norm of the gradient, and
    ``patience`` the number of epochs without a lower validation loss after which training stops.
    ``loss`` is that of a network's output; where outputs have names, ``losses`` are those of some
    of them, in the network's order, and if there are none, ``loss`` is that of each.
    """

    data: str | None = None
    batch: int = 64
    epochs: int = 10
    augment: tuple[Augmentation, ...] = ()
    optimizer: Optimizer = field(default_factory=Adam)
    schedule: tuple[Schedule, ...] = ()
    loss: Loss = field(default_factory=CrossEntropy)
    average: Average | None = None
    clip: float | None = None
    patience: int | None = None
    losses: tuple[tuple[str, Loss], ...] = ()

    def loss_of(self, output: str) -> Loss | None:
        """The loss of an output with this name, or none; ``""`` is the one without a name."""
        return dict(self.losses).get(output) if self.losses else self.loss


def recipe_facts(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data, each option with its name and all its attributes."""

    def facts(option: RecipeOption) -> dict[str, Any]:
        return {"name": option.name, **asdict(option)}  # type: ignore[call-overload]

    return {
        "data": recipe.data,
        "batch": recipe.batch,
        "epochs": recipe.epochs,
        "augment": [facts(option) for option in recipe.augment],
        "optimizer": facts(recipe.optimizer),
        "schedule": [facts(option) for option in recipe.schedule],
        "loss": facts(recipe.loss),
        "losses": {output: facts(loss) for output, loss in recipe.losses},
        "average": facts(recipe.average) if recipe.average else None,
        "clip": recipe.clip,
        "patience": recipe.patience,
    }
