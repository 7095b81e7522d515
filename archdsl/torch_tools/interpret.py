"""A Model's graph run node by node, using nothing of the emitted module but its parameters."""

from __future__ import annotations

import operator
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial, reduce
from importlib import import_module
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.layers import REGISTRY, Call, MergeLayer, UnaryLayer
from archdsl.layers.call import Arg, Code, InfixCode
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.network.parts import AuxPart, walk

_OPERATORS = {
    "+": operator.add,
    "*": operator.mul,
    "-": operator.sub,
    "/": operator.truediv,
    "@": operator.matmul,
}


class Interpreter:
    """The layers of a Model, each built from what its definition emits for the volume that it gets.

    The layers are not initialized; ``adopt`` gives them the state of another network.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.modules: dict[int, nn.Module] = {}
        with unfilled():
            for node in model.layers:
                if node.shares is not None:
                    if node.shares in self.modules:
                        self.modules[node.id] = self.modules[node.shares]
                elif isinstance(node.layer, UnaryLayer):
                    emitted = node.layer.emit(model.nodes[node.inputs[0]].volume)
                    self.modules[node.id] = _evaluate(emitted, {})
        steady(self.named_modules())
        heads = [part.body.output for part in walk(model.chain) if isinstance(part, AuxPart)]
        self._heads = tuple(heads)

    def named_modules(self) -> dict[str, nn.Module]:
        """The modules of the layers, by the names that they have in the network."""
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
                        inner._parameters[key] = state[prefix + key]
                for key, buffer in inner._buffers.items():
                    if buffer is not None and prefix + key in state:
                        inner._buffers[key] = state[prefix + key].clone()

    def buffers(self) -> dict[str, Tensor]:
        """What the layers keep besides their parameters, by its key in the state."""
        return {
            f"{name}.{key}": tensor
            for name, module in self.named_modules().items()
            for key, tensor in module.state_dict(keep_vars=True).items()
            if not isinstance(tensor, nn.Parameter)
        }

    def run(
        self, inputs: Sequence[Tensor], *, is_training: bool, errors: Random | None = None
    ) -> dict[int, Tensor]:
        """The result of each node that runs; heads only run in training.

        With ``errors`` each result is off by a few rounding errors. Equal numbers stay equal, so
        that each maximum stays in its place.
        """
        values = {node.id: x for node, x in zip(self.model.inputs, inputs, strict=True)}
        for node in self.model.layers:
            if node.head is None or is_training:
                value = self._apply(node, [values[i] for i in node.inputs], is_training)
                if errors is not None:
                    value = value * (1 + errors.randint(-4, 4) * torch.finfo(value.dtype).eps)
                values[node.id] = value
        return values

    def ends(self, values: Mapping[int, Tensor], *, is_training: bool) -> tuple[Tensor, ...]:
        """What the network returns: its results, and in training those of its heads."""
        ends = (*self.model.ends, *(self._heads if is_training else ()))
        return tuple(values[end] for end in ends)

    def _apply(self, node: Node, inputs: Sequence[Tensor], is_training: bool) -> Tensor:
        if isinstance(node.layer, MergeLayer):
            return join(node.layer, inputs)
        assert isinstance(node.layer, UnaryLayer)
        x = inputs[0].flatten(1) if node.layer.flattens else inputs[0]
        result: Tensor = self.modules[node.id].train(is_training)(x)
        return result


def join(layer: MergeLayer, inputs: Sequence[Tensor]) -> Tensor:
    """The result of a merge of these branches."""
    names = tuple(Code(f"x{index}") for index in range(len(inputs)))
    result: Tensor = _evaluate(layer.combine(names), dict(zip(names, inputs, strict=True)))
    return result


# ── From emitted code to what it stands for ──────────────────────────────────────────────────


@cache
def _namespace() -> dict[str, Any]:
    """PyTorch, and the helper classes of the registered layers."""
    found: dict[str, Any] = {"torch": torch, "nn": nn, "Tensor": Tensor}
    for layer in REGISTRY.values():
        for source in layer.helpers().values():
            exec(source, found)
    return found


def _evaluate(code: Any, names: Mapping[str, Any]) -> Any:
    """The value of a piece of emitted code; a number stays itself."""
    match code:
        case Call():
            result = _called(_named(code.callee, names), code.args, names)
            then = code.then
            while then is not None:
                result = _called(getattr(result, then.callee), then.args, names)
                then = then.then
            return result
        case InfixCode():
            operands = [_evaluate(operand, names) for operand in code.operands]
            return reduce(_OPERATORS[code.operator], operands)
        case Code():
            return _named(code, names)
        case tuple():
            return tuple(_evaluate(item, names) for item in code)
        case _:
            return code


def _called(function: Any, args: Sequence[Arg], names: Mapping[str, Any]) -> Any:
    positional = [_evaluate(arg.value, names) for arg in args if arg.keyword is None]
    keywords = {arg.keyword: _evaluate(arg.value, names) for arg in args if arg.keyword}
    return function(*positional, **keywords)


def _named(dotted: str, names: Mapping[str, Any]) -> Any:
    first, *rest = dotted.split(".")
    found = names[first] if first in names else _namespace().get(first)
    return _imported(dotted) if found is None else reduce(getattr, rest, found)


def _imported(dotted: str) -> Any:
    """What a package has, which is written in Python elsewhere."""
    found = import_module(dotted.partition(".")[0])
    name = found.__name__
    for word in dotted.split(".")[1:]:
        name = f"{name}.{word}"
        if not hasattr(found, word):
            import_module(name)
        found = getattr(found, word)
    return found


# ── Two networks under the same conditions ───────────────────────────────────────────────────


@contextmanager
def unfilled() -> Iterator[None]:
    """Build layers without initializing them, which would take longer than running them."""
    kinds: tuple[Any, ...] = (nn.modules.conv._ConvNd, nn.Linear)
    before = [kind.reset_parameters for kind in kinds]
    try:
        for kind in kinds:
            kind.reset_parameters = lambda _self: None
        yield
    finally:
        for kind, method in zip(kinds, before, strict=True):
            kind.reset_parameters = method


@contextmanager
def in_double() -> Iterator[None]:
    """Build networks and draw images in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def steady(modules: Mapping[str, nn.Module]) -> None:
    """Make what modules draw at random, as dropout does, depend on their names alone."""
    for name, module in modules.items():
        seed = zlib.crc32(name.encode())
        module.register_forward_pre_hook(partial(_reseed, seed))


def _reseed(seed: int, _module: nn.Module, _inputs: Any) -> None:
    torch.default_generator.manual_seed(seed)
