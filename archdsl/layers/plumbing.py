"""Plumbing: layers that move, cut, select or scale numbers."""

from __future__ import annotations

from math import prod

from archdsl.layers.call import Call, OptionalArgument, call, squared
from archdsl.layers.fields import (
    COUNT,
    INDICES,
    NUMBER,
    PAIR,
    REFERENCE,
    SIDES,
    SIZES,
    WHOLE,
    LayerError,
    attribute,
    choice,
    derived,
    positional,
)
from archdsl.layers.layer import VIEW, Autocast, Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import Reach, reach_all, read_linear, read_nearest, read_window
from archdsl.layers.volume import Volume
from archdsl.layers.windows import Pair, need_image, split_groups
from archdsl.records import dataclass


@dataclass(frozen=True)
class Identity(UnaryLayer):
    """The input, unchanged."""

    name = "id"
    synonyms = ("identity",)
    akin = ("skip", "shortcut")
    family = Family.PLUMBING
    keeps = VIEW
    examples = (Example("add { conv 1x1 | id }", (8, 8, 4)), Example("kept: id", (8, 8, 4)))

    def emit(self, x: Volume) -> Call:
        return call("nn.Identity")


@dataclass(frozen=True)
class Crop(UnaryLayer):
    """An earlier part, cut centrally to the height and width of the branch's input.

    An odd row or column is cut off at the end (Ronneberger et al. 2015, U-Net).
    """

    name = "crop"
    family = Family.PLUMBING
    keeps = VIEW
    examples = (Example("a: conv 3x3 4; conv 4x5 4; concat { crop a | id }", (12, 12, 4)),)
    support = '''\
class Crop(nn.Module):
    """The middle of a volume, in a given height and width."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height = height
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        top = (x.shape[2] - self.height) // 2
        left = (x.shape[3] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]
'''

    reference: str = positional(REFERENCE, "the part to cut")
    height: int = derived("height of the branch's input")
    width: int = derived("width of the branch's input")

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        if self.height > x.height or self.width > x.width:
            raise LayerError(
                "wrong-value",
                f"`{self.reference}` ({x}) is smaller than the {self.height}x{self.width} "
                "it is to be cut to",
            )
        return Volume.image(self.height, self.width, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        (x,) = inputs
        top, left = (x.height - self.height) // 2, (x.width - self.width) // 2
        return (Reach(read_window(1, 1, -top, 1), read_window(1, 1, -left, 1)),)

    def describe(self) -> str:
        return f"to {self.height}×{self.width}"

    def emit(self, x: Volume) -> Call:
        return call("Crop", self.height, self.width)


@dataclass(frozen=True)
class Pad(UnaryLayer):
    """Rows and columns around the input: as many on each side, or left, right, top, bottom.

    They hold zeros, or the input mirrored at its border (`reflect`), or its border repeated
    (`replicate`).
    """

    name = "pad"
    synonyms = ("zeropad2d", "zeropadding2d", "zeropad")
    family = Family.PLUMBING
    examples = (
        Example("pad 2", (28, 28, 1)),
        Example("pad 0 1 0 1", (28, 28, 3)),
        Example("pad 3 reflect", (28, 28, 3)),
        Example("pad 1 2 0 1 replicate", (6, 6, 3)),
    )

    sides: tuple[int, ...] = positional(SIDES, "rows and columns on the sides", variadic=True)
    mode: str = attribute(
        choice("zeros", "reflect", "replicate"),
        "what they hold",
        "zeros",
        words={"reflect": "reflect", "replicate": "replicate"},
    )

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        left, right, top, bottom = self.sides
        for axis, most, size in (
            ("width", max(left, right), x.width),
            ("height", max(top, bottom), x.height),
        ):
            if self.mode == "reflect" and most >= size:
                raise LayerError(
                    "wrong-padding",
                    f"`reflect` can add at most {size - 1} to a {axis} of {size}, not {most}",
                    help="pad less, or repeat the border with `replicate`",
                )
        return Volume.image(x.height + top + bottom, x.width + left + right, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        left, _, top, _ = self.sides
        return (Reach(read_window(1, 1, top, 1), read_window(1, 1, left, 1)),)

    def describe(self) -> str:
        sides = self.sides[:1] if len(set(self.sides)) == 1 else self.sides
        return " ".join([*map(str, sides), *([self.mode] if self.mode != "zeros" else [])])

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        return Saved(inputs=self.mode != "zeros")

    def emit(self, x: Volume) -> Call:
        sides = self.sides[0] if len(set(self.sides)) == 1 else self.sides
        modules = {"zeros": "Zero", "reflect": "Reflection", "replicate": "Replication"}
        return call(f"nn.{modules[self.mode]}Pad2d", sides)


@dataclass(frozen=True)
class Reshape(UnaryLayer):
    """The same numbers in another volume, in PyTorch's order (channel by channel)."""

    name = "reshape"
    family = Family.PLUMBING
    keeps = VIEW
    examples = (
        Example("fc 128; reshape 4x4x8", (10,)),
        Example("reshape 8x2x8", (4, 8, 4)),
        Example("reshape 128", (4, 8, 4)),
    )

    sizes: tuple[int, ...] = positional(SIZES, "the volume of the result")

    def infer_volume(self, x: Volume) -> Volume:
        if prod(self.sizes) != x.elements:
            raise LayerError(
                "wrong-value",
                f"{x} holds {x.elements} numbers, but {Volume(self.sizes)} would hold "
                f"{prod(self.sizes)}",
            )
        return Volume(self.sizes)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def describe(self) -> str:
        return f"to {Volume(self.sizes)}"

    def emit(self, x: Volume) -> Call:
        target = Volume(self.sizes)
        if target.is_vector:
            return call("nn.Flatten")
        unflatten = call("nn.Unflatten", 1, target.torch_sizes)
        return unflatten if x.is_vector else call("nn.Sequential", call("nn.Flatten"), unflatten)


@dataclass(frozen=True)
class Upsample(UnaryLayer):
    """Enlarges height and width by a whole factor."""

    name = "upsample"
    synonyms = ("upsampling2d",)
    akin = ("interpolate", "resize")
    family = Family.PLUMBING
    autocast = Autocast.RAISES
    examples = (
        Example("upsample 2", (7, 7, 16)),
        Example("upsample 2x3 mode=bilinear", (7, 7, 16)),
    )

    scale_factor: Pair = positional(PAIR, "factor")
    mode: str = attribute(choice("nearest", "bilinear"), "how numbers are interpolated", "nearest")

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        height, width = self.scale_factor
        return Volume.image(x.height * height, x.width * width, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        read = read_nearest if self.mode == "nearest" else read_linear
        height, width = map(read, self.scale_factor)
        return (Reach(height, width),)

    def describe(self) -> str:
        return f"×{squared(self.scale_factor)}"

    def emit(self, x: Volume) -> Call:
        return call(
            "nn.Upsample",
            scale_factor=squared(self.scale_factor),
            mode=OptionalArgument(self.mode, "nearest"),
        )


@dataclass(frozen=True)
class PixelShuffle(UnaryLayer):
    """Turns r² channels into r×r positions (Shi et al. 2016)."""

    name = "pixelshuffle"
    synonyms = ("pixel_shuffle",)
    akin = ("depth_to_space",)
    family = Family.PLUMBING
    examples = (Example("pixelshuffle 2", (7, 7, 16)),)

    upscale_factor: int = positional(COUNT, "factor r of height and width")

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        r = self.upscale_factor
        split_groups(x.channels, r * r, "channels")
        return Volume.image(x.height * r, x.width * r, x.channels // (r * r))

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        read = read_nearest(self.upscale_factor)
        return (Reach(read, read),)

    def describe(self) -> str:
        return f"×{self.upscale_factor}"

    def emit(self, x: Volume) -> Call:
        return call("nn.PixelShuffle", self.upscale_factor)


@dataclass(frozen=True)
class PixelUnshuffle(UnaryLayer):
    """Turns r×r positions into r² channels: space to depth (Shi et al. 2016, reversed)."""

    name = "pixelunshuffle"
    synonyms = ("pixel_unshuffle",)
    akin = ("space_to_depth",)
    family = Family.PLUMBING
    examples = (Example("pixelunshuffle 2", (8, 12, 3)),)

    downscale_factor: int = positional(COUNT, "factor r by which height and width shrink")

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        r = self.downscale_factor
        for axis, size in (("height", x.height), ("width", x.width)):
            if size % r:
                raise LayerError(
                    "wrong-value",
                    f"`pixelunshuffle {r}` needs a {axis} that {r} divides, not {size}",
                )
        return Volume.image(x.height // r, x.width // r, x.channels * r * r)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        read = read_window(self.downscale_factor, self.downscale_factor, 0, 1)
        return (Reach(read, read),)

    def describe(self) -> str:
        return f"/{self.downscale_factor}"

    def emit(self, x: Volume) -> Call:
        return call("nn.PixelUnshuffle", self.downscale_factor)


@dataclass(frozen=True)
class ChannelShuffle(UnaryLayer):
    """Interleaves the channels of equal groups (Zhang et al. 2018, ShuffleNet)."""

    name = "channelshuffle"
    synonyms = ("channel_shuffle",)
    akin = ("shuffle",)
    family = Family.PLUMBING
    examples = (Example("channelshuffle 4", (7, 7, 16)),)

    groups: int = positional(COUNT, "groups interleaved")

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        split_groups(x.channels, self.groups, "channels")
        return x

    def describe(self) -> str:
        return f"{self.groups} groups"

    def emit(self, x: Volume) -> Call:
        return call("nn.ChannelShuffle", self.groups)


@dataclass(frozen=True)
class Take(UnaryLayer):
    """The channels with these numbers, counted from 0, in this order."""

    name = "take"
    family = Family.PLUMBING
    examples = (Example("take(0, 1, 5)", (14, 14, 6)), Example("take(3)", (8,)))
    support = '''\
class Take(nn.Module):
    """Some channels of a volume."""

    def __init__(self, *channels: int) -> None:
        super().__init__()
        self.channels = list(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.channels]
'''

    channels: tuple[int, ...] = positional(INDICES, "channel numbers", variadic=True)

    def infer_volume(self, x: Volume) -> Volume:
        for index in self.channels:
            if index >= x.channels:
                raise LayerError(
                    "wrong-value",
                    f"there is no channel {index}: {x} has the channels 0 to {x.channels - 1}",
                )
        return x.with_channels(len(self.channels))

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        return Saved(once=8 * len(self.channels))

    def describe(self) -> str:
        return ",".join(map(str, self.channels))

    def emit(self, x: Volume) -> Call:
        return call("Take", *self.channels)


@dataclass(frozen=True)
class Slice(UnaryLayer):
    """The channels from one number up to another, counted from 0; the second is not included.

    Without a second number, all channels from the first on.
    """

    name = "slice"
    synonyms = ("narrow",)
    family = Family.PLUMBING
    keeps = VIEW
    examples = (
        Example("slice 0 4", (14, 14, 6)),
        Example("slice 2", (14, 14, 6)),
        Example("slice (C/2)", (8,)),
    )
    support = '''\
class Slice(nn.Module):
    """The channels from one number up to another."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start = start
        self.stop = stop

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]
'''

    start: int = positional(WHOLE, "the first channel, from 0")
    stop: int | None = positional(COUNT, "the channel behind the last", default=None)

    def infer_volume(self, x: Volume) -> Volume:
        stop = x.channels if self.stop is None else self.stop
        if stop > x.channels:
            raise LayerError(
                "wrong-value",
                f"there is no channel {stop - 1}: {x} has the channels 0 to {x.channels - 1}",
            )
        if self.start >= stop:
            raise LayerError("wrong-value", f"no channel is left from {self.start} up to {stop}")
        return x.with_channels(stop - self.start)

    def describe(self) -> str:
        return f"{self.start}…{'' if self.stop is None else self.stop - 1}"

    def emit(self, x: Volume) -> Call:
        return call("Slice", self.start, x.channels if self.stop is None else self.stop)


@dataclass(frozen=True)
class Scale(UnaryLayer):
    """One trainable coefficient and one bias per channel."""

    name = "scale"
    family = Family.PLUMBING
    keeps = Saved(inputs=True)
    autocast = Autocast.WIDENS
    examples = (Example("scale", (14, 14, 6)),)
    support = '''\
class Scale(nn.Module):
    """One trainable coefficient and one bias per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.bias
'''

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        return x

    def count_parameters(self, x: Volume) -> int:
        return 2 * x.channels

    def emit(self, x: Volume) -> Call:
        return call("Scale", x.channels)


@dataclass(frozen=True)
class LayerScale(UnaryLayer):
    """One trainable factor per channel, small at first (Touvron et al. 2021, CaiT)."""

    name = "layerscale"
    synonyms = ("layer_scale",)
    family = Family.PLUMBING
    keeps = Saved(inputs=True)
    autocast = Autocast.WIDENS
    examples = (Example("layerscale", (14, 14, 6)), Example("layerscale 0.1", (14, 14, 6)))
    support = '''\
class LayerScale(nn.Module):
    """One trainable factor per channel."""

    def __init__(self, channels: int, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight
'''

    value: float = positional(NUMBER, "what the factors are before training", default=1e-6)

    def infer_volume(self, x: Volume) -> Volume:
        need_image(x, self.name)
        return x

    def count_parameters(self, x: Volume) -> int:
        return x.channels

    def emit(self, x: Volume) -> Call:
        return call("LayerScale", x.channels, self.value)
