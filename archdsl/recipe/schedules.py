"""Schedules: how the learning rate changes from epoch to epoch."""

from __future__ import annotations

from math import cos, pi
from typing import ClassVar

from archdsl.layers.fields import COUNT, POSITIVE, RATE, FieldKind, attribute, each_of, positional
from archdsl.recipe.definition import RecipeOption, RecipeRole
from archdsl.records import dataclass


def _milestones(values: tuple[int, ...]) -> tuple[int, ...]:
    milestones = each_of(values, COUNT)
    if not milestones or list(milestones) != sorted(set(milestones)):
        raise ValueError
    return milestones


MILESTONES = FieldKind("numbers of epochs in rising order", _milestones)


@dataclass(frozen=True)
class Schedule(RecipeOption):
    """A schedule of the learning rate."""

    role = RecipeRole.SCHEDULE
    #: Whether it cannot be combined with another schedule.
    is_alone: ClassVar[bool] = False
    #: Whether it changes the rate, and the momentum, from step to step.
    is_stepwise: ClassVar[bool] = False

    def factor_at(self, epoch: int, epochs: int) -> float:
        """What the rate is multiplied by in an epoch, counted from 0, out of ``epochs``."""
        return 1.0

    def factor_at_step(self, step: int, steps: int) -> float:
        """What the rate is multiplied by in a step, counted from 0, out of ``steps``.

        It is 1 unless ``is_stepwise``.
        """
        return 1.0

    def momentum_at_step(self, step: int, steps: int) -> float | None:
        """The momentum of a step, where the schedule sets it."""
        return None


@dataclass(frozen=True)
class Steps(Schedule):
    """Multiplies the learning rate by a factor after each of these epochs."""

    name = "steps"
    example = "schedule steps 30 60 80 factor=0.1"
    synonyms = ("multistep", "multi_step_lr")
    akin = ("step", "step_lr")

    milestones: tuple[int, ...] = positional(
        MILESTONES, "epochs after which the rate changes", variadic=True
    )
    factor: float = attribute(POSITIVE, "what the rate is multiplied by", 0.1)

    def factor_at(self, epoch: int, epochs: int) -> float:
        return self.factor ** sum(epoch >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Every(Schedule):
    """Multiplies the learning rate by a factor every so many epochs."""

    name = "every"
    example = "schedule every 8 factor=0.96"

    epochs: int = positional(COUNT, "epochs between two changes")
    factor: float = attribute(POSITIVE, "what the rate is multiplied by", 0.1)

    def factor_at(self, epoch: int, epochs: int) -> float:
        return self.factor ** (epoch // self.epochs)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Lowers the learning rate along half a cosine, to zero at the end (Loshchilov & Hutter)."""

    name = "cosine"
    example = "schedule cosine"

    def factor_at(self, epoch: int, epochs: int) -> float:
        return (1 + cos(pi * epoch / epochs)) / 2


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiplies the learning rate by a factor when the validation loss stops falling."""

    name = "plateau"
    example = "schedule plateau patience=5 factor=0.1"
    is_alone = True

    patience: int = attribute(COUNT, "epochs to wait", 5)
    factor: float = attribute(POSITIVE, "what the rate is multiplied by", 0.1)


@dataclass(frozen=True)
class Warmup(Schedule):
    """Raises the learning rate evenly over the first epochs; it combines with other schedules."""

    name = "warmup"
    example = "schedule warmup 5 cosine"

    epochs: int = positional(COUNT, "epochs until the full rate")

    def factor_at(self, epoch: int, epochs: int) -> float:
        return min(1.0, (epoch + 1) / self.epochs)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Raises the rate to the optimizer's and lowers it to almost nothing (Smith & Topin 2019).

    Step by step, along half cosines; the momentum goes the other way. The formula is that of
    PyTorch's ``OneCycleLR``.
    """

    name = "onecycle"
    example = "schedule onecycle pct_start=0.3"
    synonyms = ("one_cycle", "onecycle_lr", "one_cycle_lr")
    is_alone = True
    is_stepwise = True

    pct_start: float = attribute(RATE, "share of the steps in which the rate rises", 0.3)
    div_factor: float = attribute(POSITIVE, "how far below the rate it begins", 25.0)
    final_div_factor: float = attribute(POSITIVE, "how far below its beginning it ends", 1e4)
    base_momentum: float = attribute(RATE, "momentum at the full rate", 0.85)
    max_momentum: float = attribute(RATE, "momentum at the ends", 0.95)

    def factor_at_step(self, step: int, steps: int) -> float:
        first = 1 / self.div_factor
        return self._between(first, 1.0, first / self.final_div_factor, step, steps)

    def momentum_at_step(self, step: int, steps: int) -> float:
        ends = self.max_momentum
        return self._between(ends, self.base_momentum, ends, step, steps)

    def _between(self, first: float, middle: float, last: float, step: int, steps: int) -> float:
        top, end = self.pct_start * steps - 1, steps - 1
        if step <= top:
            return _along_cosine(first, middle, step / top if top else 1.0)
        return _along_cosine(middle, last, (step - top) / (end - top))


def _along_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * share))
