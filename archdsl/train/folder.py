"""The folder of a run: what is in it and what it is called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archdsl.train.faults import TrainFault

LAST = "last.ckpt"
BEST = "best.ckpt"


@dataclass(frozen=True)
class Run:
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
    def weights(self) -> Path:
        return self.folder / "weights.safetensors"

    @property
    def report(self) -> Path:
        return self.folder / "report.md"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.csv"

    def read_facts(self) -> dict[str, Any]:
        """What ``run.json`` says. Errors: ``TrainFault`` where the folder is no run."""
        try:
            facts: dict[str, Any] = json.loads(self.facts.read_text("utf-8"))
        except (OSError, ValueError):
            raise TrainFault(f"{self.folder} is no folder of a run") from None
        return facts
