"""The end of a network's ``__init__``: what its weights start as, where its spec says so.

What holds for the whole network is a loop over its modules. What a layer says itself follows, by
the layer's name in the state dict. The class of a block cannot say it: its ``__init__`` ends
before the network's loop begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archdsl.codegen.expressions import call_doc
from archdsl.codegen.layout import DocItem, Verbatim, bracketed, lay_out
from archdsl.layers import Call, Initializer, WeightLayer
from archdsl.layers.call import Code
from archdsl.model import Model
from archdsl.network.graph import Node


@dataclass(frozen=True, slots=True)
class _Owner:
    """A layer with weights: the module that owns them, its name, and what the layer says itself."""

    name: str
    callee: str
    layer: WeightLayer


@dataclass(frozen=True, slots=True)
class _InitialState:
    """What has to be set in a layer: None for a tensor that already starts right."""

    weight: Initializer | None
    bias: Initializer | None


def initialization_lines(model: Model) -> list[str]:
    """The lines after the modules of a network; none where the spec says nothing."""
    owners = [
        _owner(model, node, node.layer)
        for node in model.layers
        if node.shares is None
        and isinstance(node.layer, WeightLayer)
        and (model.init or node.layer.init)
    ]
    lines = [*_loop(model.init, owners)] if model.init and owners else []
    for start, names in _exceptions(model.init, owners).items():
        lines += _named(start, names)
    return lines


def _owner(model: Model, node: Node, layer: WeightLayer) -> _Owner:
    name = model.names[node.id]
    call = layer.emit(model.nodes[node.inputs[0]].volume)
    last = call.args[-1].value
    if call.callee == "nn.Sequential" and isinstance(last, Call):
        name, call = f"{name}.{len(call.args) - 1}", last
    return _Owner(name, call.callee, layer)


# ── The whole network ────────────────────────────────────────────────────────────────────────


def _loop(init: Initializer, owners: list[_Owner]) -> Iterator[str]:
    classes = sorted({owner.callee for owner in owners})
    yield "        for module in self.modules():"
    yield f"            if isinstance(module, {' | '.join(classes)}):"
    yield from _filled(init.emit(Code("module.weight")), 4)
    if any(owner.layer.bias for owner in owners):
        yield "                if module.bias is not None:"
        yield from _filled(init.emit_bias(Code("module.bias")), 5)


# ── Single layers ────────────────────────────────────────────────────────────────────────────


def _exceptions(init: Initializer | None, owners: list[_Owner]) -> dict[_InitialState, list[str]]:
    """The layers whose own initializer differs from the network's, grouped by initial state."""
    found: dict[_InitialState, list[str]] = {}
    for owner in owners:
        own = owner.layer.init
        if own is None:
            continue
        start = _InitialState(
            None if init and _same_weight(own, init) else own,
            own if owner.layer.bias and (init is None or own.bias != init.bias) else None,
        )
        if start != _InitialState(None, None):
            found.setdefault(start, []).append(owner.name)
    return found


def _same_weight(one: Initializer, other: Initializer) -> bool:
    tensor = Code("weight")
    return one.emit(tensor) == other.emit(tensor)


def _named(start: _InitialState, names: list[str]) -> Iterator[str]:
    if len(names) == 1:
        yield from _fill(start, f'"{names[0]}', 2)
        return
    listed = bracketed("(", [DocItem(Verbatim(f'"{name}"')) for name in names])
    yield from lay_out("for name in ", listed, 2, ":")
    yield from _fill(start, 'f"{name}', 3)


def _fill(start: _InitialState, name: str, indent: int) -> Iterator[str]:
    if start.weight:
        weight = Code(f'self.get_parameter({name}.weight")')
        yield from _filled(start.weight.emit(weight), indent)
    if start.bias:
        bias = Code(f'self.get_parameter({name}.bias")')
        yield from _filled(start.bias.emit_bias(bias), indent)


def _filled(call: Call, indent: int) -> list[str]:
    return lay_out("", call_doc(call), indent)
