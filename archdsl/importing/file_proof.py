"""That a spec computes what its file does: the numbers of both, for random images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archdsl.codegen import entry_name
from archdsl.compilation import compile_module
from archdsl.importing.agreement import BATCH, has_state, need_same_layers
from archdsl.importing.building import RandomWeights
from archdsl.importing.errors import NotTheSame, WrongSource
from archdsl.importing.files import FileSource, State
from archdsl.importing.graph import INPUT, SourceLayer
from archdsl.importing.runs import behind
from archdsl.model import Model
from archdsl.torch_tools.network import load_network
from archdsl.torch_tools.numbers import tensors_of

#: The largest difference, relative to the largest number of a result.
TOLERANCE = 1e-5
#: What is smaller than this is measured as if it were not.
_SMALLEST = 1e-3


@dataclass(frozen=True)
class SameNumbers:
    """With which weights both gave the same, and the weights under the names of the spec."""

    weights: str
    state: dict[str, Tensor]


def compare_file(
    source: FileSource, model: Model, layers: Sequence[SourceLayer], heads: Sequence[int]
) -> SameNumbers:
    """Compare a file with the module of its spec: layers, and results for random images.

    ``layers`` and ``heads`` are those of the source in the order of the spec. Where the weights of
    a file hide something, random ones are compared as well: weights with which images make no
    difference, as before training, or that are the same number throughout.

    Errors:
        NotTheSame: where a layer or a number differs.
        WrongSource: where the results for two images are the same whatever the weights, which
            proves nothing.
    """
    need_same_layers(source.graph, layers, model)
    both = _Both(source, model, layers, heads)
    state: dict[str, Tensor] = {}
    if source.is_trained:
        both.load(source.state)
        state = both.weights()
        if both.compare() is None and not _hides(source.state):
            return SameNumbers("its own weights" if state else "no weights", state)
    both.load(RandomWeights(source.graph))
    both.settle()
    silent = both.compare()
    if silent is not None:
        raise WrongSource(f"{model.name} was not imported: {silent}, and so nothing can be proved")
    return SameNumbers("its own weights and random ones" if state else "random weights", state)


class _Both:
    """A file and the module of its spec, with the same weights and images."""

    def __init__(
        self,
        source: FileSource,
        model: Model,
        layers: Sequence[SourceLayer],
        heads: Sequence[int],
    ) -> None:
        self.source = source
        self.name = model.name
        self.heads = heads
        self.module = load_network(compile_module((model,)), entry_name(model)).eval()
        self.images = [*_images(model)]
        #: What the module has.
        self.state: State = {}
        owners = [
            node
            for node in model.layers
            if node.shares is None and has_state(self.module, model.names[node.id])
        ]
        theirs = [layer for layer in layers if layer.state and not layer.is_again]
        # What a layer of two modules calls `1.weight` ends in the same word.
        self.keys = {
            (layer.id, key.rpartition(".")[2]): f"{model.names[node.id]}.{key}"
            for node, layer in zip(owners, theirs, strict=True)
            for key in self.module.get_submodule(model.names[node.id]).state_dict()
        }

    def load(self, state: State) -> None:
        """Give the module the weights of a state. Errors: ``NotTheSame`` where they do not fit."""
        try:
            self.module.load_state_dict(
                {
                    self.keys[number, name]: tensor
                    for number, tensors in state.items()
                    for name, tensor in tensors.items()
                }
            )
        except (KeyError, RuntimeError):
            raise NotTheSame(self.name, "the weights do not fit the spec") from None
        self.state = state

    def weights(self) -> dict[str, Tensor]:
        """The module's weights, to keep."""
        return {key: tensor.clone() for key, tensor in self.module.state_dict().items()}

    def settle(self) -> None:
        """Scale the module's weights so that all results are of size 1, layer by layer.

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
            for module in self.module.modules()
            if isinstance(module, kinds)
        ]
        with torch.no_grad():
            self.module(*self.images)
        for hook in hooks:
            hook.remove()
        scaled: dict[int, dict[str, Tensor]] = {}
        now = self.module.state_dict()
        for (number, name), key in self.keys.items():
            scaled.setdefault(number, {})[name] = now[key]
        self.state = scaled

    def compare(self) -> str | None:
        """Compare all results; which of them is the same for different images, if one is, in words.

        Errors:
            NotTheSame: where a number differs.
        """
        wanted = [*self.source.run(self.images, self.state)]
        found = self._run(self.images)
        graph = self.source.graph
        count = len(graph.results)
        wanted = [*wanted[:count], *(wanted[count + head] for head in self.heads)]
        names = [*graph.outputs] or ["its output"]
        names += [f"head {head + 1}" for head in self.heads]
        if any(map(_differs, wanted, found)):
            found = self._run(self.images, torch.float64)  # half of the rounding
        silent = None
        for name, one, other in zip(names, wanted, found, strict=True):
            if one.shape != other.shape:
                shapes = f"the shape {[*other.shape]}, not {[*one.shape]}"
                raise NotTheSame(self.name, f"{name} has {shapes}")
            if _differs(one, other):
                difference = float((one - other).abs().max() / _size(one))
                what = f"{name} differs by {difference:.1e} of its largest number"
                raise NotTheSame(self.name, what)
            if not (one[0] - one[1]).abs().max() > 100 * TOLERANCE * _size(one):
                silent = silent or f"{name} is the same for different images"
        return silent or self._idle()

    def _idle(self) -> str | None:
        """Which input changes no result, though layers read it, in words."""
        graph = self.source.graph
        if len(self.images) == 1:
            return None
        needed = behind(graph.operations, *graph.results, *graph.heads)
        read = {of for number in needed for of in graph.operations[number].inputs}
        before = self._run(self.images)
        for number, name in enumerate(graph.inputs):
            images = [*self.images]
            images[number] = images[number].flip(0)
            moved = (
                bool((one - other).abs().max() > 100 * TOLERANCE * _size(one))
                for one, other in zip(before, self._run(images), strict=True)
            )
            if INPUT - number in read and not any(moved):
                return f"all that it gives is the same for different images as its input `{name}`"
        return None

    def _run(self, images: Sequence[Tensor], dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """The results of the module, then those of its heads."""
        module = self.module.to(dtype)
        # A network that trains returns its heads as well; its layers do as in evaluation.
        module.training = bool(self.heads)
        with torch.no_grad():
            given = [x.to(dtype) for x in images]
            found = [result.float() for result in tensors_of(module(*given))]
        module.float().training = False
        return found


def _hides(state: State) -> bool:
    """Whether a weight is one number throughout, as factors of 1, which show no wrong layer."""
    tensors = (t for found in state.values() for t in found.values() if t.numel() > 1)
    return any(bool((tensor == tensor.reshape(-1)[0]).all()) for tensor in tensors)


def _size(result: Tensor) -> Tensor:
    """The largest number of a result. What has vanished on its way is nothing but rounding."""
    return result.abs().max().clamp(min=_SMALLEST)


def _differs(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return True
    return not bool((one - other).abs().max() <= TOLERANCE * _size(one))


def _images(model: Model) -> Iterator[Tensor]:
    """Random images for each input, each of a colour of its own: deep layers would hardly tell
    noise apart."""
    generator = torch.Generator().manual_seed(0)
    for volume in (node.volume for node in model.inputs):
        colours = torch.randn(BATCH, volume.channels, *(1,) * volume.rank, generator=generator)
        yield 2 * colours + torch.randn(BATCH, *volume.torch_sizes, generator=generator)
