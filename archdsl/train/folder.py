"""The folder of a run: what is in it and what it is called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archdsl.train.faults import TrainFault

LAST = "last.ckpt"
BEST = "best.ckpt"
#: Where the network stands in a checkpoint's state.
NETWORK_PREFIX = "network."


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

    def keep_metrics(self) -> None:
        """Put the metrics so far aside, since a logger that resumes begins a new file."""
        if self.metrics.exists():
            count = len(list(self.folder.glob("metrics.*.csv"))) + 1
            self.metrics.rename(self.folder / f"metrics.{count:03}.csv")

    def all_metrics(self) -> list[Path]:
        """The files of metrics, oldest first; a later one replaces the epochs it repeats."""
        kept = sorted(self.folder.glob("metrics.*.csv"))
        return [*kept, self.metrics] if self.metrics.exists() else kept

    def read_facts(self) -> dict[str, Any]:
        """What ``run.json`` says. Errors: ``TrainFault`` where the folder is no run."""
        try:
            facts: dict[str, Any] = json.loads(self.facts.read_text("utf-8"))
        except (OSError, ValueError):
            raise TrainFault(f"{self.folder} is no folder of a run") from None
        return facts
