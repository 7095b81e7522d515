"""A module of torch as a graph of ONNX, and what onnxruntime makes of one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import onnxscript  # noqa: F401  (torch needs it, and would say so less clearly)
import torch
from torch import Tensor, nn

from archdsl.torch_tools.errors import ToolError

#: What torch notes of each step with the paths of the files on the machine that exports.
_TRACE = "pkg.torch.onnx.stack_trace"


def convert_module(
    module: nn.Module,
    images: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    shapes: tuple[dict[int, Any], ...] | None = None,
    opset: int | None = None,
) -> onnx.ModelProto:
    """The graph of a module in its present mode, with these names of inputs and outputs.

    ``shapes`` are the axes of the ``images`` whose size may vary; without it none may. Nothing in
    the graph names a file of this machine.

    Errors:
        ToolError: for what torch cannot export, or not with this opset.
    """
    try:
        with _quieten():
            program: Any = torch.onnx.export(
                module,
                images,
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=opset,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ToolError(f"torch cannot export this to ONNX: {reason[:300]}") from None
    proto: onnx.ModelProto = program.model_proto
    reached = {item.domain: item.version for item in proto.opset_import}[""]
    if opset is not None and reached != opset:
        raise ToolError(f"torch cannot export this with opset {opset}, only with {reached}")
    _forget_traces(proto)
    return proto


def run_onnx(content: bytes, given: Mapping[str, Tensor], wanted: Sequence[str]) -> list[Tensor]:
    """The outputs of a graph on the CPU, by onnxruntime.

    Errors:
        ToolError: where onnxruntime cannot run the graph, as for an operator that it lacks.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    # It has exceptions of its own for each kind of fault, without a common class.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ToolError(f"onnxruntime cannot run this: {reason[:300]}") from None
    # An input that no output needs is not in the graph.
    needed = {node.name for node in session.get_inputs()}
    images = {name: x.numpy() for name, x in given.items() if name in needed}
    return [torch.from_numpy(found) for found in session.run(list(wanted), images)]


def _forget_traces(proto: onnx.ModelProto) -> None:
    """Take out where in which file of this machine each step was traced."""
    nodes = [*proto.graph.node, *(node for f in proto.functions for node in f.node)]
    for node in nodes:
        kept = [item for item in node.metadata_props if item.key != _TRACE]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)


@contextmanager
def _quieten() -> Iterator[None]:
    """Hide warnings about the exporter's internals, and the log of its attempts."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
