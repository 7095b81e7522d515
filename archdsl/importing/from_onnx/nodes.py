"""The nodes of an ONNX graph, with their attributes, constants and places, checked on the way."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_model
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from archdsl.importing.errors import Refused, WrongSource
from archdsl.importing.graph import SourcePart

Array: TypeAlias = np.ndarray[Any, Any]

#: What is computed beforehand where all that it reads is constant: shapes, and weights by value.
_FOLDED = frozenset(
    {"Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Floor"}
    | {"Gather", "Identity", "Mul", "Neg", "Range", "ReduceProd", "Reshape", "Slice", "Sqrt"}
    | {"Squeeze", "Sub", "Transpose", "Unsqueeze", "Where"}
)
#: No constant that is made from others has more numbers; a file of a kilobyte could ask for any.
_MOST = 2**28


class OnnxNode:
    """An operation: what it reads and gives, and its attributes, each of which must be used."""

    def __init__(self, proto: onnx.NodeProto, number: int) -> None:
        self.proto = proto
        self.number = number
        self.kind = proto.op_type
        self.inputs = tuple(proto.input)
        self.outputs = tuple(proto.output)
        self._attributes = {
            a.name: _plain(onnx.helper.get_attribute_value(a)) for a in proto.attribute
        }

    @property
    def place(self) -> str:
        """Its name in the file, or its number where it has none."""
        return self.proto.name or f"node {self.number}"

    @property
    def title(self) -> str:
        """The operation by its full name."""
        domain = self.proto.domain
        return f"{domain}.{self.kind}" if domain not in ("", "ai.onnx") else self.kind

    def take(self, name: str, default: Any) -> Any:
        """The value of an attribute, which is then known to be used."""
        return self._attributes.pop(name, default)

    def need(self, name: str, *wanted: Any) -> None:
        """Refuse an attribute with another value than these, the first of which is its default."""
        value = self.take(name, wanted[0])
        if value not in wanted:
            raise Refused(f"`{self.kind}` with {name}={value!r} is not in the language")

    def need_nothing_more(self) -> None:
        """Refuse attributes that were not used."""
        for name, value in self._attributes.items():
            raise Refused(f"`{self.kind}` with {name}={value!r} is not in the language")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(_plain, value))
    return value


def load(content: bytes, name: str, folder: Path | None = None) -> onnx.ModelProto:
    """The model in a file's content, checked, without functions of its own.

    Large weights may be in another file of ``folder``.

    Errors:
        WrongSource: where it is none.
    """
    try:
        model = onnx.load_model_from_string(content)
        if folder is not None:
            load_external_data_for_model(model, str(folder))
        onnx.checker.check_model(model)
        if model.functions:
            model = inline_local_functions(model)
    except Exception as error:  # protobuf's and the checker's own, of several kinds
        line = str(error).strip().partition("\n")[0]
        raise WrongSource(f"{name} is not a valid ONNX model: {line}") from None
    return model


def inputs_of(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What flows into a model; older files have their weights among it."""
    known = {initializer.name for initializer in model.graph.initializer}
    return [one for one in model.graph.input if one.name not in known]


@dataclass(frozen=True)
class Constants:
    """Numbers that are known before anything runs, by name."""

    values: dict[str, Array]
    opset: int

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Constants:
        """The initializers of a model."""
        opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        return cls({i.name: numpy_helper.to_array(i) for i in model.graph.initializer}, opset)

    def fold(self, node: OnnxNode) -> bool:
        """Compute a node from constants alone; False where it reads anything else.

        Errors:
            Refused: where that cannot be computed, or is too large.
        """
        if any(name and name not in self.values for name in node.inputs):
            return False
        if node.kind not in _FOLDED or node.title != node.kind:
            raise Refused(f"`{node.title}` of constants is not imported")
        given = {name: self.values[name] for name in node.inputs if name}
        _need_small(node, list(given.values()))
        try:
            results = ReferenceEvaluator(self._alone(node)).run(None, given)
        except Exception as error:  # whatever the evaluator raises
            raise Refused(f"`{node.kind}` of constants fails: {error}") from None
        self.values.update(zip(node.outputs, map(np.asarray, results), strict=False))
        return True

    def _alone(self, node: OnnxNode) -> onnx.ModelProto:
        """A model of this node."""
        info = onnx.helper.make_empty_tensor_value_info
        graph = onnx.helper.make_graph(
            [node.proto],
            "constant",
            [info(name) for name in dict.fromkeys(node.inputs) if name],
            [info(name) for name in node.outputs],
        )
        imports = [onnx.helper.make_opsetid("", self.opset)]
        return onnx.helper.make_model(graph, opset_imports=imports)


def _need_small(node: OnnxNode, given: Sequence[Array]) -> None:
    size = sum(array.size for array in given)
    if node.kind in ("ConstantOfShape", "Expand") and given:
        size = prod(map(int, given[-1].reshape(-1)))
    if node.kind == "Range":
        start, stop, step = (float(array) for array in given)
        size = int(abs(stop - start) / max(abs(step), 1e-9))
    if node.kind in ("Add", "Sub", "Mul", "Div", "Where", "Equal"):
        size = prod(np.broadcast_shapes(*(array.shape for array in given)))
    if size > _MOST:
        raise Refused(f"a constant of {size} numbers is too large")


# ── The modules that a node was exported from ────────────────────────────────────────────────


def parts_of(nodes: Sequence[OnnxNode]) -> Mapping[int, tuple[tuple[SourcePart, ...], str]]:
    """By node: the parts around it, and the path of the module that it is, if it is one.

    PyTorch writes these: ``torch.onnx.export`` as metadata with the classes, the exporter before it
    as names of nodes (``/layer1/layer1.0/conv1/Conv``). Other files have no parts.
    """
    told = {node.number: _told(node) for node in nodes}
    if any(told.values()):
        return {number: _with_leaf(stack) for number, stack in told.items()}
    named = {node.number: [*_named(node)] for node in nodes}
    # A module that has others is a part, and one that has none a layer.
    holders = {path.rpartition(".")[0] for stack in named.values() for path in stack}
    found = {}
    for number, stack in named.items():
        leaf = stack[-1] if stack and stack[-1] not in holders else ""
        around = stack[:-1] if leaf else stack
        found[number] = tuple(SourcePart(path, "block") for path in around), leaf
    return found


def _told(node: OnnxNode) -> list[SourcePart]:
    """The modules around an operation, by the metadata of ``torch.onnx.export``."""
    data = {item.key: item.value for item in node.proto.metadata_props}
    try:
        paths, kinds = (
            ast.literal_eval(data[f"pkg.torch.onnx.{key}"])[1:-1]
            for key in ("name_scopes", "class_hierarchy")
        )
    except (KeyError, ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return []
    return [
        SourcePart(str(path), str(kind), _is_row(str(kind)))
        for path, kind in zip(paths, kinds, strict=False)
    ]


def _is_row(kind: str) -> bool:
    return kind.startswith("torch.nn.modules.container.")


def _with_leaf(stack: list[SourcePart]) -> tuple[tuple[SourcePart, ...], str]:
    leaf = ""
    if stack and stack[-1].kind.startswith("torch.nn.modules.") and not stack[-1].is_row:
        leaf = stack.pop().path
    parts = (SourcePart(p.path, p.kind.rpartition(".")[2], p.is_row) for p in stack)
    return tuple(parts), leaf


def _named(node: OnnxNode) -> Iterator[str]:
    """The paths of the modules around an operation, by its name."""
    first, *segments = node.proto.name.split("/")
    if first or not segments:
        return
    path, before = "", ""
    for segment in segments[:-1]:
        # A child of a `Sequential` repeats its name: `layer1/layer1.0`.
        own = segment.removeprefix(f"{before}.") if before else segment
        path = f"{path}.{own}" if path else own
        before = segment
        yield path
