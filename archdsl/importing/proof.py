"""The original and the module that its spec becomes, with the same weights: the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import torch
from torch import Tensor, nn

from archdsl.codegen import entry_name
from archdsl.compilation import compile_module
from archdsl.importing.errors import NotInTheLanguage, NotTheSame
from archdsl.importing.graph import SourceLayer
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.torch_tools.network import load_network

#: Modules that drop whole samples, by PyTorch's libraries and by archdsl's layer.
_DROPS = ("StochasticDepth", "DropPath")
#: Images of the comparison.
BATCH = 2


@dataclass(frozen=True)
class SameBits:
    """What was compared, bit by bit: outputs, gradients of parameters, buffers after a step."""

    gradients: int
    buffers: int
    #: Whether the original drops samples, which it did not for the comparison.
    drops: bool
    #: The original's weights under the names of the spec.
    state: dict[str, Tensor]


def compare(
    original: nn.Module,
    model: Model,
    layers: Sequence[SourceLayer],
    sample: Volume,
    heads: Sequence[int] = (),
) -> SameBits:
    """Run both on random images; ``layers`` are the original's in the order of the spec.

    ``sample`` is the volume of the images, and ``heads`` are the numbers of the heads in the order
    of the spec.

    Errors:
        NotInTheLanguage: where the original has numbers that nothing depends on.
        NotTheSame: where a number differs.
    """
    made = load_network(compile_module((model,)), entry_name(model))
    names = _names(original, made, model, layers)
    state = {ours: original.state_dict()[theirs].clone() for theirs, ours in names.items()}
    try:
        made.load_state_dict(state)
    except RuntimeError:
        raise NotTheSame(model.name, "the weights do not fit the spec") from None
    mode = original.training
    try:
        order = [0, *(head + 1 for head in heads)]
        _compare(original, made, names, model.name, sample, order)
        parameters, buffers = (len([*found()]) for found in (made.parameters, made.buffers))
    finally:
        # Whoever gave the module gets it back as it was.
        original.zero_grad()
        for theirs, buffer in original.named_buffers():
            if theirs in names:  # what is no part of the state does not change
                buffer.copy_(state[names[theirs]])
        original.train(mode)
    drops = any(type(module).__name__ in _DROPS for module in original.modules())
    return SameBits(parameters, buffers, drops, state)


def _compare(
    original: nn.Module,
    made: nn.Module,
    names: Mapping[str, str],
    name: str,
    sample: Volume,
    order: Sequence[int],
) -> None:
    """Run both; ``order`` has the number of each output that the spec's module trains with."""
    torch.manual_seed(0)
    x = torch.randn(BATCH, *sample.torch_sizes)
    outputs = [_run(network.eval(), x) for network in (original, made)]
    _need_equal(name, "the output in evaluation", *outputs)
    images = [x.clone().requires_grad_() for _ in range(2)]
    trained = _train(original, images[0], range(len(order))), _train(made, images[1], order)
    for number, (one, other) in enumerate(zip(*trained, strict=True)):
        _need_equal(name, f"output {number} in training", one, other)
    _need_equal(name, "the gradient of the images", images[0].grad, images[1].grad)
    parameters = dict(made.named_parameters())
    for theirs, parameter in original.named_parameters():
        ours = parameters[names[theirs]]
        _need_equal(name, f"the gradient of {theirs}", parameter.grad, ours.grad)
    buffers = dict(made.named_buffers())
    for theirs, buffer in original.named_buffers():
        if theirs in names:
            _need_equal(name, f"the buffer {theirs}", buffer, buffers[names[theirs]])


def _names(
    original: nn.Module, made: nn.Module, model: Model, layers: Sequence[SourceLayer]
) -> dict[str, str]:
    """The names of the original's numbers, and what they are called in the module of the spec.

    Errors:
        NotInTheLanguage: where the original has numbers that nothing depends on.
        NotTheSame: where the spec has others.
    """
    theirs = [layer.path for layer in layers if layer.state]
    owners = [node for node in model.layers if _has_state(made, model.names[node.id])]
    if len(theirs) != len(owners):
        raise NotTheSame(model.name, f"{len(theirs)} layers with weights became {len(owners)}")
    names: dict[str, str] = {}
    for path, node in zip(theirs, owners, strict=True):
        one, other = original.get_submodule(path), made.get_submodule(model.names[node.id])
        keys, found = [*one.state_dict()], [*other.state_dict()]
        if len(keys) != len(found):
            reason = f"{path}: its weights are not those of a {type(one).__name__}"
            raise NotInTheLanguage(model.name, [reason])
        for key, ours in zip(keys, found, strict=True):
            names[f"{path}.{key}"] = f"{model.names[node.id]}.{ours}"
    missing = original.state_dict().keys() - names.keys()
    if missing:
        unused = dict.fromkeys(key.rpartition(".")[0] for key in missing)
        reasons = [f"{path}: nothing that it returns depends on its weights" for path in unused]
        raise NotInTheLanguage(model.name, sorted(reasons))
    return names


def _has_state(network: nn.Module, path: str) -> bool:
    try:
        return bool(network.get_submodule(path).state_dict())
    except AttributeError:  # a merge has no module
        return False


def _run(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(x)
    return found


def _train(network: nn.Module, x: Tensor, order: Sequence[int]) -> list[Tensor]:
    """The outputs of a step of training, by number; the gradients of a sum stay behind.

    ``order`` has the number of each output that the network returns.
    """
    network.train()
    network.zero_grad()
    # What is dropped is drawn in other ways, so nothing is.
    for module in network.modules():
        if type(module).__name__ in _DROPS:
            module.p = 0.0  # type: ignore[assignment]
    torch.manual_seed(1)
    found = network(x)
    outputs = [found] if isinstance(found, Tensor) else [*found]
    outputs = [output for _, output in sorted(zip(order, outputs, strict=True), key=itemgetter(0))]
    torch.manual_seed(2)
    factors = [torch.randn_like(output) for output in outputs]
    # One after the other, in the order of the original: sums of gradients depend on it.
    sums = [(output * factor).sum() for output, factor in zip(outputs, factors, strict=True)]
    torch.autograd.backward(torch.stack(sums).sum())
    return [output.detach() for output in outputs]


def _need_equal(name: str, what: str, one: Tensor | None, other: Tensor | None) -> None:
    if one is None or other is None:
        if one is not other:
            raise NotTheSame(name, f"{what} is there in one of the two alone")
        return
    if one.shape != other.shape or not torch.equal(one, other):
        raise NotTheSame(name, f"{what} differs")
