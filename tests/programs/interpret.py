"""A Model's graph run node by node, with nothing of the generated module but its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, reduce
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.graph import AuxPart, Node, walk
from archdsl.layers import REGISTRY, Call, UnaryLayer
from archdsl.model import Model

MERGES = {
    "concat": lambda inputs: torch.cat(inputs, dim=1),
    "add": lambda inputs: reduce(torch.add, inputs),
    "mul": lambda inputs: reduce(torch.mul, inputs),
}


@cache
def _namespace() -> dict[str, Any]:
    """PyTorch's layers and the helper classes of the registry's."""
    found: dict[str, Any] = {"torch": torch, "nn": nn, "Tensor": Tensor}
    for layer in REGISTRY.values():
        if layer.support:
            exec(layer.support, found)
    return found


def _construct(value: Any) -> Any:
    if not isinstance(value, Call):
        return value
    found: Any = _namespace()
    for index, word in enumerate(value.callee.split(".")):
        found = getattr(found, word) if index else found[word]
    args = [_construct(arg.value) for arg in value.args if arg.keyword is None]
    keywords = {arg.keyword: _construct(arg.value) for arg in value.args if arg.keyword}
    return found(*args, **keywords)


@contextmanager
def unfilled() -> Iterator[None]:
    """Layers have weights of any numbers: filling them takes longer than to run them."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    before = [kind.reset_parameters for kind in kinds]
    try:
        for kind in kinds:
            kind.reset_parameters = lambda _self: None  # type: ignore[method-assign]
        yield
    finally:
        for kind, method in zip(kinds, before, strict=True):
            kind.reset_parameters = method  # type: ignore[method-assign]


class Interpreter:
    """The layers of a Model, each built from what its page emits for the volume it gets."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.modules: dict[int, nn.Module] = {}
        # What parameters hold is taken from the network that this one is compared with.
        with unfilled():
            for node in model.layers:
                if isinstance(node.layer, UnaryLayer):
                    call = node.layer.emit(model.nodes[node.inputs[0]].volume)
                    self.modules[node.id] = _construct(call)
        quieten(self.named_modules())

    def named_modules(self) -> dict[str, nn.Module]:
        return {self.model.names[id]: module for id, module in self.modules.items()}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The keys of the state, with the shapes of the tensors."""
        return {
            f"{name}.{key}": tuple(tensor.shape)
            for name, module in self.named_modules().items()
            for key, tensor in module.state_dict().items()
        }

    def adopt(self, state: Mapping[str, Tensor]) -> None:
        """Use these parameters themselves, and copies of these buffers."""
        for name, module in self.named_modules().items():
            for path, inner in module.named_modules():
                prefix = f"{name}.{path}." if path else f"{name}."
                for key, parameter in inner._parameters.items():
                    if parameter is not None:
                        inner._parameters[key] = state[prefix + key]  # type: ignore[assignment]
                for key, buffer in inner._buffers.items():
                    if buffer is not None:
                        inner._buffers[key] = state[prefix + key].clone()

    def buffers(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": buffer
            for name, module in self.named_modules().items()
            for key, buffer in module.named_buffers()
        }

    def run(self, x: Tensor, is_training: bool) -> tuple[Tensor, ...]:
        """The network's result, and in training those of its heads."""
        values = {0: x}
        for node in self.model.layers:
            if node.head is None or is_training:
                values[node.id] = self._apply(node, [values[i] for i in node.inputs], is_training)
        heads = [part.body.output for part in walk(self.model.chain) if isinstance(part, AuxPart)]
        ends = [self.model.chain.output, *(heads if is_training else ())]
        return tuple(values[end] for end in ends)

    def _apply(self, node: Node, inputs: list[Tensor], is_training: bool) -> Tensor:
        if not isinstance(node.layer, UnaryLayer):
            return MERGES[node.layer.name](inputs)
        x = inputs[0].flatten(1) if node.layer.flattens else inputs[0]
        result: Tensor = self.modules[node.id].train(is_training)(x)
        return result


def quieten(modules: Mapping[str, nn.Module]) -> None:
    """Put masks that hang on a module's name alone in place of chance."""
    for name, module in modules.items():
        if type(module).__name__ in ("Dropout", "DropPath"):
            module.forward = _Mask(module, name)  # type: ignore[method-assign]


class _Mask:
    def __init__(self, module: nn.Module, name: str) -> None:
        self.module = module
        self.phase = sum(ord(letter) * (index + 3) for index, letter in enumerate(name))

    def __call__(self, x: Tensor) -> Tensor:
        rate: float = self.module.p  # type: ignore[assignment]
        if not self.module.training or rate == 0:
            return x
        count = prod(x.shape[1:])
        wave = torch.arange(self.phase, self.phase + count, dtype=x.dtype).sin()
        return x * (1 + rate * wave).view(x.shape[1:])
