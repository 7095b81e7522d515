"""What a layer is, and the registry of all of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, ClassVar

from archdsl.layers.call import Call, Code, Operation
from archdsl.layers.fields import LayerError, Role
from archdsl.volume import Volume


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
    """A statement with its input: documentation, and a case that torch judges."""

    text: str
    input: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """What one output element sees of the input, per axis (height, width).

    ``kernel`` counts input positions, dilation included; ``stride`` is the step between the
    windows of neighbouring outputs, as a fraction (numerator, denominator) where a layer enlarges.
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    enlarge: tuple[int, int] = (1, 1)


POINT = Window()

REGISTRY: dict[str, type[Layer]] = {}


class Layer:
    """One operation of the language; each subclass with a ``name`` is a page of the registry."""

    name: ClassVar[str]
    family: ClassVar[Family]
    examples: ClassVar[tuple[Example, ...]]
    #: What else the layer is called elsewhere, to suggest its name here.
    synonyms: ClassVar[tuple[str, ...]] = ()
    #: Source of a helper class that the generated module needs, where torch.nn has none.
    support: ClassVar[str] = ""
    #: Whether the layer owns a weight matrix (``expect weight_layers``).
    has_weights: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in cls.__dict__:
            REGISTRY[cls.name] = cls

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        """The volume of the result. Errors: ``LayerError``."""
        raise NotImplementedError

    def count_parameters(self, x: Volume) -> int:
        """Trainable numbers."""
        return 0

    def count_macs(self, x: Volume) -> int:
        """Multiply–accumulates for one sample, of convolutions and fully-connected products."""
        return 0

    def window(self, x: Volume) -> Window:
        """What an output element sees of the input, for the receptive field."""
        return POINT

    def explain(self, x: Volume) -> str | None:
        """The arithmetic behind the size of the result, for diagnostics."""
        return None

    def describe(self) -> str:
        """The arguments in a few characters, for drawings: ``64 · s1 same``."""
        return ""


class UnaryLayer(Layer):
    """A layer of one input, a module in the generated code."""

    #: Whether the layer reads its input as a vector, so that an image is flattened before it.
    flattens: ClassVar[bool] = False

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        (x,) = inputs
        return self.infer_volume(x)

    def infer_volume(self, x: Volume) -> Volume:
        """The volume of the result; the input's unless a page says otherwise."""
        return x

    def emit(self, x: Volume) -> Call:
        """The call that constructs the module for this input."""
        raise NotImplementedError


class MergeLayer(Layer):
    """A layer that joins branches, an expression in the generated code."""

    def combine(self, operands: tuple[Code, ...]) -> Call | Operation:
        """The Python expression that joins the branches."""
        raise NotImplementedError


@dataclass(frozen=True)
class Input(Layer):
    """The input of a network. Not written in the language; node 0 of every graph."""

    family = Family.INPUT

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        raise LayerError("misplaced-statement", "the input has no volume to infer")


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of a layer class, with its role."""

    name: str
    role: Role
    default: Any

    @property
    def is_required(self) -> bool:
        return self.default is dataclasses.MISSING and not self.role.is_derived


def fields_of(layer: type[Layer]) -> tuple[FieldInfo, ...]:
    """The fields of a layer class in order."""
    return _fields_of(layer.name)


def words_of(layer: type[Layer]) -> dict[str, tuple[FieldInfo, Any]]:
    """The flags a layer understands: ``same``, ``nobias``; each sets one field."""
    return _words_of(layer.name)


def letters_of(layer: type[Layer]) -> dict[str, FieldInfo]:
    """The letters a layer understands: ``s``, ``p``, ``d``, ``g``."""
    return {item.role.letter: item for item in fields_of(layer) if item.role.letter}


@cache
def _fields_of(name: str) -> tuple[FieldInfo, ...]:
    return tuple(
        FieldInfo(item.name, item.metadata["role"], item.default)
        for item in dataclasses.fields(REGISTRY[name])  # type: ignore[arg-type]
    )


@cache
def _words_of(name: str) -> dict[str, tuple[FieldInfo, Any]]:
    return {
        word: (item, value) for item in _fields_of(name) for word, value in item.role.words.items()
    }
