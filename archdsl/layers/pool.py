"""Pooling."""

from __future__ import annotations

from dataclasses import replace

from archdsl.layers.call import Call, OptionalArgument, call, squared
from archdsl.layers.fields import (
    BOOLEAN,
    COUNTS,
    PADDING,
    Axes,
    Change,
    LayerError,
    attribute,
    positional,
)
from archdsl.layers.layer import Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import Reach, reach_all, read_adaptive
from archdsl.layers.volume import Volume
from archdsl.layers.windows import (
    Padding,
    Sides,
    arguments_in_short,
    count_unread,
    explain_slide,
    in_short,
    need_axes,
    pad_sides,
    pads_alike,
    read_windows,
    save_padded,
    slide,
    torch_pads,
)
from archdsl.records import dataclass


@dataclass(frozen=True)
class _Pool(UnaryLayer):
    """What maximum and average pooling share: a window that steps by its own size."""

    family = Family.POOLING

    kernel_size: Axes = positional(COUNTS, "size of the window")
    stride: Axes | None = attribute(
        COUNTS, "step; the window's size unless given", None, letter="s"
    )
    padding: Padding = attribute(
        PADDING, "padding around the input", (0,), letter="p", words={"same": "same"}
    )
    ceil_mode: bool = attribute(
        BOOLEAN, "rounds the result's size up, as Caffe does", False, words={"ceil": True}
    )

    @property
    def _stride(self) -> Axes:
        return self.stride or self.kernel_size

    @property
    def _dilation(self) -> Axes:
        return (1,) * len(self.kernel_size)

    def _sides(self, x: Volume) -> Sides:
        return pad_sides(self.padding, x, self.kernel_size, self._stride, self._dilation)

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        if self.padding != "same":
            for axis, padding, kernel in zip(x.axes, self.padding, self.kernel_size, strict=True):
                if padding > kernel // 2:
                    half = _half_at_most(self.padding, self.kernel_size)
                    is_even = len(set(self.kernel_size)) == 1
                    half_of = "kernel" if is_even else f"kernel's {axis}"
                    raise LayerError(
                        "wrong-padding",
                        f"a pool's padding of {padding} exceeds half its {half_of} of {kernel}",
                        help=f"use at most p{in_short(half)}",
                        change=Change("padding", half),
                    )
        sizes = slide(
            x, self.kernel_size, self._stride, self._sides(x), self._dilation, self.ceil_mode
        )
        return Volume.along(sizes, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        (x,) = inputs
        return read_windows(self.kernel_size, self._stride, self._sides(x), self._dilation)

    def uncovered(self, x: Volume) -> Axes:
        if self.ceil_mode:
            return (0,) * x.rank
        return count_unread(x, self.kernel_size, self._stride, self._sides(x), self._dilation)

    def explain(self, x: Volume) -> tuple[str, ...]:
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
        sides = self._sides(x)
        is_own = self._pads_itself(x)
        pool = call(
            f"{callee}{x.rank}d",
            squared(self.kernel_size),
            stride=OptionalArgument(squared(self._stride), squared(self.kernel_size)),
            padding=OptionalArgument(
                squared(tuple([before for before, _ in sides])) if is_own else 0, 0
            ),
            **more,
            ceil_mode=OptionalArgument(self.ceil_mode, False),
        )
        if is_own:
            return pool
        pad = call(f"nn.ConstantPad{x.rank}d", torch_pads(sides), fill)
        return call("nn.Sequential", pad, pool)


def _half_at_most(padding: Axes, kernel: Axes) -> Axes:
    return tuple([min(p, k // 2) for p, k in zip(padding, kernel, strict=True)])


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest number of each window. Padding never wins: it counts as −∞."""

    name = "maxpool"
    synonyms = (
        "maxpool2d",
        "max_pool",
        "maxpooling",
        "maxpooling2d",
        "max_pool2d",
    )
    akin = ("pool", "pooling", "maxpool1d", "maxpool3d")
    examples = (
        Example("maxpool 2 s2", (224, 224, 64)),
        Example("maxpool 3 s2 ceil", (112, 112, 64)),
        Example("maxpool 3 s1 same", (28, 28, 192)),
        Example("maxpool 3 s2 p1", (112, 113, 64)),
        Example("maxpool 3 s2 same", (14, 14, 8)),
        Example("maxpool 2x3 s2x1 p1x0 ceil", (9, 9, 8)),
        Example("maxpool 3 s1 d2", (9, 9, 8)),
        Example("maxpool 3 s1 d2 same", (9, 9, 8)),
        Example("maxpool 4", (101, 8)),
        Example("maxpool 3 s2 same", (14, 8)),
        Example("maxpool 1x2x2", (4, 8, 8, 8)),
        Example("maxpool 2 s2 same ceil", (3, 7, 7, 8)),
    )

    dilation: Axes = attribute(COUNTS, "step inside the window", (1,), letter="d")

    @property
    def _dilation(self) -> Axes:
        return self.dilation

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # Besides the input, the position of each largest number in it, in 8 bytes.
        return replace(super().saves(inputs, out), bytes=8 * out.elements)

    def emit(self, x: Volume) -> Call:
        dilation = OptionalArgument(squared(self.dilation), 1)
        return self._emit_pool(x, "nn.MaxPool", float("-inf"), dilation=dilation)


@dataclass(frozen=True)
class AveragePool(_Pool):
    """The mean of each window. Padded zeros count, unless ``count_include_pad=false``."""

    name = "avgpool"
    synonyms = (
        "averagepool",
        "avgpool2d",
        "avg_pool",
        "averagepooling2d",
        "avg_pool2d",
    )
    examples = (
        Example("avgpool 2", (28, 28, 6)),
        Example("avgpool 5 s3", (14, 14, 512)),
        Example("avgpool 3 s1 same", (8, 8, 16)),
        Example("avgpool 3 s2 p1 count_include_pad=false", (8, 9, 16)),
        Example("avgpool 3 s2 ceil", (32, 32, 192)),
        Example("avgpool 2 s1 same", (8, 8, 16)),
        Example("avgpool 4 s2 p1", (33, 8)),
        Example("avgpool 2 s1 same", (9, 8)),
        Example("avgpool 2x7x7", (4, 14, 14, 8)),
        Example("avgpool 2 s1 same", (3, 4, 4, 8)),
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
        return self._emit_pool(x, "nn.AvgPool", 0.0, count_include_pad=counted)


@dataclass(frozen=True)
class _GlobalPool(UnaryLayer):
    """One number per channel, as a volume of one position: 1x1xC, where the input is an image."""

    family = Family.POOLING

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        return Volume.along((1,) * x.rank, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)


@dataclass(frozen=True)
class GlobalAveragePool(_GlobalPool):
    """Global average pooling: the mean of each channel; of an image, a volume 1x1xC."""

    name = "gap"
    synonyms = ("globalavgpool", "global_avg_pool", "globalaveragepool", "globalaveragepooling2d")
    examples = (
        Example("gap", (7, 7, 1024)),
        Example("gap", (500, 64)),
        Example("gap", (2, 7, 7, 64)),
    )

    def emit(self, x: Volume) -> Call:
        return call(f"nn.AdaptiveAvgPool{x.rank}d", 1)


@dataclass(frozen=True)
class GlobalMaxPool(_GlobalPool):
    """Global maximum pooling: the largest number of each channel; of an image, 1x1xC."""

    name = "gmp"
    synonyms = ("globalmaxpool", "global_max_pool", "globalmaxpooling2d")
    examples = (
        Example("gmp", (7, 7, 64)),
        Example("gmp", (500, 64)),
        Example("gmp", (2, 7, 7, 64)),
    )

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        return Saved(inputs=True, bytes=8 * out.elements)

    def emit(self, x: Volume) -> Call:
        return call(f"nn.AdaptiveMaxPool{x.rank}d", 1)


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
        Example("adaptiveavgpool 8", (100, 16)),
        Example("adaptiveavgpool 1x3x3", (4, 7, 7, 16)),
    )

    output_size: Axes = positional(COUNTS, "size of the result")

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        return Volume.along(self.output_size, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        (x,) = inputs
        return (Reach(tuple(map(read_adaptive, x.spatial, self.output_size))),)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # For one position PyTorch takes the mean, whose backward pass needs no input.
        return Saved(inputs=out.positions > 1)

    def describe(self) -> str:
        return "to " + "×".join(map(str, self.output_size))

    def emit(self, x: Volume) -> Call:
        return call(f"nn.AdaptiveAvgPool{x.rank}d", squared(self.output_size))


@dataclass(frozen=True)
class _ChannelPool(UnaryLayer):
    """One number per position, from all channels: HxWx1, where the input is an image."""

    family = Family.POOLING

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        return x.with_channels(1)


@dataclass(frozen=True)
class ChannelMean(_ChannelPool):
    """The mean of the channels at each position (Woo et al. 2018, CBAM, section 3)."""

    name = "channelmean"
    synonyms = ("channel_mean", "channelavg", "channelavgpool")
    examples = (
        Example("channelmean", (7, 7, 16)),
        Example("channelmean", (50, 16)),
        Example("channelmean", (2, 3, 3, 16)),
    )
    support = '''\
class ChannelMean(nn.Module):
    """The mean of the channels at each position."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True)
'''

    def emit(self, x: Volume) -> Call:
        return call("ChannelMean")


@dataclass(frozen=True)
class ChannelMax(_ChannelPool):
    """The largest of the channels at each position (Woo et al. 2018, CBAM, section 3)."""

    name = "channelmax"
    synonyms = ("channel_max", "channelmaxpool")
    keeps = Saved(inputs=True, output=True)
    examples = (
        Example("channelmax", (7, 7, 16)),
        Example("channelmax", (50, 16)),
        Example("channelmax", (2, 3, 3, 16)),
    )
    support = '''\
class ChannelMax(nn.Module):
    """The largest of the channels at each position."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(1, keepdim=True)
'''

    def emit(self, x: Volume) -> Call:
        return call("ChannelMax")
