"""Resuming a run: from which checkpoint, and whether it is still the same run."""

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

#: Kinds of data that may be moved to another place.
_FILES = ("folder", "imagenet", "webdataset")


def find_checkpoint(run: RunFolder, options: TrainOptions) -> Path | None:
    """The checkpoint from which a run is resumed; None for a new one.

    Errors:
        TrainError: where the folder that was named has none.
    """
    if options.resume is None:
        return None
    if isinstance(options.resume, Path) and is_checkpoint(options.resume):
        return options.resume  # that it exists was checked when the folder was chosen
    if not run.last.exists() and options.resume != "auto":
        raise TrainError(f"there is no checkpoint {run.last}")
    return run.last if run.last.exists() else None


@dataclass(frozen=True)
class Resumed:
    """A checkpoint, which holds the settings of its run at that time."""

    path: Path
    state: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Resumed:
        """Errors: ``TrainError`` for anything but a checkpoint of a run."""
        return cls(path, read_checkpoint(path))

    @property
    def told(self) -> dict[str, Any]:
        """Recipe, options, data and versions; and the earlier ones, where they differ."""
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
        """Refuse settings with which the run cannot continue; all others count from here on.

        Errors:
            TrainError: with what differs.
        """
        done = self.state["epoch"]
        if done > recipe.epochs:
            raise TrainError(
                f"{self.path} has {done} epochs behind it, which is more than {recipe.epochs}: "
                "pass a larger --epochs, or begin a new run"
            )
        before, optimizer = self.told["recipe"]["optimizer"]["name"], recipe.optimizer.name
        if optimizer != before:
            raise TrainError(f"the run began with {before}, and cannot continue with {optimizer}")
        self._refuse_other_data(data)
        if not self.state["step"]:
            return
        # In the middle of an epoch, it must be the same epoch that continues.
        for what, old, new in (
            ("a batch of", self.told["recipe"]["batch"], recipe.batch),
            ("a seed of", self.told["options"]["seed"], options.seed),
        ):
            if old != new:
                raise TrainError(
                    f"{self.path} is in the middle of epoch {done + 1}, which has {what} {old}, "
                    f"not {new}"
                )

    def _refuse_other_data(self, data: ImageData) -> None:
        """Data in files may have moved, but must be as many images of the same classes."""
        old, new = self.told["data"], data_facts(data)
        kinds = [facts["name"].partition(":")[0] for facts in (old, new)]
        if kinds[0] != kinds[1] or (old["name"] != new["name"] and kinds[0] not in _FILES):
            raise TrainError(
                f"the run began with the data {old['name']}, and cannot continue with {new['name']}"
            )
        for name in ("train", "validation", "classes", "targets"):
            # Only numbers to be told have the last, and only since they can be trained for.
            before, now = old.get(name, []), new.get(name, [])
            if before != now:
                raise TrainError(
                    f"the run began with other data: its {name} of {old['name']} were "
                    f"{_short(before, name)}, those of {new['name']} are {_short(now, name)}"
                )

    def earlier(self, now: dict[str, Any]) -> list[dict[str, Any]]:
        """The settings of the run up to here, where they differ from the current ones."""
        stretches: list[dict[str, Any]] = list(self.told.get("earlier", ()))
        told = {name: self.told[name] for name in ("recipe", "options", "versions")}
        if changes_between(told, now):
            stretches.append({"until": str(self.progress), **told})
        return stretches

    def put_in_place(self, run: RunFolder) -> None:
        """Make the checkpoint the last one, and the best if it is: a crash may have prevented it.

        Errors:
            TrainError: where it cannot be written.
        """
        if self.path.resolve() != run.last.resolve():
            copy_checkpoint(self.path, run.last)
        progress = self.progress
        if progress.epoch and not progress.step and progress.best == progress.epoch - 1:
            copy_checkpoint(run.last, run.best)


def _short(value: Any, name: str) -> str:
    if name == "targets":
        return ", ".join(value) or "none"
    return f"{len(value)} classes" if isinstance(value, list) else f"{value:,} images"


def data_facts(data: ImageData) -> dict[str, Any]:
    """What a run says about its data."""
    return {
        "name": data.name,
        "train": len(data.train),  # type: ignore[arg-type]
        "validation": len(data.validation),  # type: ignore[arg-type]
        "classes": list(data.classes),
        "mean": list(data.mean),
        "std": list(data.std),
        "enlarged": data.enlarged,
        "finished": data.finished,
        **({"targets": list(data.targets)} if data.targets else {}),
    }
