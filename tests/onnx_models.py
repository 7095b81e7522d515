"""ONNX models for tests: a few nodes with their constants, and those that come with onnx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Structures of classic networks, which the package of onnx has for its own tests.
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """A node by the names of what it reads and gives, parted by blanks; `_` is left out."""
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(kind, names, output.split(), **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Any] | None = None,
    *,
    input: Sequence[int | str] = (1, 4, 8, 8),
    others: Mapping[str, Sequence[int | str]] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """The content of a file with these nodes, whose inputs are `x` and ``others``."""
    made = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info(name, kind, sizes)
            for name, sizes in {"x": input, **(others or {})}.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.example", 1)]
    found = onnx.shape_inference.infer_shapes(
        helper.make_model(made, opset_imports=imports, ir_version=8)
    )
    for output in found.graph.output:
        if not output.type.tensor_type.HasField("shape"):  # which the checker wants
            output.type.tensor_type.shape.dim.add()
    return found.SerializeToString()


def drawn(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Random numbers of 32 bits."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
