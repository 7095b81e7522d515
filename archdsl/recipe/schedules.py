"""Schedules: how the learning rate changes from epoch to epoch."""

from __future__ import annotations

from math import cos, pi

from archdsl.layers.fields import COUNT, POSITIVE, Kind, attribute, each_of, positional
from archdsl.recipe.page import Role, Word
from archdsl.records import dataclass


def _milestones(values: tuple[int, ...]) -> tuple[int, ...]:
    milestones = each_of(values, COUNT)
    if not milestones or list(milestones) != sorted(set(milestones)):
        raise ValueError
    return milestones


MILESTONES = Kind("rising numbers of epochs", _milestones)


@dataclass(frozen=True)
class Schedule(Word):
    """A schedule of the learning rate."""

    role = Role.SCHEDULE

    def factor_at(self, epoch: int, epochs: int) -> float:
        """What the rate is multiplied by in an epoch (from 0) of so many; 1 at first."""
        return 1.0


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
    """Multiplies the learning rate by a factor after every so many epochs."""

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

    patience: int = attribute(COUNT, "epochs to wait", 5)
    factor: float = attribute(POSITIVE, "what the rate is multiplied by", 0.1)


@dataclass(frozen=True)
class Warmup(Schedule):
    """Raises the learning rate evenly over the first epochs; another schedule goes on."""

    name = "warmup"
    example = "schedule warmup 5 cosine"

    epochs: int = positional(COUNT, "epochs until the full rate")

    def factor_at(self, epoch: int, epochs: int) -> float:
        return min(1.0, (epoch + 1) / self.epochs)
