"""Attributions are what Captum gives for the same call, and are about the class asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from captum.attr import (
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    Occlusion,
    Saliency,
)
from looks import train, trained, write_image
from torch import Tensor

from archdsl.drawing.canvas.bounds import bounds_of, single_marks
from archdsl.drawing.canvas.marks import Raster, texts_in
from archdsl.drawing.options import SMALLEST_TEXT
from archdsl.looking.attribution import (
    METHODS,
    STEPS,
    attribute_grad_cam,
    attribute_integrated_gradients,
    attribute_occlusion,
    attribute_saliency,
    black_like,
)
from archdsl.looking.colours import colours_of
from archdsl.looking.errors import LookingError
from archdsl.looking.heat import draw_attribution
from archdsl.looking.specimen import open_specimen

pytestmark = pytest.mark.filterwarnings("ignore")


def image() -> Tensor:
    return trained().image[None].clone().requires_grad_()


def test_saliency_is_captums() -> None:
    network = trained().specimen.network
    for target in (0, 3):
        wanted = Saliency(network).attribute(image(), target=target)
        found = attribute_saliency(trained().specimen, trained().image, target)
        assert torch.equal(found.values, wanted[0].amax(dim=0))
    x = image()
    (gradient,) = torch.autograd.grad(network(x)[0, 3], x)
    assert torch.allclose(found.values, gradient[0].abs().amax(dim=0))


def test_integrated_gradients_are_captums_and_complete() -> None:
    specimen = trained().specimen
    black = black_like(specimen, trained().image)
    wanted = IntegratedGradients(specimen.network).attribute(
        image(), baselines=black, target=1, n_steps=STEPS
    )
    found = attribute_integrated_gradients(specimen, trained().image, 1)
    assert torch.allclose(found.values, wanted[0].sum(dim=0).float(), atol=1e-5)
    # Sundararajan et al. 2017, proposition 1: the sum is the rise of the score.
    with torch.inference_mode():
        rise = specimen.scores(trained().image[None])[0, 1] - specimen.scores(black)[0, 1]
    assert found.values.sum().item() == pytest.approx(rise.item(), rel=0.05, abs=1e-3)


def test_black_is_black() -> None:
    data = trained().specimen.finished.facts["data"]
    black = black_like(trained().specimen, trained().image)[0]
    for channel, mean, std in zip(black, data["mean"], data["std"], strict=True):
        assert torch.allclose(channel * std + mean, torch.zeros(()), atol=1e-6)


@pytest.mark.parametrize(
    ("part", "module", "takes_input"), [(None, "tail.1", False), ("mix", "skip.branch2", True)]
)
def test_grad_cam_is_captums(part: str | None, module: str, takes_input: bool) -> None:
    """At the tanh of the last convolution, as pooling makes no maps; at a merge, by its reader."""
    specimen = trained().specimen
    network = specimen.network
    names = dict(network.named_modules())
    wanted = LayerGradCam(network, names[module]).attribute(
        image(), target=2, attribute_to_layer_input=takes_input, relu_attributions=True
    )
    found = attribute_grad_cam(specimen, trained().image, 2, part)
    assert torch.equal(found.map, wanted[0, 0].detach())
    size = tuple(trained().image.shape[1:])
    fine = LayerAttribution.interpolate(wanted, size, "bilinear")
    assert torch.equal(found.values, fine[0, 0].detach())
    assert (found.values >= 0).all()
    assert found.place == (part or "tail.1")


def test_occlusion_is_captums_and_a_difference_of_probabilities() -> None:
    specimen = trained().specimen

    def probabilities(x: Tensor) -> Tensor:
        return specimen.network(x).softmax(1)

    with torch.no_grad():
        wanted = Occlusion(probabilities).attribute(
            trained().image[None],
            sliding_window_shapes=(3, 4, 4),
            strides=(3, 4, 4),
            baselines=0.0,
            target=1,
        )
    found = attribute_occlusion(specimen, trained().image, 1, window=4, stride=4)
    assert torch.allclose(found.values, wanted[0, 0], atol=1e-6)
    hidden = trained().image.clone()
    hidden[:, 4:8, 8:12] = 0
    with torch.no_grad():
        shares = [probabilities(x[None])[0, 1].item() for x in (trained().image, hidden)]
    assert found.values[5, 9].item() == pytest.approx(shares[0] - shares[1], abs=1e-6)


def test_nothing_in_the_network_changes() -> None:
    network = trained().specimen.network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for method in METHODS.values():
        method(trained().specimen, trained().image, 0)
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", METHODS)
def test_the_picture_of_a_method(name: str) -> None:
    specimen = trained().specimen
    found = METHODS[name](specimen, trained().image, 2)
    picture = draw_attribution(specimen, trained().image, found, image_name="edge.png")
    texts = " ".join(text.text for text in texts_in(picture.marks))
    assert f"{found.method} of {specimen.classes[2]}: Look on edge.png" in texts
    assert f"{specimen.classes[2]} has " in texts
    assert picture.smallest_text >= SMALLEST_TEXT
    marks = list(single_marks(picture.marks))
    assert max(bounds_of(mark).right for mark in marks) <= picture.width
    assert max(bounds_of(mark).bottom for mark in marks) <= picture.height
    rasters = [mark for mark in marks if isinstance(mark, Raster)]
    # The input, the map, both, and the scale; which a map of nothing but zeros lacks.
    assert len(rasters) == 3 + bool(found.map.any())
    wanted = colours_of(found.map, found.map.abs().max().item())
    assert rasters[1].pixels == bytes(wanted.flatten().tolist())


def test_a_network_that_ends_in_softmax(tmp_path: Path) -> None:
    spec = "network Soft: 8x8x1 → 3 { conv 3x3 4 same relu; fc 3; softmax }"
    specimen = open_specimen(train(spec, tmp_path))
    x = specimen.finished.prepare(write_image(tmp_path / "x.png"))
    found = attribute_saliency(specimen, x, 0)
    assert "the probability changes" in found.lines[0]


def test_a_module_that_runs_twice_has_no_maps_of_its_own(tmp_path: Path) -> None:
    """Of which of its runs they were, Captum's hook could not tell."""
    spec = """
    network Twice: 8x8x1 → 3 {
      stem: conv 3x3 4 same relu; step: conv 3x3 4 same; tanh; reuse step; gap; flatten; fc 3
    }
    """
    specimen = open_specimen(train(spec, tmp_path))
    x = specimen.finished.prepare(write_image(tmp_path / "x.png"))
    for part in (None, "step"):
        with pytest.raises(LookingError, match="`step` of Twice runs 2 times: name another part"):
            attribute_grad_cam(specimen, x, 0, part)
    assert attribute_grad_cam(specimen, x, 0, "stem").values.shape == (8, 8)
