"""Activations: one function applied to every number."""

from __future__ import annotations

from typing import ClassVar

from archdsl.layers.call import Call, OptionalArgument, call
from archdsl.layers.fields import (
    COUNT,
    NUMBER,
    POSITIVE,
    LayerError,
    attribute,
    choice,
    positional,
)
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
        Example("leakyrelu 0.1", _EXAMPLE_INPUT),
    )

    negative_slope: float = positional(NUMBER, "factor of negative numbers", 0.01)

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
    examples = (Example("elu", _EXAMPLE_INPUT), Example("elu 0.5", _EXAMPLE_INPUT))

    alpha: float = positional(NUMBER, "the limit for very negative numbers, negated", 1.0)

    def emit(self, x: Volume) -> Call:
        return call("nn.ELU", alpha=OptionalArgument(self.alpha, 1.0))


@dataclass(frozen=True)
class SELU(_Activation):
    """scale · (x where positive, else alpha·(eˣ − 1)), which normalizes (Klambauer et al. 2017)."""

    name = "selu"
    module = "nn.SELU"
    keeps = Saved(inputs=True)
    examples = (Example("selu", _EXAMPLE_INPUT),)


@dataclass(frozen=True)
class Mish(_Activation):
    """x · tanh(softplus(x)) (Misra 2019)."""

    name = "mish"
    module = "nn.Mish"
    keeps = Saved(inputs=True)
    examples = (Example("mish", _EXAMPLE_INPUT),)


@dataclass(frozen=True)
class Softplus(UnaryLayer):
    """log(1 + e^(beta·x))/beta: a smooth ReLU (Dugas et al. 2001)."""

    name = "softplus"
    family = Family.ACTIVATION
    keeps = Saved(inputs=True)
    autocast = Autocast.RAISES
    examples = (
        Example("softplus", _EXAMPLE_INPUT),
        Example("softplus beta=2 threshold=10", _EXAMPLE_INPUT),
    )

    beta: float = attribute(POSITIVE, "how sharply it bends", 1.0)
    threshold: float = attribute(NUMBER, "the beta·x above which it is x", 20.0)

    def emit(self, x: Volume) -> Call:
        return call(
            "nn.Softplus",
            beta=OptionalArgument(self.beta, 1.0),
            threshold=OptionalArgument(self.threshold, 20.0),
        )


@dataclass(frozen=True)
class HardTanh(UnaryLayer):
    """min(max(x, min_val), max_val) (Collobert 2004)."""

    name = "hardtanh"
    akin = ("clip", "clamp")
    family = Family.ACTIVATION
    keeps = Saved(inputs=True)
    examples = (
        Example("hardtanh", _EXAMPLE_INPUT),
        Example("hardtanh min_val=0 max_val=20", _EXAMPLE_INPUT),
    )

    min_val: float = attribute(NUMBER, "the smallest number of the result", -1.0)
    max_val: float = attribute(NUMBER, "the largest number of the result", 1.0)

    def infer_volume(self, x: Volume) -> Volume:
        if self.min_val >= self.max_val:
            raise LayerError(
                "wrong-value",
                f"`hardtanh` needs a `min_val` below its `max_val`, not {self.min_val:g} "
                f"and {self.max_val:g}",
            )
        return x

    def emit(self, x: Volume) -> Call:
        return call(
            "nn.Hardtanh",
            min_val=OptionalArgument(self.min_val, -1.0),
            max_val=OptionalArgument(self.max_val, 1.0),
        )


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
class AbsoluteValue(_Activation):
    """|x|, as behind the difference of two results."""

    name = "abs"
    synonyms = ("absolute", "absval")
    module = "Abs"
    keeps = Saved(inputs=True)
    examples = (Example("abs", _EXAMPLE_INPUT), Example("sub { conv 1x1 4 | id } abs", (8, 8, 4)))
    support = '''\
class Abs(nn.Module):
    """The absolute value of each number."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()
'''


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


@dataclass(frozen=True)
class LogSoftmax(UnaryLayer):
    """The logarithms of what `softmax` gives, for a loss on log-probabilities."""

    name = "logsoftmax"
    synonyms = ("log_softmax",)
    family = Family.ACTIVATION
    keeps = Saved(output=True)
    autocast = Autocast.RAISES
    examples = (Example("logsoftmax", (10,)), Example("logsoftmax", _EXAMPLE_INPUT))

    def emit(self, x: Volume) -> Call:
        return call("nn.LogSoftmax", dim=1)
