"""What onnxruntime computes from an ONNX model, with its own weights or with random ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor

from archdsl.importing.building import RandomWeights
from archdsl.importing.errors import WrongSource
from archdsl.importing.files import FileSource, State
from archdsl.importing.from_onnx.nodes import Array, inputs_of
from archdsl.importing.from_onnx.values import OnnxWeight
from archdsl.importing.graph import SourceGraph


@dataclass(frozen=True)
class OnnxJudge:
    """A model, the number of images that it takes at once, and its weights."""

    model: onnx.ModelProto
    batch: int
    weights: Sequence[OnnxWeight]

    def source(self, graph: SourceGraph) -> FileSource:
        """The network with its own weights.

        A file of a structure alone has the same number everywhere, which no comparison could tell
        from any other order: then the weights are random.
        """
        main = [weight.value for weight in self.weights if weight.value.ndim > 1]
        is_trained = not main or any(np.ptp(value) for value in main)
        owners = graph.owners
        own: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for weight in self.weights:
            if owners[weight.operation] == weight.operation:
                own[weight.operation][weight.name] = weight.tensor
        for found in own.values():
            if "running_mean" in found:
                found["num_batches_tracked"] = torch.tensor(0)
        state: State = own if is_trained else RandomWeights(graph)
        judge = f"onnxruntime {onnxruntime.__version__}"

        def run(images: Sequence[Tensor], state: State) -> list[Tensor]:
            # Its own weights are where the file has them: how they were read is compared as well.
            return self._run(self.model if state is own else self._with(state, owners), images)

        return FileSource(graph, state, run, judge, is_trained)

    def _with(self, state: State, owners: Mapping[int, int]) -> onnx.ModelProto:
        """The model with other weights."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for number, weight in enumerate(self.weights):
            name = f"archdsl_{number}"
            array = weight.in_file(state[owners[weight.operation]][weight.name])
            model.graph.initializer.append(numpy_helper.from_array(array, name))
            model.graph.node[weight.node].input[weight.input] = name
        return model

    def _run(self, model: onnx.ModelProto, images: Sequence[Tensor]) -> list[Tensor]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own kinds
            line = str(error).strip().partition("\n")[0]
            raise WrongSource(f"onnxruntime cannot run it: {line}") from None
        names = [one.name for one in inputs_of(model)]
        count = len(images[0])
        parts = zip(*(self._split(x) for x in images), strict=True)
        results = [session.run(None, dict(zip(names, part, strict=True))) for part in parts]
        joined = (np.concatenate(one) for one in zip(*results, strict=True))
        return [torch.from_numpy(one)[:count] for one in joined]

    def _split(self, images: Tensor) -> list[Array]:
        """As many at once as the file says; what is missing of the last is filled up."""
        missing = torch.zeros(-len(images) % self.batch, *images.shape[1:])
        parts = torch.split(torch.cat([images, missing]), self.batch)
        return [part.numpy() for part in parts]
