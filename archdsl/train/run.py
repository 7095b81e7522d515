"""A training run: what it needs, its folder, its processes, and what it writes."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from filelock import FileLock
from lightning_fabric import Fabric, seed_everything
from torch import nn
from torch.utils.data import Subset

from archdsl.codegen import entry_name
from archdsl.layers.activation import Softmax
from archdsl.model import BYTES_PER_NUMBER, Model
from archdsl.model.memory import estimate_memory, render_bytes
from archdsl.recipe import Recipe, recipe_facts
from archdsl.torch_tools.network import load_network
from archdsl.train.averaging import Averaging
from archdsl.train.checkpoints import write_text
from archdsl.train.choice import choose_folder, hold, refuse_another, refuse_name
from archdsl.train.data import ImageData, measure_appearance, open_data
from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder
from archdsl.train.keeping import Keeper, restore
from archdsl.train.loading import Loader, seeded
from archdsl.train.loop import NotFinite, Progress, TrainingLoop, Watcher
from archdsl.train.options import TrainOptions, count_workers
from archdsl.train.processes import start_processes, telling_of_lost_processes
from archdsl.train.progress import progress_watchers, show_note
from archdsl.train.report import changes_of
from archdsl.train.resuming import Resumed, data_facts, find_checkpoint
from archdsl.train.stopping import ending_workers, requeue, watch_signals
from archdsl.train.task import (
    Classification,
    classified_output,
    make_optimizer,
    objectives_of,
    trained_outputs,
)
from archdsl.version import __version__

#: The facts that are in each checkpoint, too: a resumed run is compared with them.
_TOLD = ("recipe", "options", "data", "versions", "earlier")
#: Real digits that need no download.
DEFAULT_DATA = "digits"


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
    if recipe.batch % options.accumulate:
        raise TrainError(
            f"a batch of {recipe.batch} cannot be split into {options.accumulate} accumulated parts"
        )
    if recipe.average and options.strategy == "fsdp":
        raise TrainError(f"`{recipe.average.name}` does not work with `--strategy fsdp`")
    _refuse_volumes(model, recipe)
    data = _open(model, recipe, options)
    _refuse_misfit(model, recipe, data)
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
    _set_up_torch(options)
    resumed = _resumed(run, recipe, options, data)
    fabric = start_processes(options)
    training, validation = _loadings(data, recipe, fabric, options)
    _refuse_late_average(recipe, training)
    facts = _facts(model, recipe, options, data, resumed)
    network = _network(module_source, model, options)
    task = Classification(
        recipe,
        classified_output(model, recipe).volume.channels,
        gives_probabilities=_gives_probabilities(model, recipe),
        aux_weights=getattr(network, "aux_weights", ()),
        objectives=objectives_of(model, recipe),
    )
    with _explaining(run, model, recipe, options, fabric), telling_of_lost_processes(fabric):
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
            with seeded(options.seed, also_python=True):
                appearance = measure_appearance(data)
            if appearance is not None:
                facts["data"]["appearance"] = appearance.facts()
            _write_facts(run, model, module_source, facts)
            if resumed is not None:
                resumed.put_in_place(run)
                for line in changes_of(facts):
                    show_note(line)
        watchers: list[Watcher] = [*progress_watchers(fabric, options.color)]
        told = {name: facts[name] for name in _TOLD if name in facts}
        keeper = Keeper(run, fabric, network, optimizer, options, progress, average, told)
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
        )
        before = len(progress.history)
        with watch_signals() as stopping:
            signal = loop.run(stopping)
            if not options.dry_run:
                keeper.finish(loop)
        is_first = fabric.is_global_zero
        is_requeued = bool(signal and is_first and requeue(signal))
    metrics = progress.history[-1] if len(progress.history) > before else {}
    broken = tuple(map(str, data.broken))
    return Outcome(run, metrics, progress, broken, is_first, signal, is_requeued)


@contextmanager
def _explaining(
    run: RunFolder, model: Model, recipe: Recipe, options: TrainOptions, fabric: Fabric
) -> Iterator[None]:
    """Add to a loss that is not finite which checkpoint is left, and to a full memory what fits."""
    try:
        yield
    except NotFinite as fault:
        good = f"; the last checkpoint is {run.last}" if run.last.exists() else ""
        raise TrainError(f"{fault}{good}") from None
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        shares = fabric.world_size * options.accumulate
        raise _memory_fault(model, recipe, options, shares) from error


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


def _loadings(
    data: ImageData, recipe: Recipe, fabric: Fabric, options: TrainOptions
) -> tuple[Loader, Loader]:
    """The images of training and of validation for this process."""
    workers = count_workers(options, data, fabric)
    make: Callable[..., Loader] = Loader
    if options.loader == "dali":
        from archdsl.train.dali import DaliLoading

        make = partial(DaliLoading, device=fabric.device)
    training, validation = (
        make(
            dataset,
            len(dataset),  # type: ignore[arg-type]
            batch=_batch_per_process(recipe, fabric, options),
            parts=options.accumulate,
            workers=workers,
            seed=options.seed,
            shuffle=is_training,
            augment=recipe.augment if is_training else (),
            rank=fabric.global_rank,
            world=fabric.world_size,
        )
        for dataset, is_training in ((data.train, True), (data.validation, False))
    )
    return training, validation


# ── Before ───────────────────────────────────────────────────────────────────────────────────


def _set_up_torch(options: TrainOptions) -> None:
    """Settings of the whole process: convolutions on a GPU may search for their fastest way."""
    torch.use_deterministic_algorithms(options.deterministic)
    if options.deterministic:
        # cuBLAS reads it when it is first used, and sums in a changing order without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = not options.deterministic


def _open(model: Model, recipe: Recipe, options: TrainOptions) -> ImageData:
    with _one_at_a_time(options):
        data = open_data(
            recipe.data or DEFAULT_DATA,
            input=model.input,
            augment=recipe.augment,
            seed=options.seed,
            root=options.data_root,
            download=options.download,
            skip_broken=options.skip_broken,
            classes=classified_output(model, recipe).volume.channels,
        )
    if options.overfit is None:
        return data
    few = min(options.overfit, len(data.train))  # type: ignore[arg-type]
    subset = Subset(data.train, range(few))
    return replace(data, train=subset, validation=subset)


@contextmanager
def _one_at_a_time(options: TrainOptions) -> Iterator[None]:
    """Where data may be fetched, the processes of a run open it one after the other."""
    if not options.download:
        yield
        return
    try:
        options.data_root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"cannot write to {options.data_root}: {error.strerror}") from None
    with FileLock(options.data_root / ".archdsl.lock"):
        yield


def _refuse_volumes(model: Model, recipe: Recipe) -> None:
    if len(model.inputs) > 1:
        raise TrainError(
            f"{model.name} has {len(model.inputs)} inputs; `archdsl train` trains networks with one"
        )
    if any(node.layer.reads_words for node in model.layers):
        raise TrainError(
            f"{model.name} reads the numbers of words; `archdsl train` trains networks of images"
        )
    for output, node in trained_outputs(model, recipe).items():
        if not node.volume.is_vector:
            what = f"`{output}` of {model.name} is" if output else f"{model.name} ends in"
            raise TrainError(
                f"{what} {node.volume}; training needs one number per class: "
                "end with `gap; flatten` or `fc`"
                + (", or give the recipe the losses of other outputs alone" if output else "")
            )


def _refuse_misfit(model: Model, recipe: Recipe, data: ImageData) -> None:
    """Each output with a loss must have one number for each class of the data."""
    for output, node in trained_outputs(model, recipe).items():
        if len(data.classes) != node.volume.channels:
            what = f"`{output}` of {model.name}" if output else model.name
            raise TrainError(
                f"{what} tells {node.volume.channels} classes apart, "
                f"{data.name} has {len(data.classes)}"
            )


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
        "gives_probabilities": _gives_probabilities(model, recipe),
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


def _gives_probabilities(model: Model, recipe: Recipe) -> bool:
    return isinstance(classified_output(model, recipe).layer, Softmax)


# ── The network ──────────────────────────────────────────────────────────────────────────────


def _network(source: str, model: Model, options: TrainOptions) -> nn.Module:
    network = load_network(source, entry_name(model))
    # Weights that are to be sharded must be stored in the order of their sizes.
    if options.channels_last and options.strategy != "fsdp" and model.input.is_image:
        network = network.to(memory_format=torch.channels_last)
    if options.sync_bn:
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    if options.compile:
        network.compile()
    return network


def _batch_per_process(recipe: Recipe, fabric: Fabric, options: TrainOptions) -> int:
    """The recipe's batch is over all processes and accumulated parts together."""
    shares = fabric.world_size * options.accumulate
    if recipe.batch % shares:
        raise TrainError(
            f"a batch of {recipe.batch} cannot be split over {fabric.world_size} processes and "
            f"{options.accumulate} accumulated steps"
        )
    return recipe.batch // fabric.world_size


# ── Memory ───────────────────────────────────────────────────────────────────────────────────


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text


def _memory_fault(model: Model, recipe: Recipe, options: TrainOptions, shares: int) -> TrainError:
    """Say what the run needs and, where the device's memory is known, which batch would fit."""
    batch = max(recipe.batch // shares, 1)
    memory = estimate_memory(model, batch=batch, recipe=recipe, precision=options.precision)
    needs = f"{model.name} with {batch} images per device needs {render_bytes(memory.total)}"
    if not torch.cuda.is_available():
        return TrainError(f"{needs}, which does not fit into memory: pass a smaller --batch")
    available = torch.cuda.get_device_properties(0).total_memory
    largest = memory.largest_batch(available)
    return TrainError(
        f"{needs}, which does not fit into memory ({render_bytes(available)}); the largest batch "
        f"that fits is {largest * shares}"
    )
