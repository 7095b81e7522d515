"""What a layer is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, ClassVar, TypeVar

from archdsl.layers.call import Call, Code, InfixCode
from archdsl.layers.definition import Definition, FieldInfo, per_axis_fields
from archdsl.layers.fields import Change, LayerError, derived, written_size
from archdsl.layers.initializers import Initializer
from archdsl.layers.reach import Reach, reads_here
from archdsl.layers.volume import AXES, Volume
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
    precision for each image, and ``once`` bytes however many images there are. ``raised`` numbers
    are kept in 4 bytes, and where the precision is lower, lowered as well. The result of a view
    shares the memory of the first input.
    """

    inputs: bool = False
    output: bool = False
    numbers: int = 0
    raised: int = 0
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

AnyLayer = TypeVar("AnyLayer", bound="Layer")


class Layer(Definition):
    """One operation of the language; each subclass with a ``name`` is registered."""

    family: ClassVar[Family]
    examples: ClassVar[tuple[Example, ...]]
    #: Source of a helper class that the generated module needs, where torch.nn has none.
    support: ClassVar[str] = ""
    #: The same for other arguments, and for volumes of one and of three axes, where they need
    #: other classes.
    more_support: ClassVar[tuple[str, ...]] = ()
    #: Whether the layer owns a weight matrix (``expect weight_layers``).
    has_weights: ClassVar[bool] = False
    #: Whether the numbers that the layer reads are those of words, below its ``words``.
    reads_words: ClassVar[bool] = False
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

    @classmethod
    def helpers(cls) -> dict[str, str]:
        """The sources of the helper classes by name."""
        sources = (cls.support, *cls.more_support)
        return {_class_name(source): source for source in sources if source}

    def fitted(self: AnyLayer, inputs: tuple[Volume, ...]) -> AnyLayer:
        """The layer with a number for each axis of its input where one stands for all of them.

        All other rules are asked of a fitted layer.

        Errors: ``LayerError`` where a size has numbers for other axes.
        """
        changed = {}
        rank = inputs[0].rank
        for item in per_axis_fields(type(self)) if rank else ():
            sizes, wanted = getattr(self, item.name), rank * item.role.kind.per_axis
            if not isinstance(sizes, tuple) or len(sizes) == wanted:
                continue
            if len(sizes) != 1:
                raise _misfit(self, item, inputs[0])
            changed[item.name] = sizes * wanted
        return replace(self, **changed) if changed else self  # type: ignore[type-var]

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        """The volume of the result. Errors: ``LayerError``."""
        raise NotImplementedError

    def count_parameters(self, x: Volume) -> int:
        """Trainable numbers."""
        return 0

    def macs_of(self, inputs: tuple[Volume, ...]) -> int:
        """Multiply–accumulates for one sample, of convolutions and products of matrices."""
        return 0

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        """What training keeps of the layer for the backward pass."""
        return self.keeps

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        """Which positions of its inputs a position of the result reads, for receptive fields.

        An input that is read in several ways appears several times.
        """
        return reads_here(len(inputs))

    def explain(self, x: Volume) -> tuple[str, ...] | None:
        """The arithmetic behind the size of the result along each axis, for diagnostics."""
        return None

    def explain_axes(self, x: Volume, axes: Sequence[bool] | None = None) -> str | None:
        """The arithmetic of some axes, or of all, each named where they differ."""
        arithmetic = self.explain(x)
        if arithmetic is None or not (axes is None or any(axes)):
            return None
        if len(set(arithmetic)) == 1:
            return arithmetic[0]
        wanted = (True,) * x.rank if axes is None else axes
        named = zip(x.axes, arithmetic, wanted, strict=True)
        return ", ".join(f"{axis} {text}" for axis, text, is_wanted in named if is_wanted)

    @property
    def packages(self) -> tuple[str, ...]:
        """What the generated module imports for it, besides PyTorch."""
        return ()

    def describe(self) -> str:
        """The arguments in a few characters, for drawings: ``64 · s1 same``."""
        return ""


def _class_name(source: str) -> str:
    return source.partition("(")[0].removeprefix("class ")


def support_for(source: str, one: tuple[str, str], three: tuple[str, str]) -> tuple[str, ...]:
    """A helper class of images for one axis and for three, with these changes of its source."""
    name = _class_name(source)
    return tuple(
        source.replace(f"class {name}(", f"class {name}{rank}d(").replace(*change)
        for rank, change in ((1, one), (3, three))
    )


def helper(name: str, x: Volume) -> str:
    """What a helper class that depends on the number of axes is called."""
    return name if x.is_image else f"{name}{x.rank}d"


def _misfit(layer: Layer, item: FieldInfo, x: Volume) -> LayerError:
    """A size with numbers for other axes than those of the input."""
    sizes, per_axis = getattr(layer, item.name), item.role.kind.per_axis
    given = AXES[len(sizes) // per_axis]
    only = "only " if x.rank < len(given) else ""
    shown = written_size(sizes) if per_axis == 1 else " ".join(map(str, sizes))
    ends = "" if per_axis == 1 else "both ends of "
    help = change = None
    if per_axis == 2:
        help = f"write one number, or {_ENDS[x.rank]}"
    elif len(set(sizes)) == 1:
        help, change = f"write `{sizes[0]}`, for each axis", Change(item.name, sizes[:1])
        if x.rank == 1:
            help += "; an image is height x width x channels"
    return LayerError(
        "wrong-axes",
        f"`{item.name}` of `{layer.name}` is {shown}, for {ends}{_listed(given)}; its input {x} "
        f"has {only}{_listed(x.axes)}",
        help=help,
        change=change,
    )


#: What the numbers for both ends of each axis are, by the number of axes.
_ENDS = (
    "",
    "two: start, end",
    "four: left, right, top, bottom",
    "six: left, right, top, bottom, front, back",
)


def _listed(axes: Sequence[str]) -> str:
    *others, last = axes
    return f"{', '.join(others)} and {last}" if others else last


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

    def macs_of(self, inputs: tuple[Volume, ...]) -> int:
        (x,) = inputs
        return self.count_macs(x)

    def count_macs(self, x: Volume) -> int:
        """Multiply–accumulates for one sample, of convolutions and products of matrices."""
        return 0

    def uncovered(self, x: Volume) -> tuple[int, ...]:
        """How many positions at the end of each axis of the input no window reads."""
        return (0,) * x.rank

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
    """An input of a network. Not written as a layer; the first nodes of every graph.

    ``label`` is its name where its network's first line gives one.
    """

    family = Family.INPUT

    label: str = derived("its name", "")

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        raise LayerError("misplaced-statement", "the input has no volume to infer")
