"""Plumbing: layers that move, cut or enlarge volumes."""

from __future__ import annotations

from math import prod

from archdsl.layers.call import Call, OptionalArgument, call, squared
from archdsl.layers.fields import (
    COUNTS,
    REFERENCE,
    SIDES,
    SIZES,
    WHOLES,
    Axes,
    Change,
    LayerError,
    attribute,
    choice,
    derived,
    positional,
    written_size,
)
from archdsl.layers.layer import VIEW, Autocast, Example, Family, Saved, UnaryLayer, helper
from archdsl.layers.reach import Reach, reach_all, read_linear, read_nearest, read_window
from archdsl.layers.volume import Volume
from archdsl.layers.windows import Sides, need_axes
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
    """An earlier part, cut to the size of the branch's input along each axis.

    The middle of it, where an odd row or column is cut off at the end (Ronneberger et al. 2015,
    U-Net); with `at` what follows so many rows and columns (Long et al. 2015, FCN).
    """

    name = "crop"
    family = Family.PLUMBING
    keeps = VIEW
    examples = (
        Example("a: conv 3x3 4; conv 4x5 4; concat { crop a | id }", (12, 12, 4)),
        Example("a: conv 3 4; conv 4 4; concat { crop a | id }", (30, 4)),
        Example("a: conv 1 4; conv 2x3x3 4; concat { crop a | id }", (4, 6, 6, 4)),
        Example("a: conv 3x3 4; conv 4x5 4; concat { crop a at=0x3 | id }", (12, 12, 4)),
        Example("a: conv 3 4; conv 4 4; concat { crop a at=1 | id }", (30, 4)),
        Example("a: conv 1 4; conv 2x3x3 4; concat { crop a at=1x0x2 | id }", (4, 6, 6, 4)),
    )
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
    more_support = (
        '''\
class Crop1d(nn.Module):
    """The middle of a volume, in a given length."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        start = (x.shape[2] - self.length) // 2
        return x[:, :, start : start + self.length]
''',
        '''\
class Crop3d(nn.Module):
    """The middle of a volume, in a given depth, height and width."""

    def __init__(self, depth: int, height: int, width: int) -> None:
        super().__init__()
        self.sizes = (depth, height, width)

    def forward(self, x: Tensor) -> Tensor:
        for axis, size in enumerate(self.sizes, start=2):
            x = x.narrow(axis, (x.shape[axis] - size) // 2, size)
        return x
''',
        '''\
class CropAt(nn.Module):
    """A volume from some position on, in a given height and width."""

    def __init__(self, height: int, width: int, top: int, left: int) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.top = top
        self.left = left

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.top : self.top + self.height, self.left : self.left + self.width]
''',
        '''\
class CropAt1d(nn.Module):
    """A volume from some position on, in a given length."""

    def __init__(self, length: int, start: int) -> None:
        super().__init__()
        self.length = length
        self.start = start

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.start : self.start + self.length]
''',
        '''\
class CropAt3d(nn.Module):
    """A volume from some position on, in a given depth, height and width."""

    def __init__(
        self, depth: int, height: int, width: int, front: int, top: int, left: int
    ) -> None:
        super().__init__()
        self.sizes = (depth, height, width)
        self.starts = (front, top, left)

    def forward(self, x: Tensor) -> Tensor:
        depth, height, width = self.sizes
        front, top, left = self.starts
        x = x[:, :, front : front + depth]
        return x[:, :, :, top : top + height, left : left + width]
''',
    )

    reference: str = positional(REFERENCE, "the part to cut")
    at: Axes | None = attribute(WHOLES, "rows and columns before it; in the middle if None", None)
    sizes: Axes = derived("the size of the branch's input along each axis")

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        if len(self.sizes) != x.rank:
            raise LayerError(
                "wrong-axes",
                f"`{self.reference}` ({x}) has other axes than the branch's input, to whose size "
                "it is to be cut",
            )
        starts = self.at or (0,) * x.rank
        for axis, own, start, size in zip(x.axes, x.spatial, starts, self.sizes, strict=True):
            if start and start + size > own:
                raise LayerError(
                    "wrong-value",
                    f"from {start} on, `{self.reference}` ({x}) has not the {axis} of {size} "
                    "it is to be cut to",
                )
        if any(size > own for size, own in zip(self.sizes, x.spatial, strict=True)):
            raise LayerError(
                "wrong-value",
                f"`{self.reference}` ({x}) is smaller than the {written_size(self.sizes)} "
                "it is to be cut to",
            )
        return Volume.along(self.sizes, x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        (x,) = inputs
        middle = [(own - size) // 2 for own, size in zip(x.spatial, self.sizes, strict=True)]
        return (Reach(tuple([read_window(1, 1, -cut, 1) for cut in self.at or middle])),)

    def describe(self) -> str:
        start = f" at {'×'.join(map(str, self.at))}" if self.at else ""
        return "to " + "×".join(map(str, self.sizes)) + start

    def emit(self, x: Volume) -> Call:
        if self.at is None:
            return call(helper("Crop", x), *self.sizes)
        return call(helper("CropAt", x), *self.sizes, *self.at)


@dataclass(frozen=True)
class Pad(UnaryLayer):
    """Rows and columns around the input: as many on each side, or left, right, top, bottom.

    A 1-D volume has two sides, start and end; a 3-D one has six, with front and back the last. They
    hold zeros, or the input mirrored at its border (`reflect`), or its border repeated
    (`replicate`). A negative number cuts off as many.
    """

    name = "pad"
    synonyms = ("zeropad2d", "zeropadding2d", "zeropad")
    family = Family.PLUMBING
    examples = (
        Example("pad 2", (28, 28, 1)),
        Example("pad 0 1 0 1", (28, 28, 3)),
        Example("pad 3 reflect", (28, 28, 3)),
        Example("pad 1 2 0 1 replicate", (6, 6, 3)),
        Example("pad 4 0", (50, 3)),
        Example("pad 3 reflect", (50, 3)),
        Example("pad 0 2 replicate", (50, 3)),
        Example("pad 1 1 0 2 2 0", (3, 6, 6, 3)),
        Example("pad 1 reflect", (3, 6, 6, 3)),
        Example("pad 1 replicate", (3, 6, 6, 3)),
        Example("pad -1", (6, 6, 3)),
        Example("pad 1 -1 1 -1", (6, 7, 3)),
        Example("pad 0 -3", (50, 3)),
    )

    sides: tuple[int, ...] = positional(SIDES, "rows and columns on the sides", variadic=True)
    mode: str = attribute(
        choice("zeros", "reflect", "replicate"),
        "what they hold",
        "zeros",
        words={"reflect": "reflect", "replicate": "replicate"},
    )

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        ends = self._ends
        if self.mode != "zeros" and min(self.sides) < 0:
            raise LayerError(
                "wrong-padding",
                f"`{self.mode}` adds rows and columns; a negative number cuts them off",
                help=f"leave out `{self.mode}`",
            )
        for axis, size, most in zip(x.axes, x.spatial, map(max, ends), strict=True):
            if self.mode == "reflect" and most >= size:
                raise LayerError(
                    "wrong-padding",
                    f"`reflect` can add at most {size - 1} to a {axis} of {size}, not {most}",
                    help="pad less, or repeat the border with `replicate`",
                )
        padded = [size + sum(end) for size, end in zip(x.spatial, ends, strict=True)]
        for axis, size, cut, end in zip(x.axes, x.spatial, padded, ends, strict=True):
            # What one side cuts off has to be there before the other side is padded.
            if cut < 1 or size + min(end) < 1:
                raise LayerError("empty-volume", f"this cuts off the whole {axis} of {size}")
        return Volume.along(padded, x.channels)

    @property
    def _ends(self) -> Sides:
        """The numbers at both ends of each axis, in the order of the axes."""
        return tuple(zip(self.sides[::2], self.sides[1::2], strict=True))[::-1]

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (Reach(tuple([read_window(1, 1, before, 1) for before, _ in self._ends])),)

    def describe(self) -> str:
        sides = self.sides[:1] if len(set(self.sides)) == 1 else self.sides
        return " ".join([*map(str, sides), *([self.mode] if self.mode != "zeros" else [])])

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        return Saved(inputs=self.mode != "zeros")

    def emit(self, x: Volume) -> Call:
        sides = self.sides[0] if len(set(self.sides)) == 1 else self.sides
        modules = {"zeros": "Zero", "reflect": "Reflection", "replicate": "Replication"}
        return call(f"nn.{modules[self.mode]}Pad{x.rank}d", sides)


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
        Example("reshape 32x4", (4, 8, 4)),
        Example("reshape 2x4x4x4", (64, 2)),
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
    """Enlarges the volume along each axis by a whole factor."""

    name = "upsample"
    synonyms = ("upsampling2d",)
    akin = ("interpolate", "resize")
    family = Family.PLUMBING
    autocast = Autocast.RAISES
    examples = (
        Example("upsample 2", (7, 7, 16)),
        Example("upsample 2x3 mode=bilinear", (7, 7, 16)),
        Example("upsample 4", (25, 16)),
        Example("upsample 3 mode=linear", (25, 16)),
        Example("upsample 1x2x2", (3, 5, 5, 16)),
        Example("upsample 2 mode=trilinear", (3, 5, 5, 16)),
    )

    scale_factor: Axes = positional(COUNTS, "factor")
    mode: str = attribute(
        choice("nearest", "linear", "bilinear", "trilinear"),
        "how numbers are interpolated",
        "nearest",
    )

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        linear = ("linear", "bilinear", "trilinear")[x.rank - 1]
        if self.mode not in ("nearest", linear):
            raise LayerError(
                "wrong-axes",
                f"`{self.mode}` is for other axes than those of {x}",
                help=f"write `mode={linear}`",
                change=Change("mode", linear),
            )
        sizes = zip(x.spatial, self.scale_factor, strict=True)
        return Volume.along([size * factor for size, factor in sizes], x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        read = read_nearest if self.mode == "nearest" else read_linear
        return (Reach(tuple(map(read, self.scale_factor))),)

    def describe(self) -> str:
        return f"×{squared(self.scale_factor)}"

    def emit(self, x: Volume) -> Call:
        return call(
            "nn.Upsample",
            scale_factor=squared(self.scale_factor),
            mode=OptionalArgument(self.mode, "nearest"),
        )
