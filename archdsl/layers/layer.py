"""What a layer is, and the registry of all of them."""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar

from archdsl.layers.call import Call, Code, InfixCode
from archdsl.layers.definition import Definition
from archdsl.layers.fields import LayerError
from archdsl.layers.initializers import Initializer
from archdsl.layers.reach import Reach, reads_here
from archdsl.layers.volume import Volume
from archdsl.records import dataclass


class Family(Enum):
    """What a layer is for; drawings colour by it."""

    CONVOLUTION = "convolution"
    POOLING = "pooling"
    DENSE = "dense"
    NORMALIZATION = "normalization"
    ACTIVATION = "activation"
    REGULARIZATION = "regularization"
    MERGE = "merge"
    PLUMBING = "plumbing"
    INPUT = "input"


@dataclass(frozen=True, slots=True)
class Example:
    """A statement with its input: documentation, and a test case that is compared with torch."""

    text: str
    input: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Saved:
    """What a layer keeps for the backward pass, and whether its result has memory of its own.

    ``inputs`` and ``output`` are kept by reference: what two layers keep exists only once. In
    addition, a layer keeps ``numbers`` numbers in its precision and ``bytes`` bytes in any
    precision for each image, and ``once`` bytes however many images there are. The result of a
    view shares the memory of the first input.
    """

    inputs: bool = False
    output: bool = False
    numbers: int = 0
    bytes: int = 0
    once: int = 0
    is_view: bool = False


VIEW = Saved(is_view=True)


class Autocast(Enum):
    """What mixed precision does to a layer, on a GPU: PyTorch's lists for ``torch.autocast``."""

    #: Works in the precision of its input.
    FOLLOWS = "follows"
    #: Works in 2 bytes per number, with a copy of its parameters.
    LOWERS = "lowers"
    #: Works in 4 bytes per number.
    RAISES = "raises"
    #: Takes its input as it is and returns 4 bytes per number.
    WIDENS = "widens"


REGISTRY: dict[str, type[Layer]] = {}


class Layer(Definition):
    """One operation of the language; each subclass with a ``name`` is registered."""

    family: ClassVar[Family]
    examples: ClassVar[tuple[Example, ...]]
    #: Source of a helper class that the generated module needs, where torch.nn has none.
    support: ClassVar[str] = ""
    #: Whether the layer owns a weight matrix (``expect weight_layers``).
    has_weights: ClassVar[bool] = False
    #: What training keeps of the layer, where that is the same for all volumes.
    keeps: ClassVar[Saved] = Saved()
    autocast: ClassVar[Autocast] = Autocast.FOLLOWS

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in cls.__dict__:
            REGISTRY[cls.name] = cls

    @classmethod
    def usage(cls) -> str:
        return cls.examples[0].text

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        """The volume of the result. Errors: ``LayerError``."""
        raise NotImplementedError

    def count_parameters(self, x: Volume) -> int:
        """Trainable numbers."""
        return 0

    def count_macs(self, x: Volume) -> int:
        """Multiply–accumulates for one sample, of convolutions and fully-connected products."""
        return 0

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        """What training keeps of the layer for the backward pass."""
        return self.keeps

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        """Which positions of its inputs a position of the result reads, for receptive fields.

        An input that is read in several ways appears several times.
        """
        return reads_here(len(inputs))

    def explain(self, x: Volume) -> tuple[str, str] | None:
        """The arithmetic behind the height and the width of the result, for diagnostics."""
        return None

    def explain_axes(self, x: Volume, axes: tuple[bool, bool] = (True, True)) -> str | None:
        """The arithmetic of one axis or both, each named where they differ."""
        arithmetic = self.explain(x)
        if arithmetic is None or not any(axes):
            return None
        if arithmetic[0] == arithmetic[1]:
            return arithmetic[0]
        named = zip(("height", "width"), arithmetic, axes, strict=True)
        return ", ".join(f"{axis} {text}" for axis, text, is_wanted in named if is_wanted)

    def describe(self) -> str:
        """The arguments in a few characters, for drawings: ``64 · s1 same``."""
        return ""


class UnaryLayer(Layer):
    """A layer with one input, a module in the generated code."""

    #: Whether the layer reads its input as a vector, so that an image is flattened before it.
    flattens: ClassVar[bool] = False

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        (x,) = inputs
        return self.infer_volume(x)

    def infer_volume(self, x: Volume) -> Volume:
        """The volume of the result; the input's unless a definition says otherwise."""
        return x

    def uncovered(self, x: Volume) -> tuple[int, int]:
        """How many rows and columns at the end of the input no window reads."""
        return (0, 0)

    def emit(self, x: Volume) -> Call:
        """The call that constructs the module for this input."""
        raise NotImplementedError


class WeightLayer(UnaryLayer):
    """A layer whose module owns a ``weight``, and a ``bias`` where it has one.

    Where ``emit`` returns several modules in a row, the last one is the owner.
    """

    has_weights = True

    bias: bool
    #: How they are initialized; None leaves it to the network.
    init: Initializer | None


def merges() -> tuple[str, ...]:
    """The words that join branches."""
    return tuple(
        name for name, definition in REGISTRY.items() if issubclass(definition, MergeLayer)
    )


class MergeLayer(Layer):
    """A layer that joins branches, an expression in the generated code."""

    def combine(self, operands: tuple[Code, ...]) -> Call | InfixCode:
        """The Python expression that joins the branches: operands, nested calls and methods.

        Each operand may be a whole expression, so it may appear only once in the result.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ErrorNode(Layer):
    """A statement with a fault, in a network that is shown up to it."""

    family = Family.PLUMBING

    text: str


@dataclass(frozen=True)
class Input(Layer):
    """The input of a network. Not written in the language; node 0 of every graph."""

    family = Family.INPUT

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        raise LayerError("misplaced-statement", "the input has no volume to infer")
