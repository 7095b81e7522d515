"""A network as one ONNX file, compared with torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from archdsl.codegen import entry_name
from archdsl.model import Model
from archdsl.network.graph import label_of
from archdsl.torch_tools.errors import ToolError
from archdsl.torch_tools.inputs import draw_inputs
from archdsl.torch_tools.network import load_network
from archdsl.torch_tools.numbers import tensors_of
from archdsl.torch_tools.onnx_graph import convert_module, run_onnx
from archdsl.torch_tools.weights import load_weights
from archdsl.version import __version__

#: The names of the graph's input and output, where the spec gives none.
INPUT, OUTPUT = "image", "logits"
#: The seed of initial weights, and of the images with which ONNX is compared with torch.
SEED = 0
#: What a protocol buffer can hold; with larger weights a model would be several files.
MAX_BYTES = 2 * 10**9
#: The largest difference allowed, relative to the largest output.
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Exported:
    """A network in ONNX: the file's content, and how far its outputs are from torch's.

    ``difference`` is the largest one, and ``scale`` the largest output, for ``compared`` images;
    without onnxruntime nothing is compared, and all three are None.
    """

    content: bytes
    opset: int
    difference: float | None
    scale: float | None
    compared: int | None


def export_onnx(
    model: Model,
    source: str,
    *,
    weights: Path | None = None,
    batch: int | None = None,
    opset: int | None = None,
) -> Exported:
    """Export the network of a module's source, in evaluation: no heads, no dropout.

    Without ``weights`` it has its initial weights under a fixed seed; without ``batch`` any
    number of images may be given to it.

    Errors:
        ToolError: for weights that do not fit or cannot be read, an opset that torch cannot
            export, a network beyond 2 GB, or outputs that differ from torch's.
    """
    size = 4 * (model.trunk.parameters + model.heads.parameters)
    if size > MAX_BYTES:
        raise ToolError(
            f"{model.name} has {size / 1e9:.1f} GB of weights; one ONNX file holds 2 GB at most"
        )
    torch.manual_seed(SEED)
    network = load_network(source, entry_name(model)).eval()
    if weights is not None:
        load_weights(network, weights)
    proto = _convert(
        model, network, _images(model, batch or 2), is_dynamic=batch is None, opset=opset
    )
    _describe(proto, model, weights)
    onnx.checker.check_model(proto, full_check=True)
    content = proto.SerializeToString()
    versions = {item.domain: item.version for item in proto.opset_import}
    if find_spec("onnxruntime") is None:
        return Exported(content, versions[""], None, None, None)
    # Where the number of images may vary, it differs here from that of the export.
    images = _images(model, batch or 3)
    difference, scale = _compare(model, network, content, images)
    return Exported(content, versions[""], difference, scale, len(images[0]))


def input_names(model: Model) -> list[str]:
    """The names of the inputs in ONNX, where no two tensors have one name."""
    taken = {output.name for output in model.outputs}
    return [label_of(node) or _free(INPUT, taken) for node in model.inputs]


def output_names(model: Model) -> list[str]:
    """The names of the outputs in ONNX, where no two tensors have one name."""
    taken = {label_of(node) for node in model.inputs}
    return [output.name for output in model.outputs] or [_free(OUTPUT, taken)]


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _images(model: Model, batch: int) -> tuple[Tensor, ...]:
    """Random images for each input."""
    volumes = [node.volume for node in model.inputs]
    return tuple(draw_inputs(model, volumes, batch, torch.Generator().manual_seed(SEED)))


def _convert(
    model: Model,
    network: nn.Module,
    images: tuple[Tensor, ...],
    *,
    is_dynamic: bool,
    opset: int | None,
) -> onnx.ModelProto:
    batch = torch.export.Dim("batch")
    return convert_module(
        network,
        images,
        input_names(model),
        output_names(model),
        shapes=tuple({0: batch} for _ in images) if is_dynamic else None,
        opset=opset,
    )


def _describe(proto: onnx.ModelProto, model: Model, weights: Path | None) -> None:
    """Record in the file where it comes from, without paths of this machine."""
    proto.producer_name = "archdsl"
    proto.producer_version = __version__
    onnx.helper.set_model_props(
        proto,
        {
            "archdsl.version": __version__,
            "archdsl.network": model.name,
            "archdsl.spec": Path(model.path).name,
            "archdsl.source": model.source.text,
            "archdsl.weights": weights.name if weights else f"initial, seed {SEED}",
            "torch.version": torch.__version__,
        },
    )


def _compare(
    model: Model, network: nn.Module, content: bytes, images: tuple[Tensor, ...]
) -> tuple[float, float]:
    """The largest difference of outputs, and the largest output."""
    results = run_onnx(
        content, dict(zip(input_names(model), images, strict=True)), output_names(model)
    )
    with torch.inference_mode():
        wanted = tensors_of(network(*images))
    differences, scales = [], []
    for found, expected in zip(results, wanted, strict=True):
        difference = float((found - expected).abs().max())
        scale = float(expected.abs().max())
        if not difference <= TOLERANCE * max(scale, 1e-6):
            raise ToolError(
                f"the outputs of {model.name} in ONNX are not torch's: they differ by up to "
                f"{difference:.1e}, and the largest is {scale:.1e}"
            )
        differences.append(difference)
        scales.append(scale)
    return max(differences), max(scales)
