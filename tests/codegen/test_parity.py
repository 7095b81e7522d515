"""The networks of specs/torchvision are torchvision's: names, numbers, outputs and gradients.

``benchmarks/parity.py`` compares all of them in full; here the large ones are compared on the meta
device alone, and every family computes with one of its members at least.
"""

from __future__ import annotations

import re
from unittest.mock import patch

import pytest
import torch
from conftest import ROOT
from oracle import build
from torch import Tensor, nn
from torchvision import models
from torchvision.models.regnet import BlockParams

import archdsl
from archdsl.model import Model

NETWORKS = {
    model.name: model
    for path in sorted((ROOT / "specs" / "torchvision").glob("*.arch"))
    for model in archdsl.load_all(path)
}
#: Torchvision's constructors by their names without underscores, and by their names.
NAMES = models.list_models(module=models)
CONSTRUCTORS = {name.replace("_", ""): name for name in NAMES} | {name: name for name in NAMES}

COMPUTED = [
    "AlexNet",
    "VGG11",
    "VGG11_BN",
    "SqueezeNet1_0",
    "SqueezeNet1_1",
    "ResNet18",
    "ResNet50",
    "ResNeXt50_32x4d",
    "WideResNet50_2",
    "GoogLeNet",
    "Inception_V3",
    "MobileNet_V2",
    "MobileNet_V3_Small",
    "EfficientNet_B0",
    "EfficientNet_V2_S",
    "DenseNet121",
    "RegNet_X_400MF",
    "RegNet_Y_400MF",
    "MNASNet0_5",
    "ShuffleNet_V2_X0_5",
]
#: With the size of the images. Inception's head needs its own.
TRAINED = {
    "AlexNet": 96,
    "SqueezeNet1_1": 96,
    "ResNet18": 96,
    "ResNeXt50_32x4d": 96,
    "GoogLeNet": 96,
    "Inception_V3": 299,
    "MobileNet_V2": 96,
    "MobileNet_V3_Small": 96,
    "EfficientNet_B0": 96,
    "EfficientNet_V2_S": 96,
    "DenseNet121": 96,
    "RegNet_X_400MF": 96,
    "RegNet_Y_400MF": 96,
    "MNASNet0_5": 96,
    "ShuffleNet_V2_X0_5": 96,
}
#: The classes of layers that are random in training: ours, and torchvision's.
RANDOM = {"Dropout", "DropPath", "StochasticDepth"}


def constructor(name: str) -> str:
    """`regnet_x_16gf` of RegNet_X_16GF, and `vgg11` of VGG11."""
    lower = name.lower()
    return CONSTRUCTORS.get(lower) or CONSTRUCTORS[lower.replace("_", "")]


def theirs(name: str) -> nn.Module:
    options = {"init_weights": False} if name.startswith(("VGG", "GoogLeNet", "Inception")) else {}
    with patch.object(BlockParams, "from_init_params", _on_cpu):
        network: nn.Module = models.get_model(constructor(name), weights=None, **options)
    return network


_from_init_params = BlockParams.from_init_params


def _on_cpu(**settings: object) -> BlockParams:
    """RegNet computes its widths with tensors, which have no numbers on the meta device."""
    with torch.device("cpu"):
        return _from_init_params(**settings)


def enliven(network: nn.Module) -> None:
    """Weights that let the image through to the output, and statistics that are not 0 and 1."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, std=0.1)


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """Torchvision's network, and ours with its weights."""
    torch.manual_seed(0)
    expected = theirs(name)
    enliven(expected)
    actual = build(NETWORKS[name], "meta").to_empty(device="cpu")
    actual.load_state_dict(expected.state_dict(), strict=True)
    return expected, actual


def images(batch: int, size: int) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))


# ── Without computing ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", NETWORKS.values(), ids=NETWORKS)
def test_names_and_shapes(model: Model) -> None:
    """The same keys in the same order, so that optimizers' states fit as well.

    Where torchvision registers GoogLeNet's heads, behind the trunk, they do not run.
    """
    with torch.device("meta"):
        expected = theirs(model.name)
    actual = build(model, "meta")
    shapes = [
        [(key, tuple(tensor.shape)) for key, tensor in network.state_dict().items()]
        for network in (actual, expected)
    ]
    keys = [[key for key, _ in network.named_parameters()] for network in (actual, expected)]
    order = sorted if model.heads.parameters else list
    assert order(shapes[0]) == order(shapes[1])
    assert order(keys[0]) == order(keys[1])


@pytest.mark.parametrize("model", NETWORKS.values(), ids=NETWORKS)
def test_torchvisions_own_numbers(model: Model) -> None:
    """What torchvision publishes beside its weights; its GFLOPS are multiply–accumulates.

    Some weights are for larger images. Inception's parameters include its head's.
    """
    sides = model.input.height, model.input.width
    (meta, *_) = (
        weights.meta
        for weights in models.get_model_weights(constructor(model.name))
        if (weights.transforms.keywords["crop_size"],) * 2 == sides
    )
    has_heads = model.name == "Inception_V3"
    assert model.trunk.parameters + has_heads * model.heads.parameters == meta["num_params"]
    assert model.trunk.macs / 1e9 == pytest.approx(meta["_ops"], abs=0.0005)
    assert len(model.claims) >= 2
    assert all(claim.holds for claim in model.claims)


def test_the_page_lists_every_network() -> None:
    page = (ROOT / "docs" / "parity.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) +\| +([\d,]+) \|", page, re.MULTILINE)
    totals = {n: m.trunk.parameters + m.heads.parameters for n, m in NETWORKS.items()}
    assert dict(rows) == {name: f"{total:,}" for name, total in totals.items()}


# ── Computing ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", COMPUTED)
@torch.no_grad()
def test_outputs_are_equal_to_the_last_bit(name: str) -> None:
    expected, actual = (network.eval() for network in pair(name))
    x = images(1, 224)
    output = actual(x)
    assert torch.equal(output, expected(x))
    # That they are equal says something only where the image gets through.
    assert not torch.equal(output, actual(-x))


@pytest.mark.parametrize("name", ["AlexNet", "SqueezeNet1_1", "ResNet18"])
@torch.no_grad()
def test_images_of_other_sizes(name: str) -> None:
    """At this one the pools have a rest to round, which they have not at 224."""
    expected, actual = (network.eval() for network in pair(name))
    x = images(2, 150)
    assert torch.equal(actual(x), expected(x))


@torch.no_grad()
def test_convnext_computes_torchvisions_numbers() -> None:
    """Its scale is a parameter of a layer here, and its linear layers are 1x1 convolutions."""
    (model, *_) = archdsl.load_all(ROOT / "specs" / "zoo" / "convnext.arch")
    torch.manual_seed(0)
    expected = models.convnext_tiny(stochastic_depth_prob=0.1).double().eval()
    for key, parameter in expected.named_parameters():
        if key.endswith("layer_scale"):
            nn.init.uniform_(parameter, 0.5, 1.5)
    actual = build(model).double().eval()
    theirs = expected.state_dict()
    shapes = {key: value.shape for key, value in actual.state_dict().items()}
    actual.load_state_dict(
        {
            key: theirs[key.removesuffix(".weight") if "layer_scale" in key else key].view(shape)
            for key, shape in shapes.items()
        }
    )
    assert len(theirs) == len(shapes)
    x = images(1, 64).double()
    torch.testing.assert_close(actual(x), expected(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "size"), TRAINED.items(), ids=TRAINED)
def test_a_training_step_is_equal_to_the_last_bit(name: str, size: int) -> None:
    """Gradients, then weights and running statistics after the step; no dropout."""
    networks = pair(name)
    for network in networks:
        for module in network.modules():
            if type(module).__name__ in RANDOM:
                module.p = 0.0
        network.train()
        _loss(network(images(2, size)), torch.tensor([3, 5])).backward()
    named = dict(networks[1].named_parameters())
    for key, theirs in networks[0].named_parameters():
        ours = named[key]
        assert theirs.grad is not None
        assert ours.grad is not None
        assert theirs.grad.any()
        assert torch.equal(ours.grad, theirs.grad)
    for network in networks:
        torch.optim.SGD(network.parameters(), lr=0.01, weight_decay=0.0005).step()
    state = networks[1].state_dict()
    for key, theirs in networks[0].state_dict().items():
        assert torch.equal(state[key], theirs), key


def _loss(output: object, labels: Tensor) -> Tensor:
    """Cross-entropy, with 0.3 of each auxiliary head's, the first head first."""
    if isinstance(output, Tensor):
        return nn.functional.cross_entropy(output, labels)
    if isinstance(output, models.GoogLeNetOutputs):
        output = (output.logits, output.aux_logits1, output.aux_logits2)
    assert isinstance(output, tuple)
    trunk, *heads = (nn.functional.cross_entropy(logits, labels) for logits in output)
    return trunk + sum(0.3 * loss for loss in heads)
