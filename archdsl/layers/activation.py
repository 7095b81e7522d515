"""Activations: one function applied to every number."""

from __future__ import annotations

from typing import ClassVar

from archdsl.layers.call import Call, OptionalArgument, call
from archdsl.layers.fields import COUNT, NUMBER, LayerError, attribute, choice
from archdsl.layers.layer import Autocast, Example, Family, Saved, UnaryLayer
from archdsl.layers.volume import Volume
from archdsl.records import dataclass

_EXAMPLE_INPUT = (8, 8, 4)


@dataclass(frozen=True)
class _Activation(UnaryLayer):
    """An activation without attributes; a definition names it and its module."""

    family = Family.ACTIVATION
    module: ClassVar[str]

    def emit(self, x: Volume) -> Call:
        return call(self.module)


@dataclass(frozen=True)
class ReLU(_Activation):
    """max(0, x)."""

    name = "relu"
    synonyms = ("rectifier", "rectified")
    module = "nn.ReLU"
    keeps = Saved(output=True)
    examples = (Example("relu", _EXAMPLE_INPUT),)


@dataclass(frozen=True)
class ReLU6(_Activation):
    """min(max(0, x), 6)."""

    name = "relu6"
    module = "nn.ReLU6"
    keeps = Saved(inputs=True)
    examples = (Example("relu6", _EXAMPLE_INPUT),)


@dataclass(frozen=True)
class SiLU(_Activation):
    """x · sigmoid(x), also called swish."""

    name = "silu"
    synonyms = ("swish",)
    module = "nn.SiLU"
    keeps = Saved(inputs=True)
    examples = (Example("silu", _EXAMPLE_INPUT),)


@dataclass(frozen=True)
class HardSwish(_Activation):
    """x · min(max(x + 3, 0), 6)/6 (Howard et al. 2019)."""

    name = "hardswish"
    synonyms = ("hard_swish", "h_swish")
    module = "nn.Hardswish"
    keeps = Saved(inputs=True)
    examples = (Example("hardswish", _EXAMPLE_INPUT),)


@dataclass(frozen=True)
class HardSigmoid(_Activation):
    """min(max(x + 3, 0), 6)/6 (Howard et al. 2019)."""

    name = "hardsigmoid"
    module = "nn.Hardsigmoid"
    keeps = Saved(inputs=True)
    examples = (Example("hardsigmoid", _EXAMPLE_INPUT),)


@dataclass(frozen=True)
class Sigmoid(_Activation):
    """1/(1 + e⁻ˣ)."""

    name = "sigmoid"
    synonyms = ("logistic",)
    module = "nn.Sigmoid"
    keeps = Saved(output=True)
    examples = (Example("sigmoid", _EXAMPLE_INPUT),)


@dataclass(frozen=True)
class Tanh(_Activation):
    """The hyperbolic tangent."""

    name = "tanh"
    module = "nn.Tanh"
    keeps = Saved(output=True)
    examples = (Example("tanh", _EXAMPLE_INPUT),)


@dataclass(frozen=True)
class LeakyReLU(UnaryLayer):
    """x where positive, else a small multiple of it."""

    name = "leakyrelu"
    synonyms = ("leaky_relu", "lrelu")
    family = Family.ACTIVATION
    keeps = Saved(inputs=True)
    examples = (
        Example("leakyrelu", _EXAMPLE_INPUT),
        Example("leakyrelu negative_slope=0.1", _EXAMPLE_INPUT),
    )

    negative_slope: float = attribute(NUMBER, "factor of negative numbers", 0.01)

    def emit(self, x: Volume) -> Call:
        return call("nn.LeakyReLU", negative_slope=OptionalArgument(self.negative_slope, 0.01))


@dataclass(frozen=True)
class PReLU(UnaryLayer):
    """A leaky ReLU whose slope is trained (He et al. 2015): one for all, or one per channel."""

    name = "prelu"
    family = Family.ACTIVATION
    keeps = Saved(inputs=True)
    autocast = Autocast.LOWERS
    examples = (
        Example("prelu", _EXAMPLE_INPUT),
        Example("prelu num_parameters=4", _EXAMPLE_INPUT),
    )

    num_parameters: int = attribute(COUNT, "slopes: 1, or the number of channels", 1)

    def infer_volume(self, x: Volume) -> Volume:
        if self.num_parameters not in (1, x.channels):
            raise LayerError(
                "wrong-value",
                f"`prelu` has 1 slope or one per channel ({x.channels}), not {self.num_parameters}",
            )
        return x

    def count_parameters(self, x: Volume) -> int:
        return self.num_parameters

    def emit(self, x: Volume) -> Call:
        return call("nn.PReLU", num_parameters=OptionalArgument(self.num_parameters, 1))


@dataclass(frozen=True)
class ELU(UnaryLayer):
    """x where positive, else alpha·(eˣ − 1) (Clevert et al. 2016)."""

    name = "elu"
    family = Family.ACTIVATION
    keeps = Saved(inputs=True)
    examples = (Example("elu", _EXAMPLE_INPUT), Example("elu alpha=0.5", _EXAMPLE_INPUT))

    alpha: float = attribute(NUMBER, "the limit for very negative numbers, negated", 1.0)

    def emit(self, x: Volume) -> Call:
        return call("nn.ELU", alpha=OptionalArgument(self.alpha, 1.0))


@dataclass(frozen=True)
class GELU(UnaryLayer):
    """x · Φ(x) with the normal distribution's Φ (Hendrycks & Gimpel 2016)."""

    name = "gelu"
    family = Family.ACTIVATION
    keeps = Saved(inputs=True)
    examples = (
        Example("gelu", _EXAMPLE_INPUT),
        Example("gelu approximate=tanh", _EXAMPLE_INPUT),
    )

    approximate: str = attribute(choice("none", "tanh"), "how Φ is computed", "none")

    def emit(self, x: Volume) -> Call:
        return call("nn.GELU", approximate=OptionalArgument(self.approximate, "none"))


@dataclass(frozen=True)
class Softmax(UnaryLayer):
    """The channels of each position as probabilities.

    PyTorch's cross-entropy takes the numbers before it: a network to be trained ends in logits.
    """

    name = "softmax"
    family = Family.ACTIVATION
    keeps = Saved(output=True)
    autocast = Autocast.RAISES
    examples = (Example("softmax", (10,)), Example("softmax", _EXAMPLE_INPUT))

    def emit(self, x: Volume) -> Call:
        return call("nn.Softmax", dim=1)
