"""The way through an ONNX graph: values, constants, and the operations that were read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TypeAlias

import numpy as np
import onnx

from archdsl.elaborate.names import can_refer_to
from archdsl.frontend import Inputs
from archdsl.importing.building import GraphBuilder
from archdsl.importing.errors import NotInTheLanguage, Refused, WrongSource
from archdsl.importing.from_onnx.nodes import Array, Constants, OnnxNode, inputs_of, parts_of
from archdsl.importing.from_onnx.values import Bordered, OnnxWeight, Result, Seen, Value
from archdsl.importing.graph import INPUT, is_input
from archdsl.importing.inputs import by_name
from archdsl.layers import Layer, LayerError
from archdsl.layers.plumbing import Reshape
from archdsl.layers.volume import Volume

#: What reads one operation: it gives its result, or several, or a constant.
Reading: TypeAlias = "Callable[[OnnxReader, OnnxNode], Value | Array | tuple[Value, ...]]"


class OnnxReader:
    """Reads the nodes one after the other; values are constants, or what operations give."""

    def __init__(
        self,
        model: onnx.ModelProto,
        name: str,
        operations: Mapping[str, Reading],
        input: Inputs | None,
    ) -> None:
        self.model = model
        self.name = name
        self.known = operations
        self.nodes = [OnnxNode(proto, number) for number, proto in enumerate(model.graph.node)]
        self.parts = parts_of(self.nodes)
        self.constants = Constants.of(model)
        #: How many read a value; being a result of the network counts.
        self.readers = Counter(i for node in self.nodes for i in node.inputs)
        self.readers.update(output.name for output in model.graph.output)
        #: By the operation and PyTorch's name.
        self.weights: dict[tuple[int, str], OnnxWeight] = {}
        self.reasons: list[str] = []
        #: The operations that alone read what is before them.
        self.alone: set[int] = set()
        #: The modules that some layer has the name of.
        self.named: set[str] = set()
        self.values: dict[str, Value] = {}
        #: What an operation that was refused would give.
        self.failed: set[str] = set()
        self.batch, volumes = self._read_inputs(input)
        self.builder = GraphBuilder(name, volumes)

    def _read_inputs(self, given: Inputs | None) -> tuple[int, dict[str, Volume]]:
        """How many images the file takes at once, and the volumes of its inputs."""
        inputs = inputs_of(self.model)
        if not inputs:
            raise NotInTheLanguage(self.name, ["it has no input"])
        wanted = by_name(self.name, [one.name for one in inputs], given)
        batches: set[int] = set()
        volumes: dict[str, Volume] = {}
        for number, one in enumerate(inputs):
            what = f"input `{one.name}`" if len(inputs) > 1 else "input"
            batch, volumes[one.name] = self._read_input(one, what, wanted.get(one.name))
            batches.add(batch)
            self.values[one.name] = Result(INPUT - number)
        batches -= {0}
        if len(batches) > 1:
            numbers = " and ".join(map(str, sorted(batches)))
            raise NotInTheLanguage(self.name, [f"its inputs are of {numbers} images at once"])
        return max(batches, default=1), volumes

    def _read_input(
        self, one: onnx.ValueInfoProto, what: str, given: Volume | None
    ) -> tuple[int, Volume]:
        """How many images an input has, 0 where that is open, and its volume."""
        kind = one.type.tensor_type.elem_type
        if kind != onnx.TensorProto.FLOAT:
            found = onnx.TensorProto.DataType.Name(kind).lower()
            raise NotInTheLanguage(self.name, [f"its {what} is of type {found} instead of float"])
        batch, *sizes = [d.dim_value for d in one.type.tensor_type.shape.dim] or [0]
        if not 1 <= len(sizes) <= 4:
            reason = f"its {what} has {len(sizes)} axes for an image"
            raise NotInTheLanguage(self.name, [reason])
        wanted = (0,) * len(sizes) if given is None else given.torch_sizes
        if len(wanted) != len(sizes) or any(
            size > 0 and other not in (0, size) for size, other in zip(sizes, wanted, strict=True)
        ):
            raise WrongSource(f"{self.name}: the file's {what} is {_shown(sizes)}, not {given}")
        if min(size if size > 0 else other for size, other in zip(sizes, wanted, strict=True)) < 1:
            example = "224x224x3" if what == "input" else f'"{one.name}: 224x224x3"'
            reason = f"its {what} is {_shown(sizes)}: pass the volume, such as `--input {example}`"
            raise WrongSource(f"{self.name}: {reason}")
        sizes = [size if size > 0 else other for size, other in zip(sizes, wanted, strict=True)]
        return max(batch, 0), Volume((*sizes[1:], sizes[0]))

    def read(self, node: OnnxNode) -> None:
        """Read one node; what cannot be said is collected, and what depends on it is left out."""
        if self.failed.intersection(node.inputs):
            self.failed.update(node.outputs)
            return
        try:
            if not self.constants.fold(node):
                self._read_operation(node)
        except (Refused, LayerError) as fault:
            self.reasons.append(f"{node.place}: {fault}")
            self.failed.update(node.outputs)

    def _read_operation(self, node: OnnxNode) -> None:
        if node.title not in self.known:
            raise Refused(f"`{node.title}` is not in the language")
        given = self.known[node.title](self, node)
        node.need_nothing_more()
        results = given if isinstance(given, tuple) else (given,)
        for name, result in zip(node.outputs, results, strict=False):
            if isinstance(result, np.ndarray):
                self.constants.values[name] = result
            else:
                self.values[name] = result
        for name in node.outputs[len(results) :]:
            if self.readers[name]:
                raise Refused(f"`{node.kind}` with its result {name!r} is not in the language")

    def share_weights(self) -> None:
        """Note the layers that run again with the same weights, or refuse those with some of them.

        Equal constants can be one by an optimizer; other numbers are shared on purpose.
        """
        #: By operation and what it calls them: its weights, and whether it has them turned.
        named: dict[int, dict[str, tuple[str, bool]]] = {}
        users: dict[str, set[int]] = {}
        for (of, name), weight in self.weights.items():
            source = self.nodes[weight.node].inputs[weight.input]
            named.setdefault(of, {})[name] = source, weight.is_turned
            if weight.value.size > 1 and np.ptp(weight.value):
                users.setdefault(source, set()).add(of)
        for source, found in users.items():
            if len(found) < 2:
                continue
            kinds = {
                (self.builder.operations[of].layer, *sorted(named[of].items())) for of in found
            }
            if len(kinds) > 1:
                self.reasons.append(f"the weights {source!r} are used twice, by different layers")
            for of in found:
                self.builder.share(of, tuple(sorted(own for own, _ in named[of].values())))

    def outputs(self) -> dict[str, int]:
        """The results of the network, by names that can be those of parts."""
        found: dict[str, int] = {}
        for output in self.model.graph.output:
            if output.name in self.failed:
                continue
            try:
                result = self.as_result(output.name)
            except (Refused, LayerError) as fault:
                self.reasons.append(f"{output.name}: {fault}")
                continue
            if is_input(result.id):
                self.reasons.append(f"{output.name}: no layer gives this result")
            name = re.sub(r"\W+", "_", output.name).strip("_")
            if not can_refer_to(name) or name in found:
                name = f"out{len(found) + 1}"
            found[name] = result.id
        return found

    # ── What operations ask for ──────────────────────────────────────────────────────────────

    def has(self, node: OnnxNode, index: int) -> bool:
        """Whether an optional input is given."""
        return len(node.inputs) > index and bool(node.inputs[index])

    def is_constant(self, node: OnnxNode, index: int) -> bool:
        return node.inputs[index] in self.constants.values

    def constant(self, node: OnnxNode, index: int) -> Array:
        """An input that must be known beforehand."""
        name = node.inputs[index]
        if name not in self.constants.values:
            raise Refused(f"`{node.kind}` with {name!r}, which is computed, is not in the language")
        return self.constants.values[name]

    def value(self, node: OnnxNode, index: int = 0) -> Value:
        """An input, which may be a result in another shape."""
        name = node.inputs[index]
        if name in self.constants.values:
            raise Refused(f"`{node.kind}` of the constant {name!r} is not in the language")
        if name not in self.values:
            raise Refused(f"`{node.kind}` reads {name!r}, which is not imported")
        return self.values[name]

    def result(self, node: OnnxNode, index: int = 0) -> Result:
        """An input as the result of a layer."""
        self.value(node, index)
        return self.as_result(node.inputs[index])

    def as_result(self, name: str) -> Result:
        if name not in self.values:
            raise Refused("it is a constant")
        value = self.values[name]
        if isinstance(value, Bordered):
            raise Refused("a border of −∞ is only in the language around a maximum pool")
        if isinstance(value, Seen):
            if value.order != tuple(range(len(value.shape))):
                raise Refused("axes in another order are not in the language")
            sizes = value.shape[1:]
            if value.shape[0] != self.batch or not 1 <= len(sizes) <= 4:
                raise Refused(f"a shape of {[*value.shape]} is not in the language")
            (producer,) = [n for n in self.nodes if name in n.outputs]
            layer = Reshape((*sizes[1:], sizes[0]))
            value = self.values[name] = self.add(producer, layer, [value.of])
        return value

    def volume(self, result: Result) -> Volume:
        return self.builder.volume(result.id)

    def shape(self, value: Value) -> tuple[int, ...]:
        """The shape of a value for the file's number of images."""
        if isinstance(value, Seen):
            return value.shape
        if isinstance(value, Bordered):
            value = value.of
        return (self.batch, *self.volume(value).torch_sizes)

    def is_read_once(self, node: OnnxNode, index: int) -> bool:
        return self.readers[node.inputs[index]] == 1

    def add(
        self,
        node: OnnxNode,
        layer: Layer,
        inputs: Sequence[Result],
        weights: Mapping[str, tuple[int, tuple[int, ...]]] | None = None,
        turned: Sequence[str] = (),
    ) -> Result:
        """A layer; ``weights`` says which input of the node each is, and its shape in PyTorch."""
        made = self.builder.add(layer, *(x.id for x in inputs))
        scopes, path = self.parts[node.number]
        # A module that became several layers has the name of its first.
        self.builder.name_operation(made, "" if path in self.named else path, scopes)
        self.named.add(path)
        for name, (index, shape) in (weights or {}).items():
            self.take_weight(Result(made), name, node, index, shape, name in turned)
        return Result(made)

    def take_weight(
        self,
        result: Result,
        name: str,
        node: OnnxNode,
        index: int,
        shape: tuple[int, ...],
        is_turned: bool = False,
    ) -> Result:
        """Make an input of a node a weight of the operation behind a result, instead of its own."""
        value = self.constant(node, index)
        if value.size != prod(shape):
            raise Refused(f"its {name} has the shape {[*value.shape]} instead of {[*shape]}")
        source = node.inputs[index]
        if name == "weight" and source.endswith(".weight") and self.readers[source] == 1:
            scopes = self.builder.operations[result.id].scopes
            self.builder.name_operation(result.id, source.removesuffix(".weight"), scopes)
        self.weights.pop((result.id, name), None)
        made = OnnxWeight(result.id, name, node.number, index, value, shape, is_turned)
        self.weights[result.id, name] = made
        return result

    def move_weight(self, result: Result, to: Result, name: str) -> None:
        """Give a weight of each channel to another operation."""
        weight = self.weights.pop((result.id, name))
        moved = replace(weight, operation=to.id, shape=(weight.value.size,))
        self.weights[to.id, name] = moved

    def weight(self, result: Result, name: str) -> Array:
        """The numbers of a weight of the operation behind a result."""
        return self.weights[result.id, name].value

    def change(self, result: Result, layer: Layer, *inputs: Result) -> Result:
        """Put a layer in the place of one that belongs together with what follows."""
        self.builder.change(result.id, layer, *(x.id for x in inputs))
        return result


def _shown(sizes: Sequence[int]) -> str:
    """The sizes of a volume, channels last, of which some may be open."""
    return "x".join(str(size) if size > 0 else "?" for size in (*sizes[1:], sizes[0]))
