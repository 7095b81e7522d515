"""Experiment trackers, Weights & Biases and MLflow, through Lightning's loggers."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder
from archdsl.train.progress import show_note

#: By the name of the tracker: its package, and the class of Lightning's logger.
TRACKERS = {"wandb": ("wandb", "WandbLogger"), "mlflow": ("mlflow", "MLFlowLogger")}
#: Lightning as a whole, or its PyTorch part alone.
_LIGHTNING = ("lightning.pytorch.loggers", "pytorch_lightning.loggers")


def check_tracker(name: str) -> type[Any]:
    """The class of Lightning's logger. Errors: ``TrainError`` where packages are missing."""
    package, logger = TRACKERS[name]
    try:
        importlib.import_module(package)
        return _logger_class(logger)
    except ImportError:
        raise TrainError(
            f"`--log {name}` needs {package} and Lightning: pip install {package} pytorch-lightning"
        ) from None


def _logger_class(name: str) -> type[Any]:
    for place in _LIGHTNING:
        try:
            found: type[Any] = getattr(importlib.import_module(place), name)
        except ModuleNotFoundError:
            continue
        return found
    raise ImportError(name)


class Tracker:
    """Tells a tracker of a run. One that fails is left out: the run does not depend on it."""

    def __init__(self, name: str, run: RunFolder, facts: Mapping[str, Any]) -> None:
        """Begin a run of the tracker, with the settings of the facts.

        Errors:
            TrainError: where packages are missing, or the tracker does not begin.
        """
        self.name = name
        title = run.folder.resolve().name
        make = check_tracker(name)
        try:
            if name == "wandb":
                self.logger = make(name=title, project="archdsl", save_dir=str(run.folder))
            else:
                # One place for all runs; MLflow no longer writes folders.
                place = f"sqlite:///{(run.folder.parent / 'mlflow.db').resolve()}"
                uri = os.environ.get("MLFLOW_TRACKING_URI", place)
                self.logger = make("archdsl", run_name=title, tracking_uri=uri)
            self.logger.log_hyperparams(dict(_flatten(facts)))
        # No account, no network, another version: whatever they raise.
        except Exception as error:
            line = str(error).strip().partition("\n")[0]
            raise TrainError(f"`--log {name}` does not begin: {line}") from error

    def log(self, row: Mapping[str, float]) -> None:
        """Tell of an epoch."""
        numbers = {name: value for name, value in row.items() if name != "step"}
        self._try(lambda: self.logger.log_metrics(numbers, step=int(row["step"])))

    def close(self, *, has_failed: bool = False) -> None:
        """Say that the run is over, or stopped; or that it has failed."""
        self._try(lambda: self._close(has_failed))

    def _close(self, has_failed: bool) -> None:
        self.logger.finalize("failed" if has_failed else "success")
        if self.name == "wandb":
            self.logger.experiment.finish(exit_code=int(has_failed))

    def _try(self, tell: Callable[[], None]) -> None:
        if self.logger is None:
            return
        try:
            tell()
        except Exception as error:
            line = str(error).strip().partition("\n")[0]
            show_note(f"{self.name} fails, and the run continues without it: {line}")
            self.logger = None


def _flatten(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted names, none longer than MLflow allows."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, int | float) else str(value)[:500]
