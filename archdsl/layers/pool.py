"""Pooling."""

from __future__ import annotations

from dataclasses import replace

from archdsl.layers.call import Call, OptionalArgument, call, squared
from archdsl.layers.fields import BOOLEAN, PADDING, PAIR, Change, LayerError, attribute, positional
from archdsl.layers.layer import Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import Reach, reach_all, read_adaptive
from archdsl.layers.volume import Volume
from archdsl.layers.windows import (
    AXES,
    Padding,
    Pair,
    arguments_in_short,
    count_unread,
    explain_slide,
    in_short,
    need_image,
    pad_sides,
    pads_alike,
    read_windows,
    save_padded,
    slide,
)
from archdsl.records import dataclass


@dataclass(frozen=True)
class _Pool(UnaryLayer):
    """What maximum and average pooling share: a window that steps by its own size."""

    family = Family.POOLING

    kernel_size: Pair = positional(PAIR, "height x width of the window")
    stride: Pair | None = attribute(PAIR, "step; the window's size unless given", None, letter="s")
    padding: Padding = attribute(
        PADDING, "padding around the input", (0, 0), letter="p", words={"same": "same"}
    )
    ceil_mode: bool = attribute(
        BOOLEAN, "rounds the result's size up, as Caffe does", False, words={"ceil": True}
    )

    @property
    def _stride(self) -> Pair:
        return self.stride or self.kernel_size

    @property
    def _dilation(self) -> Pair:
        return (1, 1)

    def _sides(self, x: Volume) -> tuple[Pair, Pair]:
        return pad_sides(self.padding, x, self.kernel_size, self._stride, self._dilation)

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        if self.padding != "same":
            for axis, padding, kernel in zip(AXES, self.padding, self.kernel_size, strict=True):
                if padding > kernel // 2:
                    half = _half_at_most(self.padding, self.kernel_size)
                    square = self.kernel_size[0] == self.kernel_size[1]
                    half_of = "kernel" if square else f"kernel's {axis}"
                    raise LayerError(
                        "wrong-padding",
                        f"a pool's padding of {padding} exceeds half its {half_of} of {kernel}",
                        help=f"use at most p{in_short(half)}",
                        change=Change("padding", half),
                    )
        height, width = slide(
            x, self.kernel_size, self._stride, self._sides(x), self._dilation, self.ceil_mode
        )
        return Volume.image(height, width, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        (x,) = inputs
        return read_windows(self.kernel_size, self._stride, self._sides(x), self._dilation)

    def uncovered(self, x: Volume) -> Pair:
        if self.ceil_mode:
            return (0, 0)
        return count_unread(x, self.kernel_size, self._stride, self._sides(x), self._dilation)

    def explain(self, x: Volume) -> tuple[str, str]:
        sides, dilation = self._sides(x), self._dilation
        return explain_slide(x, self.kernel_size, self._stride, sides, dilation, self.ceil_mode)

    def describe(self) -> str:
        ceil = ("ceil",) if self.ceil_mode else ()
        return arguments_in_short(self._stride, self.padding, self._dilation, ceil)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        (x,) = inputs
        return Saved(inputs=True) if self._pads_itself(x) else save_padded(x, self._sides(x))

    def _pads_itself(self, x: Volume) -> bool:
        """Whether PyTorch's pool can pad by itself: both sides alike, at most half the kernel."""
        sides = self._sides(x)
        # Dilation is not counted in that half.
        fits = all(side[0] <= k // 2 for side, k in zip(sides, self.kernel_size, strict=True))
        return pads_alike(sides) and fits

    def _emit_pool(self, x: Volume, callee: str, fill: float, **more: OptionalArgument) -> Call:
        (top, bottom), (left, right) = self._sides(x)
        is_own = self._pads_itself(x)
        pool = call(
            callee,
            squared(self.kernel_size),
            stride=OptionalArgument(squared(self._stride), squared(self.kernel_size)),
            padding=OptionalArgument(squared((top, left)) if is_own else 0, 0),
            **more,
            ceil_mode=OptionalArgument(self.ceil_mode, False),
        )
        if is_own:
            return pool
        pad = call("nn.ConstantPad2d", (left, right, top, bottom), fill)
        return call("nn.Sequential", pad, pool)


def _half_at_most(padding: Pair, kernel: Pair) -> Pair:
    height, width = (min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    return height, width


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest number of each window. Padding never wins: it counts as −∞."""

    name = "maxpool"
    synonyms = ("maxpool2d", "max_pool", "maxpooling", "maxpooling2d", "max_pool2d")
    akin = ("pool", "pooling")
    examples = (
        Example("maxpool 2 s2", (224, 224, 64)),
        Example("maxpool 3 s2 ceil", (112, 112, 64)),
        Example("maxpool 3 s1 same", (28, 28, 192)),
        Example("maxpool 3 s2 p1", (112, 113, 64)),
        Example("maxpool 3 s2 same", (14, 14, 8)),
        Example("maxpool 2x3 s2x1 p1x0 ceil", (9, 9, 8)),
        Example("maxpool 3 s1 d2", (9, 9, 8)),
        Example("maxpool 3 s1 d2 same", (9, 9, 8)),
    )

    dilation: Pair = attribute(PAIR, "step inside the window", (1, 1), letter="d")

    @property
    def _dilation(self) -> Pair:
        return self.dilation

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # Besides the input, the position of each largest number in it, in 8 bytes.
        return replace(super().saves(inputs, out), bytes=8 * out.elements)

    def emit(self, x: Volume) -> Call:
        dilation = OptionalArgument(squared(self.dilation), 1)
        return self._emit_pool(x, "nn.MaxPool2d", float("-inf"), dilation=dilation)


@dataclass(frozen=True)
class AveragePool(_Pool):
    """The mean of each window. Padded zeros count, unless ``count_include_pad=false``."""

    name = "avgpool"
    synonyms = ("averagepool", "avgpool2d", "avg_pool", "averagepooling2d", "avg_pool2d")
    examples = (
        Example("avgpool 2", (28, 28, 6)),
        Example("avgpool 5 s3", (14, 14, 512)),
        Example("avgpool 3 s1 same", (8, 8, 16)),
        Example("avgpool 3 s2 p1 count_include_pad=false", (8, 9, 16)),
        Example("avgpool 3 s2 ceil", (32, 32, 192)),
        Example("avgpool 2 s1 same", (8, 8, 16)),
    )

    count_include_pad: bool = attribute(BOOLEAN, "whether padded zeros count in the mean", True)

    def infer_volume(self, x: Volume) -> Volume:
        result = super().infer_volume(x)
        sides = self._sides(x)
        if not self.count_include_pad and any(before != after for before, after in sides):
            raise LayerError(
                "wrong-padding",
                "`same` pads the sides unequally here, which `count_include_pad=false` cannot "
                "leave out",
                help="give the padding as a number, or `ceil`",
            )
        return result

    def emit(self, x: Volume) -> Call:
        counted = OptionalArgument(self.count_include_pad, True)
        return self._emit_pool(x, "nn.AvgPool2d", 0.0, count_include_pad=counted)


@dataclass(frozen=True)
class _GlobalPool(UnaryLayer):
    """One number per channel, as a volume 1x1xC."""

    family = Family.POOLING

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        return Volume.image(1, 1, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)


@dataclass(frozen=True)
class GlobalAveragePool(_GlobalPool):
    """Global average pooling: the mean of each channel, a volume 1x1xC."""

    name = "gap"
    synonyms = ("globalavgpool", "global_avg_pool", "globalaveragepool", "globalaveragepooling2d")
    examples = (Example("gap", (7, 7, 1024)),)

    def emit(self, x: Volume) -> Call:
        return call("nn.AdaptiveAvgPool2d", 1)


@dataclass(frozen=True)
class GlobalMaxPool(_GlobalPool):
    """Global maximum pooling: the largest number of each channel, a volume 1x1xC."""

    name = "gmp"
    synonyms = ("globalmaxpool", "global_max_pool", "globalmaxpooling2d")
    examples = (Example("gmp", (7, 7, 64)),)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        return Saved(inputs=True, bytes=8 * out.elements)

    def emit(self, x: Volume) -> Call:
        return call("nn.AdaptiveMaxPool2d", 1)


@dataclass(frozen=True)
class AdaptiveAveragePool(UnaryLayer):
    """Average pooling to a given size, with windows as equal as possible."""

    name = "adaptiveavgpool"
    synonyms = ("adaptiveavgpool2d", "adaptive_avg_pool2d", "adaptiveaveragepooling2d")
    akin = ("adaptivepool",)
    family = Family.POOLING
    examples = (
        Example("adaptiveavgpool 6x6", (13, 13, 256)),
        Example("adaptiveavgpool 7", (7, 7, 512)),
    )

    output_size: Pair = positional(PAIR, "height x width of the result")

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        return Volume.image(*self.output_size, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        (x,) = inputs
        height, width = map(read_adaptive, (x.height, x.width), self.output_size)
        return (Reach(height, width),)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # For 1×1 PyTorch takes the mean, whose backward pass needs no input.
        return Saved(inputs=self.output_size != (1, 1))

    def describe(self) -> str:
        return "to {}×{}".format(*self.output_size)

    def emit(self, x: Volume) -> Call:
        return call("nn.AdaptiveAvgPool2d", squared(self.output_size))
