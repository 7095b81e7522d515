"""Torch as the judge: compiles a model, runs the module and compares it with the Model."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable

import torch
from torch import Tensor, nn

import archdsl
from archdsl.codegen import entry_name
from archdsl.layers import UnaryLayer
from archdsl.model import Model
from archdsl.report.diagnostics import render_diagnostics
from archdsl.runtime.prove import prove

BATCH = 2


def run_source(source: str, name: str = "generated") -> types.ModuleType:
    """The module that a generated source is."""
    module = types.ModuleType(name)
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)
    return module


def network_class(model: Model) -> Callable[[], nn.Module]:
    """What builds a model's network in its generated module."""
    found: Callable[[], nn.Module] = getattr(run_source(archdsl.compile(model)), entry_name(model))
    return found


def build(model: Model, device: str = "cpu") -> nn.Module:
    with torch.device(device):
        return network_class(model)()


def batch_for(model: Model, device: str = "cpu") -> Tensor:
    return torch.randn(BATCH, *model.input.torch_sizes, device=device)


def judge(model: Model) -> None:
    """Assert that the generated module has the Model's volumes, parameters and MACs."""
    proof = prove(model, archdsl.compile(model))
    assert proof.holds, render_diagnostics(proof.diagnostics)
    # What the proof has to compare: it could be empty.
    modules = {n.id for n in model.layers if isinstance(n.layer, UnaryLayer)}
    assert proof.volumes >= len(modules)
    assert proof.parameters == model.trunk.parameters + model.heads.parameters
    assert proof.macs == model.trunk.macs + model.heads.macs


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
