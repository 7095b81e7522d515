"""The folder of a run: what is in it and what it is called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archdsl.train.errors import TrainError

LAST = "last.ckpt"
BEST = "best.ckpt"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run and the names of what is in it."""

    folder: Path

    @property
    def module(self) -> Path:
        return self.folder / "module.py"

    @property
    def spec(self) -> Path:
        return self.folder / "spec.arch"

    @property
    def facts(self) -> Path:
        """Recipe, flags, data, versions and seed, as JSON."""
        return self.folder / "run.json"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch, or of a step after it."""
        return self.checkpoints / LAST

    @property
    def best(self) -> Path:
        """The checkpoint of the epoch with the lowest validation loss."""
        return self.checkpoints / BEST

    @property
    def weights(self) -> Path:
        """The weights of the epoch with the lowest validation loss."""
        return self.folder / "weights.safetensors"

    @property
    def last_weights(self) -> Path:
        return self.folder / "last.safetensors"

    @property
    def report(self) -> Path:
        return self.folder / "report.md"

    @property
    def metrics(self) -> Path:
        """One row per epoch."""
        return self.folder / "metrics.csv"

    @property
    def events(self) -> Path:
        """The folder of what TensorBoard reads."""
        return self.folder / "tensorboard"

    @property
    def lock(self) -> Path:
        """Held by the process that trains."""
        return self.folder / ".lock"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are written at once, complete or not at all."""
        curves = (self.folder / f"curves.{ending}" for ending in ("svg", "png"))
        own = (self.module, self.spec, self.facts, self.last, self.best, self.metrics, self.report)
        return (*own, self.weights, self.last_weights, *curves)

    def read_facts(self) -> dict[str, Any]:
        """What ``run.json`` says. Errors: ``TrainError`` where the folder is not that of a run."""
        try:
            facts: dict[str, Any] = json.loads(self.facts.read_text("utf-8"))
        except (OSError, ValueError):
            raise TrainError(f"{self.folder} is not the folder of a run") from None
        if not isinstance(facts, dict):
            raise TrainError(f"{self.facts} does not describe a run")
        return facts
