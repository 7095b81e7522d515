"""Torch as the judge: compiles a model, runs the module and compares it with the Model."""

from __future__ import annotations

import types
from collections.abc import Callable

import torch
from torch import nn

import archdsl
from archdsl.codegen import entry_name
from archdsl.layers import UnaryLayer
from archdsl.model import Model
from archdsl.report.diagnostics import render_diagnostics
from archdsl.torch_tools.prove import prove


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


def judge(model: Model) -> None:
    """Assert that the generated modules are the Model: in volumes, parameters, MACs and numbers."""
    source, inference = (archdsl.compile(model, inference=i) for i in (False, True))
    proof = prove([model], source, inference)[model]
    assert proof.holds, render_diagnostics(proof.diagnostics)
    # What the proof has to compare: it could be empty.
    modules = {n.id for n in model.layers if isinstance(n.layer, UnaryLayer)}
    assert proof.volumes >= len(modules)
    assert proof.parameters == model.trunk.parameters + model.heads.parameters
    assert proof.macs == model.trunk.macs + model.heads.macs
    assert proof.numbers is not None, proof.omitted
    assert proof.numbers.outputs >= 3
