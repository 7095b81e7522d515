"""From the content of an ONNX file to a network with its numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from archdsl.frontend import Inputs
from archdsl.importing.errors import NotInTheLanguage
from archdsl.importing.files import FileSource
from archdsl.importing.from_onnx.judge import OnnxJudge
from archdsl.importing.from_onnx.layers import OPERATIONS
from archdsl.importing.from_onnx.nodes import load
from archdsl.importing.from_onnx.reader import OnnxReader


def read_onnx(
    content: bytes, name: str, input: Inputs | None = None, folder: Path | None = None
) -> FileSource:
    """The network in the content of an ONNX file.

    ``input`` has the volumes of its inputs where the file has none, and ``folder`` is where other
    files of it are.

    Errors:
        WrongSource: where it is no ONNX model.
        NotInTheLanguage: with all that the language cannot say.
    """
    reader = OnnxReader(load(content, name, folder), name, OPERATIONS, input)
    for node in reader.nodes:
        reader.read(node)
    outputs = reader.outputs()
    reader.share_weights()
    if reader.reasons:
        raise NotInTheLanguage(name, list(dict.fromkeys(reader.reasons)))
    graph, numbers = reader.builder.finish(outputs)
    weights = [
        replace(weight, operation=numbers[weight.operation])
        for weight in reader.weights.values()
        if weight.operation in numbers
    ]
    return OnnxJudge(reader.model, reader.batch, weights).source(graph)
