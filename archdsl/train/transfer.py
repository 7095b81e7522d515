"""Transfer: a run that begins with the weights of another network, some of them frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.report.text import count_of
from archdsl.text.diagnostics import did_you_mean
from archdsl.torch_tools.errors import ToolError
from archdsl.torch_tools.matching import Owner, TensorShape, TensorSignature, read_owners
from archdsl.torch_tools.network import load_network
from archdsl.torch_tools.port import plan_port, port, shapes_of
from archdsl.torch_tools.weights import read_state
from archdsl.train.errors import TrainError
from archdsl.train.finished import weights_of
from archdsl.train.folder import RunFolder
from archdsl.train.options import TrainOptions
from archdsl.train.setup import one_at_a_time

_TORCHVISION = "torchvision:"


@dataclass(frozen=True)
class SourceWeights:
    """The weights of a source; ``is_ordered`` says whether they are in the order of its layers."""

    state: dict[str, Tensor]
    is_ordered: bool


# ── The source ───────────────────────────────────────────────────────────────────────────────


def read_source(name: str, *, download: bool) -> SourceWeights:
    """Weights of a file, of the folder of a run, or of torchvision: ``torchvision:resnet18``.

    torchvision's may name their version, as in ``torchvision:resnet50:IMAGENET1K_V1``; otherwise it
    is the one that torchvision recommends. They are taken from PyTorch's cache, and only fetched
    into it with ``download``.

    Errors:
        TrainError: where they are not there, or cannot be read.
    """
    if name.startswith(_TORCHVISION):
        path = _find_torchvision(name, name.removeprefix(_TORCHVISION), download)
        return SourceWeights(_read(path), True)
    path = Path(name)
    if not path.is_dir():
        return SourceWeights(_read(path), path.suffix != ".safetensors")
    run = RunFolder(path)
    facts = run.read_facts()
    state = _read(weights_of(run))
    # Files of safetensors are sorted by name; the module of the run has the order.
    try:
        with torch.device("meta"):
            order = load_network(run.module.read_text("utf-8"), facts["class"]).state_dict()
    # The module is executed, and may have been changed by hand.
    except Exception as error:
        raise TrainError(f"{run.module} cannot be run: {type(error).__name__}: {error}") from None
    if order.keys() != state.keys():
        raise TrainError(f"{run.module} and the weights of {path} do not belong together")
    return SourceWeights({key: state[key] for key in order}, True)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return read_state(path)
    except ToolError as error:
        raise TrainError(str(error)) from None


def _find_torchvision(name: str, wanted: str, download: bool) -> Path:
    """Where PyTorch's cache has the weights of a model of torchvision."""
    from torchvision import models  # type: ignore[import-untyped]

    model, _, version = wanted.partition(":")
    known = models.list_models()
    if model not in known:
        help = did_you_mean(model, known) or "`torchvision.models.list_models()` lists them"
        raise TrainError(f"torchvision has no model `{model}`; {help}")
    versions: Any = models.get_model_weights(model)
    names = [each.name for each in versions]
    if not names:
        raise TrainError(f"torchvision has no weights of {model}")
    if version and version not in names:
        raise TrainError(f"`{name}`: the weights of {model} are {', '.join(names)}")
    weights = versions[version] if version else versions.DEFAULT
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path: Path = folder / weights.url.rpartition("/")[2]
    if path.exists():
        return path
    if not download:
        raise TrainError(
            f"{path.name}, the weights {weights.name} of {model}, is not in {folder}: fetch it "
            "with `--download`"
        )
    try:
        weights.get_state_dict(progress=False, check_hash=True)
    # No network, a full disk, a bad checksum.
    except Exception as error:
        raise TrainError(f"{weights.url} could not be fetched: {error}") from error
    return path


# ── The weights ──────────────────────────────────────────────────────────────────────────────


def take_weights(network: nn.Module, source: SourceWeights, name: str, outputs: int) -> str:
    """Put the weights of a source into a network; says in one line what was taken.

    Where the source has another number of outputs, as one that tells other classes apart, the
    layers that make them stay as they are: new.

    Errors:
        TrainError: where the others do not fit, or it is not certain which belong together.
    """
    target, given = shapes_of(network.state_dict()), shapes_of(source.state)
    new, old = _output_layers(read_owners(given.items()), read_owners(target.items()), outputs)
    try:
        rows = plan_port(_without(given, old), _without(target, new), is_ordered=source.is_ordered)
    except ToolError as error:
        raise TrainError(
            f"the weights of {name} do not fit: {error} (`archdsl weights port` can map and drop "
            "parts)"
        ) from None
    network.load_state_dict(port(source.state, rows), strict=False)
    said = f"{count_of(len(rows), 'tensor')} from {name}"
    if any(row.ground in ("order", "part") for row in rows):
        said += ", some matched by the order of layers alone"
    if new:
        before = _width(old[-1])
        said += f"; new, with {count_of(outputs, 'output')} instead of {before:,}: "
        said += ", ".join(owner.path for owner in new)
    return said


def _output_layers(
    source: Sequence[Owner], target: Sequence[Owner], outputs: int
) -> tuple[list[Owner], list[Owner]]:
    """The layers of the target, and those of the source, that differ in the number of outputs.

    There are none where anything else differs, too.
    """
    ours = Counter(owner.signature for owner in source)
    theirs = Counter(owner.signature for owner in target)
    new, old = _last(target, theirs - ours), _last(source, ours - theirs)
    widths = {_width(owner) for owner in old}
    if (
        not new
        or {_width(owner) for owner in new} != {outputs}
        or len(widths) != 1
        or None in widths
        or Counter(map(_narrowed, new)) != Counter(map(_narrowed, old))
    ):
        return [], []
    # In a source without an order, a layer of the same name is the one that is meant.
    named = {owner.path: owner for owner in source}
    partners = [named.get(owner.path) for owner in new]
    if all(p is not None and _width(p) in widths for p in partners):
        same = [partner for partner in partners if partner is not None]
        if Counter(map(_narrowed, same)) == Counter(map(_narrowed, old)):
            old = same
    return new, old


def _last(owners: Sequence[Owner], wanted: Counter[TensorSignature]) -> list[Owner]:
    """The last owners of the signatures, as many as are wanted of each, in order."""
    left, found = Counter(wanted), []
    for owner in reversed(owners):
        if left[owner.signature] > 0:
            left[owner.signature] -= 1
            found.append(owner)
    return found[::-1]


def _width(owner: Owner) -> int | None:
    """The first size of all tensors of a module: of a layer, the channels that it returns."""
    sizes = {shape[0] if shape else None for _, shape in owner.signature}
    return sizes.pop() if len(sizes) == 1 else None


def _narrowed(owner: Owner) -> TensorSignature:
    """The signature without the first sizes."""
    return tuple((leaf, shape[1:]) for leaf, shape in owner.signature)


def _without(shapes: Mapping[str, TensorShape], owners: Sequence[Owner]) -> dict[str, TensorShape]:
    paths = {owner.path for owner in owners}
    return {key: shape for key, shape in shapes.items() if key.rpartition(".")[0] not in paths}


# ── Freezing ─────────────────────────────────────────────────────────────────────────────────


def refuse_freezing_alone(options: TrainOptions) -> None:
    """Raises ``TrainError`` where random weights would be kept as they are."""
    if options.freeze and options.weights_from is None and options.resume is None:
        raise TrainError("`--freeze` keeps weights as they are: name them with `--from`")


def freeze(network: nn.Module, parts: Sequence[str]) -> tuple[nn.Module, ...]:
    """Exempt the parameters of parts of a network from training.

    ``parts`` are names in the module: ``features``, ``layer1.0``. Returns the batch normalizations
    in them, which stay in evaluation: they keep their statistics, too.

    Errors:
        TrainError: where there is no such part, it has no parameters, or nothing else has any.
    """
    modules = dict(network.named_modules())
    norms: dict[nn.Module, None] = {}
    for part in parts:
        module = modules.get(part) if part else None
        if module is None:
            raise TrainError(f"`--freeze {part}`: there is no such part; {_known(part, modules)}")
        parameters = list(module.parameters())
        if not parameters:
            raise TrainError(f"`--freeze {part}`: it has no parameters")
        for parameter in parameters:
            parameter.requires_grad_(False)
        for inner in module.modules():
            if isinstance(inner, nn.modules.batchnorm._BatchNorm):
                norms[inner] = None
    if parts and not any(parameter.requires_grad for parameter in network.parameters()):
        raise TrainError("`--freeze`: no parameters are left to train")
    return tuple(norms)


def _known(part: str, modules: Mapping[str, nn.Module]) -> str:
    near = did_you_mean(part, filter(None, modules))
    outer = [name for name in modules if name and "." not in name]
    return near or f"the parts are {', '.join(outer)}"


def describe_freezing(network: nn.Module, parts: Sequence[str]) -> str:
    """How many parameters are frozen, in one line."""
    parameters = list(network.parameters())
    fixed = sum(p.numel() for p in parameters if not p.requires_grad)
    total = sum(p.numel() for p in parameters)
    return f"{', '.join(parts)} frozen: {fixed:,} of {total:,} parameters"


@dataclass(frozen=True)
class Beginning:
    """How a network begins: what to say about it, and which normalizations stay in evaluation."""

    notes: tuple[str, ...] = ()
    frozen_norms: tuple[nn.Module, ...] = ()


def begin_with(
    network: nn.Module, options: TrainOptions, outputs: int, *, is_resumed: bool
) -> Beginning:
    """Give a network the weights that it begins with, and freeze parts of it.

    A run that is resumed has its weights already.

    Errors:
        TrainError: where weights do not fit, or a part is unknown.
    """
    notes = []
    if options.weights_from is not None and not is_resumed:
        with one_at_a_time(options):
            source = read_source(options.weights_from, download=options.download)
        notes.append(take_weights(network, source, options.weights_from, outputs))
    norms = freeze(network, options.freeze)
    if options.freeze:
        notes.append(describe_freezing(network, options.freeze))
    return Beginning(tuple(notes), norms)
