"""Convolutions and pools of ONNX: their windows and padding, and means over all positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archdsl.importing.building import convolution
from archdsl.importing.errors import Refused
from archdsl.importing.from_onnx.nodes import OnnxNode
from archdsl.importing.from_onnx.reader import OnnxReader
from archdsl.importing.from_onnx.values import Bordered, Result, Value
from archdsl.layers import Layer
from archdsl.layers.conv import Deconv
from archdsl.layers.dense import Flatten
from archdsl.layers.plumbing import Pad
from archdsl.layers.pool import AveragePool, GlobalAveragePool, MaxPool
from archdsl.layers.volume import Volume
from archdsl.layers.windows import Padding, pad_sides


def _window(node: OnnxNode, x: Volume, kernel: Sequence[int] | None = None) -> dict[str, Any]:
    """The window of a convolution or a pool, without its padding."""
    if x.is_vector:
        raise Refused(f"`{node.kind}` of a vector is not in the language")
    found = node.take("kernel_shape", kernel)
    if found is None or len(found) != x.rank or (kernel is not None and tuple(kernel) != found):
        raise Refused(f"`{node.kind}` with kernel_shape={found} does not fit its input {x}")
    ones = (1,) * x.rank
    return {
        "kernel_size": tuple(found),
        "stride": node.take("strides", ones),
        "dilation": node.take("dilations", ones),
    }


def _pads(
    node: OnnxNode, x: Volume, window: dict[str, Any], around: Sequence[int] = ()
) -> tuple[Padding | None, Sequence[int]]:
    """The padding as the language says it, None where both sides differ; and that of all sides.

    ``around`` is what is there already.
    """
    nothing = (0,) * x.rank
    pads = node.take("pads", nothing * 2)
    same = pad_sides("same", x, window["kernel_size"], window["stride"], window["dilation"])
    match node.take("auto_pad", "NOTSET"):
        case "NOTSET":
            begin, end = tuple(pads[: x.rank]), tuple(pads[x.rank :])
        case "VALID":
            begin, end = nothing, nothing
        case "SAME_UPPER":
            begin, end = tuple(b for b, _ in same), tuple(e for _, e in same)
        case "SAME_LOWER":
            begin, end = tuple(e for _, e in same), tuple(b for b, _ in same)
        case other:
            raise Refused(f"`{node.kind}` with auto_pad={other} is not in the language")
    if any(around):
        begin = tuple(map(sum, zip(begin, around[: x.rank], strict=True)))
        end = tuple(map(sum, zip(end, around[x.rank :], strict=True)))
    if begin == end:
        return begin, (*begin, *end)
    if tuple(zip(begin, end, strict=True)) == same:
        return "same", (*begin, *end)
    return None, (*begin, *end)


def torch_sides(pads: Sequence[int]) -> tuple[int, ...]:
    """ONNX's padding, all begins before all ends, in PyTorch's order: the last axis first."""
    rank = len(pads) // 2
    pairs = [*zip(pads[:rank], pads[rank:], strict=True)][::-1]
    return tuple(number for pair in pairs for number in pair)


def padded(
    reader: OnnxReader, node: OnnxNode, x: Result, pads: Sequence[int], mode: str = "zeros"
) -> Result:
    return reader.add(node, Pad(torch_sides(pads), mode), [x])


def conv(reader: OnnxReader, node: OnnxNode) -> Result:
    x, weight = reader.result(node), reader.constant(node, 1)
    volume = reader.volume(x)
    window = _window(node, volume, weight.shape[2:])
    padding, pads = _pads(node, volume, window)
    groups, has_bias = node.take("group", 1), reader.has(node, 2)
    out, channels = weight.shape[0], weight.shape[1] * groups
    if channels != volume.channels:
        raise Refused(f"its weights are for {channels} channels, and {volume} flows in")
    if padding is None:
        x, padding = padded(reader, node, x, pads), (0,) * volume.rank
    kernel, stride, dilation = (window[key] for key in ("kernel_size", "stride", "dilation"))
    layer = convolution(volume, kernel, out, stride, padding, dilation, groups, has_bias)
    return reader.add(node, layer, [x], _weight_and_bias(weight.shape, out, has_bias))


def _weight_and_bias(
    shape: tuple[int, ...], out: int, has_bias: bool
) -> dict[str, tuple[int, tuple[int, ...]]]:
    return {"weight": (1, shape)} | ({"bias": (2, (out,))} if has_bias else {})


def deconv(reader: OnnxReader, node: OnnxNode) -> Result:
    x, weight = reader.result(node), reader.constant(node, 1)
    volume = reader.volume(x)
    window = _window(node, volume, weight.shape[2:])
    node.need("auto_pad", "NOTSET")
    pads = node.take("pads", (0,) * (2 * volume.rank))
    if pads[: volume.rank] != pads[volume.rank :]:
        raise Refused("`ConvTranspose` with other padding at the end is not in the language")
    groups, has_bias = node.take("group", 1), reader.has(node, 2)
    out = weight.shape[1] * groups
    layer = Deconv(
        out_channels=out,
        padding=pads[: volume.rank],
        output_padding=node.take("output_padding", (0,) * volume.rank),
        groups=groups,
        bias=has_bias,
        **window,
    )
    return reader.add(node, layer, [x], _weight_and_bias(weight.shape, out, has_bias))


def max_pool(reader: OnnxReader, node: OnnxNode) -> Result:
    value = reader.value(node)
    x = value.of if isinstance(value, Bordered) else reader.result(node)
    volume = reader.volume(x)
    window = _window(node, volume)
    node.need("storage_order", 0, 1)  # of the indices, which are not there
    ceil = bool(node.take("ceil_mode", 0))
    around = value.pads if isinstance(value, Bordered) else (0,) * (2 * volume.rank)
    padding, pads = _pads(node, volume, window, around)
    if padding is None:
        # More at the end is what rounding up gives, where the sizes agree: both are −∞.
        padding, ceil = tuple(pads[: volume.rank]), True
        _need_size(node, MaxPool(padding=padding, ceil_mode=True, **window), volume, window, pads)
    return reader.add(node, MaxPool(padding=padding, ceil_mode=ceil, **_own_step(window)), [x])


def _need_size(
    node: OnnxNode, layer: Layer, x: Volume, window: dict[str, Any], pads: Sequence[int]
) -> None:
    """Refuse a layer that gives another size than padding both sides by these numbers does."""
    rank = x.rank
    axes = zip(x.spatial, window["kernel_size"], window["stride"], window["dilation"], strict=True)
    sizes = tuple(
        (size + pads[i] + pads[rank + i] - d * (k - 1) - 1) // s + 1
        for i, (size, k, s, d) in enumerate(axes)
    )
    if layer.infer((x,)).spatial != sizes or any(pads[rank + i] < pads[i] for i in range(rank)):
        raise Refused(f"`{node.kind}` with pads={[*pads]} is not in the language")


def _own_step(window: dict[str, Any]) -> dict[str, Any]:
    is_own = window["stride"] == window["kernel_size"]
    return {**window, "stride": None if is_own else window["stride"]}


def average_pool(reader: OnnxReader, node: OnnxNode) -> Result:
    x = reader.result(node)
    volume = reader.volume(x)
    window = _window(node, volume)
    if set(window["dilation"]) != {1}:
        raise Refused("`AveragePool` with dilations is not in the language")
    ceil, counts = bool(node.take("ceil_mode", 0)), bool(node.take("count_include_pad", 0))
    padding, pads = _pads(node, volume, window)
    begins = zip(volume.spatial, pads, window["kernel_size"], strict=False)
    if not counts and all(before < k and before + size <= k for size, before, k in begins):
        ends = zip(volume.spatial, pads, pads[volume.rank :], window["kernel_size"], strict=False)
        if all(before + size + after == k for size, before, after, k in ends):
            return reader.add(node, GlobalAveragePool(), [x])  # whatever the padding around it
    if padding is None and counts and not ceil:
        x, padding = padded(reader, node, x, pads), (0,) * volume.rank
    elif padding is None:
        # The padding does not count, and so neither does what is behind the last window.
        padding, ceil = tuple(pads[: volume.rank]), True
        layer = AveragePool(window["kernel_size"], window["stride"], padding, True)
        _need_size(node, layer, volume, window, pads)
    window = {k: v for k, v in _own_step(window).items() if k != "dilation"}
    counts = counts or not (padding == "same" or any(padding))
    layer = AveragePool(padding=padding, ceil_mode=ceil, count_include_pad=counts, **window)
    return reader.add(node, layer, [x])


def global_pool(layer: type[Layer], reader: OnnxReader, node: OnnxNode) -> Result:
    x = reader.result(node)
    if reader.volume(x).is_vector:
        raise Refused(f"`{node.kind}` of a vector is not in the language")
    return reader.add(node, layer(), [x])


def reduce_mean(reader: OnnxReader, node: OnnxNode) -> Value:
    x = reader.result(node)
    rank = len(reader.shape(x))
    axes = node.take("axes", None)
    if axes is None and reader.has(node, 1):
        axes = reader.constant(node, 1).reshape(-1).tolist()
    node.need("noop_with_empty_axes", 0)
    keeps = node.take("keepdims", 1)
    if rank < 3 or axes is None or sorted(a % rank for a in axes) != [*range(2, rank)]:
        raise Refused(f"`ReduceMean` over {axes} is not in the language")
    pooled = reader.add(node, GlobalAveragePool(), [x])
    return pooled if keeps else reader.add(node, Flatten(), [pooled])
