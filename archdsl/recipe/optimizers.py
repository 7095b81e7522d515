"""Optimizers: PyTorch's, with PyTorch's names for their attributes."""

from __future__ import annotations

from archdsl.layers.fields import BOOLEAN, NUMBER, POSITIVE, RATE, attribute
from archdsl.recipe.definition import RecipeOption, RecipeRole
from archdsl.records import dataclass


@dataclass(frozen=True)
class Optimizer(RecipeOption):
    """What all optimizers have: a learning rate and weight decay."""

    role = RecipeRole.OPTIMIZER

    lr: float = attribute(POSITIVE, "learning rate", 0.001)
    weight_decay: float = attribute(NUMBER, "L2 penalty on the weights", 0.0)
    norm_weight_decay: float | None = attribute(
        NUMBER, "that of normalizations, where it differs", None
    )
    bias_weight_decay: float | None = attribute(NUMBER, "that of biases, where it differs", None)

    @property
    def has_momentum(self) -> bool:
        """Whether there is a momentum that a schedule can change."""
        raise NotImplementedError

    def count_state(self) -> int:
        """How many numbers are kept for each parameter from step to step."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum where it is given."""

    name = "sgd"
    example = "sgd lr=0.01 momentum=0.9 weight_decay=0.0005"
    akin = ("momentum",)

    lr: float = attribute(POSITIVE, "learning rate", 0.01)
    momentum: float = attribute(RATE, "weight of the previous step", 0.0)
    nesterov: bool = attribute(BOOLEAN, "looks ahead along the momentum", False)

    @property
    def has_momentum(self) -> bool:
        return self.momentum > 0

    def count_state(self) -> int:
        return 1 if self.momentum else 0


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015)."""

    name = "adam"
    example = "adam lr=0.001"

    eps: float = attribute(POSITIVE, "added to the denominator", 1e-8)

    has_momentum = True  # the first of its betas

    def count_state(self) -> int:
        return 2


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name = "adamw"
    example = "adamw lr=0.001 weight_decay=0.05"

    weight_decay: float = attribute(NUMBER, "decay of the weights themselves", 0.01)
    eps: float = attribute(POSITIVE, "added to the denominator", 1e-8)

    has_momentum = True  # the first of its betas

    def count_state(self) -> int:
        return 2


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012)."""

    name = "rmsprop"
    example = "rmsprop lr=0.045 momentum=0.9 eps=1.0"

    lr: float = attribute(POSITIVE, "learning rate", 0.01)
    momentum: float = attribute(RATE, "weight of the previous step", 0.0)
    alpha: float = attribute(RATE, "smoothing of the squared gradients", 0.99)
    eps: float = attribute(POSITIVE, "added to the denominator", 1e-8)

    @property
    def has_momentum(self) -> bool:
        return self.momentum > 0

    def count_state(self) -> int:
        return 2 if self.momentum else 1
