"""Padding, and the maxima that read what is padded with minus infinity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from torch import fx, nn

from archdsl.importing.errors import Refused
from archdsl.importing.from_torch import views
from archdsl.importing.from_torch.modules import layer_of
from archdsl.importing.from_torch.reader import Handlers, TraceReader, module_of
from archdsl.importing.from_torch.values import Unfinished
from archdsl.importing.from_torch.views import View
from archdsl.layers import Layer
from archdsl.layers.plumbing import Pad
from archdsl.layers.pool import MaxPool
from archdsl.layers.rearrangement import PadChannels
from archdsl.layers.windows import Padding, Sides, pad_sides, pads_alike

HANDLERS = Handlers()
_on = HANDLERS.on


@dataclass(frozen=True, slots=True)
class Padded(Unfinished):
    """A tensor with minus infinity around it, as TensorFlow's `same` has it before a maximum."""

    view: View
    sides: Sides


@_on("pad")
def _pad(
    reader: TraceReader,
    node: fx.Node,
    x: Any,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> View | Padded:
    """Along the axes of positions, or channels of zeros; before a maximum with what never wins."""
    view = reader.view_of(x)
    is_last = view.is_last and not view.is_first
    if not is_last:
        view = reader.first(node, view)
    words = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate"}
    is_for_maxima = mode == "constant" and value == -inf
    if mode not in words or (value and not is_for_maxima):
        raise Refused(f"padding with {value or mode} is not in the language")
    # The last axis comes first; those that are left out get nothing.
    ends = [(*pad[i : i + 2],) for i in range(0, len(pad), 2)]
    ends += [(0, 0)] * (len(view.axes) - len(ends))
    channels = ends.pop(0 if is_last else -2)
    if ends.pop() != (0, 0):
        raise Refused("padding of a batch is not in the language")
    sides = tuple(side for end in ends for side in end)
    if is_for_maxima:
        if any(channels) or is_last or min(sides) < 0:
            raise Refused(f"padding of such axes with {value} is not in the language")
        reason = f"padding with {value} is not in the language"
        return Padded(node, reason, view, tuple((before, after) for before, after in ends[::-1]))
    if any(channels):
        if mode != "constant" or min(channels) < 0:
            raise Refused("channels that are padded with others than zeros are not in the language")
        view = _on_positions(reader, node, view, PadChannels(*channels), is_last)
    if any(sides):
        view = _on_positions(reader, node, view, Pad(sides, words[mode]), is_last)
    return view


def _on_positions(
    reader: TraceReader, node: fx.Node, view: View, layer: Layer, is_last: bool
) -> View:
    made = reader.add(node, layer, [view])
    return views.last(made.id, made.volume) if is_last else made


@_on("max_pool1d", "max_pool2d", "max_pool3d")
def _function_of_max_pool(
    reader: TraceReader, node: fx.Node, x: Any, *given: Any, **named: Any
) -> View:
    module = module_of(getattr(node.target, "__name__", ""), node, given, named)
    found: View = _max_pool(reader, node, module, x)
    return found


@_on(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
def _max_pool(reader: TraceReader, node: fx.Node, module: nn.Module, x: Any) -> View:
    """A maximum of windows, whose padding can be that of what flows in."""
    path = str(node.target) if node.op == "call_module" else ""
    if not isinstance(x, Padded):
        return reader.apply(node, module, x, path)
    layer = layer_of(module, x.view.volume)
    assert isinstance(layer, MaxPool)
    return reader.add(node, replace(layer, padding=_padding(layer, x)), [x.view], path)


def _padding(layer: MaxPool, x: Padded) -> Padding:
    """The padding of a pool that pads like a tensor before it."""
    stride = layer.stride or layer.kernel_size
    same = pad_sides("same", x.view.volume, layer.kernel_size, stride, layer.dilation)
    if layer.padding != "same" and not any(layer.padding):
        if same == x.sides:
            return "same"
        if pads_alike(x.sides):
            return tuple(before for before, _ in x.sides)
    raise Refused(f"a maximum with padding of {x.sides} is not in the language")
