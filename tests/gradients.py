"""Receptive fields as gradients show them: of the generated module, and of one without borders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle

import torch
from oracle import network_class
from torch import Tensor, nn
from torch.nn import functional as F

from archdsl.layers import UnaryLayer
from archdsl.layers.layer import Family
from archdsl.layers.merge import Add, Maximum, Subtract
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.torch_tools.interpret import join

Field = tuple[int, int]


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
    return F.conv2d(x, weight, stride=stride, dilation=dilation, groups=x.shape[1])


def seen_by(targets: Tensor, x: Tensor) -> list[Field]:
    """By target: from the first to the last row, and column, of ``x`` that it depends on."""
    units = torch.eye(len(targets), dtype=x.dtype)
    (gradients,) = torch.autograd.grad(
        targets, x, units, is_grads_batched=True, retain_graph=True, allow_unused=True
    )
    if gradients is None:
        return [(0, 0)] * len(targets)
    seen = (gradients != 0).flatten(1, 2).any(1)
    return [(_extent(places.any(1)), _extent(places.any(0))) for places in seen]


def _extent(seen: Tensor) -> int:
    places = seen.nonzero()
    return int(places.max() - places.min()) + 1 if len(places) else 0


# ── The generated module ─────────────────────────────────────────────────────────────────────


def field_of_module(model: Model, most: int = 8) -> Field:
    """The field of the generated module as it runs, borders and all: of elements in the middle.

    They lie on a diagonal. Maximum pools are made sums of their windows.
    """
    module = positive(network_class(model)())
    for pool in [m for m in module.modules() if isinstance(m, nn.MaxPool2d | nn.AdaptiveMaxPool2d)]:
        pool.forward = _summed(pool)  # type: ignore[method-assign]
    shape = model.input.torch_sizes
    x = torch.rand(1, *(*shape, 1, 1)[:3]) + 0.1
    x.requires_grad_()
    result = module(x.view(1, *shape))
    image = result if result.dim() == 4 else result[..., None, None]
    rows, columns = (range(n)[max(0, (n - most) // 2) :][:most] for n in image.shape[2:])
    places = zip(range(most), cycle(rows), cycle(columns), strict=False)
    # The plain sum of a softmax is 1, which depends on nothing.
    weights = torch.linspace(1, 2, image.shape[1])
    targets = [(image[:, :, row, column] * weights).sum() for _, row, column in places]
    fields = [seen_by(target[None], x)[0] for target in targets]
    return max(height for height, _ in fields), max(width for _, width in fields)


def _summed(pool: nn.MaxPool2d | nn.AdaptiveMaxPool2d) -> Callable[[Tensor], Tensor]:
    if isinstance(pool, nn.AdaptiveMaxPool2d):
        return lambda x: F.adaptive_avg_pool2d(x, pool.output_size)
    own = type(pool).forward
    kernel, stride, padding, dilation = _attributes(pool)

    def forward(x: Tensor) -> Tensor:
        height, width = own(pool, x).shape[2:]
        # Room for the last window of `ceil_mode`, which hangs over.
        sides = [n for p, k in zip(padding, kernel, strict=True) for n in (p, p + k)]
        padded = F.pad(x.nan_to_num(neginf=0.0), (*sides[2:], *sides[:2]))
        return sum_window(padded, kernel, stride, dilation)[..., :height, :width]

    return forward


def _attributes(module: nn.Module) -> list[Field]:
    """Kernel, stride, padding and dilation of a window."""
    values = (getattr(module, k, 1) for k in ("kernel_size", "stride", "padding", "dilation"))
    return [v if isinstance(v, tuple) else (v, v) for v in values]


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
        height, width = self.values.shape[2:]
        return self.origin[0] + height, self.origin[1] + width

    def between(self, first: Field, end: Field) -> Tensor:
        """Rows and columns with these numbers, without the end's. Errors: ``TooSmall``."""
        rows, columns = (
            slice(f - o, e - o) for f, e, o in zip(first, end, self.origin, strict=True)
        )
        if min(rows.start, columns.start) < 0 or any(
            e > own for e, own in zip(end, self.end, strict=True)
        ):
            raise TooSmall
        return self.values[:, :, rows, columns]


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
        height, width = model.input.height + 2 * margin, model.input.width + 2 * margin
        x = torch.rand(1, model.input.channels, height, width, dtype=torch.double) + 0.5
        self.x = x.requires_grad_()
        self.canvases = {0: Canvas(x, (-margin, -margin))}
        for node in model.layers:
            result = self._layer(node) if isinstance(node.layer, UnaryLayer) else self._merge(node)
            values = result.values / result.values.detach().abs().max().clamp(min=1e-9)
            mixed = values + values.mean(1, keepdim=True)
            self.canvases[node.id] = Canvas(mixed, result.origin)

    def field(self, node: Node) -> Field:
        """The largest over all rows, and over all columns, of a layer's result."""
        result = self._true(node.id)
        height = max(rows for rows, _ in seen_by(result.sum((0, 1, 3)), self.x))
        width = max(columns for _, columns in seen_by(result.sum((0, 1, 2)), self.x))
        return height, width

    def _true(self, id: int) -> Tensor:
        """A map without what lies beyond its borders."""
        volume = self.model.nodes[id].volume
        return self.canvases[id].between((0, 0), (volume.height, volume.width))

    def _go_on(self, values: Tensor, axes: Iterable[int] = (0, 1)) -> Tensor:
        """A map that goes on along some axes with what it has at its border."""
        height, width = (self.margin if axis in axes else 0 for axis in (0, 1))
        return F.pad(values, (width, width, height, height), mode="replicate")

    def _spread(self, values: Tensor) -> Canvas:
        image = values if values.dim() == 4 else values[..., None, None]
        return Canvas(self._go_on(image), (-self.margin, -self.margin))

    def _merge(self, node: Node) -> Canvas:
        size = node.volume.height, node.volume.width
        own = [self.model.nodes[i].volume for i in node.inputs]
        is_map = [(volume.height, volume.width) == size for volume in own]
        maps = [self.canvases[i] for i, whole in zip(node.inputs, is_map, strict=True) if whole]
        top, left = (max(canvas.origin[axis] for canvas in maps) for axis in (0, 1))
        bottom, right = (min(canvas.end[axis] for canvas in maps) for axis in (0, 1))
        if bottom <= top or right <= left:
            raise TooSmall
        values = [
            self.canvases[i].between((top, left), (bottom, right)) if whole else self._true(i)
            for i, whole in zip(node.inputs, is_map, strict=True)
        ]
        if node.layer.name == "mul":
            # Without its bias a transposed convolution is 0 in gaps, and would hide other factors.
            values = [value + 1 for value in values]
        # What a difference cancels, and what a maximum leaves out, was read all the same.
        layer = Add() if isinstance(node.layer, (Maximum, Subtract)) else node.layer
        return Canvas(join(layer, values), (top, left))

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
            volume = self.model.nodes[source].volume
            places = torch.arange(volume.height * volume.width)
            first = int(module(places.view(1, 1, volume.height, volume.width)).flatten()[0])
            row, column = divmod(first, volume.width)
            return Canvas(canvas.values, (canvas.origin[0] - row, canvas.origin[1] - column))
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            return self._adaptive(node)
        for step in module if isinstance(module, nn.Sequential) else [module]:
            canvas = run_endless(step, canvas)
        return canvas

    def _adaptive(self, node: Node) -> Canvas:
        """As many windows as there is room for: those of a map that is longer by whole maps."""
        (source,) = node.inputs
        canvas, x = self.canvases[source], self.model.nodes[source].volume
        sizes, results = (x.height, x.width), (node.volume.height, node.volume.width)
        first, end, count = [], [], []
        for n, m, own, stop in zip(sizes, results, canvas.origin, canvas.end, strict=True):
            before, after = (-own // n, (stop - n) // n) if m > 1 else (0, 0)
            if min(before, after) < 0:
                raise TooSmall
            first.append(-before * n)
            end.append((1 + after) * n)
            count.append((before, 1 + before + after))
        read = canvas.between((first[0], first[1]), (end[0], end[1]))
        shape = [m * n for m, (_, n) in zip(results, count, strict=True)]
        values = F.adaptive_avg_pool2d(read, shape)
        single = [axis for axis in (0, 1) if results[axis] == 1]
        top, left = (
            -self.margin if m == 1 else -m * before
            for m, (before, _) in zip(results, count, strict=True)
        )
        return Canvas(self._go_on(values, single), (top, left))


POINTWISE = {Family.ACTIVATION, Family.NORMALIZATION, Family.REGULARIZATION}


def run_endless(module: nn.Module, canvas: Canvas) -> Canvas:
    """A module on a map that goes on, its padding left out."""
    (top, left), x = canvas.origin, canvas.values
    match module:
        case nn.ZeroPad2d() | nn.ConstantPad2d() | nn.ReflectionPad2d() | nn.ReplicationPad2d():
            return Canvas(x, (top + module.padding[2], left + module.padding[0]))
        case nn.Conv2d():
            options = module.stride, 0, module.dilation, module.groups
            return slide(module, canvas, lambda x: F.conv2d(x, module.weight, None, *options))
        case nn.MaxPool2d():
            kernel, stride, _, dilation = _attributes(module)
            return slide(module, canvas, lambda x: sum_window(x, kernel, stride, dilation))
        case nn.AvgPool2d(kernel_size=kernel, stride=stride):
            return slide(module, canvas, lambda x: F.avg_pool2d(x, kernel, stride))
        case nn.ConvTranspose2d():
            kernel, stride, cut, dilation = _attributes(module)
            options = stride, 0, 0, module.groups, dilation
            values = F.conv_transpose2d(x, module.weight, None, *options)
            # At the border of what is known a part of the sum is missing.
            rest = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
            if any(n <= 2 * r for n, r in zip(values.shape[2:], rest, strict=True)):
                raise TooSmall
            inner = [slice(r, n - r) for n, r in zip(values.shape[2:], rest, strict=True)]
            top, left = (
                o * s - c + r for o, s, c, r in zip((top, left), stride, cut, rest, strict=True)
            )
            return Canvas(values[:, :, inner[0], inner[1]], (top, left))
        case nn.Upsample():
            return _upsample(module, canvas)
        case nn.PixelShuffle(upscale_factor=factor):
            return Canvas(module(x), (top * factor, left * factor))
        case nn.PixelUnshuffle(downscale_factor=factor):
            origin = (-(-top // factor), -(-left // factor))
            first = (origin[0] * factor, origin[1] * factor)
            end = [stop - stop % factor for stop in canvas.end]
            return Canvas(module(canvas.between(first, (end[0], end[1]))), origin)
    return Canvas(module(x), canvas.origin)


def slide(module: nn.Module, canvas: Canvas, run: Callable[[Tensor], Tensor]) -> Canvas:
    """All windows that lie in the canvas; window i begins at ``i·stride − padding``."""
    kernel, stride, padding, dilation = _attributes(module)
    origin, first = [], []
    for axis in (0, 1):
        k, s, p, d = kernel[axis], stride[axis], padding[axis], dilation[axis]
        origin.append(-(-(canvas.origin[axis] + p) // s))
        first.append(origin[axis] * s - p)
        if first[axis] + d * (k - 1) + 1 > canvas.end[axis]:
            raise TooSmall
    return Canvas(run(canvas.between((first[0], first[1]), canvas.end)), (origin[0], origin[1]))


def _upsample(module: nn.Upsample, canvas: Canvas) -> Canvas:
    """By what PyTorch makes of unit vectors: its weights of 0 are sometimes 1e-17."""
    x = canvas.values
    origin = []
    factors = module.scale_factor
    for axis, scale in enumerate(factors if isinstance(factors, tuple) else (factors, factors)):
        factor, size = int(scale), x.shape[axis + 2]
        unit = torch.eye(size, dtype=x.dtype)[None, :, :, None]
        weights = F.interpolate(unit, scale_factor=(factor, 1), mode=module.mode)[0, :, :, 0]
        weights = torch.where(weights.abs() < 1e-9, 0.0, weights)
        # At the border PyTorch reads the border twice.
        rest = factor if module.mode == "bilinear" else 0
        weights = weights[:, rest : weights.shape[1] - rest]
        if not weights.shape[1]:
            raise TooSmall
        x = (x.transpose(axis + 2, 3) @ weights).transpose(axis + 2, 3)
        origin.append(canvas.origin[axis] * factor + rest)
    return Canvas(x, (origin[0], origin[1]))


def endless(model: Model, margins: Iterable[int] = (4, 16, 64)) -> Endless | None:
    """The network without borders, with the smallest of these margins that holds what is seen."""
    for margin in margins:
        try:
            network = Endless(model, margin)
            for node in model.layers:
                network.canvases[node.id].between((0, 0), (node.volume.height, node.volume.width))
            return network
        except TooSmall:
            continue
    return None
