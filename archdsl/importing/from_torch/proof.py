"""The original and the module that its spec becomes, with the same weights: the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.codegen import entry_name
from archdsl.compilation import compile_module
from archdsl.importing.agreement import BATCH, has_state, need_same_layers
from archdsl.importing.errors import NotInTheLanguage, NotTheSame
from archdsl.importing.from_torch.arguments import arguments_of
from archdsl.importing.from_torch.copies import doubled, uninitialized
from archdsl.importing.from_torch.generic import generic
from archdsl.importing.from_torch.usable import numbers_of
from archdsl.importing.graph import INPUT, SourceGraph, SourceLayer
from archdsl.layers.extern import Extern
from archdsl.layers.norm import BatchNorm
from archdsl.layers.regularization import Dropout
from archdsl.layers.tokens import Embedding
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.torch_tools.network import load_network

#: Modules that drop whole samples, by PyTorch's libraries and by archdsl's layer.
_DROPS = ("StochasticDepth", "DropPath")
#: By how much numbers of double precision may differ, as a share of the largest, where layers add
#: up in another order than the original's. Of single precision they would differ by 1e-5, which
#: is more than a block behind a factor of 1e-6 adds.
TOLERANCE = 1e-9
#: What sums of many numbers lose in double precision, as a share of the largest.
_ROUNDING = 1e-13
#: Of how many numbers at once a difference is made: more are new memory each time.
_PIECE = 2**20


@dataclass(frozen=True)
class SameBits:
    """What was compared, bit by bit: outputs, gradients of parameters, buffers after a step."""

    gradients: int
    buffers: int
    #: Whether the original drops samples, which it did not for the comparison.
    drops: bool
    #: The original's weights under the names of the spec; its parameters are not copied.
    state: dict[str, Tensor]
    #: Whether these were the same bits, and not the same to ``TOLERANCE`` in double precision.
    is_exact: bool = True


@dataclass(frozen=True)
class Original:
    """A module that was read, and its layers and heads in the order of the spec.

    ``heads`` are the numbers of the results that training returns behind the first.
    """

    module: nn.Module
    graph: SourceGraph
    layers: Sequence[SourceLayer]
    heads: Sequence[int]


def compare(original: Original, model: Model, sample: Sequence[Volume]) -> SameBits:
    """Compare a module with that of its spec: their layers, and their numbers for random images.

    A step of training is of images of the volumes ``sample``, one for each input; evaluation is
    compared for one of the inputs' own as well. The module's mode, gradients and buffers change.

    Errors:
        NotInTheLanguage: where the original has numbers that nothing depends on, or does not run.
        NotTheSame: where a layer or a number differs.
    """
    need_same_layers(original.graph, original.layers, model)
    # The code of others may begin with numbers that are not in its state.
    is_own = not any(isinstance(layer.layer, Extern) for layer in original.layers)
    with uninitialized() if is_own else nullcontext():
        made = load_network(compile_module((model,)), entry_name(model))
    names = _names(original.module, made, model, original.layers)
    numbers = numbers_of(original.module)
    shapes = {key: value.shape for key, value in made.state_dict().items()}
    turned = _turned(original)
    drops = any(type(module).__name__ in _DROPS for module in original.module.modules())
    with generic({key: numbers[key] for key in names}) as before:
        try:
            kept = {
                ours: _fitted(
                    _own(before.get(key, numbers[key])), shapes[ours], is_turned=key in turned
                ).contiguous()
                for key, ours in names.items()
            }
        except RuntimeError:
            raise NotTheSame(model.name, "the weights do not fit the spec") from None
        is_rounded = original.graph.is_rounded
        try:
            compared = _compare_once(original, made, model, sample, names, is_rounded=is_rounded)
        except NotTheSame:
            if is_rounded or _run_in_order(original.layers):
                raise
            # What ran in another order adds gradients, and draws random numbers, in another one.
            is_rounded = True
            compared = _compare_once(original, made, model, sample, names, is_rounded=True)
    drops |= is_rounded and any(isinstance(layer.layer, Dropout) for layer in original.layers)
    return SameBits(*compared, drops, kept, is_exact=not is_rounded)


def _run_in_order(layers: Sequence[SourceLayer]) -> bool:
    """Whether the layers of the spec run in the order in which those of the original do."""
    order = [layer.id for layer in layers]
    return order == sorted(order)


def _compare_once(
    original: Original,
    made: nn.Module,
    model: Model,
    sample: Sequence[Volume],
    names: Mapping[str, str],
    *,
    is_rounded: bool,
) -> tuple[int, int]:
    """Compare the two to the last bit, or to ``TOLERANCE`` in double precision."""
    theirs = original.module
    if is_rounded:
        try:
            theirs = doubled(theirs)
        except Exception as error:  # whatever a module holds
            raise NotInTheLanguage(model.name, [f"it cannot be copied: {error}"]) from None
    numbers = numbers_of(theirs)
    shapes = {key: value.shape for key, value in made.state_dict().items()}
    turned = _turned(original)
    state = {
        ours: _fitted(_own(numbers[key]), shapes[ours], is_turned=key in turned)
        for key, ours in names.items()
    }
    like = next(theirs.parameters(), torch.empty(0))
    made.to(device=like.device)
    made.load_state_dict(state, assign=True)
    made.to(dtype=like.dtype)
    tolerance = TOLERANCE if is_rounded else 0.0
    with _nothing_dropped() if is_rounded else nullcontext(), _nothing_written(theirs, model.name):
        return _compare_numbers(original, theirs, made, model, sample, names, tolerance)


@contextmanager
def _nothing_written(network: nn.Module, name: str) -> Iterator[None]:
    """Two networks have the same tensors as parameters, which neither may change for the other.

    Errors:
        NotInTheLanguage: where one was written to, whatever else is found then.
    """
    versions = {key: tensor._version for key, tensor in network.named_parameters()}
    try:
        yield
    finally:
        for key, tensor in network.named_parameters():
            if tensor._version != versions[key]:
                raise NotInTheLanguage(name, [f"{key}: it is written to while the network runs"])


def _own(tensor: Tensor) -> Tensor:
    """A parameter as it lies in memory, which can decide how sums are rounded; a buffer copied."""
    return tensor.detach() if isinstance(tensor, nn.Parameter) else tensor.detach().clone()


def _compare_numbers(
    original: Original,
    theirs: nn.Module,
    made: nn.Module,
    model: Model,
    sample: Sequence[Volume],
    names: Mapping[str, str],
    tolerance: float,
) -> tuple[int, int]:
    """Compare what two networks compute; how many gradients and buffers these were."""
    like = next(theirs.parameters(), torch.empty(0))
    parameters = dict(made.named_parameters())
    for key, parameter in theirs.named_parameters():
        parameters[names[key]].requires_grad_(parameter.requires_grad)
    need_equal = partial(_need_equal, model.name, tolerance=tolerance)
    torch.manual_seed(0)
    names_of_inputs = [*original.graph.inputs]
    whole = tuple(original.graph.inputs.values())
    for volumes, count in {whole: 1, tuple(sample): BATCH}.items():
        images = [*_samples(original.graph, volumes, count, like)]
        outputs = [
            _run(theirs.eval(), images, model.name, names_of_inputs),
            _run(made.eval(), images, model.name),
        ]
        for one, other in zip(*outputs, strict=True):
            need_equal(f"the output in evaluation for {shown_volumes(volumes)}", one, other)
    mixes = any(isinstance(layer.layer, BatchNorm) for layer in original.layers)
    if tolerance and not mixes:
        images = [x[:1] for x in images]  # each runs by itself, and a step in double takes long
    ours, own = (
        [x.clone().requires_grad_(x.is_floating_point()) for x in images] for _ in range(2)
    )
    order = [0, *(head + 1 for head in original.heads)]
    if original.graph.outputs:
        order = [*range(len(original.graph.outputs))]
    try:
        trained = (
            _train(theirs, own, range(len(order)), names_of_inputs),
            _train(made, ours, order),
        )
    except Exception as error:  # whatever the code of others raises
        reason = f"a step of training fails: {_line(error)}"
        raise NotInTheLanguage(model.name, [reason]) from None
    for number, (one, other) in enumerate(zip(*trained, strict=True)):
        need_equal(f"output {number} in training", one, other)
    for name, one, other in zip(names_of_inputs, own, ours, strict=True):
        what = f"the input `{name}`" if len(images) > 1 else "the images"
        need_equal(f"the gradient of {what}", one.grad, other.grad)
    gradients = 0
    turned = _turned(original)
    found = [p.grad for p in theirs.parameters() if p.grad is not None]
    largest = max((float(_largest(gradient)) for gradient in found), default=0.0)
    for key, parameter in theirs.named_parameters():
        found_here = parameters[names[key]].grad
        if found_here is not None and key in turned:
            found_here = found_here.transpose(1, 2)
        gradient = None if found_here is None else found_here.reshape(parameter.shape)
        need_equal(f"the gradient of {key}", parameter.grad, gradient, beside=largest)
        gradients += parameter.grad is not None
    buffers = dict(made.named_buffers())
    compared = [(key, buffer) for key, buffer in theirs.named_buffers() if key in names]
    for key, buffer in compared:
        need_equal(f"the buffer {key}", buffer, buffers[names[key]])
    return gradients, len(compared)


def _samples(
    graph: SourceGraph, volumes: Sequence[Volume], count: int, like: Tensor
) -> Iterator[Tensor]:
    """Random images for each input; where words are read, random numbers of words."""
    for number, volume in enumerate(volumes):
        words = [
            layer.layer.words
            for layer in graph.operations
            if isinstance(layer.layer, Embedding) and INPUT - number in layer.inputs
        ]
        if words:
            found = torch.randint(min(words), (count, *volume.torch_sizes))
            yield found.to(like.device)
        else:
            yield torch.randn(count, *volume.torch_sizes).to(like)


def shown_volumes(volumes: Sequence[Volume]) -> str:
    """The volumes of all inputs."""
    return " and ".join(map(str, volumes))


def _turned(original: Original) -> set[str]:
    """The numbers that have the channels before the positions, and not behind as in the spec."""
    return {key for layer in original.layers if layer.is_turned for key in layer.keys}


def _fitted(tensor: Tensor, shape: Sequence[int], *, is_turned: bool = False) -> Tensor:
    """A weight in the shape that it has in the spec's module, where only axes of 1 are added.

    A linear layer over the channels of an image is a convolution there. What is added to all
    positions of an image is turned: one vector for each token there.
    """
    if is_turned:
        tensor = tensor.flatten(2).transpose(1, 2)
    if [size for size in tensor.shape if size > 1] != [size for size in shape if size > 1]:
        raise RuntimeError(f"{tuple(tensor.shape)} is no {tuple(shape)}")
    return tensor.reshape([*shape])


@contextmanager
def _nothing_dropped() -> Iterator[None]:
    """Let dropout drop nothing: the two draw for the same numbers in another order."""

    def kept(x: Tensor, *_: object, **__: object) -> Tensor:
        return x

    before = nn.functional.dropout
    nn.functional.dropout = kept  # type: ignore[assignment]
    try:
        yield
    finally:
        nn.functional.dropout = before


def _names(
    original: nn.Module, made: nn.Module, model: Model, layers: Sequence[SourceLayer]
) -> dict[str, str]:
    """The names of the original's numbers, and what they are called in the module of the spec.

    Errors:
        NotInTheLanguage: where the original has numbers that nothing depends on.
        NotTheSame: where the spec has others.
    """
    theirs = [layer for layer in layers if layer.state and not layer.is_again]
    owners = [
        node
        for node in model.layers
        if node.shares is None and has_state(made, model.names[node.id])
    ]
    if len(theirs) != len(owners):
        raise NotTheSame(model.name, f"{len(theirs)} layers with weights became {len(owners)}")
    names: dict[str, str] = {}
    for layer, node in zip(theirs, owners, strict=True):
        keys, found = _keys(original, layer), _keys(made, None, model.names[node.id])
        if len(keys) != len(found):
            kind = node.layer.name
            reason = f"{layer.path}: its weights are not those of a `{kind}`"
            raise NotInTheLanguage(model.name, [reason])
        names |= zip(keys, found, strict=True)
    fixed = {key for layer in layers for key in layer.fixed}
    numbers = numbers_of(original)
    known = {id(numbers[key]) for key in names}
    missing = [
        key
        for key, tensor in numbers.items()
        if id(tensor) not in known and not _is_fixed(original, key, fixed)
    ]
    if missing:
        unused = dict.fromkeys(key.rpartition(".")[0] for key in missing)
        reasons = [f"{path}: nothing that it returns depends on its weights" for path in unused]
        raise NotInTheLanguage(model.name, sorted(reasons))
    return names


def _is_fixed(original: nn.Module, key: str, fixed: Set[str]) -> bool:
    """Whether a buffer, by any of its names, has the numbers that a layer has by what it is."""
    numbers = numbers_of(original)
    return any(numbers[key] is numbers[other] for other in fixed if other in numbers)


def _keys(network: nn.Module, layer: SourceLayer | None, path: str = "") -> list[str]:
    """What the numbers of a layer are called in a network."""
    if layer is not None and layer.keys:
        return [*layer.keys]
    path = path if layer is None else layer.path
    return [f"{path}.{key}" if path else key for key in numbers_of(network.get_submodule(path))]


def _tensors(found: Any) -> list[Tensor]:
    """The tensors that a network returns, in a row."""
    if isinstance(found, Tensor):
        return [found]
    inner = found.values() if isinstance(found, Mapping) else found
    return [tensor for one in inner for tensor in _tensors(one)]


def _results(network: nn.Module, images: Sequence[Tensor], inputs: Sequence[str]) -> list[Tensor]:
    """What a network gives; the original takes images as its ``inputs`` say."""
    given = [x.clone() for x in images]  # which it may change
    if not inputs:
        return _tensors(network(*given))
    by_place, by_name = arguments_of(network, dict(zip(inputs, given, strict=True)))
    return _tensors(network(*by_place, **by_name))


def _run(
    network: nn.Module, images: Sequence[Tensor], name: str, inputs: Sequence[str] = ()
) -> list[Tensor]:
    with torch.no_grad():
        try:
            found = _results(network, images, inputs)
        except Exception as error:  # whatever the code of others raises
            shapes = " and ".join(str([*x.shape]) for x in images)
            reason = f"it does not run on {shapes}: {_line(error)}"
            raise NotInTheLanguage(name, [reason]) from None
    if not all(bool(torch.isfinite(one).all()) for one in found):
        raise NotInTheLanguage(name, ["its results are no numbers, or infinite: nothing is proved"])
    return found


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _train(
    network: nn.Module, images: Sequence[Tensor], order: Sequence[int], inputs: Sequence[str] = ()
) -> list[Tensor]:
    """The outputs of a step of training, by number; the gradients of a sum stay behind.

    ``order`` has the number of each output that the network returns.
    """
    network.train()
    network.zero_grad()
    # What is dropped is drawn in other ways, so nothing is; the rates are compared apart.
    for module in network.modules():
        if type(module).__name__ in _DROPS:
            name = "drop_prob" if hasattr(module, "drop_prob") else "p"
            setattr(module, name, 0.0)
    torch.manual_seed(1)
    outputs = _results(network, images, inputs)
    outputs = [output for _, output in sorted(zip(order, outputs, strict=True), key=itemgetter(0))]
    torch.manual_seed(2)
    # `randn_like` would fill them in the order of memory, which can be another.
    factors = [torch.randn(output.shape).to(output) for output in outputs]
    # One after the other, in the order of the original: sums of gradients depend on it.
    sums = [(output * factor).sum() for output, factor in zip(outputs, factors, strict=True)]
    torch.autograd.backward(torch.stack(sums).sum())
    return [output.detach() for output in outputs]


def _need_equal(
    name: str,
    what: str,
    one: Tensor | None,
    other: Tensor | None,
    *,
    tolerance: float,
    beside: float = 0.0,
) -> None:
    """Refuse numbers that are not the same bits, or not the same to a tolerance.

    That is a share of the largest number. A gradient that is 0 is so up to the rounding of the
    largest of all, ``beside`` it.
    """
    if one is None or other is None:
        if one is not other:
            raise NotTheSame(name, f"{what} is there in one of the two alone")
        return
    if one.shape != other.shape or one.dtype != other.dtype:
        raise NotTheSame(name, f"{what} differs")
    if torch.equal(one, other):
        return
    if not tolerance:
        raise NotTheSame(name, f"{what} differs")
    pieces = zip(*(torch.split(x.flatten(), _PIECE) for x in (one, other)), strict=True)
    difference = torch.stack([_largest(a - b) for a, b in pieces]).max()
    if not difference <= tolerance * _largest(one) + _ROUNDING * beside:
        raise NotTheSame(name, f"{what} differs")


def _largest(numbers: Tensor) -> Tensor:
    """The largest of their absolute values; no number where one is none."""
    found: Tensor = torch.linalg.vector_norm(numbers, torch.inf)
    return found
