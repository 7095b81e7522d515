"""Plumbing: layers that move, cut or enlarge volumes."""

from __future__ import annotations

from math import prod

from archdsl.layers.call import Call, OptionalArgument, call, squared
from archdsl.layers.fields import (
    PAIR,
    REFERENCE,
    SIDES,
    SIZES,
    LayerError,
    attribute,
    choice,
    derived,
    positional,
)
from archdsl.layers.layer import VIEW, Autocast, Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import Reach, reach_all, read_linear, read_nearest, read_window
from archdsl.layers.volume import Volume
from archdsl.layers.windows import Pair, need_image
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
