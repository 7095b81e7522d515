"""Going on with a run: from which checkpoint, and whether it is still the same run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archdsl.recipe import Recipe
from archdsl.train.checkpoints import copy_checkpoint, read_checkpoint
from archdsl.train.choice import is_checkpoint
from archdsl.train.data import ImageData
from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder
from archdsl.train.loop import Progress
from archdsl.train.options import TrainOptions
from archdsl.train.report import changes_between

#: Data that may lie elsewhere tomorrow.
_FILES = ("folder", "imagenet", "webdataset")


def find_checkpoint(run: RunFolder, options: TrainOptions) -> Path | None:
    """The checkpoint that a run is to go on from; None for a new one.

    Errors:
        TrainError: where the folder that was named has none.
    """
    if options.resume is None:
        return None
    if isinstance(options.resume, Path) and is_checkpoint(options.resume):
        return options.resume  # which was looked for when the folder was chosen
    if not run.last.exists() and options.resume != "auto":
        raise TrainError(f"there is no checkpoint {run.last}")
    return run.last if run.last.exists() else None


@dataclass(frozen=True)
class Resumed:
    """A checkpoint, which says what its run was told when it was written."""

    path: Path
    state: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Resumed:
        """Errors: ``TrainError`` for what is no checkpoint of a run."""
        return cls(path, read_checkpoint(path))

    @property
    def told(self) -> dict[str, Any]:
        """Recipe, options, data and versions; and what counted before, where it was other."""
        told: dict[str, Any] = self.state["told"]
        return told

    @property
    def progress(self) -> Progress:
        state = self.state
        return Progress(
            state["epoch"],
            state["step"],
            state["steps"],
            list(state["sums"]),
            list(state["spent"]),
            [dict(row) for row in state["history"]],
        )

    def refuse_other_ways(self, recipe: Recipe, options: TrainOptions, data: ImageData) -> None:
        """Refuse what a run cannot go on with; all other flags count from here on.

        Errors:
            TrainError: with what differs.
        """
        done = self.state["epoch"]
        if done > recipe.epochs:
            raise TrainError(
                f"{self.path} has {done} epochs behind it, which are more than {recipe.epochs}: "
                "pass --epochs with more, or begin a new run"
            )
        before, optimizer = self.told["recipe"]["optimizer"]["name"], recipe.optimizer.name
        if optimizer != before:
            raise TrainError(f"the run began with {before}, and cannot go on with {optimizer}")
        self._refuse_other_data(data)
        if not self.state["step"]:
            return
        # Amid an epoch it must be the same epoch that goes on.
        for what, old, new in (
            ("a batch of", self.told["recipe"]["batch"], recipe.batch),
            ("a seed of", self.told["options"]["seed"], options.seed),
        ):
            if old != new:
                raise TrainError(
                    f"{self.path} is amid epoch {done + 1}, which has {what} {old}, not {new}"
                )

    def _refuse_other_data(self, data: ImageData) -> None:
        """What lies in files may have moved; it must be as many images of the same classes."""
        old, new = self.told["data"], data_facts(data)
        kinds = [facts["name"].partition(":")[0] for facts in (old, new)]
        if kinds[0] != kinds[1] or (old["name"] != new["name"] and kinds[0] not in _FILES):
            raise TrainError(
                f"the run began with the data {old['name']}, and cannot go on with {new['name']}"
            )
        for name in ("train", "validation", "classes"):
            if old[name] != new[name]:
                raise TrainError(
                    f"the run began with other data: its {name} of {old['name']} were "
                    f"{_short(old[name])}, those of {new['name']} are {_short(new[name])}"
                )

    def earlier(self, now: dict[str, Any]) -> list[dict[str, Any]]:
        """What the run was told up to here, where it was something else than now."""
        stretches: list[dict[str, Any]] = list(self.told.get("earlier", ()))
        told = {name: self.told[name] for name in ("recipe", "options", "versions")}
        if changes_between(told, now):
            stretches.append({"until": str(self.progress), **told})
        return stretches

    def put_in_place(self, run: RunFolder) -> None:
        """Make the checkpoint the last one, and the best where it is: a crash may have hindered.

        Errors:
            TrainError: where it cannot be written.
        """
        if self.path.resolve() != run.last.resolve():
            copy_checkpoint(self.path, run.last)
        progress = self.progress
        if progress.epoch and not progress.step and progress.best == progress.epoch - 1:
            copy_checkpoint(run.last, run.best)


def _short(value: Any) -> str:
    return f"{len(value)} classes" if isinstance(value, list) else f"{value:,} images"


def data_facts(data: ImageData) -> dict[str, Any]:
    """What a run says of its data."""
    return {
        "name": data.name,
        "train": len(data.train),  # type: ignore[arg-type]
        "validation": len(data.validation),  # type: ignore[arg-type]
        "classes": list(data.classes),
        "mean": list(data.mean),
        "std": list(data.std),
        "enlarged": data.enlarged,
        "finished": data.finished,
    }
