"""The network of a page: a graph of ONNX whose outputs are the results of the stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archdsl.looking.activations import Results, watch
from archdsl.looking.errors import LookingError
from archdsl.looking.specimen import Specimen, check_finite
from archdsl.looking.stages import Stage
from archdsl.model import Model
from archdsl.torch_tools.export import TOLERANCE
from archdsl.torch_tools.onnx_graph import convert_module, run_onnx

#: A page carries all weights, and a browser has one thread for them.
MOST_PARAMETERS = 20_000_000
#: The names of the graph's input, and of its output besides those of stages.
INPUT, PROBABILITIES = "image", "probabilities"


def output_of(stage: Stage) -> str:
    """The name of the output that has the result of a stage."""
    return f"stage{stage.node}"


def check_size(model: Model) -> None:
    """Raises ``LookingError`` for a network with too many parameters for a page."""
    count = model.trunk.parameters
    if count > MOST_PARAMETERS:
        raise LookingError(
            f"{model.name} has {count:,} parameters: a page that runs a network carries its "
            f"weights, and takes {MOST_PARAMETERS:,} at most"
        )


def convert_network(specimen: Specimen, stages: Sequence[Stage], image: Tensor) -> bytes:
    """The network for one image as ONNX: the results of ``stages``, and the probabilities.

    They are what ``record_activations`` takes down of the same network. Both are compared for
    ``image``, float32 C×H×W, and for a random one.

    Errors:
        LookingError: where a result is not finite, or not torch's in ONNX.
        ToolError: for what torch cannot export or onnxruntime cannot run.
    """
    names = [*map(output_of, stages), PROBABILITIES]
    with torch.inference_mode():
        order = watch(specimen, image[None]).order
    proto = convert_module(_Watched(specimen, stages, order).eval(), (image[None],), [INPUT], names)
    for node in proto.graph.node:
        # Where it was in the module: of no use in a page.
        del node.metadata_props[:]
    content: bytes = proto.SerializeToString()
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    for one in (image, noise):
        _compare(specimen, stages, content, one)
    return content


class _Watched(nn.Module):
    """A network that gives the results of its stages, and the probabilities."""

    def __init__(self, specimen: Specimen, stages: Sequence[Stage], order: dict[int, int]) -> None:
        super().__init__()
        self.network = specimen.network
        self._specimen, self._stages, self._order = specimen, stages, order

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return _outputs(watch(self._specimen, images, self._order), self._stages)


def _outputs(results: Results, stages: Sequence[Stage]) -> tuple[Tensor, ...]:
    return (*(results.values[stage.node] for stage in stages), results.answers)


def _compare(specimen: Specimen, stages: Sequence[Stage], content: bytes, image: Tensor) -> None:
    names = [*map(output_of, stages), PROBABILITIES]
    said = [*(f"the result of `{stage.name}`" for stage in stages), "the probabilities"]
    with torch.inference_mode():
        wanted = _outputs(watch(specimen, image[None]), stages)
    for what, values in zip(said, wanted, strict=True):
        check_finite(values, what)
    found = run_onnx(content, {INPUT: image[None]}, names)
    for what, one, other in zip(said, found, wanted, strict=True):
        scale = float(other.abs().max())
        difference = float((one - other).abs().max())
        if not difference <= TOLERANCE * max(scale, 1e-6):
            raise LookingError(
                f"{what} in ONNX is not torch's: they differ by up to {difference:.1e}, and the "
                f"largest number is {scale:.1e}"
            )
