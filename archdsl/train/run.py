"""A training run: its folder, its trainer, and what it leaves."""

from __future__ import annotations

import json
import logging
import platform
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from filelock import FileLock
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, ProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Subset

import archdsl
from archdsl.codegen import entry_name
from archdsl.layers.activation import Softmax
from archdsl.memory import estimate_memory, render_bytes
from archdsl.model import Model
from archdsl.recipe import Recipe, recipe_facts
from archdsl.runtime.network import load_network
from archdsl.train.checkpoints import AtomicCheckpointIO, write_atomically
from archdsl.train.choice import choose_folder, refuse_another, refuse_name
from archdsl.train.data import ImageData, open_data
from archdsl.train.faults import TrainFault
from archdsl.train.folder import BEST, LAST, NETWORK_PREFIX, Run
from archdsl.train.loading import make_loader
from archdsl.train.options import PRECISIONS, Options
from archdsl.train.progress import progress_callbacks
from archdsl.train.report import write_report
from archdsl.train.task import Classification, NotFinite

#: Real digits that need no download.
DEFAULT_DATA = "digits"


@dataclass(frozen=True)
class Outcome:
    """What a run came to: its folder, the metrics of its last epoch, the images left out."""

    run: Run
    metrics: dict[str, float]
    epochs: int
    broken: tuple[str, ...] = ()
    #: Whether this process speaks for all.
    is_first: bool = True


def train(model: Model, module_source: str, recipe: Recipe, options: Options) -> Outcome:
    """Train a network. Leaves a run folder; on a fault the last good checkpoint stays.

    A dry run leaves nothing.

    Errors:
        TrainFault: for anything the user can mend: data that does not fit, a folder that cannot be
        written, memory that does not suffice, a loss that is no number.
    """
    _quieten()
    refuse_name(options.name)
    _refuse_volumes(model)
    data = _open(model, recipe, options)
    _refuse_misfit(model, data)
    if not options.dry_run:
        run = Run(choose_folder(model, options))
        return _train(run, model, module_source, recipe, options, data)
    with TemporaryDirectory() as folder:
        options = replace(options, resume=None)
        return _train(Run(Path(folder)), model, module_source, recipe, options, data)


def _train(
    run: Run, model: Model, module_source: str, recipe: Recipe, options: Options, data: ImageData
) -> Outcome:
    pl.seed_everything(options.seed, workers=True, verbose=False)
    resumed = _resumed(run, options)
    if resumed is not None:
        refuse_another(run, model.name, module_source)
        _refuse_past(resumed, recipe)
    trainer = _trainer(run, recipe, options, is_resumed=resumed is not None)
    if trainer.is_global_zero:
        _write_facts(run, model, module_source, recipe, options, data)
    task = _task(module_source, model, recipe, options)
    try:
        trainer.fit(
            task,
            *_loaders(data, recipe, trainer, options),
            ckpt_path=resumed,
            weights_only=True,
        )
    except NotFinite as fault:
        last = run.checkpoints / LAST
        good = f"; the last good checkpoint is {last}" if last.exists() else ""
        raise TrainFault(f"{fault}{good}") from None
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        shares = trainer.world_size * options.accumulate
        raise _memory_fault(model, recipe, options, shares) from error
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    # Every process takes part: with sharded weights none has them all.
    state = trainer.strategy.lightning_module_state_dict()
    if trainer.is_global_zero and not options.dry_run:
        _write_weights(run, state)
        write_report(run)
    broken = tuple(map(str, data.broken))
    return Outcome(run, metrics, trainer.current_epoch, broken, trainer.is_global_zero)


def _loaders(
    data: ImageData, recipe: Recipe, trainer: pl.Trainer, options: Options
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """The loaders of training and validation for this process."""
    batch = _batch_per_process(recipe, trainer, options)
    training, validation = (
        make_loader(
            dataset,
            len(dataset),  # type: ignore[arg-type]
            batch=batch,
            workers=options.workers,
            seed=options.seed,
            is_training=is_training,
            is_random=is_training and bool(recipe.augment),
            rank=trainer.global_rank,
            world=trainer.world_size,
        )
        for dataset, is_training in ((data.train, True), (data.validation, False))
    )
    return training, validation


# ── Before ───────────────────────────────────────────────────────────────────────────────────


def _quieten() -> None:
    """Silence the advertisements and the advice Lightning gives on every run."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\..*")
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")


def _open(model: Model, recipe: Recipe, options: Options) -> ImageData:
    with _one_at_a_time(options):
        data = open_data(
            recipe.data or DEFAULT_DATA,
            input=model.input,
            augment=() if options.overfit else recipe.augment,
            seed=options.seed,
            root=options.data_root,
            download=options.download,
            skip_broken=options.skip_broken,
            classes=model.output.channels,
        )
    if options.overfit is None:
        return data
    few = min(options.overfit, len(data.train))  # type: ignore[arg-type]
    subset = Subset(data.train, range(few))
    return replace(data, train=subset, validation=subset)


@contextmanager
def _one_at_a_time(options: Options) -> Iterator[None]:
    """Where data may be fetched, the processes of a run look one after the other."""
    if not options.download:
        yield
        return
    try:
        options.data_root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainFault(f"cannot write to {options.data_root}: {error.strerror}") from None
    with FileLock(options.data_root / ".archdsl.lock"):
        yield


def _refuse_volumes(model: Model) -> None:
    if not model.output.is_vector:
        raise TrainFault(
            f"{model.name} ends in {model.output}; training wants one number a class: "
            "end with `gap; flatten` or `fc`"
        )


def _refuse_misfit(model: Model, data: ImageData) -> None:
    """The classes of the data must be the numbers the network gives."""
    if len(data.classes) != model.output.channels:
        raise TrainFault(
            f"{model.name} tells {model.output.channels} classes apart, "
            f"{data.name} has {len(data.classes)}"
        )


def _refuse_full_disk(run: Run, model: Model) -> None:
    """Checkpoints hold weights and optimizer state; two of them and the weights must fit."""
    parameters = model.trunk.parameters + model.heads.parameters
    needed = 4 * parameters * 10
    free = shutil.disk_usage(run.folder).free
    if free < needed:
        raise TrainFault(
            f"{run.folder} has {free / 1e9:.1f} GB free; checkpoints need {needed / 1e9:.1f} GB"
        )


def _write_facts(
    run: Run,
    model: Model,
    module_source: str,
    recipe: Recipe,
    options: Options,
    data: ImageData,
) -> None:
    """The spec, the generated module and everything needed to run it again."""
    _refuse_full_disk(run, model)
    facts = {
        "network": model.name,
        "class": entry_name(model),
        "spec": Path(model.path).name,
        "input": list(model.input.sizes),
        "output": list(model.output.sizes),
        "parameters": model.trunk.parameters + model.heads.parameters,
        "data": {
            "name": data.name,
            "train": len(data.train),  # type: ignore[arg-type]
            "validation": len(data.validation),  # type: ignore[arg-type]
            "classes": list(data.classes),
            "mean": list(data.mean),
            "std": list(data.std),
            "enlarged": data.enlarged,
        },
        "recipe": recipe_facts(recipe),
        "options": {name: _plain(value) for name, value in asdict(options).items()},
        "gives_probabilities": _gives_probabilities(model),
        "versions": {
            "archdsl": archdsl.__version__,
            "torch": torch.__version__,
            "lightning": version("pytorch-lightning"),
            "python": platform.python_version(),
        },
    }
    texts = {
        run.spec: model.source.text,
        run.module: module_source,
        run.facts: json.dumps(facts, indent=2, ensure_ascii=False) + "\n",
    }
    for path, text in texts.items():
        write_atomically(path, lambda target, text=text: Path(target).write_text(text, "utf-8"))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _gives_probabilities(model: Model) -> bool:
    return isinstance(model.nodes[model.chain.output].layer, Softmax)


# ── The trainer ──────────────────────────────────────────────────────────────────────────────


def _task(source: str, model: Model, recipe: Recipe, options: Options) -> Classification:
    network = load_network(source, entry_name(model))
    if options.channels_last and not model.input.is_vector:
        network = network.to(memory_format=torch.channels_last)
    task = Classification(
        network,
        recipe,
        model.output.channels,
        gives_probabilities=_gives_probabilities(model),
        channels_last=options.channels_last,
        seed=options.seed,
    )
    if options.compile:
        task.network.compile()
    return task


def _trainer(run: Run, recipe: Recipe, options: Options, *, is_resumed: bool) -> pl.Trainer:
    if options.device == "cuda" and not torch.cuda.is_available():
        raise TrainFault("there is no CUDA device here; --device auto takes what there is")
    progress = progress_callbacks()
    callbacks: list[Callback] = [*progress]
    if not options.dry_run:
        # Lightning would write the last checkpoint of a dry run as well; and with `save_last` it
        # would leave out the epochs that are not the best.
        callbacks += [
            ModelCheckpoint(
                str(run.checkpoints),
                filename=name.removesuffix(".ckpt"),
                monitor=monitor,
                enable_version_counter=False,
            )
            for name, monitor in ((BEST, "val_loss"), (LAST, None))
        ]
    if options.patience is not None:
        callbacks.append(EarlyStopping("val_loss", patience=options.patience))
    try:
        return pl.Trainer(
            accelerator={"cuda": "gpu"}.get(options.device, options.device),
            devices=options.devices or "auto",
            num_nodes=options.num_nodes,
            strategy=options.strategy,
            precision=PRECISIONS[options.precision],  # type: ignore[arg-type]
            max_epochs=recipe.epochs,
            fast_dev_run=options.dry_run,
            accumulate_grad_batches=options.accumulate,
            gradient_clip_val=options.clip,
            deterministic=options.deterministic,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1_000_000,
            logger=_loggers(run, options, is_resumed),
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO()],
            enable_checkpointing=not options.dry_run,
            enable_model_summary=False,
            enable_progress_bar=any(isinstance(shown, ProgressBar) for shown in progress),
            default_root_dir=run.folder,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise TrainFault(" ".join(str(error).split())) from None


def _loggers(run: Run, options: Options, is_resumed: bool) -> Sequence[Logger]:
    made: list[Logger] = []
    if "csv" in options.log:
        if is_resumed:
            run.keep_metrics()  # the logger begins a new file
        made.append(CSVLogger(run.folder, name="", version=""))
    if "tensorboard" in options.log:
        made.append(TensorBoardLogger(run.folder, name="", version="tensorboard"))
    return made


def _batch_per_process(recipe: Recipe, trainer: pl.Trainer, options: Options) -> int:
    """The recipe's batch is over all processes and accumulated steps together."""
    shares = trainer.world_size * options.accumulate
    if recipe.batch % shares:
        raise TrainFault(
            f"a batch of {recipe.batch} cannot be split over {trainer.world_size} processes and "
            f"{options.accumulate} accumulated steps"
        )
    return recipe.batch // shares


def _resumed(run: Run, options: Options) -> Path | None:
    if options.resume is None:
        return None
    if isinstance(options.resume, Path) and options.resume.suffix == ".ckpt":
        if not options.resume.exists():
            raise TrainFault(f"there is no checkpoint {options.resume}")
        return options.resume
    last = run.checkpoints / LAST
    if not last.exists() and options.resume != "auto":
        raise TrainFault(f"there is no checkpoint {last}")
    return last if last.exists() else None


def _refuse_past(checkpoint: Path, recipe: Recipe) -> None:
    """A run does not go back. Errors: ``TrainFault``, also for what is no checkpoint."""
    if checkpoint.is_dir():
        return  # of several processes, each of which has a part
    try:
        # Nothing that is pickled but numbers and words; of the weights only what is asked for.
        saved = torch.load(checkpoint, weights_only=True, mmap=True)
        done = saved["epoch"] + 1
    except (OSError, EOFError, RuntimeError, UnpicklingError, KeyError, TypeError):
        raise TrainFault(f"{checkpoint} is no checkpoint of a run, or not whole") from None
    if done > recipe.epochs:
        raise TrainFault(
            f"{checkpoint} has {done} epochs behind it, which are more than {recipe.epochs}: "
            "pass --epochs with more, or begin a new run"
        )


# ── After ────────────────────────────────────────────────────────────────────────────────────


def _write_weights(run: Run, state: dict[str, Any]) -> None:
    weights = {
        name.removeprefix(NETWORK_PREFIX): value.detach().cpu().contiguous()
        for name, value in state.items()
        if name.startswith(NETWORK_PREFIX)
    }
    write_atomically(run.weights, lambda target: save_file(weights, target))


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text


def _memory_fault(model: Model, recipe: Recipe, options: Options, shares: int) -> TrainFault:
    """Say what the run needs and, where the device tells its memory, what batch would fit."""
    batch = max(recipe.batch // shares, 1)
    memory = estimate_memory(model, batch=batch, recipe=recipe, precision=options.precision)
    needs = f"{model.name} with {batch} images a device needs {render_bytes(memory.total)}"
    if not torch.cuda.is_available():
        return TrainFault(f"{needs}, which does not fit into memory: pass a smaller --batch")
    available = torch.cuda.get_device_properties(0).total_memory
    largest = memory.largest_batch(available)
    return TrainFault(
        f"{needs}, which does not fit into memory ({render_bytes(available)}); the largest batch "
        f"that fits is {largest * shares}"
    )
