"""Convolutions."""

from __future__ import annotations

from math import prod

from archdsl.layers.call import Call, OptionalArgument, call, squared
from archdsl.layers.fields import (
    BOOLEAN,
    COUNT,
    COUNTS,
    PADDING,
    WHOLES,
    Axes,
    LayerError,
    attribute,
    positional,
)
from archdsl.layers.initializers import Initializer, init_attribute
from archdsl.layers.layer import Autocast, Example, Family, Saved, WeightLayer
from archdsl.layers.reach import Reach, read_transposed
from archdsl.layers.volume import Volume
from archdsl.layers.windows import (
    Padding,
    Sides,
    arguments_in_short,
    count_unread,
    explain_slide,
    need_axes,
    pad_sides,
    pads_alike,
    read_windows,
    save_padded,
    slide,
    split_groups,
    torch_pads,
)
from archdsl.records import dataclass


@dataclass(frozen=True)
class Conv(WeightLayer):
    """A convolution; without a number of channels it keeps the input's."""

    name = "conv"
    synonyms = ("convolution", "conv2d", "convolution2d", "convolutional")
    akin = ("conv1d", "conv3d")
    family = Family.CONVOLUTION
    autocast = Autocast.LOWERS
    examples = (
        Example("conv 3x3 64 same", (28, 28, 16)),
        Example("conv 7x7 64 s2 p3 nobias", (224, 224, 3)),
        Example("conv 3 s2 same", (28, 29, 16)),
        Example("conv 1x7 32 p0x3", (17, 17, 16)),
        Example("conv 3x3 32 d2 g4", (17, 17, 16)),
        Example("conv 2x2 8 same", (9, 9, 4)),
        Example("conv 5x4 8 s2x1 same", (9, 9, 4)),
        Example("conv 3x3 64 init=normal(0.01, bias=1)", (9, 9, 4)),
        Example("conv 9 64 s4", (1600, 1)),
        Example("conv 2 8 d2 same", (17, 4)),
        Example("conv 4 8 same", (17, 4)),
        Example("conv 3x3x3 64 same", (4, 14, 14, 3)),
        Example("conv 1x5x4 8 s1x2x2 g2 same", (3, 9, 9, 4)),
    )

    kernel_size: Axes = positional(COUNTS, "size of the window")
    out_channels: int | None = positional(COUNT, "channels of the result", default=None)
    stride: Axes = attribute(COUNTS, "step of the window", (1,), letter="s")
    padding: Padding = attribute(
        PADDING, "zeros around the input", (0,), letter="p", words={"same": "same"}
    )
    dilation: Axes = attribute(COUNTS, "step inside the window", (1,), letter="d")
    groups: int = attribute(COUNT, "groups of channels convolved separately", 1, letter="g")
    bias: bool = attribute(BOOLEAN, "adds one number per channel", True, words={"nobias": False})
    init: Initializer | None = init_attribute()

    def _sides(self, x: Volume) -> Sides:
        return pad_sides(self.padding, x, self.kernel_size, self.stride, self.dilation)

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        out = self.out_channels or x.channels
        split_groups(x.channels, self.groups, "input channels", out)
        split_groups(out, self.groups, "channels", x.channels)
        sizes = slide(x, self.kernel_size, self.stride, self._sides(x), self.dilation)
        return Volume.along(sizes, out)

    def count_parameters(self, x: Volume) -> int:
        return self._weights(x) + (self.bias * (self.out_channels or x.channels))

    def _weights(self, x: Volume) -> int:
        window = prod(self.kernel_size)
        return window * x.channels // self.groups * (self.out_channels or x.channels)

    def count_macs(self, x: Volume) -> int:
        return self.infer_volume(x).positions * self._weights(x)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        (x,) = inputs
        sides = self._sides(x)
        return Saved(inputs=True) if pads_alike(sides) else save_padded(x, sides)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        (x,) = inputs
        return read_windows(self.kernel_size, self.stride, self._sides(x), self.dilation)

    def uncovered(self, x: Volume) -> Axes:
        return count_unread(x, self.kernel_size, self.stride, self._sides(x), self.dilation)

    def explain(self, x: Volume) -> tuple[str, ...]:
        return explain_slide(x, self.kernel_size, self.stride, self._sides(x), self.dilation)

    def describe(self) -> str:
        groups = (f"g{self.groups}",) if self.groups > 1 else ()
        window = arguments_in_short(self.stride, self.padding, self.dilation, groups)
        return f"{self.out_channels} · {window}" if self.out_channels else window

    def emit(self, x: Volume) -> Call:
        sides = self._sides(x)
        # PyTorch pads both sides equally; an odd total needs a separate padding layer. (PyTorch's
        # own `padding="same"` takes an odd total only with stride 1, and warns of a copy.)
        is_even = pads_alike(sides)
        conv = call(
            f"nn.Conv{x.rank}d",
            x.channels,
            self.out_channels or x.channels,
            squared(self.kernel_size),
            stride=OptionalArgument(squared(self.stride), 1),
            padding=OptionalArgument(
                squared(tuple([before for before, _ in sides])) if is_even else 0, 0
            ),
            dilation=OptionalArgument(squared(self.dilation), 1),
            groups=OptionalArgument(self.groups, 1),
            bias=OptionalArgument(self.bias, True),
        )
        if is_even:
            return conv
        return call("nn.Sequential", call(f"nn.ZeroPad{x.rank}d", torch_pads(sides)), conv)


@dataclass(frozen=True)
class DepthwiseConv(WeightLayer):
    """A convolution of each channel by itself."""

    name = "dwconv"
    synonyms = ("depthwise", "depthwiseconv", "depthwiseconv2d", "depthwise_conv")
    family = Family.CONVOLUTION
    autocast = Autocast.LOWERS
    examples = (
        Example("dwconv 3x3 s2 p1 nobias", (28, 28, 32)),
        Example("dwconv 5 same init=he", (14, 14, 32)),
        Example("dwconv 5 p2", (40, 8)),
        Example("dwconv 3 s1x2x2 p1", (4, 6, 6, 8)),
    )

    kernel_size: Axes = positional(COUNTS, "size of the window")
    stride: Axes = attribute(COUNTS, "step of the window", (1,), letter="s")
    padding: Padding = attribute(
        PADDING, "zeros around the input", (0,), letter="p", words={"same": "same"}
    )
    dilation: Axes = attribute(COUNTS, "step inside the window", (1,), letter="d")
    bias: bool = attribute(BOOLEAN, "adds one number per channel", True, words={"nobias": False})
    init: Initializer | None = init_attribute()

    def _conv(self, x: Volume) -> Conv:
        need_axes(x, self.name)
        return Conv(
            self.kernel_size,
            x.channels,
            self.stride,
            self.padding,
            self.dilation,
            x.channels,
            self.bias,
        )

    def infer_volume(self, x: Volume) -> Volume:
        return self._conv(x).infer_volume(x)

    def count_parameters(self, x: Volume) -> int:
        return self._conv(x).count_parameters(x)

    def count_macs(self, x: Volume) -> int:
        return self._conv(x).count_macs(x)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        return self._conv(inputs[0]).saves(inputs, out)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return self._conv(inputs[0]).reads(inputs)

    def uncovered(self, x: Volume) -> Axes:
        return self._conv(x).uncovered(x)

    def explain(self, x: Volume) -> tuple[str, ...]:
        return self._conv(x).explain(x)

    def describe(self) -> str:
        return arguments_in_short(self.stride, self.padding, self.dilation)

    def emit(self, x: Volume) -> Call:
        return self._conv(x).emit(x)


@dataclass(frozen=True)
class Deconv(WeightLayer):
    """A transposed convolution: the volume grows by the stride.

    With `same` by exactly that factor: what is too much is cut off on both sides, and where that is
    odd, one more at the start.
    """

    name = "deconv"
    synonyms = (
        "convtranspose",
        "conv_transpose",
        "convtranspose2d",
        "conv2dtranspose",
        "deconvolution",
    )
    akin = ("upconv", "convtranspose1d", "convtranspose3d")
    family = Family.CONVOLUTION
    autocast = Autocast.LOWERS
    keeps = Saved(inputs=True)
    examples = (
        Example("deconv 2x2 64 s2", (14, 14, 128)),
        Example("deconv 3x3 32 s2 p1 output_padding=1 nobias", (7, 9, 16)),
        Example("deconv 4 g2 d2 init=xavier", (7, 7, 16)),
        Example("deconv 16 8 s8 p4", (25, 16)),
        Example("deconv 2 8 s1x2x2 nobias", (3, 4, 4, 16)),
        Example("deconv 4 8 s2 same", (7, 9, 16)),
        Example("deconv 5 8 s2 same nobias", (7, 9, 16)),
        Example("deconv 3x4 8 s1x3 same", (7, 9, 16)),
        Example("deconv 3 8 d2 same", (9, 16)),
    )

    kernel_size: Axes = positional(COUNTS, "size of the window")
    out_channels: int | None = positional(COUNT, "channels of the result", default=None)
    stride: Axes = attribute(COUNTS, "factor by which the volume grows", (1,), letter="s")
    padding: Padding = attribute(
        PADDING,
        "rows and columns cut off each side",
        (0,),
        letter="p",
        words={"same": "same"},
    )
    output_padding: Axes = attribute(WHOLES, "rows and columns added after", (0,))
    dilation: Axes = attribute(COUNTS, "step inside the window", (1,), letter="d")
    groups: int = attribute(COUNT, "groups of channels convolved separately", 1, letter="g")
    bias: bool = attribute(BOOLEAN, "adds one number per channel", True, words={"nobias": False})
    init: Initializer | None = init_attribute()

    def _cut(self) -> tuple[Axes, Axes]:
        """The rows and columns cut off each side, and those added after."""
        if self.padding != "same":
            return self.padding, self.output_padding
        if any(self.output_padding):
            raise LayerError(
                "wrong-padding", "`same` says how large the result is: leave out `output_padding`"
            )
        # What the window reaches beyond one step, rounded up to an even number.
        excess = [
            d * (k - 1) + 1 - s
            for k, s, d in zip(self.kernel_size, self.stride, self.dilation, strict=True)
        ]
        if min(excess) < 0:
            raise LayerError(
                "wrong-padding",
                "`same` needs a window of at least the stride: a smaller one leaves gaps",
                help="use a larger kernel",
            )
        for rest, s, d in zip(excess, self.stride, self.dilation, strict=True):
            if rest % 2 and s == d == 1:
                raise LayerError(
                    "wrong-padding",
                    f"`same` would cut off {rest}, which both sides cannot share where neither "
                    "the stride nor the dilation is above 1",
                    help="use an odd kernel",
                )
        return tuple([(rest + 1) // 2 for rest in excess]), tuple([rest % 2 for rest in excess])

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        padding, output_padding = self._cut()
        out = self.out_channels or x.channels
        split_groups(x.channels, self.groups, "input channels", out)
        split_groups(out, self.groups, "channels", x.channels)
        sizes = []
        for axis, size, k, s, p, o, d in zip(
            x.axes,
            x.spatial,
            self.kernel_size,
            self.stride,
            padding,
            output_padding,
            self.dilation,
            strict=True,
        ):
            if o >= max(s, d):
                raise LayerError(
                    "wrong-padding",
                    f"an output padding of {o} must be smaller than the stride or the dilation "
                    f"({s} and {d} along the {axis})",
                )
            result = (size - 1) * s - 2 * p + d * (k - 1) + o + 1
            if result < 1:
                raise LayerError(
                    "empty-volume",
                    f"a padding of {p} leaves nothing of the {axis} of the result ({result})",
                )
            sizes.append(result)
        return Volume.along(sizes, out)

    def _weights(self, x: Volume) -> int:
        window = prod(self.kernel_size)
        return window * x.channels * (self.out_channels or x.channels) // self.groups

    def count_parameters(self, x: Volume) -> int:
        return self._weights(x) + (self.bias * (self.out_channels or x.channels))

    def count_macs(self, x: Volume) -> int:
        return x.positions * self._weights(x)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        axes = zip(self.kernel_size, self.stride, self._cut()[0], self.dilation, strict=True)
        return (Reach(tuple([read_transposed(k, s, p, d) for k, s, p, d in axes])),)

    def explain(self, x: Volume) -> tuple[str, ...]:
        out = self.infer_volume(x)
        padding, output_padding = self._cut()
        return tuple(
            f"({size} − 1)·{s} − 2·{p} + {d * (k - 1) + 1}{f' + {o}' if o else ''} = {result}"
            for size, k, s, p, o, d, result in zip(
                x.spatial,
                self.kernel_size,
                self.stride,
                padding,
                output_padding,
                self.dilation,
                out.spatial,
                strict=True,
            )
        )

    def describe(self) -> str:
        window = arguments_in_short(self.stride, self.padding, self.dilation)
        return f"{self.out_channels} · {window}" if self.out_channels else window

    def emit(self, x: Volume) -> Call:
        padding, output_padding = self._cut()
        return call(
            f"nn.ConvTranspose{x.rank}d",
            x.channels,
            self.out_channels or x.channels,
            squared(self.kernel_size),
            stride=OptionalArgument(squared(self.stride), 1),
            padding=OptionalArgument(squared(padding), 0),
            output_padding=OptionalArgument(squared(output_padding), 0),
            groups=OptionalArgument(self.groups, 1),
            bias=OptionalArgument(self.bias, True),
            dilation=OptionalArgument(squared(self.dilation), 1),
        )
