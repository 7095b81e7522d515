"""Receptive fields as gradients show them: of the generated module, and of one without borders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle
from math import prod
from typing import Any

import torch
from oracle import network_class
from torch import Tensor, nn
from torch.nn import functional as F

from archdsl.layers import UnaryLayer
from archdsl.layers.layer import Family
from archdsl.layers.merge import Add, Maximum, Subtract
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.torch_tools.interpret import join

Field = tuple[int, ...]

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}

PADS = tuple(
    getattr(nn, f"{kind}Pad{axes}d")
    for kind in ("Zero", "Constant", "Reflection", "Replication")
    for axes in (1, 2, 3)
)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
DECONVOLUTIONS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE_MAXIMA = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
ADAPTIVE_AVERAGES = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)


def axes_of(model: Model) -> int:
    """Along how many axes fields are followed: a vector is an image of one position."""
    return model.input.rank or 2


def sizes_of(volume: Volume, axes: int) -> Field:
    """The size of a volume along these axes; 1 along those that it does not have."""
    return (*volume.spatial, *[1] * axes)[:axes]


def positive(module: nn.Module) -> nn.Module:
    """The module in evaluation, with weights that cannot cancel out."""
    module = module.eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(0.1, 1.0)
    return module


def sum_window(x: Tensor, kernel: Field, stride: Field, dilation: Field) -> Tensor:
    """What a maximum pool could depend on: all of its window, not the largest number alone."""
    weight = x.new_ones(x.shape[1], 1, *kernel)
    conv = CONV[len(kernel)]
    return conv(x, weight, stride=stride, dilation=dilation, groups=x.shape[1])


def seen_by(targets: Tensor, x: Tensor) -> list[Field]:
    """By target: from the first to the last position along each axis that it depends on."""
    units = torch.eye(len(targets), dtype=x.dtype)
    (gradients,) = torch.autograd.grad(
        targets, x, units, is_grads_batched=True, retain_graph=True, allow_unused=True
    )
    if gradients is None:
        return [(0,) * (x.dim() - 2)] * len(targets)
    seen = (gradients != 0).flatten(1, 2).any(1)
    return [
        tuple(_extent(places.movedim(axis, 0).flatten(1).any(1)) for axis in range(places.dim()))
        if places.dim() > 1
        else (_extent(places),)
        for places in seen
    ]


def _extent(seen: Tensor) -> int:
    places = seen.nonzero()
    return int(places.max() - places.min()) + 1 if len(places) else 0


# ── The generated module ─────────────────────────────────────────────────────────────────────


def field_of_module(model: Model, most: int = 8) -> Field:
    """The field of the generated module as it runs, borders and all: of elements in the middle.

    They lie on a diagonal. Maximum pools are made sums of their windows.
    """
    module = positive(network_class(model)())
    for pool in [m for m in module.modules() if isinstance(m, MAXIMA + ADAPTIVE_MAXIMA)]:
        pool.forward = _summed(pool)  # type: ignore[method-assign]
    shape = model.input.torch_sizes
    x = torch.rand(1, model.input.channels, *sizes_of(model.input, axes_of(model))) + 0.1
    x.requires_grad_()
    result = module(x.view(1, *shape))
    ranges = [range(n)[max(0, (n - most) // 2) :][:most] for n in result.shape[2:]]
    places = zip(range(most), *map(cycle, ranges), strict=False)
    # The plain sum of a softmax is 1, which depends on nothing.
    weights = torch.linspace(1, 2, result.shape[1])
    targets = [(result[(..., *place)] * weights).sum() for _, *place in places]
    fields = [seen_by(target[None], x)[0] for target in targets]
    return tuple(map(max, *fields)) if len(fields) > 1 else fields[0]


def _summed(pool: Any) -> Callable[[Tensor], Tensor]:
    if isinstance(pool, ADAPTIVE_MAXIMA):
        adaptive = ADAPTIVE[ADAPTIVE_MAXIMA.index(type(pool)) + 1]
        return lambda x: adaptive(x, pool.output_size)
    own = type(pool).forward
    axes = MAXIMA.index(type(pool)) + 1
    kernel, stride, padding, dilation = _attributes(pool, axes)

    def forward(x: Tensor) -> Tensor:
        sizes = own(pool, x).shape[2:]
        # Room for the last window of `ceil_mode`, which hangs over.
        ends = [(p, p + k) for p, k in zip(padding, kernel, strict=True)]
        padded = F.pad(x.nan_to_num(neginf=0.0), [n for end in reversed(ends) for n in end])
        result = sum_window(padded, kernel, stride, dilation)
        return result[(..., *(slice(size) for size in sizes))]

    return forward


def _attributes(module: nn.Module, axes: int) -> list[Field]:
    """Kernel, stride, padding and dilation of a window."""
    values = (getattr(module, k, 1) for k in ("kernel_size", "stride", "padding", "dilation"))
    return [v if isinstance(v, tuple) else (v,) * axes for v in values]


# ── Without borders ──────────────────────────────────────────────────────────────────────────


class TooSmall(Exception):
    """The margin around the maps does not hold all that is seen."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A part of an endless map; its first row and column have the numbers ``origin``."""

    values: Tensor
    origin: Field

    @property
    def end(self) -> Field:
        return tuple(o + n for o, n in zip(self.origin, self.values.shape[2:], strict=True))

    def between(self, first: Field, end: Field) -> Tensor:
        """The positions with these numbers, without the end's. Errors: ``TooSmall``."""
        rows = [slice(f - o, e - o) for f, e, o in zip(first, end, self.origin, strict=True)]
        if min(row.start for row in rows) < 0 or any(
            e > own for e, own in zip(end, self.end, strict=True)
        ):
            raise TooSmall
        return self.values[(..., *rows)]


class Endless:
    """A network in which each map goes on beyond its borders, so that padding reads what is there.

    Layers are PyTorch's own with their padding left out. Layers that do the same at each position
    are left out, and after each layer channels are mixed, as fields tell positions apart and not
    channels. What reads a whole map reads the true one alone; beyond its borders the result of such
    a layer goes on as it is there.
    """

    def __init__(self, model: Model, margin: int) -> None:
        self.model = model
        self.margin = margin
        self.modules = dict(positive(network_class(model)().double()).named_modules())
        self.axes = axes_of(model)
        sizes = [size + 2 * margin for size in self._sizes(0)]
        x = torch.rand(1, model.input.channels, *sizes, dtype=torch.double) + 0.5
        self.x = x.requires_grad_()
        self.canvases = {0: Canvas(x, (-margin,) * self.axes)}
        for node in model.layers:
            result = self._layer(node) if isinstance(node.layer, UnaryLayer) else self._merge(node)
            values = result.values / result.values.detach().abs().max().clamp(min=1e-9)
            mixed = values + values.mean(1, keepdim=True)
            self.canvases[node.id] = Canvas(mixed, result.origin)

    def field(self, node: Node) -> Field:
        """The largest over all rows, over all columns, … of a layer's result."""
        result = self._true(node.id).sum((0, 1))
        fields = []
        for axis in range(self.axes):
            rows = result.movedim(axis, 0).flatten(1).sum(1) if self.axes > 1 else result
            fields.append(max(seen[axis] for seen in seen_by(rows, self.x)))
        return tuple(fields)

    def _sizes(self, id: int) -> Field:
        return sizes_of(self.model.nodes[id].volume, self.axes)

    def _true(self, id: int) -> Tensor:
        """A map without what lies beyond its borders."""
        return self.canvases[id].between((0,) * self.axes, self._sizes(id))

    def _go_on(self, values: Tensor, axes: Iterable[int] | None = None) -> Tensor:
        """A map that goes on along some axes with what it has at its border."""
        margins = [self.margin if axes is None or a in axes else 0 for a in range(self.axes)]
        sides = [margin for margin in reversed(margins) for _ in range(2)]
        return F.pad(values, sides, mode="replicate")

    def _spread(self, values: Tensor) -> Canvas:
        image = values.reshape(*values.shape, *[1] * (self.axes + 2 - values.dim()))
        return Canvas(self._go_on(image), (-self.margin,) * self.axes)

    def _merge(self, node: Node) -> Canvas:
        is_map = [self._sizes(i) == self._sizes(node.id) for i in node.inputs]
        maps = [self.canvases[i] for i, whole in zip(node.inputs, is_map, strict=True) if whole]
        first = tuple(map(max, zip(*(canvas.origin for canvas in maps), strict=True)))
        end = tuple(map(min, zip(*(canvas.end for canvas in maps), strict=True)))
        if any(e <= f for f, e in zip(first, end, strict=True)):
            raise TooSmall
        values = [
            self.canvases[i].between(first, end) if whole else self._true(i)
            for i, whole in zip(node.inputs, is_map, strict=True)
        ]
        if node.layer.name == "mul":
            # Without its bias a transposed convolution is 0 in gaps, and would hide other factors.
            values = [value + 1 for value in values]
        # What a difference cancels, and what a maximum leaves out, was read all the same.
        layer = Add() if isinstance(node.layer, (Maximum, Subtract)) else node.layer
        return Canvas(join(layer, values), first)

    def _layer(self, node: Node) -> Canvas:
        (source,) = node.inputs
        canvas, module = self.canvases[source], self.modules[self.model.names[node.id]]
        is_vector = self.model.nodes[source].volume.is_vector
        if node.layer.name in ("fc", "flatten", "reshape"):
            true = self._true(source)
            x = true.flatten(1) if is_vector or node.layer.flattens else true
            # Here `reshape` is meant to read all, as its page says.
            return self._spread(module(x) + true.mean())
        if node.layer.name == "linear" and is_vector:
            return self._spread(module(self._true(source).flatten(1)))
        if node.layer.name in ("in", "gn"):
            return Canvas(canvas.values + self._true(source).mean(), canvas.origin)
        if node.layer.family in POINTWISE:
            return canvas
        if node.layer.name == "crop":
            sizes = self._sizes(source)
            places = torch.arange(prod(sizes)).view(1, 1, *sizes)
            first = torch.unravel_index(module(places).flatten()[0], sizes)
            return Canvas(
                canvas.values, tuple(o - int(n) for o, n in zip(canvas.origin, first, strict=True))
            )
        if isinstance(module, ADAPTIVE_AVERAGES + ADAPTIVE_MAXIMA):
            return self._adaptive(node)
        for step in module if isinstance(module, nn.Sequential) else [module]:
            canvas = run_endless(step, canvas)
        return canvas

    def _adaptive(self, node: Node) -> Canvas:
        """As many windows as there is room for: those of a map that is longer by whole maps."""
        (source,) = node.inputs
        canvas = self.canvases[source]
        sizes, results = self._sizes(source), self._sizes(node.id)
        first, end, count = [], [], []
        for n, m, own, stop in zip(sizes, results, canvas.origin, canvas.end, strict=True):
            before, after = (-own // n, (stop - n) // n) if m > 1 else (0, 0)
            if min(before, after) < 0:
                raise TooSmall
            first.append(-before * n)
            end.append((1 + after) * n)
            count.append((before, 1 + before + after))
        read = canvas.between(tuple(first), tuple(end))
        shape = [m * n for m, (_, n) in zip(results, count, strict=True)]
        values = ADAPTIVE[self.axes](read, shape)
        single = [axis for axis, m in enumerate(results) if m == 1]
        origin = tuple(
            -self.margin if m == 1 else -m * before
            for m, (before, _) in zip(results, count, strict=True)
        )
        return Canvas(self._go_on(values, single), origin)


POINTWISE = {Family.ACTIVATION, Family.NORMALIZATION, Family.REGULARIZATION}


def run_endless(module: Any, canvas: Canvas) -> Canvas:
    """A module on a map that goes on, its padding left out."""
    origin, x = canvas.origin, canvas.values
    axes = len(origin)
    if isinstance(module, PADS):
        before = module.padding[::2][::-1]
        return Canvas(x, tuple(o + b for o, b in zip(origin, before, strict=True)))
    if isinstance(module, CONVOLUTIONS):
        options = module.stride, 0, module.dilation, module.groups
        return slide(module, canvas, lambda x: CONV[axes](x, module.weight, None, *options))
    if isinstance(module, MAXIMA):
        kernel, stride, _, dilation = _attributes(module, axes)
        return slide(module, canvas, lambda x: sum_window(x, kernel, stride, dilation))
    if isinstance(module, AVERAGES):
        kernel, stride = module.kernel_size, module.stride
        return slide(module, canvas, lambda x: AVERAGE[axes](x, kernel, stride))
    if isinstance(module, DECONVOLUTIONS):
        kernel, stride, cut, dilation = _attributes(module, axes)
        options = stride, 0, 0, module.groups, dilation
        values = TRANSPOSED[axes](x, module.weight, None, *options)
        # At the border of what is known a part of the sum is missing.
        rest = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if any(n <= 2 * r for n, r in zip(values.shape[2:], rest, strict=True)):
            raise TooSmall
        inner = [slice(r, n - r) for n, r in zip(values.shape[2:], rest, strict=True)]
        begins = zip(origin, stride, cut, rest, strict=True)
        return Canvas(values[(..., *inner)], tuple(o * s - c + r for o, s, c, r in begins))
    match module:
        case nn.Upsample():
            return _upsample(module, canvas)
        case nn.PixelShuffle(upscale_factor=factor):
            return Canvas(module(x), tuple(o * factor for o in origin))
        case nn.PixelUnshuffle(downscale_factor=factor):
            begin = tuple(-(-o // factor) for o in origin)
            first = tuple(b * factor for b in begin)
            end = tuple(stop - stop % factor for stop in canvas.end)
            return Canvas(module(canvas.between(first, end)), begin)
    return Canvas(module(x), origin)


def slide(module: nn.Module, canvas: Canvas, run: Callable[[Tensor], Tensor]) -> Canvas:
    """All windows that lie in the canvas; window i begins at ``i·stride − padding``."""
    attributes = zip(*_attributes(module, len(canvas.origin)), strict=True)
    origin, first = [], []
    for (k, s, p, d), own, end in zip(attributes, canvas.origin, canvas.end, strict=True):
        origin.append(-(-(own + p) // s))
        first.append(origin[-1] * s - p)
        if first[-1] + d * (k - 1) + 1 > end:
            raise TooSmall
    return Canvas(run(canvas.between(tuple(first), canvas.end)), tuple(origin))


def _upsample(module: nn.Upsample, canvas: Canvas) -> Canvas:
    """By what PyTorch makes of unit vectors: its weights of 0 are sometimes 1e-17."""
    x = canvas.values
    origin = []
    factors: Any = module.scale_factor
    is_linear = module.mode != "nearest"
    for axis in range(len(canvas.origin)):
        factor = int(factors[axis] if isinstance(factors, tuple) else factors)
        unit = torch.eye(x.shape[axis + 2], dtype=x.dtype)[None]
        mode = "linear" if is_linear else "nearest"
        weights = F.interpolate(unit, scale_factor=factor, mode=mode)[0]
        weights = torch.where(weights.abs() < 1e-9, 0.0, weights)
        # At the border PyTorch reads the border twice.
        rest = factor if is_linear else 0
        weights = weights[:, rest : weights.shape[1] - rest]
        if not weights.shape[1]:
            raise TooSmall
        x = (x.movedim(axis + 2, -1) @ weights).movedim(-1, axis + 2)
        origin.append(canvas.origin[axis] * factor + rest)
    return Canvas(x, tuple(origin))


def endless(model: Model, margins: Iterable[int] = (4, 16, 64)) -> Endless | None:
    """The network without borders, with the smallest of these margins that holds what is seen."""
    for margin in margins:
        try:
            network = Endless(model, margin)
            for node in model.layers:
                network._true(node.id)
            return network
        except TooSmall:
            continue
    return None
