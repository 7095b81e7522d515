"""Normalization."""

from __future__ import annotations

from archdsl.layers.call import Call, OptionalArgument, call
from archdsl.layers.fields import (
    BOOLEAN,
    COUNT,
    NUMBER,
    POSITIVE,
    LayerError,
    attribute,
    positional,
)
from archdsl.layers.layer import Autocast, Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import HERE, Reach, reach_all
from archdsl.layers.volume import Volume
from archdsl.layers.windows import need_axes, split_groups
from archdsl.records import dataclass


@dataclass(frozen=True)
class BatchNorm(UnaryLayer):
    """Normalizes each channel over the batch (Ioffe & Szegedy 2015).

    The running statistics are not parameters.
    """

    name = "bn"
    synonyms = (
        "batchnorm",
        "batch_norm",
        "batchnorm2d",
        "batchnorm1d",
        "batchnormalization",
    )
    family = Family.NORMALIZATION
    examples = (
        Example("bn", (28, 28, 64)),
        Example("bn eps=0.001 momentum=0.01 affine=false", (28, 28, 64)),
        Example("bn", (128,)),
        Example("bn", (100, 64)),
        Example("bn", (4, 7, 7, 64)),
    )

    eps: float = attribute(POSITIVE, "added to the variance before the square root", 1e-5)
    momentum: float = attribute(NUMBER, "weight of a new batch in the running statistics", 0.1)
    affine: bool = attribute(BOOLEAN, "trains a factor and a bias per channel", True)

    def count_parameters(self, x: Volume) -> int:
        return 2 * x.channels * self.affine

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # Mean and variance of each channel.
        return Saved(inputs=True, once=8 * out.channels)

    def emit(self, x: Volume) -> Call:
        return call(
            f"nn.BatchNorm{max(x.rank, 1)}d",
            x.channels,
            eps=OptionalArgument(self.eps, 1e-5),
            momentum=OptionalArgument(self.momentum, 0.1),
            affine=OptionalArgument(self.affine, True),
        )


@dataclass(frozen=True)
class LocalResponseNorm(UnaryLayer):
    """Divides by the activity of neighbouring channels (Krizhevsky et al. 2012, section 3.3).

    x / (k + alpha/size · Σ x²)^beta over ``size`` channels: alpha is divided by the size, as in
    PyTorch, Caffe and the original code, but not in the paper's formula.
    """

    name = "lrn"
    synonyms = ("localresponsenorm", "local_response_norm")
    akin = ("norm",)
    family = Family.NORMALIZATION
    autocast = Autocast.WIDENS
    examples = (
        Example("lrn", (55, 55, 96)),
        Example("lrn 3 alpha=0.001 beta=0.5 k=2", (13, 13, 16)),
        Example("lrn", (50, 16)),
        Example("lrn", (4, 7, 7, 16)),
    )

    size: int = positional(COUNT, "neighbouring channels summed over", default=5)
    alpha: float = attribute(NUMBER, "factor of the sum, divided by the size", 1e-4)
    beta: float = attribute(NUMBER, "exponent", 0.75)
    k: float = attribute(NUMBER, "added to the sum", 1.0)

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        return x

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # The squares with the channels padded for the window, the base of the power, the power.
        channels = out.channels + self.size // 2 + (self.size - 1) // 2
        squares = out.with_channels(channels).elements
        return Saved(inputs=True, numbers=squares, bytes=8 * out.elements)

    def describe(self) -> str:
        return f"n{self.size}"

    def emit(self, x: Volume) -> Call:
        return call(
            "nn.LocalResponseNorm",
            self.size,
            alpha=OptionalArgument(self.alpha, 1e-4),
            beta=OptionalArgument(self.beta, 0.75),
            k=OptionalArgument(self.k, 1.0),
        )


@dataclass(frozen=True)
class LayerNorm(UnaryLayer):
    """Normalizes the channels of each position (Ba et al. 2016), or a vector as a whole."""

    name = "ln"
    synonyms = ("layernorm", "layer_norm", "layernormalization")
    family = Family.NORMALIZATION
    autocast = Autocast.RAISES
    examples = (
        Example("ln", (14, 14, 64)),
        Example("ln eps=0.001", (128,)),
        Example("ln", (50, 16)),
        Example("ln", (4, 7, 7, 16)),
    )
    support = '''\
class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels of each position."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.movedim(1, -1)
        x = nn.functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.movedim(-1, 1)
'''

    eps: float = attribute(POSITIVE, "added to the variance before the square root", 1e-5)

    def count_parameters(self, x: Volume) -> int:
        return 2 * x.channels

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # Mean and variance of each position.
        return Saved(inputs=True, bytes=8 * out.positions)

    def emit(self, x: Volume) -> Call:
        callee = "nn.LayerNorm" if x.is_vector else "ChannelNorm"
        return call(callee, x.channels, eps=OptionalArgument(self.eps, 1e-5))


@dataclass(frozen=True)
class RMSNorm(UnaryLayer):
    """Divides the channels of each position by their root mean square (Zhang & Sennrich 2019)."""

    name = "rmsnorm"
    synonyms = ("rms", "rms_norm")
    family = Family.NORMALIZATION
    autocast = Autocast.RAISES
    examples = (
        Example("rmsnorm", (50, 16)),
        Example("rmsnorm eps=0.001", (128,)),
        Example("rmsnorm", (14, 14, 64)),
        Example("rmsnorm", (4, 7, 7, 16)),
    )
    support = '''\
class ChannelRMSNorm(nn.RMSNorm):
    """Division by the root mean square of the channels of each position."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.movedim(1, -1)
        x = nn.functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)
        return x.movedim(-1, 1)
'''

    eps: float = attribute(POSITIVE, "added to the mean square before the root", 1e-6)

    def count_parameters(self, x: Volume) -> int:
        return x.channels

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # The inverse root of each position.
        return Saved(inputs=True, bytes=4 * out.positions)

    def emit(self, x: Volume) -> Call:
        return call("nn.RMSNorm" if x.is_vector else "ChannelRMSNorm", x.channels, eps=self.eps)


@dataclass(frozen=True)
class GroupNorm(UnaryLayer):
    """Normalizes each sample over groups of neighbouring channels (Wu & He 2018)."""

    name = "gn"
    synonyms = ("groupnorm", "group_norm")
    family = Family.NORMALIZATION
    autocast = Autocast.RAISES
    examples = (
        Example("gn 8", (32, 32, 64)),
        Example("gn 1 eps=0.001 affine=false", (4, 4, 6)),
        Example("gn 4", (50, 16)),
        Example("gn 4", (4, 7, 7, 16)),
    )

    num_groups: int = positional(COUNT, "how many groups the channels are split into")
    eps: float = attribute(POSITIVE, "added to the variance before the square root", 1e-5)
    affine: bool = attribute(BOOLEAN, "trains a factor and a bias per channel", True)

    def infer_volume(self, x: Volume) -> Volume:
        split_groups(x.channels, self.num_groups, "channels", field="num_groups")
        return x

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        # In evaluation, too, the mean and variance are those of the image.
        return (HERE, reach_all(inputs[0]))

    def count_parameters(self, x: Volume) -> int:
        return 2 * x.channels * self.affine

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # Mean and variance of each group.
        return Saved(inputs=True, bytes=8 * self.num_groups)

    def describe(self) -> str:
        return f"{self.num_groups} groups"

    def emit(self, x: Volume) -> Call:
        return call(
            "nn.GroupNorm",
            self.num_groups,
            x.channels,
            eps=OptionalArgument(self.eps, 1e-5),
            affine=OptionalArgument(self.affine, True),
        )


@dataclass(frozen=True)
class InstanceNorm(UnaryLayer):
    """Normalizes each channel of each sample (Ulyanov et al. 2016).

    By default it has no parameters.
    """

    name = "in"
    synonyms = (
        "instancenorm",
        "instance_norm",
        "instancenorm2d",
    )
    family = Family.NORMALIZATION
    examples = (
        Example("in", (16, 16, 8)),
        Example("in eps=0.001 affine=true", (16, 16, 8)),
        Example("in", (50, 8)),
        Example("in affine=true", (4, 7, 7, 8)),
    )

    eps: float = attribute(POSITIVE, "added to the variance before the square root", 1e-5)
    affine: bool = attribute(BOOLEAN, "trains a factor and a bias per channel", False)

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        if x.positions == 1:
            raise LayerError(
                "wrong-value", f"`in` over one position ({x}) would make every number zero"
            )
        return x

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        # In evaluation, too, the mean and variance are those of the image.
        return (HERE, reach_all(inputs[0]))

    def count_parameters(self, x: Volume) -> int:
        return 2 * x.channels * self.affine

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # Mean and variance of each channel, and its factor, repeated for each image.
        return Saved(inputs=True, bytes=(8 + 4 * self.affine) * out.channels)

    def emit(self, x: Volume) -> Call:
        return call(
            f"nn.InstanceNorm{x.rank}d",
            x.channels,
            eps=OptionalArgument(self.eps, 1e-5),
            affine=OptionalArgument(self.affine, False),
        )
