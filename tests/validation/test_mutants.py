"""Every small change of a module is refused, or torch says that it changes nothing."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from mutants import mutants_of
from oracle import run_source
from structures import STRUCTURES

import archdsl
from archdsl.codegen import entry_name, render_deployments, render_module
from archdsl.deployment import Deployment, deploy
from archdsl.model import Model
from archdsl.validation import InvalidModuleError, validate

HERE = Path(__file__).parent / "validated"
#: One for each way of writing.
CHOSEN = (
    "residual with names",
    "fork in a branch",
    "two long branches",
    "skip with layers",
    "two skips",
    "skip into a nested group",
    "skip into copies",
    "named copies",
    "inceptions",
    "asymmetric same",
    "names of variables",
    "auxiliary heads",
    "skip into a head",
)


def behaviour(source: str, model: Model, state: dict[str, Any] | None = None) -> list[Any]:
    """What a module gives and holds, random numbers fixed; from a plain ``state``, where given."""
    torch.manual_seed(0)
    network = getattr(run_source(source), entry_name(model))()
    if state is not None:
        network.load_training_state(state)
    found = [*network.state_dict().items(), getattr(network, "aux_weights", ())]
    for is_training in (True, False):
        torch.manual_seed(1)
        x = torch.randn(2, *model.input.torch_sizes)
        found.append(network.train(is_training)(x))
    return found


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


def assert_mutants_are_refused(
    source: str,
    model: Model,
    network: Model | Deployment,
    state: dict[str, Any] | None = None,
    every: int = 1,
) -> None:
    right = behaviour(source, model, state)
    count = refused = 0
    for mutant in islice(mutants_of(source), 0, None, every):
        count += 1
        try:
            validate(mutant.source, {entry_name(model): network})
        except InvalidModuleError:
            refused += 1
            continue
        found = behaviour(mutant.source, model, state)
        assert is_same(found, right), f"{mutant.change} at line {mutant.line}"
    assert refused > 0.85 * count > 10


@pytest.mark.parametrize("name", CHOSEN)
def test_mutants_of_a_structure(name: str) -> None:
    model = archdsl.parse(STRUCTURES[name], input="8x8x4")
    assert_mutants_are_refused(render_module([model]), model, model)


def test_mutants_of_a_module_for_inference() -> None:
    deployment = deploy(archdsl.load(HERE / "deployed.arch"))
    plain = deployment.plain
    state = getattr(run_source(render_module([plain])), entry_name(plain))().state_dict()
    for key, tensor in state.items():
        if "running" in key:
            tensor.uniform_(0.5, 2)
    # These are some thousands; a part of them takes every kind of change.
    by_hand, emitted = (HERE / "deployed.py").read_text("utf-8"), render_deployments([deployment])
    assert_mutants_are_refused(by_hand, deployment.model, deployment, state, every=5)
    assert_mutants_are_refused(emitted, deployment.model, deployment, state, every=11)
