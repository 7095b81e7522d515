"""The stand-ins of the validator against torch: signatures, states, names."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import nn

import archdsl
from archdsl.classplan import RESERVED_ATTRIBUTES
from archdsl.layers import INITIALIZERS, REGISTRY, Call, UnaryLayer
from archdsl.layers.call import Code
from archdsl.validation import signatures as stand_ins
from archdsl.validation.expected import calls_within

EXAMPLES = [example for layer in REGISTRY.values() for example in layer.examples]


def parameters_of(function: Callable[..., object]) -> list[tuple[str, object, object]]:
    return [
        (p.name, p.kind, p.default)
        for p in inspect.signature(function).parameters.values()
        if p.name not in ("device", "dtype")
    ]


@pytest.mark.parametrize("name", stand_ins.LAYERS)
def test_signatures_of_layers_are_torchs(name: str) -> None:
    found, theirs = parameters_of(stand_ins.LAYERS[name]), parameters_of(getattr(nn, name))
    if name in ("LSTM", "GRU"):  # they pass on what they are given
        theirs = parameters_of(nn.RNNBase)[1:]
    if name in ("Sigmoid", "Tanh"):  # they have nn.Module's, which takes nothing
        assert found == []
        return
    assert found == theirs[: len(found)]
    for (_, _, ours), (_, _, right) in zip(found, theirs, strict=False):
        assert type(ours) is type(right)
    # What a newer torch takes besides is refused.
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in theirs[len(found) :])


@pytest.mark.parametrize("name", stand_ins.INITIALIZERS)
def test_signatures_of_initializers_are_torchs(name: str) -> None:
    found = parameters_of(stand_ins.INITIALIZERS[name])
    assert found == parameters_of(getattr(nn.init, name))


def calls() -> list[Call]:
    found = []
    for example in EXAMPLES:
        model = archdsl.parse(example.text, input="x".join(map(str, example.input)))
        for node in model.layers:
            if isinstance(node.layer, UnaryLayer):
                call = node.layer.emit(model.nodes[node.inputs[0]].volume)
                found += [c for c in calls_within(call) if c.callee.startswith("nn.")]
    return found


def test_states_of_layers_are_torchs() -> None:
    """Keys and order, for each way in which a definition calls a layer; and no layer is unknown."""
    seen = set()
    for call in calls():
        name = call.callee.removeprefix("nn.")
        if name == "Sequential":
            continue
        seen.add(name)
        args = [arg.value for arg in call.args if arg.keyword is None]
        kwargs = {arg.keyword: arg.value for arg in call.args if arg.keyword is not None}
        bound = stand_ins.LAYERS[name](*args, **kwargs)
        module = getattr(nn, name)(*args, **kwargs)
        ours = [*stand_ins.parameters_of(name, bound), *stand_ins.buffers_of(bound)]
        assert ours == list(module.state_dict()), call
        assert ours[: len(dict(module.named_parameters()))] == list(dict(module.named_parameters()))
    within = {"Embedding", "LSTM", "GRU"}  # of classes that a module brings along
    assert seen <= stand_ins.LAYERS.keys() <= seen | within | {"Flatten", "Identity"}


def test_no_initializer_is_unknown() -> None:
    known = {f"nn.init.{name}" for name in stand_ins.INITIALIZERS}
    for definition in INITIALIZERS.values():
        init = archdsl.parse(f"fc 10; {definition.example}", input="4").init
        assert init is not None
        assert {init.emit(Code("w")).callee, init.emit_bias(Code("b")).callee} <= known


def test_names_of_modules_are_torchs() -> None:
    """What a module has already may not become a layer, also after tracing, export or scripting."""
    kinds = [torch.fx.GraphModule, torch.jit.ScriptModule]
    names = [*dir(nn.Sequential()), *(n for kind in kinds for n in dir(kind))]
    assert {n for n in names if not n.startswith("_")} <= RESERVED_ATTRIBUTES
