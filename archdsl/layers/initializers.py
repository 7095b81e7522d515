"""Initializers: what the weights of a layer are before training.

They are definitions like the layers': a name, typed fields, a doc line, examples and the PyTorch
call.
"""

from __future__ import annotations

from typing import Any, ClassVar

from archdsl.layers.call import Call, Code, OptionalArgument, call
from archdsl.layers.definition import Definition
from archdsl.layers.fields import NUMBER, POSITIVE, FieldKind, attribute, choice, positional
from archdsl.records import dataclass

#: The largest initial value. Useful ones are far smaller; the bound also keeps out numbers that
#: no tensor can hold.
MAX_START = 1000

INITIALIZERS: dict[str, type[Initializer]] = {}


def _bounded(kind: FieldKind, phrase: str) -> FieldKind:
    def convert(value: Any) -> float:
        number: float = kind.convert(value)
        if abs(number) > MAX_START:
            raise ValueError
        return number

    return FieldKind(phrase, convert)


STD = _bounded(POSITIVE, f"a number above 0, at most {MAX_START}")
INITIAL_VALUE = _bounded(NUMBER, f"a number from −{MAX_START} to {MAX_START}")


def _bias() -> Any:
    return attribute(INITIAL_VALUE, "initial value of all biases", 0.0)


class Initializer(Definition):
    """Sets the initial weights and biases; each subclass is registered by its ``name``."""

    #: How the ``init`` statement of a network writes it.
    example: ClassVar[str]

    bias: float

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        INITIALIZERS[cls.name] = cls

    @classmethod
    def usage(cls) -> str:
        return cls.example

    def emit(self, weight: Code) -> Call:
        """The call that fills a weight."""
        raise NotImplementedError

    def emit_bias(self, bias: Code) -> Call:
        """The call that fills a bias."""
        match self.bias:
            case 0:
                return call("nn.init.zeros_", bias)
            case 1:
                return call("nn.init.ones_", bias)
            case _:
                return call("nn.init.constant_", bias, self.bias)


@dataclass(frozen=True)
class He(Initializer):
    """Normal with variance 2/fan, for layers before a ReLU (He et al. 2015, section 2.2).

    The fan counts a layer's connections as PyTorch does: `fan_in` to each of its outputs,
    `fan_out` from each of its inputs.
    """

    name = "he"
    synonyms = ("msra", "kaiming_normal")
    akin = ("kaiming", "he_normal")
    example = "init he mode=fan_out"

    mode: str = attribute(choice("fan_in", "fan_out"), "which connections are counted", "fan_in")
    bias: float = _bias()

    def emit(self, weight: Code) -> Call:
        mode = OptionalArgument(self.mode, "fan_in")
        return call("nn.init.kaiming_normal_", weight, mode=mode, nonlinearity="relu")


@dataclass(frozen=True)
class Xavier(Initializer):
    """Uniform with variance 2/(fan_in + fan_out) (Glorot & Bengio 2010, equation 16)."""

    name = "xavier"
    synonyms = ("glorot", "xavier_uniform", "glorot_uniform")
    example = "init xavier"

    bias: float = _bias()

    def emit(self, weight: Code) -> Call:
        return call("nn.init.xavier_uniform_", weight)


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal around 0."""

    name = "normal"
    synonyms = ("gaussian",)
    akin = ("randn", "random_normal")
    example = "init normal 0.01 bias 1"

    std: float = positional(STD, "standard deviation")
    bias: float = _bias()

    def emit(self, weight: Code) -> Call:
        return call("nn.init.normal_", weight, std=self.std)


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform between −bound and bound."""

    name = "uniform"
    akin = ("rand", "random_uniform")
    example = "init uniform 0.05"

    bound: float = positional(STD, "largest absolute value")
    bias: float = _bias()

    def emit(self, weight: Code) -> Call:
        return call("nn.init.uniform_", weight, -self.bound, self.bound)


@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0: for the last layer of a branch, which then adds nothing at first."""

    name = "zeros"
    synonyms = ("zero",)
    example = "init zeros bias 0.5"

    bias: float = _bias()

    def emit(self, weight: Code) -> Call:
        return call("nn.init.zeros_", weight)


def _initializer(value: Any) -> Initializer:
    if not isinstance(value, Initializer):
        raise ValueError
    return value


INITIALIZER = FieldKind("an initializer such as `he` or `normal(0.01)`", _initializer)


def init_attribute() -> Any:
    """The attribute ``init`` of a layer with weights; None leaves it to the network."""
    return attribute(INITIALIZER, "how weights and biases are initialized", None)
