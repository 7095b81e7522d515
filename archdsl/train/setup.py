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
from archdsl.layers.activation import Sigmoid, Softmax
from archdsl.model import Model
from archdsl.recipe import Recipe
from archdsl.recipe.augmentations import Mixing
from archdsl.recipe.losses import CrossEntropy, MeanSquaredError
from archdsl.report.text import count_of
from archdsl.torch_tools.network import load_network
from archdsl.train.data import ImageData, is_own, open_data
from archdsl.train.errors import TrainError
from archdsl.train.loading import Loader
from archdsl.train.loop import Task
from archdsl.train.options import TrainOptions, count_workers
from archdsl.train.pixel_tasks import Reconstruction, Regression, Segmentation
from archdsl.train.task import (
    Classification,
    TaskKind,
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
    output = classified_output(model, recipe).volume
    with one_at_a_time(options):
        data = open_data(
            recipe.data or DEFAULT_DATA,
            input=model.input,
            augment=recipe.augment,
            seed=options.seed,
            root=options.data_root,
            download=options.download,
            skip_broken=options.skip_broken,
            # Made up where the network does not tell the classes of images apart.
            classes=output.channels if output.is_vector else None,
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
    # Only opened data tells whether it has masks; no others than the user's have.
    _possible_task(model, recipe, may_have_masks=is_own(recipe.data or DEFAULT_DATA))


def _refuse_misfit(model: Model, recipe: Recipe, data: ImageData) -> None:
    """Refuse outputs that are not made for what the data is to be told by."""
    kind = kind_of_task(model, recipe, data)
    if kind == "reconstruction":
        if any(isinstance(option, Mixing) for option in recipe.augment):
            raise TrainError("mixup and cutmix mix labels, and an autoencoder has none")
        return
    volume = classified_output(model, recipe).volume
    if kind == "regression":
        if volume.channels != len(data.targets):
            raise TrainError(
                f"{model.name} returns {count_of(volume.channels, 'number')}, {data.name} has "
                f"{count_of(len(data.targets), 'target')}: {', '.join(data.targets)}"
            )
        return
    is_larger = volume.is_image and (
        volume.height > model.input.height or volume.width > model.input.width
    )
    if kind == "segmentation" and is_larger:
        raise TrainError(
            f"{model.name} ends in {volume}, which has more pixels than its input {model.input}"
        )
    for output, node in trained_outputs(model, recipe).items():
        if len(data.classes) != node.volume.channels:
            what = f"`{output}` of {model.name}" if output else model.name
            raise TrainError(
                f"{what} tells {node.volume.channels} classes apart, "
                f"{data.name} has {len(data.classes)}"
            )


def kind_of_task(model: Model, recipe: Recipe, data: ImageData) -> TaskKind:
    """What a network is trained for on some data: its output and its loss tell.

    Errors:
        TrainError: where the data is not made for it.
    """
    kind = _possible_task(model, recipe, may_have_masks=data.has_masks)
    if data.targets:
        if kind != "classification" or model.outputs or model.heads.parameters:
            raise TrainError(
                f"{data.name} has numbers to be told; {model.name} has to end in one vector of them"
            )
        if not isinstance(recipe.loss, MeanSquaredError):
            raise TrainError(f"{data.name} has numbers to be told: the recipe needs `loss mse`")
        return "regression"
    if kind == "classification" and data.has_masks:
        raise TrainError(
            f"{data.name} has a mask for each image, {model.name} returns a vector: a network "
            "that tells the class of each pixel ends in an image"
        )
    return kind


def _possible_task(model: Model, recipe: Recipe, *, may_have_masks: bool) -> TaskKind:
    """What a network can be trained for. Errors: ``TrainError`` where that is nothing."""
    outputs = trained_outputs(model, recipe)
    if all(node.volume.is_vector for node in outputs.values()):
        return "classification"
    volume, loss = classified_output(model, recipe).volume, recipe.loss
    if not model.outputs and not model.heads.parameters and volume.is_image:
        if isinstance(loss, MeanSquaredError) and volume == model.input:
            return "reconstruction"
        if isinstance(loss, CrossEntropy) and may_have_masks:
            return "segmentation"
    output, node = next((o, n) for o, n in outputs.items() if not n.volume.is_vector)
    what = f"`{output}` of {model.name} is" if output else f"{model.name} ends in"
    others = (
        "or give the recipe the losses of other outputs alone"
        if output
        else "a class for each pixel needs data with masks, an autoencoder `loss mse` and the "
        "volume of the input"
    )
    raise TrainError(
        f"{what} {node.volume}; training needs one number per class: end with `gap; flatten` or "
        f"`fc`{',' if output else ';'} {others}"
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


def make_task(model: Model, recipe: Recipe, data: ImageData, network: nn.Module) -> Task:
    """What a network is trained for."""
    kind, volume = kind_of_task(model, recipe, data), classified_output(model, recipe).volume
    if kind == "reconstruction":
        return Reconstruction(data.denormalize if gives_pixels(model, recipe) else None)
    if kind == "regression":
        return Regression(volume.channels)
    if kind == "segmentation":
        return Segmentation(
            recipe,
            volume.channels,
            (volume.height, volume.width),
            gives_probabilities=gives_probabilities(model, recipe),
        )
    return Classification(
        recipe,
        volume.channels,
        gives_probabilities=gives_probabilities(model, recipe),
        aux_weights=getattr(network, "aux_weights", ()),
        objectives=objectives_of(model, recipe),
    )


def gives_pixels(model: Model, recipe: Recipe) -> bool:
    """Whether an autoencoder returns pixels from 0 to 1, and not normalized ones as it gets."""
    return isinstance(classified_output(model, recipe).layer, Sigmoid)


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
