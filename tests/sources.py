"""What the tests of readers share: a graph run layer by layer, in the modules of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.importing.files import FileSource
from archdsl.importing.graph import INPUT, SourceGraph
from archdsl.layers import REGISTRY, Layer
from archdsl.layers.call import Call, Code, InfixCode
from archdsl.layers.layer import MergeLayer, UnaryLayer

_NAMES: dict[str, Any] = {"nn": nn, "torch": torch, "Tensor": Tensor}


def _names_of(layer: Layer) -> dict[str, Any]:
    names = dict(_NAMES)
    for source in REGISTRY[layer.name].helpers().values():
        exec(source, names)
    return names


def _value(code: Any, names: dict[str, Any]) -> Any:
    """What a call of the generated code gives."""
    if isinstance(code, Code):
        return names[code]
    if isinstance(code, tuple):
        return tuple(_value(one, names) for one in code)
    if isinstance(code, InfixCode):
        first, *others = (_value(one, names) for one in code.operands)
        for other in others:
            operators = {"+": torch.add, "-": torch.sub, "*": torch.mul}
            first = operators[code.operator](first, other)
        return first
    if not isinstance(code, Call):
        return code
    assert code.then is None
    given = [_value(arg.value, names) for arg in code.args if arg.keyword is None]
    named = {arg.keyword: _value(arg.value, names) for arg in code.args if arg.keyword}
    return eval(code.callee, names)(*given, **named)


@torch.no_grad()
def run_graph(
    graph: SourceGraph, state: Mapping[int, Mapping[str, Tensor]], images: Sequence[Tensor]
) -> list:
    """The results of a graph, each layer run in the module that stands for it, in evaluation."""
    values = {INPUT - number: x for number, x in enumerate(images)}
    for operation in graph.operations:
        layer = operation.layer
        inputs = [values[i] for i in operation.inputs]
        assert operation.state == (operation.id in state)
        if isinstance(layer, MergeLayer):
            operands = tuple(Code(f"x{i}") for i, _ in enumerate(inputs))
            names = dict(zip(operands, inputs, strict=True)) | _NAMES
            y = _value(layer.combine(operands), names)
        else:
            assert isinstance(layer, UnaryLayer)
            with torch.device("meta" if operation.state else "cpu"):
                module = _value(
                    layer.emit(graph.volume(operation.inputs[0])), _names_of(layer)
                ).eval()
            if operation.state:
                owner = module[-1] if isinstance(module, nn.Sequential) else module
                owner.load_state_dict(dict(state[operation.id]), assign=True)
            needs_vector = layer.flattens and inputs[0].dim() > 2
            y = module(inputs[0].flatten(1) if needs_vector else inputs[0])
        assert tuple(y.shape[1:]) == operation.volume.torch_sizes, operation
        values[operation.id] = y
    return [values[of] for of in (*graph.results, *graph.heads)]


def assert_judged(source: FileSource) -> None:
    """What the file's own rules compute is what the graph computes, and it says something."""
    torch.manual_seed(0)
    images = [torch.randn(2, *volume.torch_sizes) for volume in source.graph.inputs.values()]
    for x in images:
        x[1] = x[1] / 2 + 0.5
    judged = source.run(images, source.state)
    computed = run_graph(source.graph, source.state, images)
    assert len(judged) == len(computed) == len(source.graph.results) + len(source.graph.heads)
    for one, other in zip(judged, computed, strict=True):
        assert one.isfinite().all()
        scale = one.abs().max()
        assert (one[0] - one[1]).abs().max() > 1e-4 * scale, "it says nothing of the image"
        torch.testing.assert_close(one / scale, other / scale, rtol=0, atol=1e-5)


def parameters(graph: SourceGraph) -> int:
    return sum(o.layer.count_parameters(graph.volume(o.inputs[0])) for o in graph.operations)
