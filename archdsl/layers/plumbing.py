"""Plumbing: layers that move, cut or enlarge volumes."""

from __future__ import annotations

from math import prod

from archdsl.layers.call import Call, OptionalArgument, call, squared
from archdsl.layers.fields import (
    COUNTS,
    REFERENCE,
    SIDES,
    SIZES,
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
    """An earlier part, cut centrally to the size of the branch's input along each axis.

    An odd row or column is cut off at the end (Ronneberger et al. 2015, U-Net).
    """

    name = "crop"
    family = Family.PLUMBING
    keeps = VIEW
    examples = (
        Example("a: conv 3x3 4; conv 4x5 4; concat { crop a | id }", (12, 12, 4)),
        Example("a: conv 3 4; conv 4 4; concat { crop a | id }", (30, 4)),
        Example("a: conv 1 4; conv 2x3x3 4; concat { crop a | id }", (4, 6, 6, 4)),
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
    rank_support = (
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
    )

    reference: str = positional(REFERENCE, "the part to cut")
    sizes: Axes = derived("the size of the branch's input along each axis")

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        if len(self.sizes) != x.rank:
            raise LayerError(
                "wrong-axes",
                f"`{self.reference}` ({x}) has other axes than the branch's input, to whose size "
                "it is to be cut",
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
        cut = [(own - size) // 2 for own, size in zip(x.spatial, self.sizes, strict=True)]
        return (Reach(tuple([read_window(1, 1, -before, 1) for before in cut])),)

    def describe(self) -> str:
        return "to " + "×".join(map(str, self.sizes))

    def emit(self, x: Volume) -> Call:
        return call(helper("Crop", x), *self.sizes)


@dataclass(frozen=True)
class Pad(UnaryLayer):
    """Rows and columns around the input: as many on each side, or left, right, top, bottom.

    A 1-D volume has two sides, start and end; a 3-D one has six, with front and back the last. They
    hold zeros, or the input mirrored at its border (`reflect`), or its border repeated
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
        Example("pad 4 0", (50, 3)),
        Example("pad 3 reflect", (50, 3)),
        Example("pad 0 2 replicate", (50, 3)),
        Example("pad 1 1 0 2 2 0", (3, 6, 6, 3)),
        Example("pad 1 reflect", (3, 6, 6, 3)),
        Example("pad 1 replicate", (3, 6, 6, 3)),
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
        for axis, size, most in zip(x.axes, x.spatial, map(max, ends), strict=True):
            if self.mode == "reflect" and most >= size:
                raise LayerError(
                    "wrong-padding",
                    f"`reflect` can add at most {size - 1} to a {axis} of {size}, not {most}",
                    help="pad less, or repeat the border with `replicate`",
                )
        padded = [size + sum(end) for size, end in zip(x.spatial, ends, strict=True)]
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
