"""Outputs, gradients and buffers of a module, compared with the Model's graph run node by node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.layers import UnaryLayer
from archdsl.model import Model
from archdsl.network.graph import Node, label_of
from archdsl.torch_tools.inputs import draw_inputs
from archdsl.torch_tools.interpret import Interpreter, steady
from archdsl.torch_tools.sampling import Sample, narrowed, whole_sample

#: How far apart numbers in double precision may be, relative to the largest one.
TOLERANCE = 1e-9
#: The same where normalizations were folded into the weights of other layers.
FOLDED_TOLERANCE = 1e-7
#: The tolerance of a gradient is relative to its largest number, but at least to this share of the
#: largest gradient in the network: what a normalization subtracts again has a gradient of rounding
#: errors only.
_GRADIENT_FLOOR = 1e-3
#: That of an output for inference, to this share of the largest result in the network.
_OUTPUT_FLOOR = 1e-6
#: Where large numbers amplify rounding errors, that is not enough. How far a gradient of the graph
#: moves by rounding alone is then tried this many times.
_TRIES = 3
#: Two gradients may be this many times as far apart as the largest move, since rounding is random.
_CHANCE = 10

#: The seed of the parameters and of the images.
_SEED = 0


@dataclass(frozen=True, slots=True)
class NumericMismatch:
    """A number that differs from the graph's: of what, of which layer or tensor, by how much."""

    fact: str
    name: str
    node: Node | None
    text: str


class Comparison:
    """A network in double precision and the graph of its Model, with the same random parameters.

    Differences come in the order in which they are found. The counts are those of the tensors
    that were compared; a gradient counts only where it is more than rounding errors, so that a
    wrong one would have been noticed. ``scale`` is the standard deviation of the pixels.
    """

    def __init__(
        self,
        model: Model,
        network: nn.Module,
        sample: Sample | None = None,
        seed: int = _SEED,
        scale: float = 1.0,
    ) -> None:
        self.model = model
        self.network = network
        self.sample = sample or whole_sample(model)
        self.seed = seed
        self.scale = scale
        self.outputs = 0
        self.gradients = 0
        self.buffers = 0
        #: Whether all outputs and gradients are finite: next to an infinite one, all others pass.
        self.is_finite = True
        self._interpreter = self._new_interpreter()
        self._state = network.state_dict(keep_vars=True)

    def differences(self) -> Iterator[NumericMismatch]:
        """Where the network and the graph compute different things, in training and evaluation."""
        shapes = {(key, tuple(tensor.shape)) for key, tensor in self._state.items()}
        if wrong := shapes ^ set(self._interpreter.shapes().items()):
            key, shape = sorted(wrong)[0]
            yield NumericMismatch("keys", key, None, f"{list(shape)} is on one side only")
            return
        if len({id(tensor) for tensor in self._state.values()}) < len(self._state):
            yield NumericMismatch("parameters", "", None, "layers share some")
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            enliven(self._state)
            inputs = [x.requires_grad_() for x in self._images()]
            steady(dict(self.network.named_modules()))
            self._interpreter.adopt(self._state)
            yield from self._compare_training(inputs)
            with torch.no_grad():
                outputs = tensors_of(self.network.eval()(*inputs))
                values = self._interpreter.run(inputs, is_training=False)
                expected = self._interpreter.ends(values, is_training=False)
                yield from self._compare_outputs("evaluation", outputs, expected)

    def _new_interpreter(self) -> Interpreter:
        with narrowed(self.sample.divisor):
            return Interpreter(self.model)

    def _images(self) -> list[Tensor]:
        """Random images for each input."""
        sample = self.sample
        return draw_inputs(self.model, sample.inputs, sample.images, scale=self.scale)

    def inference_differences(self, deployed: nn.Module) -> Iterator[NumericMismatch]:
        """Where the network for inference, with the state of this one, returns something else."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(self.seed + 1)
            deployed.load_training_state(self.network.state_dict())  # type: ignore[operator]
            inputs = self._images()
            expected = tensors_of(self.network.eval()(*inputs))
            found = tensors_of(deployed.eval()(*inputs))
        self.outputs += len(expected)
        if len(found) != len(expected):
            yield NumericMismatch(
                "number of outputs for inference", "", None, f"there are {len(found)}"
            )
            return
        for ours, theirs in zip(found, expected, strict=True):
            if how_far(ours, theirs, FOLDED_TOLERANCE) and (
                apart := how_far(ours, theirs, FOLDED_TOLERANCE, self._floor_of(inputs))
            ):
                yield NumericMismatch("output for inference", "", None, apart)

    def _floor_of(self, inputs: Sequence[Tensor]) -> float:
        """What an output is at least compared with: far below all results there is only rounding.

        A normalization of a constant map returns nothing else.
        """
        values = self._interpreter.run(inputs, is_training=False).values()
        return _OUTPUT_FLOOR * max(map(_largest, values), default=0.0)

    def _compare_training(self, inputs: Sequence[Tensor]) -> Iterator[NumericMismatch]:
        kept = [x.detach().clone() for x in inputs]
        outputs = tensors_of(self.network.train()(*inputs))
        for x, before in zip(inputs, kept, strict=True):
            if apart := how_far(x, before):
                yield NumericMismatch("input written over", "", None, apart)
                return
        values = self._interpreter.run(inputs, is_training=True)
        expected = self._interpreter.ends(values, is_training=True)
        found = list(self._compare_outputs("training", outputs, expected))
        if found:
            first = self._first_difference(inputs, values)
            yield from [first] if first else found
            return
        yield from self._compare_gradients(inputs, outputs, expected, values)
        for key, buffer in self._interpreter.buffers().items():
            self.buffers += 1
            if apart := how_far(self._state[key], buffer):
                yield NumericMismatch("buffer", key, None, apart)

    def _compare_outputs(
        self, mode: str, outputs: Sequence[Tensor], expected: Sequence[Tensor]
    ) -> Iterator[NumericMismatch]:
        if len(outputs) != len(expected):
            text = f"there are {len(outputs)}, not {len(expected)}"
            yield NumericMismatch(f"number of outputs in {mode}", "", None, text)
            return
        for ours, theirs in zip(outputs, expected, strict=True):
            self.outputs += 1
            self.is_finite &= bool(theirs.isfinite().all())
            if apart := how_far(ours, theirs):
                yield NumericMismatch(f"output in {mode}", "", None, apart)

    def _first_difference(
        self, inputs: Sequence[Tensor], values: Mapping[int, Tensor]
    ) -> NumericMismatch | None:
        """The first layer whose module reads or returns something other than its node."""
        with _recorded(self.network) as seen:
            self.network.train()(*inputs)
        shared = {node.shares for node in self.model.layers}
        for node in self.model.layers:
            name = self.model.names[node.id]
            if node.shares is not None or node.id in shared:
                continue  # it ran several times
            if not isinstance(node.layer, UnaryLayer) or name not in seen or node.id not in values:
                continue
            read, given = seen[name]
            x = values[node.inputs[0]]
            if apart := how_far(read, x.flatten(1) if node.layer.flattens else x):
                return NumericMismatch("input", name, node, apart)
            if apart := how_far(given, values[node.id]):
                return NumericMismatch("output", name, node, apart)
        return None

    def _compare_gradients(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        expected: Sequence[Tensor],
        values: Mapping[int, Tensor],
    ) -> Iterator[NumericMismatch]:
        trained = {key: tensor for key, tensor in self._state.items() if tensor.requires_grad}
        names = [f"input {label_of(node)}".strip() for node in self.model.inputs]
        sources = {**dict(zip(names, inputs, strict=True)), **trained}
        inner = [value for value in values.values() if value.requires_grad]
        weights = [torch.randn_like(output) for output in expected]
        ours, theirs = (
            torch.autograd.grad(ends, wanted, weights, allow_unused=True)
            for ends, wanted in (
                (outputs, [*sources.values()]),
                (expected, [*sources.values(), *inner]),
            )
        )
        known = [gradient for gradient in theirs if gradient is not None]
        self.is_finite &= all(bool(gradient.isfinite().all()) for gradient in known)
        most = max((_largest(gradient) for gradient in known), default=0.0)
        floor = _GRADIENT_FLOOR * most
        moved: list[float] = []
        for index, (name, source) in enumerate(sources.items()):
            one, other = ours[index], theirs[index]
            if one is None and other is None:
                continue
            # A tensor that nothing depends on has a gradient of 0.
            zero = torch.zeros_like(source)
            actual, wanted = (zero if g is None else g for g in (one, other))
            apart = how_far(actual, wanted, floor=floor)
            if apart:
                moved = moved or self._roundings(inputs, sources.values(), weights, theirs)
                if _largest(actual - wanted) <= _CHANCE * moved[index]:
                    continue
                yield NumericMismatch("gradient", name, None, apart)
            self.gradients += _largest(wanted) > TOLERANCE * floor

    def _roundings(
        self,
        inputs: Sequence[Tensor],
        sources: Collection[Tensor],
        weights: Sequence[Tensor],
        known: Sequence[Tensor | None],
    ) -> list[float]:
        """By source, how far the graph's gradient moves if its results are rounded differently."""
        moved = [0.0] * len(sources)
        for number in range(_TRIES):
            graph = self._new_interpreter()
            graph.adopt(self._state)
            values = graph.run(inputs, is_training=True, errors=Random(number))
            ends = graph.ends(values, is_training=True)
            found = torch.autograd.grad(ends, [*sources], weights, allow_unused=True)
            for index, (one, other) in enumerate(zip(found, known, strict=False)):
                if one is not None and other is not None:
                    moved[index] = max(moved[index], _largest(one - other))
        return moved


@contextmanager
def _recorded(network: nn.Module) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """What the modules of a network read and return, by their names."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def recorder(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(_module: nn.Module, inputs: Any, output: Any) -> None:
            seen[name] = (inputs[0], output)

        return record

    handles = [
        module.register_forward_hook(recorder(name)) for name, module in network.named_modules()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def how_far(ours: Tensor, theirs: Tensor, tolerance: float = TOLERANCE, floor: float = 0.0) -> str:
    """By how much a tensor differs from another one, in words; empty where it does not.

    The tolerance is relative to the largest number, or to ``floor`` where that is larger.
    """
    if ours is theirs or torch.equal(ours, theirs):
        return ""
    if ours.shape != theirs.shape:
        return f"the shape is {list(ours.shape)}, not {list(theirs.shape)}"
    with torch.no_grad():
        ours, theirs = ours.nan_to_num(), theirs.nan_to_num()
        scale = max(_largest(theirs), floor)
        apart = _largest(ours - theirs)
    return f"{apart:.3g} apart, of {scale:.3g}" if apart > tolerance * scale else ""


def _largest(tensor: Tensor) -> float:
    return tensor.detach().abs().max().item() if tensor.numel() else 0.0


def tensors_of(output: Any) -> tuple[Tensor, ...]:
    """The outputs of a network."""
    return (output,) if isinstance(output, Tensor) else tuple(output)


def enliven(state: Mapping[str, Tensor]) -> None:
    """Set random parameters that let the image through, and statistics far from 0 and 1."""
    with torch.no_grad():
        for key, tensor in state.items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif tensor.is_floating_point():
                fan = tensor[0].numel() if tensor.dim() in (2, 4) else 1
                # A uniform distribution is drawn six times as fast as a normal one.
                bound = 0.9 if fan == 1 else 2.0 / fan**0.5
                tensor.uniform_(-bound, bound)
                # Factors of normalizations, and coefficients: not near 0.
                if key.endswith("weight") and tensor.dim() in (1, 3):
                    tensor.add_(1.0)
            else:
                tensor.zero_()
