"""A training run: what it needs, its folder, its processes, and what it writes."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning_fabric import seed_everything

from archdsl.codegen import entry_name
from archdsl.model import BYTES_PER_NUMBER, Model
from archdsl.model.memory import render_bytes
from archdsl.recipe import Recipe, recipe_facts
from archdsl.train.averaging import Averaging
from archdsl.train.checkpoints import write_text
from archdsl.train.choice import choose_folder, hold, refuse_another, refuse_name
from archdsl.train.data import ImageData, measure_appearance
from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder
from archdsl.train.keeping import Keeper, restore
from archdsl.train.loading import Loader, seeded
from archdsl.train.loop import NotFinite, Progress, TrainingLoop, Watcher
from archdsl.train.memory import explaining_memory
from archdsl.train.options import TrainOptions
from archdsl.train.processes import start_processes, telling_of_lost_processes
from archdsl.train.progress import progress_watchers, show_note
from archdsl.train.report import changes_of
from archdsl.train.resuming import Resumed, data_facts, find_checkpoint
from archdsl.train.setup import (
    gives_pixels,
    gives_probabilities,
    kind_of_task,
    make_loaders,
    make_network,
    make_task,
    open_images,
    set_up_torch,
)
from archdsl.train.stopping import ending_workers, requeue, watch_signals
from archdsl.train.task import (
    classified_output,
    make_optimizer,
    trained_outputs,
)
from archdsl.train.trackers import TRACKERS, Tracker, check_tracker
from archdsl.train.transfer import begin_with, refuse_freezing_alone
from archdsl.version import __version__

#: The facts that are in each checkpoint, too: a resumed run is compared with them.
_TOLD = ("recipe", "options", "data", "versions", "earlier")


@dataclass(frozen=True)
class Outcome:
    """The result of a run: its folder, the metrics of its last epoch, the images left out.

    ``metrics`` is empty where no epoch was left to train. ``signal`` is what stopped the run before
    its end, and ``progress`` how far it is.
    """

    run: RunFolder
    metrics: dict[str, float]
    progress: Progress
    broken: tuple[str, ...] = ()
    #: Whether this process reports for all.
    is_first: bool = True
    signal: int | None = None
    is_requeued: bool = False

    @property
    def epochs(self) -> int:
        """The epochs that are over."""
        return self.progress.epoch


def train_model(model: Model, module_source: str, recipe: Recipe, options: TrainOptions) -> Outcome:
    """Train a network and write a run folder; on a fault the last good checkpoint stays.

    A dry run leaves nothing behind.

    Errors:
        TrainError: for anything the user can fix: data that does not fit, a folder that cannot be
            written, too little memory, a loss that is not finite.
    """
    refuse_name(options.name)
    if options.overfit:
        recipe = replace(recipe, augment=())
    for name in options.log:
        if name in TRACKERS:
            check_tracker(name)
    refuse_freezing_alone(options)
    if recipe.average and options.strategy == "fsdp":
        raise TrainError(f"`{recipe.average.name}` does not work with `--strategy fsdp`")
    data = open_images(model, recipe, options)
    if options.dry_run:
        with TemporaryDirectory() as folder, ending_workers():
            options = replace(options, resume=None)
            return _train(RunFolder(Path(folder)), model, module_source, recipe, options, data)
    run = RunFolder(choose_folder(model, options))
    if find_checkpoint(run, options) is not None:
        refuse_another(run, model.name, module_source)  # before a lock is put into the folder
    with hold(run), ending_workers():
        return _train(run, model, module_source, recipe, options, data)


def _train(
    run: RunFolder,
    model: Model,
    module_source: str,
    recipe: Recipe,
    options: TrainOptions,
    data: ImageData,
) -> Outcome:
    seed_everything(options.seed, verbose=False)
    set_up_torch(options)
    resumed = _resumed(run, recipe, options, data)
    fabric = start_processes(options)
    training, validation = make_loaders(data, recipe, fabric, options)
    _refuse_late_average(recipe, training)
    facts = _facts(model, recipe, options, data, resumed)
    told = {name: facts[name] for name in _TOLD if name in facts}
    trackers: list[Tracker] = []
    network = make_network(module_source, model, options)
    task = make_task(model, recipe, data, network)
    beginning = begin_with(network, options, task.classes, is_resumed=resumed is not None)
    with (
        _explaining(run),
        explaining_memory(model, recipe, options, fabric.world_size),
        telling_of_lost_processes(fabric),
    ):
        wrapped = fabric.setup_module(network)
        optimizer = make_optimizer(recipe.optimizer, network)
        average = Averaging(recipe.average, network) if recipe.average else None
        if average is not None and options.compile:
            average.network.compile()
        progress = Progress()
        if resumed is not None:
            progress = restore(resumed, fabric, network, optimizer, average)
        if fabric.is_global_zero and not options.dry_run:
            # Nothing is written before everything has been accepted.
            _refuse_full_disk(run, model, recipe)
            trackers = [Tracker(name, run, told) for name in options.log if name in TRACKERS]
            with seeded(options.seed, also_python=True):
                appearance = measure_appearance(data)
            if appearance is not None:
                facts["data"]["appearance"] = appearance.facts()
            _write_facts(run, model, module_source, facts)
            if resumed is not None:
                resumed.put_in_place(run)
                for line in changes_of(facts):
                    show_note(line)
        if fabric.is_global_zero:
            for note in beginning.notes:
                show_note(note)
        watchers: list[Watcher] = [*progress_watchers(fabric, options.color)]
        keeper = Keeper(run, fabric, network, optimizer, options, progress, average, told, trackers)
        if not options.dry_run:
            watchers.insert(0, keeper)
        loop = TrainingLoop(
            fabric,
            wrapped,
            fabric.setup_optimizers(optimizer),  # type: ignore[arg-type]
            task,
            recipe,
            options,
            data,
            training,
            validation,
            progress,
            average,
            tuple(watchers),
            beginning.frozen_norms,
        )
        before = len(progress.history)
        with watch_signals() as stopping, keeper.telling_of_failure():
            signal = loop.run(stopping)
            if not options.dry_run:
                keeper.finish(loop)
        is_first = fabric.is_global_zero
        is_requeued = bool(signal and is_first and requeue(signal))
    metrics = progress.history[-1] if len(progress.history) > before else {}
    broken = tuple(map(str, data.broken))
    return Outcome(run, metrics, progress, broken, is_first, signal, is_requeued)


@contextmanager
def _explaining(run: RunFolder) -> Iterator[None]:
    """Add to a loss that is not finite which checkpoint is left."""
    try:
        yield
    except NotFinite as fault:
        good = f"; the last checkpoint is {run.last}" if run.last.exists() else ""
        raise TrainError(f"{fault}{good}") from None


def _resumed(
    run: RunFolder, recipe: Recipe, options: TrainOptions, data: ImageData
) -> Resumed | None:
    """The checkpoint that the run resumes from, if it does; read before anything is written."""
    path = find_checkpoint(run, options)
    if path is None:
        return None
    resumed = Resumed.read(path)
    resumed.refuse_other_ways(recipe, options, data)
    return resumed


# ── Before ───────────────────────────────────────────────────────────────────────────────────


def _refuse_full_disk(run: RunFolder, model: Model, recipe: Recipe) -> None:
    """The last checkpoint, the best and one that is being written must fit; so must the weights."""
    parameters = model.trunk.parameters + model.heads.parameters
    copies = 1 + recipe.optimizer.count_state() + bool(recipe.average)
    needed = BYTES_PER_NUMBER * parameters * (3 * copies + 3)
    free = shutil.disk_usage(run.folder).free
    if free < needed:
        raise TrainError(
            f"{run.folder} has {render_bytes(free)} free; checkpoints need {render_bytes(needed)}"
        )


def _facts(
    model: Model, recipe: Recipe, options: TrainOptions, data: ImageData, resumed: Resumed | None
) -> dict[str, Any]:
    """Everything needed to run it again, except spec and module."""
    facts: dict[str, Any] = {
        "network": model.name,
        "class": entry_name(model),
        "spec": Path(model.path).name,
        "input": list(model.input.sizes),
        "output": list(classified_output(model, recipe).volume.sizes),
        "parameters": model.trunk.parameters + model.heads.parameters,
        "data": data_facts(data),
        "recipe": recipe_facts(recipe),
        "options": {name: _plain(value) for name, value in asdict(options).items()},
        "task": kind_of_task(model, recipe, data),
        "gives_probabilities": gives_probabilities(model, recipe),
        "gives_pixels": gives_pixels(model, recipe),
        "classified": next(iter(trained_outputs(model, recipe))),
        "versions": {
            "archdsl": __version__,
            "torch": str(torch.__version__),
            "lightning-fabric": version("lightning-fabric"),
            "python": platform.python_version(),
        },
    }
    if resumed is not None:
        facts["earlier"] = resumed.earlier(facts)
    return facts


def _write_facts(run: RunFolder, model: Model, module_source: str, facts: dict[str, Any]) -> None:
    """Write the facts, by which a folder is known as that of a run; then spec and module."""
    write_text(run.facts, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    write_text(run.spec, model.source.text)
    write_text(run.module, module_source)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _refuse_late_average(recipe: Recipe, training: Loader) -> None:
    """Refuse an average that would be that of a single step, at the beginning."""
    steps = recipe.epochs * training.steps
    if recipe.average and recipe.average.steps >= steps > 1:
        raise TrainError(
            f"`ema steps={recipe.average.steps}`: the run has {steps:,} steps, and the average "
            "would be that of the first step only"
        )
