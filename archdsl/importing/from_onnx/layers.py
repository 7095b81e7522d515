"""ONNX's operations as layers of the language: a function for each, in one table.

The rules are those of https://onnx.ai/onnx/operators; what differs between versions is said where
it does.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import inf, isclose
from typing import Any

from archdsl.importing.errors import Refused
from archdsl.importing.from_onnx import shapes, windows
from archdsl.importing.from_onnx.nodes import Array, OnnxNode
from archdsl.importing.from_onnx.reader import OnnxReader, Reading
from archdsl.importing.from_onnx.values import Result, Value
from archdsl.importing.graph import is_input
from archdsl.layers import Layer, activation
from archdsl.layers.conv import Conv, DepthwiseConv
from archdsl.layers.dense import FullyConnected
from archdsl.layers.merge import Add, Concat, Maximum, Multiply, Subtract
from archdsl.layers.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from archdsl.layers.pool import GlobalAveragePool, GlobalMaxPool
from archdsl.layers.rearrangement import (
    LayerScale,
    Scale,
)
from archdsl.layers.regularization import Dropout
from archdsl.layers.volume import Volume

_STATISTICS = {"weight": 1, "bias": 2, "running_mean": 3, "running_var": 4}


# ── Weights ──────────────────────────────────────────────────────────────────────────────────


def _gemm(reader: OnnxReader, node: OnnxNode) -> Result:
    node.need("alpha", 1.0)
    node.need("beta", 1.0)
    node.need("transA", 0)
    return _dense(reader, node, is_turned=not node.take("transB", 0))


def _matmul(reader: OnnxReader, node: OnnxNode) -> Result:
    return _dense(reader, node, is_turned=True)


def _dense(reader: OnnxReader, node: OnnxNode, is_turned: bool) -> Result:
    x, weight = reader.result(node), reader.constant(node, 1)
    volume = reader.volume(x)
    if not volume.is_vector or weight.ndim != 2:
        raise Refused(f"`{node.kind}` of {volume} by {[*weight.shape]} is not in the language")
    out, units = weight.shape[::-1] if is_turned else weight.shape
    if units != volume.elements:
        raise Refused(f"its weights are for {units} units, and {volume} flow in")
    weights: dict[str, tuple[int, tuple[int, ...]]] = {"weight": (1, (out, units))}
    if reader.has(node, 2):
        weights["bias"] = 2, (out,)
    layer = FullyConnected(out, "bias" in weights)
    return reader.add(node, layer, [x], weights, turned=["weight"] if is_turned else [])


def _batch_norm(reader: OnnxReader, node: OnnxNode) -> Result:
    x = reader.result(node)
    node.need("training_mode", 0)
    node.need("spatial", 1)
    channels = reader.volume(x).channels
    layer = BatchNorm(_short(node.take("epsilon", 1e-5)), _short(1 - node.take("momentum", 0.9)))
    weights = {name: (index, (channels,)) for name, index in _STATISTICS.items()}
    return reader.add(node, layer, [x], weights)


def _short(value: float) -> float:
    """A number of a file, where all have 32 bits, with the digits that it was written with."""
    return float(f"{value:.6g}")


def _instance_norm(reader: OnnxReader, node: OnnxNode) -> Result:
    x = reader.result(node)
    channels = reader.volume(x).channels
    layer = InstanceNorm(_short(node.take("epsilon", 1e-5)), affine=True)
    return reader.add(node, layer, [x], {"weight": (1, (channels,)), "bias": (2, (channels,))})


def _group_norm(reader: OnnxReader, node: OnnxNode) -> Result:
    x = reader.result(node)
    channels = reader.volume(x).channels
    if reader.constants.opset < 21:  # which has a factor for each group instead
        raise Refused("`GroupNormalization` before version 21 is not in the language")
    node.need("stash_type", 1)
    layer = GroupNorm(node.take("num_groups", 1), _short(node.take("epsilon", 1e-5)))
    return reader.add(node, layer, [x], {"weight": (1, (channels,)), "bias": (2, (channels,))})


def _layer_norm(reader: OnnxReader, node: OnnxNode) -> Result:
    x = reader.result(node)
    volume = reader.volume(x)
    node.need("stash_type", 1)
    node.need("axis", -1, 1)
    if not volume.is_vector or not reader.has(node, 2):
        raise Refused("`LayerNormalization` of other than vectors is not imported")
    layer = LayerNorm(_short(node.take("epsilon", 1e-5)))
    shape = (volume.channels,)
    return reader.add(node, layer, [x], {"weight": (1, shape), "bias": (2, shape)})


def _lrn(reader: OnnxReader, node: OnnxNode) -> Result:
    names = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}
    size, alpha, beta, k = (node.take(name, default) for name, default in names.items())
    layer = LocalResponseNorm(size, _short(alpha), _short(beta), _short(k))
    return reader.add(node, layer, [reader.result(node)])


def _prelu(reader: OnnxReader, node: OnnxNode) -> Result:
    x, slope = reader.result(node), reader.constant(node, 1)
    volume = reader.volume(x)
    if slope.size not in (1, volume.channels) or slope.size != max(slope.shape, default=1):
        raise Refused(f"`PRelu` with slopes of {[*slope.shape]} is not in the language")
    _need_by_channel(node, slope, volume)
    return reader.add(node, activation.PReLU(slope.size), [x], {"weight": (1, (slope.size,))})


# ── Activations ──────────────────────────────────────────────────────────────────────────────


def _activation(layer: type[Layer], reader: OnnxReader, node: OnnxNode) -> Result:
    return reader.add(node, layer(), [reader.result(node)])


def _leaky_relu(reader: OnnxReader, node: OnnxNode) -> Result:
    layer = activation.LeakyReLU(_short(node.take("alpha", 0.01)))
    return reader.add(node, layer, [reader.result(node)])


def _elu(reader: OnnxReader, node: OnnxNode) -> Result:
    return reader.add(node, activation.ELU(_short(node.take("alpha", 1.0))), [reader.result(node)])


def _selu(reader: OnnxReader, node: OnnxNode) -> Result:
    for name, wanted in {"alpha": 1.6732632, "gamma": 1.0507010}.items():
        if not isclose(node.take(name, wanted), wanted, rel_tol=1e-6):
            raise Refused(f"`Selu` with another {name} is not in the language")
    return _activation(activation.SELU, reader, node)


def _hard_sigmoid(reader: OnnxReader, node: OnnxNode) -> Result:
    alpha, beta = node.take("alpha", 0.2), node.take("beta", 0.5)
    if not isclose(alpha, 1 / 6, rel_tol=1e-6) or beta != 0.5:
        raise Refused(f"`HardSigmoid` with alpha={alpha:g}, beta={beta:g} is not in the language")
    return _activation(activation.HardSigmoid, reader, node)


def _gelu(reader: OnnxReader, node: OnnxNode) -> Result:
    layer = activation.GELU(node.take("approximate", "none"))
    return reader.add(node, layer, [reader.result(node)])


def _clip(reader: OnnxReader, node: OnnxNode) -> Result:
    bounds = []
    for index, (name, default) in enumerate({"min": -inf, "max": inf}.items(), 1):
        value = node.take(name, default)
        if reader.has(node, index):
            value = reader.constant(node, index).item()
        bounds.append(_short(value) if abs(value) < 1e38 else value)
    low, high = bounds
    layer: Layer
    if (low, high) == (0, 6):
        layer = activation.ReLU6()
    elif low == 0 and high > 1e38:
        layer = activation.ReLU()
    elif max(map(abs, bounds)) < 1e38:
        layer = activation.HardTanh(low, high)
    else:
        raise Refused(f"`Clip` to {low:g}…{high:g} is not in the language")
    return reader.add(node, layer, [reader.result(node)])


def _softmax(layer: type[Layer], reader: OnnxReader, node: OnnxNode) -> Result:
    x = reader.result(node)
    shape = reader.shape(x)
    is_old = reader.constants.opset < 13  # which normalizes all axes from this one on, together
    axis = node.take("axis", 1 if is_old else -1) % len(shape)
    if axis != 1 or (is_old and max(shape[2:], default=1) > 1):
        raise Refused(f"`{node.kind}` along {axis} is not in the language")
    return reader.add(node, layer(), [x])


def _dropout(reader: OnnxReader, node: OnnxNode) -> Result:
    rate = node.take("ratio", 0.5)
    node.take("seed", 0)
    node.take("is_test", 0)
    if reader.has(node, 1):
        rate = reader.constant(node, 1).item()
    if reader.has(node, 2) and reader.constant(node, 2).item():
        raise Refused("`Dropout` in a network that is used is not in the language")
    return reader.add(node, Dropout(_short(rate)), [reader.result(node)])


# ── Sums, products and joins ─────────────────────────────────────────────────────────────────


def _need_by_channel(node: OnnxNode, value: Array, x: Volume) -> None:
    """Refuse numbers that are not one for each channel."""
    rank = 1 if x.is_vector else x.rank + 1
    shape = (1,) * (rank - value.ndim) + value.shape
    wanted = (x.channels, *(1,) * (rank - 1))
    if value.size != 1 and shape[-rank:] != wanted:
        raise Refused(f"`{node.kind}` with numbers of {[*value.shape]} is not in the language")


def _constant_side(reader: OnnxReader, node: OnnxNode) -> int | None:
    """Which input of two is constant, if one is."""
    return next((i for i in (1, 0) if reader.is_constant(node, i)), None)


def _add(reader: OnnxReader, node: OnnxNode) -> Value:
    side = _constant_side(reader, node)
    if side is None:
        return _merge(Add, reader, node)
    x, value = reader.result(node, 1 - side), reader.constant(node, side)
    volume = reader.volume(x)
    _need_by_channel(node, value, volume)
    if not is_input(x.id) and reader.is_read_once(node, 1 - side) and value.size > 1:
        before = reader.builder.operations[x.id].layer
        shape = (volume.channels,)
        if isinstance(before, Conv | DepthwiseConv | FullyConnected) and not before.bias:
            reader.change(x, replace(before, bias=True))
            return reader.take_weight(x, "bias", node, side, shape)
        if isinstance(before, LayerScale):
            reader.change(x, Scale())
            reader.take_weight(x, "bias", node, side, (*shape, *(1,) * volume.rank))
            return _with_groups(reader, x)
        if isinstance(before, BatchNorm) and not reader.weight(x, "bias").any():
            return reader.take_weight(x, "bias", node, side, shape)
    raise Refused(f"`{node.kind}` with a constant is not in the language")


def _with_groups(reader: OnnxReader, scale: Result) -> Result:
    """A factor and a bias of each channel as those of a group normalization before them."""
    (source,) = reader.builder.operations[scale.id].inputs
    before = None if is_input(source) else reader.builder.operations[source].layer
    if not isinstance(before, GroupNorm) or scale.id not in reader.alone:
        return scale
    reader.change(Result(source), replace(before, affine=True))
    for name in ("weight", "bias"):
        reader.move_weight(scale, Result(source), name)
    return Result(source)


def _mul(reader: OnnxReader, node: OnnxNode) -> Value:
    side = _constant_side(reader, node)
    if side is None:
        return _gated(reader, node) or _merge(Multiply, reader, node)
    x, value = reader.result(node, 1 - side), reader.constant(node, side)
    volume = reader.volume(x)
    _need_by_channel(node, value, volume)
    if value.size == 1 or volume.is_vector:
        raise Refused(f"`{node.kind}` with a constant is not in the language")
    before = None if is_input(x.id) else reader.builder.operations[x.id].layer
    is_plain = isinstance(before, BatchNorm) and reader.is_read_once(node, 1 - side)
    if is_plain and (reader.weight(x, "weight") == 1).all() and not reader.weight(x, "bias").any():
        # Caffe's pair of layers: the first without factors, the second with nothing else.
        return reader.take_weight(x, "weight", node, side, (volume.channels,))
    shape = (volume.channels, *(1,) * volume.rank)
    made = reader.add(node, LayerScale(1.0), [x], {"weight": (side, shape)})
    if reader.is_read_once(node, 1 - side):
        reader.alone.add(made.id)
    return made


#: What an activation becomes where its result is multiplied with what it reads.
_GATES: dict[type[Layer], type[Layer]] = {
    activation.Sigmoid: activation.SiLU,
    activation.HardSigmoid: activation.HardSwish,
}


def _gated(reader: OnnxReader, node: OnnxNode) -> Result | None:
    """x · sigmoid(x) and its like as one activation."""
    for index in (0, 1):
        gate, x = reader.result(node, index), reader.result(node, 1 - index)
        if is_input(gate.id) or not reader.is_read_once(node, index):
            continue
        operation = reader.builder.operations[gate.id]
        if type(operation.layer) in _GATES and operation.inputs == (x.id,):
            return reader.change(gate, _GATES[type(operation.layer)]())
        if isinstance(operation.layer, activation.Tanh) and not is_input(operation.inputs[0]):
            inner = reader.builder.operations[operation.inputs[0]]
            if inner.layer == activation.Softplus() and inner.inputs == (x.id,):
                return reader.change(gate, activation.Mish(), x)
    return None


def _softplus(reader: OnnxReader, node: OnnxNode) -> Result:
    # PyTorch's is x itself above 20, where the difference is less than what 32 bits can hold.
    return _activation(activation.Softplus, reader, node)


def _merge(layer: type[Layer], reader: OnnxReader, node: OnnxNode) -> Value:
    if len(node.inputs) == 1:
        return reader.value(node)
    inputs = [reader.result(node, index) for index in range(len(node.inputs))]
    return reader.add(node, layer(), inputs)


def _concat(reader: OnnxReader, node: OnnxNode) -> Value:
    rank = len(reader.shape(reader.value(node)))
    axis = node.take("axis", 1)
    if axis % rank != 1:
        raise Refused(f"`Concat` along {axis} is not in the language")
    return _merge(Concat, reader, node)


def _with_layer(function: Any, layer: type[Layer]) -> Reading:
    return partial(function, layer)


OPERATIONS: dict[str, Reading] = {
    "Abs": _with_layer(_activation, activation.AbsoluteValue),
    "Add": _add,
    "AveragePool": windows.average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": shapes.cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": windows.conv,
    "ConvTranspose": windows.deconv,
    "DepthToSpace": shapes.depth_to_space,
    "Dropout": _dropout,
    "Elu": _elu,
    "Flatten": shapes.flatten,
    "Gather": shapes.gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _with_layer(windows.global_pool, GlobalAveragePool),
    "GlobalMaxPool": _with_layer(windows.global_pool, GlobalMaxPool),
    "GroupNormalization": _group_norm,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _with_layer(_activation, activation.HardSwish),
    "Identity": shapes.identity,
    "InstanceNormalization": _instance_norm,
    "LRN": _lrn,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _with_layer(_softmax, activation.LogSoftmax),
    "MatMul": _matmul,
    "Max": _with_layer(_merge, Maximum),
    "MaxPool": windows.max_pool,
    "Mish": _with_layer(_activation, activation.Mish),
    "Mul": _mul,
    "PRelu": _prelu,
    "Pad": shapes.pad,
    "ReduceMean": windows.reduce_mean,
    "Relu": _with_layer(_activation, activation.ReLU),
    "Reshape": shapes.reshape,
    "Resize": shapes.resize,
    "Selu": _selu,
    "Shape": shapes.shape,
    "Sigmoid": _with_layer(_activation, activation.Sigmoid),
    "Slice": shapes.sliced,
    "Softmax": _with_layer(_softmax, activation.Softmax),
    "Softplus": _softplus,
    "Split": shapes.split,
    "Squeeze": shapes.squeeze,
    "Sub": _with_layer(_merge, Subtract),
    "Sum": _with_layer(_merge, Add),
    "Tanh": _with_layer(_activation, activation.Tanh),
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
    "Upsample": shapes.resize,
}
