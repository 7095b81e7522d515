"""One instantiation of a class, followed through its layers with symbols in place of its numbers.

A class is written from all its instantiations at once, each in a lane of its own. What the lanes
write must be the same text, letter for letter; where it is not, one class cannot serve them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, TypeVar

from archdsl.classplan import ClassPlan
from archdsl.codegen.tracing import FormLeaf, Traced, TracedFloat, fold, form_of, trace_value
from archdsl.deployment import Reduction
from archdsl.layers import Call, Layer, MergeLayer, UnaryLayer
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.network.parts import CallArgument
from archdsl.network.symbols import (
    Constant,
    CopyIndex,
    ElementForm,
    Form,
    Operation,
    Parameter,
    Size,
    Symbolic,
    TupleForm,
    Value,
    symbolic_of,
)

#: The number of a copy, from 0.
INDEX = "~i"
#: Before the letter of a size of a class's input, as no parameter of a spec is called.
ENTRY = "#"

T = TypeVar("T")


class DisagreementError(Exception):
    """Two instantiations need different texts: they cannot share a class."""


class Level(IntEnum):
    """Which sizes of its input a class takes as arguments; the rest are literals in it."""

    NONE = 0
    CHANNELS = 1
    ALL = 2


def agreed(values: Iterable[T]) -> T:
    """The value that all lanes have. Errors: ``DisagreementError``."""
    first, *rest = values
    if any(value != first for value in rest):
        raise DisagreementError
    return first


@dataclass(frozen=True, slots=True, eq=False)
class Instantiation:
    """One place where a class is instantiated: its plan, in its network.

    ``arguments`` are those of the block or the family around the class, or of the block itself.
    """

    plan: ClassPlan
    model: Model
    arguments: tuple[CallArgument, ...] = ()
    #: Parameters that are literals: those of a family in the class of a single network.
    literals: Mapping[str, Value] = field(default_factory=dict)
    #: What replaces a number of a layer, by node and field.
    instead: Mapping[tuple[int, str], Symbolic] = field(default_factory=dict)
    #: The class of what a network returns, where that has names.
    result_class: str = ""

    @property
    def is_block(self) -> bool:
        return self.plan.call is not None

    def node(self, id: int) -> Node:
        return self.model.nodes[id]


class Lane:
    """An instantiation on its way: volumes as forms over the sizes and parameters of its class."""

    def __init__(self, use: Instantiation, level: Level) -> None:
        self.use = use
        self.level = level
        #: Sizes outside the class that it asks for, in the order in which it asks.
        self.captured: list[Size] = []
        entry = use.node(use.plan.input).volume
        pairs = zip(entry.sizes, entry.letters, strict=True)
        symbols = Volume(tuple(Traced(size, Parameter(ENTRY + axis)) for size, axis in pairs))
        self.volumes = {use.plan.input: symbols}
        #: The node that a chain has reached.
        self.current = use.plan.input
        #: The nodes whose results later steps may read: as many in each lane, in the same order.
        outside = [node for node, _ in use.plan.inputs] or [use.plan.input]
        self.trail = [*outside, *(reference.node for reference in use.plan.references)]
        self._given = 0
        #: The `for` whose copies are being written as one.
        self.counted: int | None = None

    def give_node(self) -> int:
        """A node for what another lane has; it is not a node of this lane's network."""
        self._given += 1
        return -1 - self._given

    # ── Forms ────────────────────────────────────────────────────────────────────────────────

    def resolve(self, symbolic: Symbolic) -> Form:
        """A form of the spec in the symbols that the class has at its level."""
        form = self._leveled(self.resolve_fully(symbolic))
        return symbolic_of(symbolic.value, form).form

    def resolve_fully(self, symbolic: Symbolic) -> Form:
        """The same with every size as a symbol, whatever the level."""
        return symbolic_of(symbolic.value, fold(symbolic.form, self._resolve_leaf)).form

    def _resolve_leaf(self, leaf: FormLeaf) -> Form:
        match leaf:
            case Parameter(name=name):
                literals = self.use.literals
                return Constant.of(literals[name]) if name in literals else leaf
            case CopyIndex(loop=loop, number=number):
                return Parameter(INDEX) if loop == self.counted else Constant.of(number)
            case Size(node=node, axis=axis):
                return form_of(self.volume_of(node).size(axis))

    def volume_of(self, node: int) -> Volume:
        """The volume that a node gives; that of a node outside the class is captured."""
        if node not in self.volumes:
            volume = self.use.node(node).volume
            pairs = zip(volume.sizes, volume.letters, strict=True)
            symbols = (Traced(size, self._capture(Size(node, axis))) for size, axis in pairs)
            self.volumes[node] = Volume(tuple(symbols))
        return self.volumes[node]

    def _capture(self, size: Size) -> Form:
        """The symbol of a size outside the class: one that a ``let`` names, or of a part there."""
        self.captured.append(size)
        return Parameter(f"@{len(self.captured) - 1}{size.axis}")

    def captured_size(self, name: str) -> Size | None:
        """What is captured under a name."""
        if not name.startswith("@"):
            return None
        index = int(name[1:-1])
        if index >= len(self.captured):
            raise DisagreementError  # where an `if` leads this lane, nothing asks for that size
        return self.captured[index]

    def _leveled(self, form: Form) -> Form:
        return fold(form, self._level_leaf)

    def _level_leaf(self, leaf: FormLeaf) -> Form:
        if not isinstance(leaf, Parameter) or not self.is_literal(leaf.name):
            return leaf
        size = self.captured_size(leaf.name) or Size(self.use.plan.input, leaf.name[-1])
        return Constant.of(self.use.node(size.node).volume.size(size.axis))

    def is_literal(self, name: str) -> bool:
        """Whether a symbol stands for a size that is a literal at this level."""
        if not name.startswith(("@", ENTRY)):
            return False
        return self.level < (Level.CHANNELS if name[-1] == "C" else Level.ALL)

    def shown(self, volume: Volume) -> Volume:
        """A volume with only the symbols of the class's level."""
        forms = [fold(form_of(size), self._level_leaf, adds=True) for size in volume.sizes]
        return with_forms(volume, forms)

    # ── Layers ───────────────────────────────────────────────────────────────────────────────

    def call_of(self, node: Node) -> Call:
        """The call that constructs a layer's module; the volume after it becomes known."""
        (source,) = node.inputs
        x = self.volume_of(source)
        layer = self._traced(node, self.resolve_fully)
        assert isinstance(layer, UnaryLayer)
        self._enter(node, layer, (x,))
        shown = self._traced(node, self.resolve)
        assert isinstance(shown, UnaryLayer)
        return shown.emit(self.shown(x))

    def join(self, node: Node, volumes: Sequence[Volume]) -> MergeLayer:
        """The merge of branches with these volumes; the volume after it becomes known."""
        layer = self._traced(node, self.resolve_fully)
        assert isinstance(layer, MergeLayer)
        self._enter(node, layer, tuple(volumes))
        # `forward` knows no parameters: what differs there makes classes of their own.
        assert isinstance(node.layer, MergeLayer)
        return node.layer

    def split(self, node: Node, pieces: Sequence[int]) -> None:
        """The pieces of a layer with several results become known."""
        layer = self._traced(node, self.resolve_fully)
        assert isinstance(layer, Reduction)
        for piece, channels in zip(pieces, layer.pieces, strict=True):
            self.volumes[piece] = self.volumes[node.id].with_channels(channels)

    def _enter(self, node: Node, layer: Layer, inputs: tuple[Volume, ...]) -> None:
        volume = layer.infer(inputs)
        assert volume == node.volume, (node, volume)
        self.volumes[node.id] = with_forms(volume, [form_of(size) for size in volume.sizes])

    def _traced(self, node: Node, resolve: Any) -> Layer:
        """The layer with traced numbers where it was written with more than literals."""
        written = dict(node.forms)
        for (id, name), symbolic in self.use.instead.items():
            if id == node.id:
                written[name] = symbolic
        if not written:
            return node.layer
        fields = {}
        for item in dataclasses.fields(node.layer):  # type: ignore[arg-type]
            if item.name in written:
                symbolic = written[item.name]
                form = resolve(symbolic)
                value = trace_value(symbolic.value, form)
                # A field that deployment adds to a layer is not one that a spec can set.
                role = item.metadata.get("role")
                convert = role.kind.convert if role else lambda value: value
                fields[item.name] = _converted(value, symbolic.value, form, convert)
        traced: Layer = replace(node.layer, **fields)  # type: ignore[type-var]
        return traced.fitted(tuple(self.use.node(source).volume for source in node.inputs))


def _converted(traced: Any, value: Value, form: Form, convert: Any) -> Any:
    """A traced value, converted for a field of a layer."""
    if isinstance(form, Constant):
        return convert(form.value)
    if isinstance(value, bool):
        return traced
    converted = convert(value)
    if not isinstance(converted, float):
        return convert(traced)
    return TracedFloat(converted, form if isinstance(value, float) else Operation("float", (form,)))


def with_forms(volume: Volume, forms: Sequence[Form]) -> Volume:
    """A volume whose sizes have these forms."""
    known = (symbolic_of(int(s), f) for s, f in zip(volume.sizes, forms, strict=True))
    return Volume(tuple(trace_value(size.value, size.form) for size in known))


def names_in(form: Form) -> set[str]:
    """The parameters in a form."""
    match form:
        case Parameter(name=name):
            return {name}
        case ElementForm(of=inner):
            return names_in(inner)
        case TupleForm(elements=forms) | Operation(operands=forms):
            return set().union(*map(names_in, forms))
        case _:
            return set()
