"""That a spec computes what its file does: the numbers of both, for random images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archdsl.codegen import entry_name
from archdsl.compilation import compile_module
from archdsl.importing.agreement import BATCH, has_state, need_same_layers
from archdsl.importing.errors import NotTheSame, WrongSource
from archdsl.importing.files import FileSource, State
from archdsl.importing.graph import SourceLayer
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.torch_tools.network import load_network
from archdsl.torch_tools.numbers import tensors_of

#: The largest difference, relative to the largest number of a result.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class SameNumbers:
    """The largest difference that was found, and the weights under the names of the spec."""

    difference: float
    state: dict[str, Tensor]


def compare_file(
    source: FileSource, model: Model, layers: Sequence[SourceLayer], heads: Sequence[int]
) -> SameNumbers:
    """Compare a file with the module of its spec: layers, and results for random images.

    ``layers`` and ``heads`` are those of the source in the order of the spec.

    Errors:
        NotTheSame: where a layer or a number differs.
        WrongSource: where the results for two images are the same, which proves nothing.
    """
    need_same_layers(source.graph, layers, model)
    made = load_network(compile_module((model,)), entry_name(model))
    owners = [node for node in model.layers if has_state(made, model.names[node.id])]
    theirs = [layer for layer in layers if layer.state]
    # What a layer of two modules calls `1.weight` ends in the same word.
    keys = {
        (layer.id, key.rpartition(".")[2]): f"{model.names[node.id]}.{key}"
        for node, layer in zip(owners, theirs, strict=True)
        for key in made.get_submodule(model.names[node.id]).state_dict()
    }
    try:
        made.load_state_dict(
            {
                keys[number, name]: tensor
                for number, tensors in source.state.items()
                for name, tensor in tensors.items()
            }
        )
    except (KeyError, RuntimeError):
        raise NotTheSame(model.name, "the weights do not fit the spec") from None
    images = _images(model.input)
    if not source.is_trained:
        _settle(made.eval(), images)
    state = {key: tensor.clone() for key, tensor in made.eval().state_dict().items()}
    numbers: State = {
        number: {name: state[keys[number, name]] for name in tensors}
        for number, tensors in source.state.items()
    }
    wanted = [*source.run(images, numbers)]
    # A network that trains returns its heads as well; its layers do what they do in evaluation.
    made.training = bool(heads)
    with torch.no_grad():
        found = tensors_of(made(images))
    count = len(source.graph.results)
    wanted = [*wanted[:count], *(wanted[count + head] for head in heads)]
    names = [*source.graph.outputs] or ["its output"]
    names += [f"head {head + 1}" for head in heads]
    largest = 0.0
    for name, one, other in zip(names, wanted, found, strict=True):
        largest = max(largest, _difference(model.name, name, one, other))
    return SameNumbers(largest, state)


def _images(volume: Volume) -> Tensor:
    """Random images, each of a colour of its own: deep layers would hardly tell noise apart."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.randn(BATCH, volume.channels, *(1,) * volume.rank, generator=generator)
    return 2 * colours + torch.randn(BATCH, *volume.torch_sizes, generator=generator)


def _settle(network: nn.Module, images: Tensor) -> None:
    """Scale random weights so that all results are of size 1 for these images, layer by layer.

    Otherwise they vanish, or a softmax gives 1 for one class, and a comparison says nothing
    (Mishkin & Matas 2016, "All you need is a good init").
    """

    def scale(module: nn.Module, _: object, result: Tensor) -> Tensor:
        size = result.std()
        if not size > 0:
            return result
        for parameter in module.parameters():
            parameter.div_(size)
        return result / size

    kinds = nn.modules.conv._ConvNd | nn.Linear
    hooks = [
        module.register_forward_hook(scale)
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()


def _difference(network: str, name: str, one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        raise NotTheSame(network, f"{name} has the shape {[*other.shape]}, not {[*one.shape]}")
    scale = one.abs().max()
    if not scale.isfinite() or (one[0] - one[1]).abs().max() <= 100 * TOLERANCE * scale:
        raise WrongSource(
            f"{network} was not imported: {name} is the same for different images, and so nothing "
            "can be proved"
        )
    difference = float((one - other).abs().max() / scale)
    if not difference <= TOLERANCE:
        raise NotTheSame(network, f"{name} differs by {difference:.1e} of its largest number")
    return difference
