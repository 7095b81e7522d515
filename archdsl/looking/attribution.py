"""What the score of a class depends on in an image, by Captum (Kokhlikyan et al. 2020)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from captum.attr import (
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    Occlusion,
    Saliency,
)
from torch import Tensor, nn

from archdsl.layers import Family, UnaryLayer
from archdsl.looking.errors import LookingError
from archdsl.looking.specimen import Specimen, check_finite
from archdsl.looking.stages import find_stage, name_of
from archdsl.network.graph import Node

#: Steps of the integral of integrated gradients; the paper has 20 to 300 (section 5).
STEPS = 50
#: Images that are run at once where many are needed.
_BATCH = 16


@dataclass(frozen=True)
class Attribution:
    """How much each place of an image counts for a class.

    ``values`` is H×W, of the size of the input. ``map`` is what the method gives, before it is
    brought to that size, and ``place`` the part it belongs to, where that is not the input.
    ``lines`` say what the numbers are, and where the method is described.
    """

    method: str
    target: int
    values: Tensor
    map: Tensor
    place: str
    lines: tuple[str, ...]


def attribute_saliency(specimen: Specimen, image: Tensor, target: int) -> Attribution:
    """The size of the score's gradient at each pixel, the largest of its channels.

    Simonyan, Vedaldi & Zisserman 2014, "Deep inside convolutional networks", section 3.1.
    """
    found = Saliency(specimen.scores).attribute(_input(image), target=target, abs=True)
    values = _checked(found).amax(dim=1)[0]
    lines = (
        f"How fast the {_score(specimen)} changes with each pixel: the size of its gradient, of "
        "the largest channel.",
        "Simonyan, Vedaldi & Zisserman 2014, section 3.1.",
    )
    return Attribution("Saliency", target, values, values, "", lines)


def attribute_integrated_gradients(specimen: Specimen, image: Tensor, target: int) -> Attribution:
    """The gradient along the way from a black image to this one, times the way, of all channels.

    Sundararajan, Taly & Yan 2017, "Axiomatic attribution for deep networks", section 3. The sum
    over the image is the score less that of the black image, but for the error of the integral.
    """
    black = black_like(specimen, image)
    found = IntegratedGradients(specimen.scores).attribute(
        _input(image), baselines=black, target=target, n_steps=STEPS, internal_batch_size=_BATCH
    )
    values = _checked(found).sum(dim=1)[0]
    with torch.inference_mode():
        both = specimen.scores(torch.stack([image, black[0]]))[:, target]
    lines = (
        f"How much each pixel adds to the {_score(specimen)} on the way from a black image: in all "
        f"{values.sum().item():.3g}, and the score rises by {(both[0] - both[1]).item():.3g}.",
        f"Sundararajan, Taly & Yan 2017, section 3; {STEPS} steps.",
    )
    return Attribution("Integrated gradients", target, values, values, "", lines)


def attribute_grad_cam(
    specimen: Specimen, image: Tensor, target: int, part: str | None = None
) -> Attribution:
    """The maps of a part, each weighted by the mean gradient of the score, and the sum's positives.

    Selvaraju et al. 2017, "Grad-CAM", section 3, equations 1 and 2. Without ``part`` it is the last
    volume with a height and a width, before it is pooled: the last convolution with its activation,
    or what joins the last convolutions.

    Errors:
        LookingError: where the network has no convolution, or the part has no maps.
    """
    node = _layer_of(specimen, part)
    module, reads_input = _module_around(specimen, node)
    found = LayerGradCam(specimen.scores, module).attribute(
        _input(image), target=target, attribute_to_layer_input=reads_input, relu_attributions=True
    )
    coarse = _checked(found)
    fine = LayerAttribution.interpolate(coarse, tuple(image.shape[1:]), "bilinear")
    name = part or name_of(specimen.model, node)
    lines = (
        f"The {node.volume.channels} maps of {name}, {node.volume}, weighted by the mean gradient "
        f"of the {_score(specimen)}; what counts against the class is left out.",
        "Selvaraju et al. 2017, equations 1 and 2.",
    )
    return Attribution("Grad-CAM", target, _checked(fine)[0, 0], coarse[0, 0], name, lines)


def attribute_occlusion(
    specimen: Specimen,
    image: Tensor,
    target: int,
    window: int | None = None,
    stride: int | None = None,
) -> Attribution:
    """How much less probable the class is with a square of the mean colour at each place.

    Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2. The
    square is ``window`` pixels wide, a seventh of the input if not given, and moves by ``stride``,
    by default half of that. A pixel has the mean of all squares that cover it.

    Errors:
        LookingError: where the window is larger than the image, or the stride than the window.
    """
    channels, height, width = image.shape
    window = window or max(2, round(min(height, width) / 7))
    stride = stride or max(1, window // 2)
    if window > min(height, width):
        raise LookingError(f"a window of {window} pixels is larger than the {height}x{width} image")
    if stride > window:
        raise LookingError(f"a stride of {stride} leaves gaps between windows of {window} pixels")
    with torch.inference_mode():
        found = Occlusion(specimen.finished.probabilities).attribute(
            image[None],
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            # The mean of the training images is 0 after the normalization.
            baselines=0.0,
            target=target,
            perturbations_per_eval=_BATCH,
        )
    values = _checked(found)[0, 0]
    is_flat = bool(values.abs().max() < 0.01)
    lines = (
        f"How much less probable the class is with a grey square of {window}x{window} at each "
        f"place, in steps of {stride}; blue where it becomes more probable.",
        *(["No square changes the probability by as much as 1 %."] if is_flat else []),
        "Zeiler & Fergus 2014, section 4.2.",
    )
    return Attribution("Occlusion", target, values, values, "", lines)


def black_like(specimen: Specimen, image: Tensor) -> Tensor:
    """A black image as the network takes it, 1×C×H×W."""
    data = specimen.finished.facts["data"]
    mean, std = (torch.tensor(data[name]).reshape(1, -1, 1, 1) for name in ("mean", "std"))
    return (-mean / std).expand(1, *image.shape).clone()


def _input(image: Tensor) -> Tensor:
    return image[None].clone().requires_grad_()


def _score(specimen: Specimen) -> str:
    return "probability" if specimen.gives_probabilities else "score before the softmax"


def _checked(found: Tensor) -> Tensor:
    values = found.detach()
    check_finite(values, "the attribution")
    return values


# ── The layer of Grad-CAM ────────────────────────────────────────────────────────────────────


def _layer_of(specimen: Specimen, part: str | None) -> Node:
    model = specimen.model
    if part is not None:
        node = model.nodes[find_stage(model, part).node]
        if not node.volume.is_image or node.volume.positions == 1:
            raise LookingError(
                f"`{part}` of {specimen.name} is {node.volume}: Grad-CAM needs maps with a height "
                "and a width"
            )
        return node
    convolved: set[int] = set()
    last = None
    for node in model.layers:
        if node.layer.family is Family.CONVOLUTION or convolved.intersection(node.inputs):
            convolved.add(node.id)
        is_map = node.volume.is_image and node.volume.positions > 1
        if node.head is None and node.id in convolved and is_map and _changes_maps(node):
            last = node
    if last is None:
        raise LookingError(
            f"{specimen.name} has no convolution whose maps have a height and a width, which "
            "Grad-CAM needs"
        )
    return last


def _changes_maps(node: Node) -> bool:
    """Whether a layer makes maps of its own: pooling and dropout only pass them on."""
    return node.layer.family not in (Family.POOLING, Family.REGULARIZATION, Family.PLUMBING)


def _module_around(specimen: Specimen, node: Node) -> tuple[nn.Module, bool]:
    """A module that gives, or takes, the result of a node; and whether it takes it.

    The result of a merge is an expression of ``forward``: a module that reads it has it as input.
    """
    model = specimen.model
    runs = Counter(layer.module for layer in model.layers if layer.head is None)
    if isinstance(node.layer, UnaryLayer):
        if runs[node.module] > 1:
            # Captum would take the results of all of its runs for those of one.
            raise LookingError(
                f"`{model.names[node.id]}` of {specimen.name} runs {runs[node.module]} times: name "
                "another part with --part"
            )
        return specimen.module_of(node), False
    readers = [
        reader
        for reader in model.layers
        if node.id in reader.inputs and reader.head is None and runs[reader.module] == 1
    ]
    for reader in readers:
        if isinstance(reader.layer, UnaryLayer) and not reader.layer.flattens:
            return specimen.module_of(reader), True
    raise LookingError(
        f"no layer reads `{model.names[node.id]}` of {specimen.name} alone: name another part with "
        "--part"
    )


#: The methods by their options on the command line.
METHODS: dict[str, Callable[..., Attribution]] = {
    "saliency": attribute_saliency,
    "integrated-gradients": attribute_integrated_gradients,
    "grad-cam": attribute_grad_cam,
    "occlusion": attribute_occlusion,
}
