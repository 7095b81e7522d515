"""Torch as the judge: compiles a model, runs the module and compares it with the Model."""

from __future__ import annotations

import functools
import types
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import archdsl
from archdsl.codegen.classes import network_class_name
from archdsl.layers import UnaryLayer
from archdsl.model import Model

BATCH = 2


def run_source(source: str, name: str = "generated") -> types.ModuleType:
    """The module that a generated source is."""
    module = types.ModuleType(name)
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)
    return module


def network_class(model: Model) -> type[nn.Module]:
    """The generated class of a model's network."""
    found: type[nn.Module] = getattr(run_source(archdsl.compile(model)), network_class_name(model))
    return found


def build(model: Model, device: str = "cpu") -> nn.Module:
    with torch.device(device):
        return network_class(model)()


def batch_for(model: Model, device: str = "cpu") -> Tensor:
    return torch.randn(BATCH, *model.input.torch_sizes, device=device)


def logits_of(output: Any) -> Tensor:
    logits: Tensor = output if isinstance(output, Tensor) else output[0]
    return logits


def judge(model: Model, device: str = "meta") -> None:
    """Assert that the generated module has the Model's volumes, parameters and MACs."""
    module = build(model, device).train()
    parameters = sum(p.numel() for p in module.parameters())
    assert parameters == model.trunk.parameters + model.heads.parameters

    shapes: dict[str, tuple[int, ...]] = {}
    for name, child in module.named_modules():
        child.register_forward_hook(_recorder(shapes, name))
    counter = FlopCounterMode(display=False)
    with counter:
        output = module(batch_for(model, device))
    assert tuple(logits_of(output).shape) == (BATCH, *model.output.torch_sizes)
    for node in model.layers:
        if isinstance(node.layer, UnaryLayer):
            name = model.names[node.id]
            assert shapes[name] == (BATCH, *node.volume.torch_sizes), name
    macs = counter.get_total_flops() // 2 // BATCH
    assert macs == model.trunk.macs + model.heads.macs

    # Per layer, too: a sum can hide two mistakes.
    modules = dict(module.named_modules())
    for node in model.layers:
        if isinstance(node.layer, UnaryLayer):
            own = sum(p.numel() for p in modules[model.names[node.id]].parameters())
            assert own == model.costs[node.id].parameters, model.names[node.id]


def replay(model: Model) -> Tensor:
    """Assert that ``forward`` is the Model's graph, by walking the graph with the same modules.

    The walk is independent of the generated ``forward``: it takes each module by the node's name
    and each input by the node's edges. Returns the output.
    """
    module = build(model).eval()
    modules = dict(module.named_modules())
    x = batch_for(model)
    values = {0: x}
    with torch.no_grad():
        for node in model.layers:
            if node.head is not None:
                continue
            inputs = [values[i] for i in node.inputs]
            if isinstance(node.layer, UnaryLayer):
                if node.layer.flattens:
                    inputs[0] = inputs[0].flatten(1)
                values[node.id] = modules[model.names[node.id]](inputs[0])
            else:
                values[node.id] = MERGES[node.layer.name](inputs)
        expected = values[model.chain.output]
        output = module(x)
    torch.testing.assert_close(output, expected, rtol=0, atol=0)
    return expected


MERGES = {
    "concat": lambda inputs: torch.cat(inputs, dim=1),
    "add": lambda inputs: functools.reduce(torch.add, inputs),
    "mul": lambda inputs: functools.reduce(torch.mul, inputs),
}


def _recorder(shapes: dict[str, tuple[int, ...]], name: str) -> Any:
    def record(_module: nn.Module, _args: Any, output: Any) -> None:
        shapes[name] = tuple(logits_of(output).shape)

    return record
