"""What a run is made of: its data, its network and its task, checked before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from filelock import FileLock
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import Subset

from archdsl.codegen import entry_name
from archdsl.layers.activation import Softmax
from archdsl.model import Model
from archdsl.recipe import Recipe
from archdsl.torch_tools.network import load_network
from archdsl.train.data import ImageData, open_data
from archdsl.train.errors import TrainError
from archdsl.train.loading import Loader
from archdsl.train.options import TrainOptions, count_workers
from archdsl.train.task import (
    Classification,
    classified_output,
    objectives_of,
    trained_outputs,
)

#: Real digits that need no download.
DEFAULT_DATA = "digits"


def set_up_torch(options: TrainOptions) -> None:
    """Settings of the whole process: convolutions on a GPU may search for their fastest way."""
    torch.use_deterministic_algorithms(options.deterministic)
    if options.deterministic:
        # cuBLAS reads it when it is first used, and sums in a changing order without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = not options.deterministic


def open_images(model: Model, recipe: Recipe, options: TrainOptions) -> ImageData:
    """The data of a run, which must fit its network.

    Errors:
        TrainError: where it does not, or cannot be opened; where archdsl does not train such a
            network; where a batch cannot be split as asked.
    """
    if recipe.batch % options.accumulate:
        raise TrainError(
            f"a batch of {recipe.batch} cannot be split into {options.accumulate} accumulated parts"
        )
    _refuse_volumes(model, recipe)
    data = _open(model, recipe, options)
    _refuse_misfit(model, recipe, data)
    return data


def _open(model: Model, recipe: Recipe, options: TrainOptions) -> ImageData:
    with one_at_a_time(options):
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
def one_at_a_time(options: TrainOptions) -> Iterator[None]:
    """Where files may be fetched, the processes of a run do what is inside one after the other."""
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


# ── Its parts ─────────────────────────────────────────────────────────────────────────────────────


def make_loaders(
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


def make_task(model: Model, recipe: Recipe, network: nn.Module) -> Classification:
    """What a network is trained for."""
    return Classification(
        recipe,
        classified_output(model, recipe).volume.channels,
        gives_probabilities=gives_probabilities(model, recipe),
        aux_weights=getattr(network, "aux_weights", ()),
        objectives=objectives_of(model, recipe),
    )


def gives_probabilities(model: Model, recipe: Recipe) -> bool:
    """Whether a network ends in a softmax."""
    return isinstance(classified_output(model, recipe).layer, Softmax)


def make_network(source: str, model: Model, options: TrainOptions) -> nn.Module:
    """The network of a module, laid out in memory as the options say."""
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
