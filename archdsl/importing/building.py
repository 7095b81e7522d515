"""What the readers of files share: operations with volumes, within bounds, and their weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from archdsl.importing.errors import NotInTheLanguage, WrongSource
from archdsl.importing.graph import INPUT, SourceGraph, SourceLayer, SourcePart, is_input
from archdsl.importing.runs import behind
from archdsl.layers import Layer
from archdsl.layers.activation import PReLU
from archdsl.layers.conv import Conv, Deconv, DepthwiseConv
from archdsl.layers.dense import FullyConnected
from archdsl.layers.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from archdsl.layers.rearrangement import LayerScale, Scale
from archdsl.layers.volume import Volume
from archdsl.layers.windows import Padding

#: What no network has that people train. A file that says more is a mistake, or an attack.
MAX_LAYERS = 20_000
MAX_NUMBERS = 2**31
MAX_PARAMETERS = 2**31
#: The largest number that is read as a size.
MAX_SIZE = 2**31 - 1
#: How many faults of a text are told.
MAX_FAULTS = 10


class UnknownResult(Exception):
    """A layer reads a result that could not be read itself, of which something was said."""


class Faults:
    """What is wrong with a file, and what the language cannot say, each with its place."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.wrong: list[str] = []
        self.reasons: list[str] = []

    def raise_any(self) -> None:
        """Errors: ``WrongSource``; where nothing is wrong, ``NotInTheLanguage``."""
        wrong, reasons = (list(dict.fromkeys(found)) for found in (self.wrong, self.reasons))
        if wrong:
            rest = ["and more"] if len(wrong) > MAX_FAULTS else []
            raise WrongSource(f"{self.what}: " + "; ".join([*wrong[:MAX_FAULTS], *rest]))
        if reasons:
            raise NotInTheLanguage(self.what, reasons)


class GraphBuilder:
    """Operations in execution order, each with the volume that its layer infers."""

    def __init__(self, name: str, inputs: Mapping[str, Volume]) -> None:
        self.name = name
        self.inputs = inputs
        self.operations: list[SourceLayer] = []
        self._parameters = 0

    def volume(self, of: int) -> Volume:
        if is_input(of):
            return [*self.inputs.values()][INPUT - of]
        return self.operations[of].volume

    def add(self, layer: Layer, *inputs: int) -> int:
        """Add a layer behind its inputs; its number.

        Errors:
            LayerError: where its rules are broken.
            WrongSource: where it is larger than any network is.
        """
        volumes = tuple(map(self.volume, inputs))
        layer = layer.fitted(volumes)
        volume = layer.infer(volumes)
        parameters = layer.count_parameters(volumes[0])
        self._parameters += parameters
        if volume.elements > MAX_NUMBERS or self._parameters > MAX_PARAMETERS:
            what = f"`{layer.name}` gives {volume} with {parameters:,} parameters"
            raise WrongSource(f"{self.name}: {what}, which is more than archdsl reads")
        if len(self.operations) >= MAX_LAYERS:
            raise WrongSource(f"{self.name}: it has more than {MAX_LAYERS:,} layers")
        made = SourceLayer(
            len(self.operations),
            layer,
            inputs,
            volume,
            state=_has_state(layer, volumes[0]),
        )
        self.operations.append(made)
        return made.id

    def change(self, operation: int, layer: Layer, *inputs: int) -> None:
        """Put another layer with the same volumes in the place of one, perhaps behind others."""
        before = self.operations[operation]
        inputs = inputs or before.inputs
        state = _has_state(layer, self.volume(inputs[0]))
        self.operations[operation] = replace(before, layer=layer, inputs=inputs, state=state)

    def share(self, of: int, keys: tuple[str, ...]) -> None:
        """Say what the numbers of an operation are called, which others have as well."""
        self.operations[of] = replace(self.operations[of], keys=keys)

    def name_operation(self, of: int, path: str, scopes: tuple[SourcePart, ...]) -> None:
        self.operations[of] = replace(self.operations[of], path=path, scopes=scopes)

    def behind(self, results: Iterable[int]) -> set[int]:
        """The operations that lead to results, their own among them."""
        return behind(self.operations, *results)

    def finish(
        self, outputs: Mapping[str, int], heads: Sequence[tuple[int, float]] = ()
    ) -> tuple[SourceGraph, dict[int, int]]:
        """The graph of what leads to a result, and the numbers of its operations by those here.

        ``heads`` are results that only training returns, with the weights of their losses.
        """
        trunk = self.behind(outputs.values())
        needed = trunk | self.behind(head for head, _ in heads)
        numbers = {old: new for new, old in enumerate(sorted(needed))}
        numbers |= {INPUT - number: INPUT - number for number in range(len(self.inputs))}
        operations = tuple(
            replace(
                o,
                id=numbers[o.id],
                inputs=tuple(numbers[i] for i in o.inputs),
                is_of_training=o.id not in trunk,
            )
            for o in self.operations
            if o.id in needed
        )
        named = {name: numbers[of] for name, of in outputs.items()}
        graph = SourceGraph(
            self.name,
            self.inputs,
            operations,
            next(iter(named.values())),
            tuple(numbers[head] for head, _ in heads),
            tuple(weight for _, weight in heads),
            named if len(named) > 1 else {},
        )
        return graph, numbers


def convolution(
    x: Volume,
    kernel: tuple[int, ...],
    channels: int,
    stride: tuple[int, ...],
    padding: Padding,
    dilation: tuple[int, ...],
    groups: int,
    bias: bool,
) -> Layer:
    """A convolution, or a depthwise one where each channel is convolved by itself."""
    if groups == channels == x.channels > 1:
        return DepthwiseConv(kernel, stride, padding, dilation, bias)
    return Conv(kernel, channels, stride, padding, dilation, groups, bias)


def _has_state(layer: Layer, x: Volume) -> bool:
    return bool(layer.count_parameters(x)) or isinstance(layer, BatchNorm)


# ── Weights ──────────────────────────────────────────────────────────────────────────────────


def weights_of(layer: Layer, x: Volume) -> dict[str, tuple[int, ...]]:
    """The sizes of a layer's weights and buffers, by the names of PyTorch's module for it."""
    c = x.channels
    sizes: dict[str, tuple[int, ...]]
    match layer:
        case Conv():
            out = layer.out_channels or c
            sizes = {"weight": (out, c // layer.groups, *layer.kernel_size)}
            return sizes | ({"bias": (out,)} if layer.bias else {})
        case DepthwiseConv():
            sizes = {"weight": (c, 1, *layer.kernel_size)}
            return sizes | ({"bias": (c,)} if layer.bias else {})
        case Deconv():
            out = layer.out_channels or c
            sizes = {"weight": (c, out // layer.groups, *layer.kernel_size)}
            return sizes | ({"bias": (out,)} if layer.bias else {})
        case FullyConnected():
            sizes = {"weight": (layer.out_features, x.elements)}
            return sizes | ({"bias": (layer.out_features,)} if layer.bias else {})
        case BatchNorm():
            affine = {"weight": (c,), "bias": (c,)} if layer.affine else {}
            return affine | {"running_mean": (c,), "running_var": (c,), "num_batches_tracked": ()}
        case InstanceNorm() | GroupNorm() | LayerNorm():
            is_affine = isinstance(layer, LayerNorm) or layer.affine
            return {"weight": (c,), "bias": (c,)} if is_affine else {}
        case PReLU():
            return {"weight": (layer.num_parameters,)}
        case Scale():
            each = (c, *[1] * x.rank)
            return {"weight": each, "bias": each}
        case LayerScale():
            return {"weight": (c, *[1] * x.rank)}
        case _:
            return {}


class RandomWeights(Mapping[int, Mapping[str, Tensor]]):
    """Weights of the operations that have some: the same each time, made when they are asked for.

    Weights of convolutions and linear layers keep the variance (He et al. 2015). Biases are not 0,
    so that each can be told from none. What is added is halved, so that the sums of 50 residual
    blocks do not grow without end, and what a softmax reads is small: one that is sure of a class
    hides all differences.
    """

    def __init__(self, graph: SourceGraph) -> None:
        operations = (graph.operations[of] for of in dict.fromkeys(graph.owners.values()))
        self._of = {o.id: (o.layer, graph.volume(o.inputs[0])) for o in operations}
        self._made: dict[int, Mapping[str, Tensor]] = {}
        self._factors: dict[int, float] = {}
        for operation in graph.operations:
            factor = _FACTORS.get(operation.layer.name)
            if factor:
                for before in operation.inputs:
                    self._factors[_last_weights(graph, before)] = factor

    def __getitem__(self, operation: int) -> Mapping[str, Tensor]:
        if operation not in self._made:
            layer, x = self._of[operation]
            generator = torch.Generator().manual_seed(operation)
            factor = self._factors.get(operation, 1)
            self._made[operation] = {
                name: _random(layer, name, sizes, generator)
                * (factor if name in ("weight", "bias") else 1)
                for name, sizes in weights_of(layer, x).items()
            }
        return self._made[operation]

    def __iter__(self) -> Iterator[int]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)


#: By how much weights are smaller before some layers.
_FACTORS = {"softmax": 0.1, "add": 0.5}


def _last_weights(graph: SourceGraph, at: int) -> int:
    """The last operation with weights that leads to a result alone, or what has none."""
    while not is_input(at) and not graph.operations[at].state:
        inputs = graph.operations[at].inputs
        if len(inputs) != 1:
            return INPUT
        (at,) = inputs
    return at


def _random(layer: Layer, name: str, sizes: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if name == "num_batches_tracked":
        return torch.tensor(0)
    if name in ("bias", "running_mean"):
        return torch.randn(sizes, generator=generator) / 10
    if name == "running_var":
        return torch.rand(sizes, generator=generator) + 0.75
    if isinstance(layer, PReLU):
        return torch.rand(sizes, generator=generator) / 2
    if isinstance(layer, BatchNorm | Scale | LayerScale):
        return torch.rand(sizes, generator=generator) + 0.5
    fan = math.prod(sizes[1:])
    if isinstance(layer, Deconv):
        # Each position of the result reads one window in so many.
        fan = max(sizes[0] // layer.groups * math.prod(sizes[2:]) // math.prod(layer.stride), 1)
    return torch.randn(sizes, generator=generator) * math.sqrt(2 / fan)


def floats(data: bytes | bytearray | memoryview, what: str) -> Tensor:
    """Numbers of four bytes. Errors: ``WrongSource`` where one is no number, or infinite."""
    if not len(data):
        return torch.empty(0)
    found = torch.frombuffer(bytearray(data), dtype=torch.float32)
    if not found.isfinite().all():
        raise WrongSource(f"{what} holds numbers that are not finite")
    return found
