"""What changes shapes in ONNX: most of it disappears, and some is a layer of the language."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archdsl.importing.errors import Refused
from archdsl.importing.from_onnx import windows
from archdsl.importing.from_onnx.nodes import Array, OnnxNode
from archdsl.importing.from_onnx.reader import OnnxReader
from archdsl.importing.from_onnx.values import Bordered, Result, Seen, Value
from archdsl.importing.graph import is_input
from archdsl.layers import Layer
from archdsl.layers.dense import Flatten
from archdsl.layers.norm import GroupNorm, InstanceNorm
from archdsl.layers.plumbing import Pad, Reshape, Upsample
from archdsl.layers.rearrangement import (
    ChannelShuffle,
    PadChannels,
    PixelShuffle,
    Slice,
    Take,
)


def shape(reader: OnnxReader, node: OnnxNode) -> Array:
    shape = reader.shape(reader.value(node))
    return np.array(shape[node.take("start", 0) : node.take("end", None)], np.int64)


def identity(reader: OnnxReader, node: OnnxNode) -> Value:
    return reader.value(node)


def cast(reader: OnnxReader, node: OnnxNode) -> Value:
    node.need("to", 1)  # floats, which all results are
    node.need("saturate", 1)
    return reader.value(node)


def _seen(reader: OnnxReader, node: OnnxNode, shape: Sequence[int]) -> Value:
    """A result in another shape: as a vector, or in one that what follows may explain."""
    value, shape = reader.value(node), tuple(shape)
    if reader.shape(value) == shape:
        return value
    if isinstance(value, Seen):
        return _joined(reader, node, value, shape)
    value = reader.result(node)
    if (groups := _in_groups(reader, node, value, shape)) is not None:
        return groups
    volume = reader.volume(value)
    if shape == (reader.batch, volume.elements):
        return reader.add(node, Flatten(), [value])
    return Seen(value, shape, tuple(range(len(shape))))


def _in_groups(
    reader: OnnxReader, node: OnnxNode, value: Result, shape: tuple[int, ...]
) -> Result | None:
    """Group normalization, where exporters write an instance normalization of whole groups."""
    operations = reader.builder.operations
    norm = None if is_input(value.id) else operations[value.id]
    if norm is None or not isinstance(norm.layer, InstanceNorm) or is_input(norm.inputs[0]):
        return None
    split = operations[norm.inputs[0]]
    source = split.inputs[0]
    volume = reader.builder.volume(source)
    is_plain = (reader.weight(value, "weight") == 1).all() and not reader.weight(
        value, "bias"
    ).any()
    is_whole = shape == (reader.batch, *volume.torch_sizes) and norm.volume.rank == 1
    if not isinstance(split.layer, Reshape) or not is_plain or not is_whole:
        return None
    groups = norm.volume.channels
    if volume.is_vector or volume.channels % groups or not reader.is_read_once(node, 0):
        return None
    return reader.add(node, GroupNorm(groups, norm.layer.eps, affine=False), [Result(source)])


def _joined(reader: OnnxReader, node: OnnxNode, seen: Seen, shape: tuple[int, ...]) -> Value:
    """Axes that were split and put in another order, joined again."""
    if seen.order == tuple(range(len(seen.shape))):
        return _again(reader, node, seen.of, shape)
    volume = reader.volume(seen.of)
    batch, *split = seen.shape
    if batch == reader.batch and shape[:1] == (batch,) and not volume.is_vector:
        rank = volume.rank
        groups, members, *spatial = split
        is_split = groups * members == volume.channels and tuple(spatial) == volume.spatial
        turned = (0, 2, 1, *range(3, rank + 3))
        if is_split and seen.order == turned and shape == (batch, *volume.torch_sizes):
            return reader.add(node, ChannelShuffle(groups), [seen.of])
        # (N, C, r, r, H, W) to (N, C, H, r, W, r), as `nn.PixelShuffle` does.
        r = members
        to_pixels = [volume.channels // (r * r), r, r, *volume.spatial]
        if rank == 2 and split == to_pixels and seen.order == (0, 1, 4, 2, 5, 3):
            layer = PixelShuffle(r)
            if shape == (batch, *layer.infer((volume,)).torch_sizes):
                return reader.add(node, layer, [seen.of])
    raise Refused(f"`{node.kind}` of axes in another order is not in the language")


def _again(reader: OnnxReader, node: OnnxNode, x: Result, shape: tuple[int, ...]) -> Value:
    """A result whose shape is changed twice."""
    volume = reader.volume(x)
    if shape == (reader.batch, *volume.torch_sizes):
        return x
    if shape == (reader.batch, volume.elements):
        return reader.add(node, Flatten(), [x])
    return Seen(x, shape, tuple(range(len(shape))))


def reshape(reader: OnnxReader, node: OnnxNode) -> Value:
    before = reader.shape(reader.value(node))
    keeps = not node.take("allowzero", 0)
    wanted = node.take("shape", None)
    if wanted is None:
        wanted = reader.constant(node, 1).reshape(-1).tolist()
    shape = [*wanted]
    for index, size in enumerate(wanted[: len(before)]):
        if size == 0 and keeps:
            shape[index] = before[index]
    total = int(np.prod(before))
    if shape.count(-1) == 1:
        rest = -int(np.prod(shape))
        shape[shape.index(-1)] = total // rest if rest else 0
    if min(shape, default=0) < 1 or int(np.prod(shape)) != total:
        raise Refused(f"`Reshape` from {[*before]} to {[*wanted]} is not possible")
    return _seen(reader, node, shape)


def flatten(reader: OnnxReader, node: OnnxNode) -> Value:
    shape = reader.shape(reader.value(node))
    axis = node.take("axis", 1) % (len(shape) + 1)
    if axis != 1:
        raise Refused(f"`Flatten` from axis {axis} is not in the language")
    return _seen(reader, node, (shape[0], int(np.prod(shape[1:]))))


def _axes(
    reader: OnnxReader, node: OnnxNode, rank: int, default: Sequence[int] | None
) -> list[int]:
    axes = node.take("axes", None)
    if axes is None and reader.has(node, 1):
        axes = reader.constant(node, 1).reshape(-1).tolist()
    axes = default if axes is None else axes
    if axes is None:
        raise Refused(f"`{node.kind}` without axes is not in the language")
    return sorted(axis % rank for axis in axes)


def squeeze(reader: OnnxReader, node: OnnxNode) -> Value:
    shape = reader.shape(reader.value(node))
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    axes = _axes(reader, node, len(shape), ones)
    if not set(axes) <= set(ones):
        raise Refused(f"`Squeeze` of {[*shape]} along {axes} is not possible")
    return _seen(reader, node, [size for i, size in enumerate(shape) if i not in axes])


def unsqueeze(reader: OnnxReader, node: OnnxNode) -> Value:
    shape = [*reader.shape(reader.value(node))]
    given = node.take("axes", None) or reader.constant(node, 1).reshape(-1).tolist()
    for axis in sorted(axis % (len(shape) + len(given)) for axis in given):
        shape.insert(axis, 1)
    return _seen(reader, node, shape)


def transpose(reader: OnnxReader, node: OnnxNode) -> Value:
    value = reader.value(node)
    shape = reader.shape(value)
    order = node.take("perm", tuple(range(len(shape)))[::-1])
    if order == tuple(range(len(shape))):
        return value
    if isinstance(value, Seen):
        return Seen(value.of, value.shape, tuple(value.order[axis] for axis in order))
    return Seen(reader.result(node), shape, order)


def sliced(reader: OnnxReader, node: OnnxNode) -> Value:
    x = reader.result(node)
    shape = reader.shape(x)
    given = [node.take(name, None) for name in ("starts", "ends", "axes")] + [None]
    for index in range(1, 5):
        if reader.has(node, index):
            given[index - 1] = reader.constant(node, index).reshape(-1).tolist()
    starts, ends, axes, steps = given
    axes = range(len(starts)) if axes is None else axes
    steps = steps or [1] * len(starts)
    places = [axis % len(shape) for axis in axes]
    for start, end, axis, step in zip(starts, ends, places, steps, strict=True):
        begin, stop, stride = slice(start, end, step).indices(shape[axis])
        if (begin, stop, stride) == (0, shape[axis], 1):
            continue
        if stride != 1 or axis == 0 or stop <= begin:
            raise Refused(f"`Slice` along {axis} from {start} to {end} is not in the language")
        if axis == 1:
            layer: Layer = Slice(begin, None if stop == shape[1] else stop)
        else:
            pads = [0] * (2 * (len(shape) - 2))
            pads[axis - 2], pads[axis - 2 + len(shape) - 2] = -begin, stop - shape[axis]
            layer = Pad(windows.torch_sides(pads))
        x = reader.add(node, layer, [x])
    return x


def gather(reader: OnnxReader, node: OnnxNode) -> Value:
    x, indices = reader.result(node), reader.constant(node, 1)
    shape = reader.shape(x)
    axis = node.take("axis", 0) % len(shape)
    if axis != 1 or indices.ndim != 1 or len(shape) < 3:
        found = [*indices.shape]
        raise Refused(f"`Gather` along {axis} by indices of {found} is not in the language")
    return reader.add(node, Take(tuple(int(i) % shape[1] for i in indices)), [x])


def split(reader: OnnxReader, node: OnnxNode) -> tuple[Value, ...]:
    x = reader.result(node)
    shape = reader.shape(x)
    axis, count = node.take("axis", 0) % len(shape), node.take("num_outputs", len(node.outputs))
    if axis != 1:
        raise Refused(f"`Split` along {axis} is not in the language")
    sizes = node.take("split", None)
    if reader.has(node, 1):
        sizes = reader.constant(node, 1).reshape(-1).tolist()
    pieces, start = [], 0
    for size in sizes or [-(-shape[1] // count)] * count:
        stop = min(start + size, shape[1])
        pieces.append(reader.add(node, Slice(start, None if stop == shape[1] else stop), [x]))
        start = stop
    return tuple(pieces)


def pad(reader: OnnxReader, node: OnnxNode) -> Value:
    x = reader.result(node)
    volume, rank = reader.volume(x), len(reader.shape(x))
    mode, fill = node.take("mode", "constant"), node.take("value", 0.0)
    pads = node.take("pads", None)
    if pads is None:
        pads = reader.constant(node, 1).reshape(-1).tolist()
    if reader.has(node, 2):
        fill = reader.constant(node, 2).item()
    if reader.has(node, 3) or len(pads) != 2 * rank:
        raise Refused("`Pad` of some axes is not imported")
    is_spatial = not any((*pads[:2], *pads[rank : rank + 2]))
    if mode == "constant" and fill < -3e38 and is_spatial:
        return Bordered(x, (*pads[2:rank], *pads[rank + 2 :]))
    modes = {"constant": "zeros", "reflect": "reflect", "edge": "replicate"}
    if mode not in modes or (mode == "constant" and fill != 0) or pads[0] or pads[rank]:
        raise Refused(f"`Pad` with {mode} {fill:g} is not in the language")
    before, after = pads[1], pads[rank + 1]
    if before or after:
        if mode != "constant" or min(before, after) < 0:
            raise Refused("`Pad` of channels with other than zeros is not in the language")
        x = reader.add(node, PadChannels(before, after), [x])
    spatial = [*pads[2:rank], *pads[rank + 2 :]]
    if not any(spatial):
        return x
    assert not volume.is_vector
    return windows.padded(reader, node, x, spatial, modes[mode])


def resize(reader: OnnxReader, node: OnnxNode) -> Value:
    x = reader.result(node)
    volume, shape = reader.volume(x), reader.shape(x)
    scales = node.take("scales", None)
    place = 1 if node.kind == "Upsample" else 2
    if reader.has(node, place) and reader.constant(node, place).size:
        scales = reader.constant(node, place).reshape(-1).tolist()
    if reader.has(node, 3):
        sizes = reader.constant(node, 3).reshape(-1).tolist()
        scales = [size / before for size, before in zip(sizes, shape, strict=True)]
    mode, how = (
        node.take("mode", "nearest"),
        node.take("coordinate_transformation_mode", "half_pixel"),
    )
    rounding = node.take("nearest_mode", "round_prefer_floor")
    for name, default in {"antialias": 0, "exclude_outside": 0}.items():
        node.need(name, default)
    node.take("cubic_coeff_a", -0.75)
    node.take("extrapolation_value", 0.0)
    if scales is None or len(scales) != len(shape) or scales[0] != 1 or scales[1] != 1:
        raise Refused(f"`{node.kind}` by {scales} is not in the language")
    factors = tuple(int(scale) for scale in scales[2:])
    if factors != tuple(scales[2:]) or min(factors) < 1:
        raise Refused(f"`{node.kind}` by {scales[2:]} is not in the language")
    if node.kind == "Upsample":
        how, rounding = "asymmetric", "floor"
        if mode != "nearest":
            raise Refused("`Upsample` with interpolation is not in the language")
    # Each number is repeated, whichever way the middle of a pixel is rounded.
    repeats = (how == "asymmetric" and (rounding == "floor" or max(factors) <= 2)) or (
        how in ("half_pixel", "pytorch_half_pixel")
        and rounding in ("round_prefer_floor", "round_prefer_ceil")
    )
    if mode == "nearest" and repeats:
        return reader.add(node, Upsample(factors), [x])
    if mode == "linear" and how in ("half_pixel", "pytorch_half_pixel"):
        layer = Upsample(factors, ("linear", "bilinear", "trilinear")[volume.rank - 1])
        return reader.add(node, layer, [x])
    raise Refused(f"`{node.kind}` with {mode}, {how}, {rounding} is not in the language")


def depth_to_space(reader: OnnxReader, node: OnnxNode) -> Value:
    mode = node.take("mode", "DCR")
    if mode != "CRD":
        raise Refused("`DepthToSpace` with mode=DCR is not in the language")
    return reader.add(node, PixelShuffle(node.take("blocksize", 1)), [reader.result(node)])
