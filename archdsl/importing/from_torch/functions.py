"""Functions and methods of tensors: what joins, moves, cuts and averages them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor, fx, nn

from archdsl.importing.errors import Refused
from archdsl.importing.from_torch import views
from archdsl.importing.from_torch.modules import axes
from archdsl.importing.from_torch.reader import Handlers, TraceReader, shown
from archdsl.importing.from_torch.standins import value_of
from archdsl.importing.from_torch.values import Attribute, Unfinished
from archdsl.importing.from_torch.views import View
from archdsl.layers import Layer
from archdsl.layers.activation import AbsoluteValue
from archdsl.layers.dense import Flatten
from archdsl.layers.merge import Add, Concat, MatrixProduct, Maximum, Multiply, Subtract
from archdsl.layers.plumbing import Pad, Upsample
from archdsl.layers.pool import (
    ChannelMax,
    ChannelMean,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
)
from archdsl.layers.rearrangement import Slice
from archdsl.layers.tokens import Token

HANDLERS = Handlers()
_on = HANDLERS.on


def merge(reader: TraceReader, node: fx.Node, layer: Layer, *inputs: Any) -> View:
    """Join tensors that are seen in the same way; others are brought into the usual order."""
    for value in inputs:
        if isinstance(value, Attribute | Unfinished):
            reader.view_of(value)
    if not all(isinstance(value, View) for value in inputs):
        raise Refused(f"`{shown(node)}` with a number is not in the language")
    found: list[View] = [*inputs]
    if all(view.is_last for view in found):
        made = reader.add(node, layer, found)
        return views.last(made.id, made.volume)
    same = {(view.volume, view.axes) for view in found}
    if len(same) == 1:
        made = reader.add(node, layer, found)
        return views.with_volume(found[0], made.id, made.volume)
    return reader.add(node, layer, [reader.first(node, view) for view in found])


@_on("sub", "isub")
def _sub(reader: TraceReader, node: fx.Node, x: Any, y: Any) -> View:
    return merge(reader, node, Subtract(), x, y)


@_on("maximum")
def _maximum(reader: TraceReader, node: fx.Node, x: Any, other: Any) -> View:
    return merge(reader, node, Maximum(), x, other)


def add(reader: TraceReader, node: fx.Node, x: Any, y: Any) -> View:
    """A sum; one that code begins with 0 is the first that is added."""
    return _without(0, x, y) or merge(reader, node, Add(), x, y)


def mul(reader: TraceReader, node: fx.Node, x: Any, y: Any) -> View:
    return _without(1, x, y) or merge(reader, node, Multiply(), x, y)


def _without(neutral: int, x: Any, y: Any) -> View | None:
    """The one of two that is a tensor, where the other is a number that changes nothing."""
    for one, other in ((x, y), (y, x)):
        if isinstance(one, View) and type(other) in (int, float) and other == neutral:
            return one
    return None


def cat(reader: TraceReader, node: fx.Node, tensors: Sequence[Any], dim: int) -> View:
    """A concatenation along the channels."""
    found = [reader.view_of(tensor) for tensor in tensors]
    if len(found) == 1:
        return found[0]
    if not all(view.is_last for view in found):
        found = [reader.first(node, view) for view in found]
    if found[0].channel_axis() != dim % len(found[0].axes):
        raise Refused(f"`torch.cat` along {dim} is not in the language")
    return merge(reader, node, Concat(), *found)


def matmul(reader: TraceReader, node: fx.Node, x: Any, other: Any) -> View:
    """A product of two matrices for each image; channels first, each is its own transpose."""
    one, two = reader.view_of(x), reader.view_of(other)
    if one.is_last and two.is_last:
        made = reader.add(node, MatrixProduct(), [one, two])
        reader.is_rounded = True  # the transposed product of the transposed matrices
        return views.last(made.id, made.volume)
    factors = [reader.first(node, two), reader.first(node, one)]
    return reader.add(node, MatrixProduct(), factors)


@_on("abs")
def _abs(reader: TraceReader, node: fx.Node, x: Any) -> View:
    view = reader.view_of(x)
    made = reader.add(node, AbsoluteValue(), [view])
    return views.with_volume(view, made.id, made.volume)


# ── Axes ─────────────────────────────────────────────────────────────────────────────────────


@_on("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze")
def _reshape(reader: TraceReader, node: fx.Node, x: Any, *_: Any, **__: Any) -> Any:
    if isinstance(x, Attribute):
        found = value_of(node)
        assert isinstance(found, Tensor)
        return Attribute(x.path, tuple(found.shape))
    return reader.reshape(node, reader.view_of(x))


@_on("permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims", "t", "adjoint")
def _permute(reader: TraceReader, node: fx.Node, x: Any, *args: Any, **kwargs: Any) -> View:
    view = reader.view_of(x)
    return views.permuted(view, order_of(node, len(view.axes), args, kwargs))


@_on("get_T", "get_mT")
def _turned(reader: TraceReader, node: fx.Node, x: Any) -> View:
    view = reader.view_of(x)
    return views.permuted(view, order_of(node, len(view.axes), (), {}))


def order_of(node: fx.Node, rank: int, args: Any, kwargs: Any) -> list[int]:
    """The order of axes behind a permutation, as PyTorch itself has it."""
    probe = torch.empty([*range(rank)], device="meta")
    if node.target is getattr:
        found = getattr(probe, str(node.args[1]))
    elif isinstance(node.target, str):
        found = getattr(probe, node.target)(*args, **kwargs)
    else:
        found = node.target(probe, *args, **kwargs)
    return [*found.shape]


@_on("contiguous", "clone")
def _same(reader: TraceReader, node: fx.Node, x: Any, *, memory_format: object = None) -> Any:
    return x


@_on("chunk")
def _chunk(reader: TraceReader, node: fx.Node, x: Any, chunks: int, dim: int = 0) -> Any:
    return _split(reader, node, x, 0, dim)


@_on("split")
def _split(reader: TraceReader, node: fx.Node, x: Any, size: Any, dim: int = 0) -> Any:
    """Ranges of channels; what is not read is left out later."""
    view = reader.view_of(x)
    if not view.is_last:
        view = reader.first(node, view)
    axis = dim % len(view.axes)
    if axis != view.channel_axis():
        raise Refused(f"`{shown(node)}` along {dim} is not in the language")
    pieces, start = [], 0
    for length in (piece.shape[axis] for piece in value_of(node) or ()):
        pieces.append(_channels(reader, node, view, start, start + length))
        start += length
    return tuple(pieces)


def _channels(reader: TraceReader, node: fx.Node, view: View, start: int, stop: int) -> View:
    """A range of channels."""
    whole = view.volume.channels
    if (start, stop) == (0, whole):
        return view
    made = reader.add(node, Slice(start, None if stop >= whole else stop), [view])
    return views.with_volume(view, made.id, made.volume)


@_on("getitem")
def _getitem(reader: TraceReader, node: fx.Node, x: Any, index: Any) -> Any:
    if isinstance(x, tuple | list):
        found: Any = operator.getitem(x, index)
        return found
    if isinstance(x, Attribute):
        return _reshape(reader, node, x)
    view = reader.view_of(x)
    index = index if isinstance(index, tuple) else (index,)
    if any(isinstance(one, EllipsisType) for one in index):
        at = index.index(...)
        left = len(view.axes) - len([one for one in index if one is not None]) + 1
        index = (*index[:at], *(slice(None) for _ in range(left)), *index[at + 1 :])
    if all(one is None or one == slice(None) for one in index):
        return reader.reshape(node, view)  # new axes
    index = (*index, *(slice(None) for _ in range(len(view.axes) - len(index))))
    numbers = [axis for axis, one in enumerate(index) if one != slice(None)]
    if len(numbers) == 1 and isinstance(index[numbers[0]], int):
        piece = _piece(reader, node, view, numbers[0], index[numbers[0]])
        if piece is not None:
            return piece
    if not view.is_last:
        view = reader.first(node, view)
    return part(reader, node, view, index)


@_on("unbind")
def _unbind(reader: TraceReader, node: fx.Node, x: Any, dim: int = 0) -> tuple[View, ...]:
    view = reader.view_of(x)
    axis = dim % len(view.axes)
    pieces = [_piece(reader, node, view, axis, index) for index in range(view.sizes[axis])]
    found = [piece for piece in pieces if piece is not None]
    if len(found) < len(pieces):
        raise Refused(f"`{shown(node)}` along {dim} is not in the language")
    return tuple(found)


def _piece(reader: TraceReader, node: fx.Node, view: View, axis: int, index: int) -> View | None:
    """What an index picks along an axis that splits the channels, as that of queries and keys."""
    found = views.range_along(view, axis, index)
    if found is None or view.volume.channels == found[1] - found[0]:
        return None
    start, stop = found
    layer = Slice(start, None if stop == view.volume.channels else stop)
    made = reader.add(node, layer, [view])
    return views.without(view, axis, made.id, made.volume)


def part(reader: TraceReader, node: fx.Node, view: View, index: Sequence[Any]) -> View:
    """A token, or ranges along axes."""
    batch, *others = index
    channels = others.pop(-1 if view.is_last and not view.is_first else 0)
    if batch != slice(None) or len(index) != len(view.axes):
        raise Refused("an index into a batch is not in the language")
    if len(others) == 1 and isinstance(others[0], int) and channels == slice(None):
        return reader.add(node, Token(others[0] % view.volume.positions), [view])
    if not all(isinstance(one, slice) for one in (channels, *others)):
        raise Refused("an index into a tensor is not in the language")
    start, stop, step = channels.indices(view.volume.channels)
    if step != 1:
        raise Refused(f"every {step}th channel is not in the language")
    view = _channels(reader, node, view, start, stop)
    sides: list[int] = []
    steps = []
    for one, size in zip(others, view.volume.spatial, strict=True):
        start, stop, step = one.indices(size)
        sides[:0] = [-start, stop - size]
        steps.append(step)
    is_last = view.is_last and not view.is_first
    if any(sides):
        view = reader.add(node, Pad(tuple(sides)), [view])
    if any(step != 1 for step in steps):
        one_each = (1,) * len(steps)
        view = reader.add(node, MaxPool(one_each, tuple(steps)), [view])
    return views.last(view.id, view.volume) if is_last else view


@_on("interpolate", "upsample")
def _interpolate(
    reader: TraceReader,
    node: fx.Node,
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> View:
    """By whole factors; a size that is one counts as such, as that of another tensor."""
    view = reader.first(node, x)
    if align_corners or recompute_scale_factor or antialias:
        raise Refused(f"`{shown(node)}` with such arguments is not in the language")
    if scale_factor is None:
        sizes = axes(size, view.volume.rank)
        factors = [a / b for a, b in zip(sizes, view.volume.spatial, strict=True)]
    else:
        factors = [*axes(scale_factor, view.volume.rank)]
    if any(factor != int(factor) or factor < 1 for factor in factors):
        raise Refused(f"`{shown(node)}` by {tuple(factors)} is not in the language")
    if set(factors) == {1}:
        return view
    return reader.add(node, Upsample(tuple(map(int, factors)), mode), [view])


# ── Averages ─────────────────────────────────────────────────────────────────────────────────


@_on("mean")
def _mean(
    reader: TraceReader, node: fx.Node, x: Any, dim: Any = None, keepdim: bool = False
) -> View:
    return _pool(reader, node, x, dim, keepdim, GlobalAveragePool(), ChannelMean())


@_on("amax")
def _amax(reader: TraceReader, node: fx.Node, x: Any, dim: Any = (), keepdim: bool = False) -> View:
    return _pool(reader, node, x, dim, keepdim, GlobalMaxPool(), ChannelMax())


@_on("max")
def _max(reader: TraceReader, node: fx.Node, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if isinstance(dim, View):
        return merge(reader, node, Maximum(), x, dim)
    view = reader.first(node, x)
    if dim is None or dim % len(view.axes) != 1 or not keepdim:
        raise Refused(f"a maximum over {dim} is not in the language")
    return (reader.add(node, ChannelMax(), [view]), None)


def _pool(
    reader: TraceReader,
    node: fx.Node,
    x: Any,
    dim: Any,
    keepdim: bool,
    over_positions: Layer,
    over_channels: Layer,
) -> View:
    view = reader.view_of(x)
    is_last = view.is_last and not view.is_first
    if not is_last:
        view = reader.first(node, view)
    rank = len(view.axes)
    given = dim if isinstance(dim, list | tuple) else [dim]
    dims = sorted(d % rank for d in given if d is not None)
    at = view.channel_axis()
    if dims == [at] and keepdim and rank > 2:
        made = reader.add(node, over_channels, [view])
        return views.with_volume(view, made.id, made.volume)
    if not dims or dims != [axis for axis in range(1, rank) if axis != at]:
        raise Refused(f"a mean over {dim} is not in the language")
    # Along the last axis, and along others, numbers are added in another order.
    reader.is_rounded |= is_last
    pooled = reader.add(node, over_positions, [view])
    if keepdim:
        return views.last(pooled.id, pooled.volume) if is_last else pooled
    return reader.add(node, Flatten(), [pooled])


# ── What training alone does ─────────────────────────────────────────────────────────────────


@_on("dropout")
def _dropout(
    reader: TraceReader,
    node: fx.Node,
    x: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> View:
    reader.need_training(node, 2)
    return reader.apply(node, nn.Dropout(p), x)


@_on("stochastic_depth")
def _stochastic_depth(
    reader: TraceReader, node: fx.Node, x: Any, p: float, mode: str, training: bool = True
) -> View:
    if mode != "row":
        raise Refused("`stochastic_depth` of a whole batch is not in the language")
    reader.need_training(node, 3)
    return reader.drop_samples(node, reader.view_of(x), p)


@_on("softmax", "log_softmax")
def _softmax(
    reader: TraceReader,
    node: fx.Node,
    x: Any,
    dim: int,
    dtype: object = None,
    _stacklevel: int = 3,
) -> View:
    if dtype is not None:
        raise Refused(f"`{shown(node)}` in another precision is not in the language")
    kind = nn.LogSoftmax if "log" in str(node.target) else nn.Softmax
    return reader.apply(node, kind(dim), x)


@_on("_assert")
def _assert(reader: TraceReader, node: fx.Node, condition: Any, message: str) -> None:
    if condition is not True:
        raise Refused(f"it asserts that {message}")
