"""Layers that rearrange, select or scale channels."""

from __future__ import annotations

from archdsl.layers.call import Call, call
from archdsl.layers.fields import (
    COUNT,
    INDICES,
    NUMBER,
    WHOLE,
    LayerError,
    positional,
)
from archdsl.layers.layer import (
    VIEW,
    Autocast,
    Example,
    Family,
    Saved,
    UnaryLayer,
    helper,
    support_for,
)
from archdsl.layers.reach import Reach, read_nearest, read_window
from archdsl.layers.volume import Volume
from archdsl.layers.windows import need_axes, need_image, split_groups
from archdsl.records import dataclass


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
        return Volume.along([size * r for size in x.spatial], x.channels // (r * r))

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        read = read_nearest(self.upscale_factor)
        return (Reach((read, read)),)

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
        for axis, size in zip(x.axes, x.spatial, strict=True):
            if size % r:
                raise LayerError(
                    "wrong-value",
                    f"`pixelunshuffle {r}` needs a {axis} that {r} divides, not {size}",
                )
        return Volume.along([size // r for size in x.spatial], x.channels * r * r)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        read = read_window(self.downscale_factor, self.downscale_factor, 0, 1)
        return (Reach((read, read)),)

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
    examples = (
        Example("channelshuffle 4", (7, 7, 16)),
        Example("channelshuffle 4", (9, 16)),
        Example("channelshuffle 4", (2, 3, 3, 16)),
    )

    groups: int = positional(COUNT, "groups interleaved")

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
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
    examples = (
        Example("take(0, 1, 5)", (14, 14, 6)),
        Example("take(3)", (8,)),
        Example("take 2 0", (9, 3)),
    )
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
        Example("slice 1 3", (9, 4)),
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
class PadChannels(UnaryLayer):
    """Channels of zeros, before the others and after (He et al. 2016, ResNet, option A)."""

    name = "padchannels"
    synonyms = ("pad_channels", "zerochannels")
    family = Family.PLUMBING
    examples = (
        Example("padchannels 8 8", (7, 7, 16)),
        Example("padchannels 0 3", (50, 5)),
        Example("padchannels (C/2) (C/2)", (2, 3, 3, 4)),
        Example("padchannels 2 0", (8,)),
    )
    support = '''\
class PadChannels(nn.Module):
    """Channels of zeros, before the others and after."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before = before
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        sides = [0, 0] * (x.dim() - 2) + [self.before, self.after]
        return nn.functional.pad(x, sides)
'''

    before: int = positional(WHOLE, "channels before the others")
    after: int = positional(WHOLE, "channels after them")

    def infer_volume(self, x: Volume) -> Volume:
        if not self.before and not self.after:
            raise LayerError("wrong-value", "`padchannels 0 0` adds no channel")
        return x.with_channels(self.before + x.channels + self.after)

    def describe(self) -> str:
        return f"{self.before} + {self.after}"

    def emit(self, x: Volume) -> Call:
        return call("PadChannels", self.before, self.after)


#: A number per channel of an image, as one for each axis fewer, and more.
_POSITIONS = (("channels, 1, 1", "channels, 1"), ("channels, 1, 1", "channels, 1, 1, 1"))


@dataclass(frozen=True)
class Scale(UnaryLayer):
    """One trainable coefficient and one bias per channel."""

    name = "scale"
    family = Family.PLUMBING
    keeps = Saved(inputs=True)
    autocast = Autocast.WIDENS
    examples = (
        Example("scale", (14, 14, 6)),
        Example("scale", (50, 6)),
        Example("scale", (4, 7, 7, 6)),
    )
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
    more_support = support_for(support, *_POSITIONS)

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        return x

    def count_parameters(self, x: Volume) -> int:
        return 2 * x.channels

    def emit(self, x: Volume) -> Call:
        return call(helper("Scale", x), x.channels)


@dataclass(frozen=True)
class LayerScale(UnaryLayer):
    """One trainable factor per channel, small at first (Touvron et al. 2021, CaiT)."""

    name = "layerscale"
    synonyms = ("layer_scale",)
    family = Family.PLUMBING
    keeps = Saved(inputs=True)
    autocast = Autocast.WIDENS
    examples = (
        Example("layerscale", (14, 14, 6)),
        Example("layerscale 0.1", (14, 14, 6)),
        Example("layerscale 0.1", (50, 6)),
        Example("layerscale", (4, 7, 7, 6)),
    )
    support = '''\
class LayerScale(nn.Module):
    """One trainable factor per channel."""

    def __init__(self, channels: int, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight
'''
    more_support = support_for(support, *_POSITIONS)

    value: float = positional(NUMBER, "what the factors are before training", default=1e-6)

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        return x

    def count_parameters(self, x: Volume) -> int:
        return x.channels

    def emit(self, x: Volume) -> Call:
        return call(helper("LayerScale", x), x.channels, self.value)
