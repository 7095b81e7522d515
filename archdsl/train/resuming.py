"""Going on with a run: from which checkpoint, and whether it is still the same run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archdsl.recipe import Recipe
from archdsl.train.checkpoints import read_checkpoint
from archdsl.train.data import ImageData
from archdsl.train.faults import TrainFault
from archdsl.train.folder import Run
from archdsl.train.loop import Progress
from archdsl.train.options import Options


def find_checkpoint(run: Run, options: Options) -> Path | None:
    """The checkpoint that a run is to go on from; None for a new one.

    Errors:
        TrainFault: where the one that was named is not there.
    """
    if options.resume is None:
        return None
    if isinstance(options.resume, Path) and options.resume.suffix == ".ckpt":
        if not options.resume.exists():
            raise TrainFault(f"there is no checkpoint {options.resume}")
        return options.resume
    if not run.last.exists() and options.resume != "auto":
        raise TrainFault(f"there is no checkpoint {run.last}")
    return run.last if run.last.exists() else None


@dataclass(frozen=True)
class Resumed:
    """A checkpoint, and what its run was told when it was written."""

    path: Path
    state: dict[str, Any]
    facts: dict[str, Any]

    @classmethod
    def read(cls, path: Path, facts: dict[str, Any]) -> Resumed:
        """Errors: ``TrainFault`` for what is no checkpoint of a run."""
        return cls(path, read_checkpoint(path), facts)

    @property
    def progress(self) -> Progress:
        state = self.state
        return Progress(
            state["epoch"],
            state["step"],
            state["steps"],
            list(state["sums"]),
            [dict(row) for row in state["history"]],
        )

    def refuse_other_ways(self, recipe: Recipe, options: Options, data: ImageData) -> None:
        """Refuse what a run cannot go on with; all other flags count from here on.

        Errors:
            TrainFault: with what differs.
        """
        done = self.state["epoch"]
        if done > recipe.epochs:
            raise TrainFault(
                f"{self.path} has {done} epochs behind it, which are more than {recipe.epochs}: "
                "pass --epochs with more, or begin a new run"
            )
        before, optimizer = self.facts["recipe"]["optimizer"]["name"], recipe.optimizer.name
        if optimizer != before:
            raise TrainFault(f"the run began with {before}, and cannot go on with {optimizer}")
        if tuple(self.facts["data"]["classes"]) != data.classes:
            raise TrainFault(
                f"the run began with the classes of {self.facts['data']['name']}, and {data.name} "
                "has others"
            )
        if not self.state["step"]:
            return
        # Amid an epoch it must be the same epoch that goes on.
        for what, old, new in (
            ("a batch of", self.facts["recipe"]["batch"], recipe.batch),
            ("a seed of", self.facts["options"]["seed"], options.seed),
            ("a number of images of", self.facts["data"]["train"], len(data.train)),  # type: ignore[arg-type]
        ):
            if old != new:
                raise TrainFault(
                    f"{self.path} is amid epoch {done + 1}, which has {what} {old}, not {new}"
                )

    def earlier(self, now: dict[str, Any]) -> list[dict[str, Any]]:
        """What the run was told up to here, where it was something else than now."""
        stretches: list[dict[str, Any]] = list(self.facts.get("earlier", ()))
        told = {name: self.facts[name] for name in ("recipe", "options", "versions")}
        if any(told[name] != now[name] for name in told):
            stretches.append({"until": str(self.progress), **told})
        return stretches
