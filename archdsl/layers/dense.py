"""Fully-connected layers, and flattening before them."""

from __future__ import annotations

from archdsl.layers.call import Call, OptionalArgument, Product, call
from archdsl.layers.fields import BOOLEAN, COUNT, attribute, positional
from archdsl.layers.initializers import Initializer, init_attribute
from archdsl.layers.layer import (
    VIEW,
    Autocast,
    Example,
    Family,
    Saved,
    UnaryLayer,
    WeightLayer,
)
from archdsl.layers.reach import Reach, reach_all
from archdsl.layers.volume import Volume
from archdsl.records import dataclass


@dataclass(frozen=True)
class FullyConnected(WeightLayer):
    """Each unit sees the whole volume, which is flattened first."""

    name = "fc"
    synonyms = (
        "dense",
        "fullyconnected",
        "fully_connected",
        "innerproduct",
        "inner_product",
    )
    akin = ("full",)
    family = Family.DENSE
    autocast = Autocast.LOWERS
    keeps = Saved(inputs=True)
    flattens = True
    examples = (
        Example("fc 4096", (7, 7, 512)),
        Example("fc 10 nobias", (84,)),
        Example("fc 10 init=he(mode=fan_out)", (84,)),
        Example("conv 1x1 8 relu fc 10", (4, 4, 16)),
        Example("fc 10", (25, 8)),
        Example("fc 10", (2, 3, 3, 8)),
    )

    out_features: int = positional(COUNT, "units of the result")
    bias: bool = attribute(BOOLEAN, "adds one number per unit", True, words={"nobias": False})
    init: Initializer | None = init_attribute()

    def infer_volume(self, x: Volume) -> Volume:
        return Volume.vector(self.out_features)

    def count_parameters(self, x: Volume) -> int:
        return x.elements * self.out_features + self.bias * self.out_features

    def count_macs(self, x: Volume) -> int:
        return x.elements * self.out_features

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def describe(self) -> str:
        return str(self.out_features)

    def emit(self, x: Volume) -> Call:
        features = Product(*x.torch_sizes) if x.positions > 1 else x.elements
        return call(
            "nn.Linear", features, self.out_features, bias=OptionalArgument(self.bias, True)
        )


@dataclass(frozen=True)
class Linear(WeightLayer):
    """A fully-connected layer over the channels of every position: a 1×1 convolution."""

    name = "linear"
    family = Family.DENSE
    autocast = Autocast.LOWERS
    keeps = Saved(inputs=True)
    examples = (
        Example("linear 64 init=uniform(0.05)", (14, 14, 32)),
        Example("linear 10 nobias", (84,)),
        Example("linear 8", (50, 16)),
        Example("linear 8 nobias", (2, 5, 5, 16)),
    )

    out_features: int = positional(COUNT, "channels of the result")
    bias: bool = attribute(BOOLEAN, "adds one number per channel", True, words={"nobias": False})
    init: Initializer | None = init_attribute()

    def infer_volume(self, x: Volume) -> Volume:
        return x.with_channels(self.out_features)

    def count_parameters(self, x: Volume) -> int:
        return x.channels * self.out_features + self.bias * self.out_features

    def count_macs(self, x: Volume) -> int:
        return x.elements * self.out_features

    def describe(self) -> str:
        return str(self.out_features)

    def emit(self, x: Volume) -> Call:
        bias = OptionalArgument(self.bias, True)
        if x.is_vector:
            return call("nn.Linear", x.channels, self.out_features, bias=bias)
        return call(f"nn.Conv{x.rank}d", x.channels, self.out_features, 1, bias=bias)


@dataclass(frozen=True)
class Flatten(UnaryLayer):
    """The volume as a vector, channel by channel."""

    name = "flatten"
    family = Family.PLUMBING
    keeps = VIEW
    examples = (Example("flatten", (5, 5, 16)), Example("flatten", (40, 16)))

    def infer_volume(self, x: Volume) -> Volume:
        return Volume.vector(x.elements)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def emit(self, x: Volume) -> Call:
        return call("nn.Flatten")
