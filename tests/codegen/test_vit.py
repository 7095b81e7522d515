"""A Vision Transformer against torchvision's, which is written with ``nn.MultiheadAttention``."""

from __future__ import annotations

import pytest
import torch
from conftest import ROOT
from torch import Tensor
from torchvision.models.vision_transformer import VisionTransformer

import archdsl

SPEC = (ROOT / "specs" / "zoo" / "vit.arch").read_text("utf-8").partition("network ViT_B_16")[0]
SMALL = SPEC.replace("224x224x3 → 1000", "32x32x3 → 10").replace("fc 1000", "fc 10")


def _renamed(state: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's weights under the names of the spec, a matrix as a 1x1 convolution's."""
    found = {}
    for theirs, tensor in state.items():
        name = theirs
        for before, after in (
            ("encoder.layers.encoder_layer_", "encoder.layers."),
            ("encoder.pos_embedding", "pos_embedding.weight"),
            ("class_token", "class_token.weight"),
            ("in_proj_", "in_proj."),
            ("mlp.3", "mlp.2"),
            ("heads.head", "heads"),
        ):
            name = name.replace(before, after)
        found[name] = tensor.reshape(like[name].shape)
    return found


@pytest.mark.parametrize("training", [True, False])
def test_computes_what_torchvisions_does(training: bool) -> None:
    torch.manual_seed(0)
    theirs = VisionTransformer(32, 8, 3, 4, 48, 192, num_classes=10, attention_dropout=0.0)
    torch.nn.init.normal_(theirs.heads[0].weight, std=0.1)
    source = archdsl.compile(archdsl.parse(f"{SMALL}network Small = ViT(8, 3, 48, 4)"))
    module: dict[str, object] = {}
    exec(source, module)
    ours = module["small"]()  # type: ignore[operator]
    ours.load_state_dict(_renamed(theirs.state_dict(), ours.state_dict()), strict=True)
    ours.double().train(training)
    theirs.double().train(training)
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    outputs = [network(x) for network in (ours, theirs)]
    torch.testing.assert_close(*outputs, rtol=1e-10, atol=1e-12)
    for output in outputs:
        output.square().sum().backward()
    gradients = [{n: p.grad for n, p in net.named_parameters()} for net in (ours, theirs)]
    for name, gradient in _renamed(gradients[1], gradients[0]).items():
        torch.testing.assert_close(gradients[0][name], gradient, rtol=1e-8, atol=1e-10)
