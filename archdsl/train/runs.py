"""Several runs beside each other: their numbers, and in what they differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archdsl.train.checkpoints import read_checkpoint
from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder
from archdsl.train.logs import Row, read_metrics
from archdsl.train.report import OF_ONE_CALL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBERS = re.compile("([0-9]+)")
#: The two panels: a title, the rows of validation and those of training.
_PANELS = {"loss": ("val_loss", "train_loss"), "top-1": ("val_top1", "train_top1")}


@dataclass(frozen=True)
class RunSummary:
    """A run in numbers.

    ``epochs`` are over, ``planned`` those of the recipe. ``top1`` is the best validation top-1,
    which was reached first in ``best_epoch``, and ``loss`` the lowest validation loss; None before
    the first epoch is over.
    """

    run: str
    network: str
    parameters: int
    data: str
    optimizer: str
    lr: float
    epochs: int
    planned: int
    top1: float | None
    best_epoch: int | None
    loss: float | None

    def facts(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class RecordedRun:
    """The folder of a run with its facts and a row for each epoch that is over."""

    folder: Path
    facts: dict[str, Any]
    history: tuple[Row, ...]

    def summary(self) -> RunSummary:
        """The numbers of the run. Errors: ``TrainError`` where ``run.json`` lacks some."""
        facts, recipe = self.facts, self.facts.get("recipe")
        try:
            top1s = [row["val_top1"] for row in self.history if "val_top1" in row]
            best = max(top1s, default=None)
            return RunSummary(
                self.folder.as_posix(),
                str(facts["network"]),
                int(facts["parameters"]),
                str(facts["data"]["name"]),
                str(recipe["optimizer"]["name"]),  # type: ignore[index]
                float(recipe["optimizer"]["lr"]),  # type: ignore[index]
                len(self.history),
                int(recipe["epochs"]),  # type: ignore[index]
                best,
                None if best is None else top1s.index(best) + 1,
                min((row["val_loss"] for row in self.history), default=None),
            )
        except (LookupError, TypeError, ValueError):
            raise TrainError(f"{self.folder}: run.json or metrics.csv is damaged") from None


def find_runs(folder: Path) -> list[Path]:
    """The folders of runs in a folder, ``net-2`` before ``net-10``; or the folder, if it is one.

    Errors:
        TrainError: where it is not there or cannot be read.
    """
    if RunFolder(folder).facts.exists():
        return [folder]
    try:
        inner = [path for path in folder.iterdir() if RunFolder(path).facts.exists()]
    except FileNotFoundError:
        raise TrainError(f"there is no folder {folder}") from None
    except OSError as error:
        raise TrainError(f"cannot read {folder}: {error.strerror}") from None
    return sorted(inner, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    parts = _NUMBERS.split(name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def read_run(folder: Path) -> RecordedRun:
    """A run as it is now; it may still be training.

    Errors:
        TrainError: where the folder is not that of a run, or is damaged.
    """
    run = RunFolder(folder)
    facts = run.read_facts()
    try:
        history = read_metrics(run)
    except (OSError, ValueError) as error:
        raise TrainError(f"{run.metrics} cannot be read: {error}") from None
    # Without the CSV log, checkpoints have the same rows.
    if not history and run.last.exists():
        history = read_checkpoint(run.last)["history"]
    return RecordedRun(folder, facts, tuple(history))


def names_of(runs: Sequence[RecordedRun]) -> list[str]:
    """A name for each run: that of its folder, or the path where two have the same."""
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) == len(names):
        return names
    return [run.folder.as_posix() for run in runs]


# ── Differences ──────────────────────────────────────────────────────────────────────────────


def differences(runs: Sequence[RecordedRun]) -> list[tuple[str, tuple[str, ...]]]:
    """The settings in which runs differ, each with its value in every run; ``–`` for none.

    They are those of the network, the data, the recipe, the flags, and the versions of packages.
    """
    settings = [dict(_settings(run)) for run in runs]
    names = list(dict.fromkeys(name for each in settings for name in each))
    rows = ((name, tuple(each.get(name, "–") for each in settings)) for name in names)
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _settings(run: RecordedRun) -> Iterator[tuple[str, str]]:
    facts = run.facts
    for name in ("network", "parameters"):
        yield name, _text(facts.get(name))
    module = RunFolder(run.folder).module
    if module.exists():
        yield "module (SHA-256)", sha256(module.read_bytes()).hexdigest()[:8]
    data = facts.get("data", {})
    yield "data", _text(data.get("name"))
    for name in ("train", "validation"):
        yield f"data.{name}", _text(data.get(name))
    for name, value in facts.get("recipe", {}).items():
        if name != "data":  # what was used is named above
            yield from _flatten(name, value)
    for name, value in facts.get("options", {}).items():
        if name not in OF_ONE_CALL:
            flag = "from" if name == "weights_from" else name.replace("_", "-")
            yield f"--{flag}", _text(value)
    for name, value in facts.get("versions", {}).items():
        yield name, _text(value)


def _flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """An option of a recipe, or several, as ``optimizer``, ``optimizer.lr``, …"""
    if isinstance(value, list):
        yield name, ", ".join(option["name"] for option in value) or "–"
        for option in value:
            for key, setting in option.items():
                if key != "name":
                    yield f"{name}.{option['name']}.{key}", _text(setting)
        return
    if isinstance(value, dict):
        if "name" in value:
            yield name, _text(value["name"])
        for key, setting in value.items():
            if key != "name":
                yield from _flatten(f"{name}.{key}", setting)
        return
    yield name, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "–"
    return f"{value:,}" if isinstance(value, int) else str(value)


# ── Curves ───────────────────────────────────────────────────────────────────────────────────


def draw_comparison(runs: Sequence[RecordedRun]) -> Figure:
    """Loss and top-1 of all runs by epoch: validation as lines, training dotted.

    Runs whose networks tell no classes of images apart have a loss alone.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    names = names_of(runs)
    handles: dict[str, Any] = {}
    for axes, (title, curves) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
        for place, (name, run) in enumerate(zip(names, runs, strict=True)):
            color = f"C{place % 10}"
            marks = "o^sDvPX"[(place // 10) % 7] if place >= 10 or len(run.history) == 1 else ""
            for column, style in zip(curves, ("-", ":"), strict=True):
                points = [(row["epoch"], row[column]) for row in run.history if column in row]
                if points:
                    lines = axes.plot(*zip(*points, strict=True), style, color=color, marker=marks)
                    handles.setdefault(name, lines[0])
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if title == "top-1":
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(alpha=0.3)
    figure.suptitle("validation (lines) and training (dotted)", fontsize=10)
    columns = min(len(runs), 5)
    legend = figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=columns, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure
