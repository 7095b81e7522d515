"""Modules of PyTorch as specs: what is written, and that it computes the same."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from conftest import ROOT
from imports import SMALL, Dropping, body_of, imported, inputs_of
from oracle import build
from programs.generate import generate
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

import archdsl
from archdsl.codegen import entry_name
from archdsl.compilation import compile_module
from archdsl.frontend import read_models
from archdsl.importing.errors import NotInTheLanguage, NotTheSame
from archdsl.importing.importer import import_torch
from archdsl.layers.volume import Volume
from archdsl.text.source import Source
from archdsl.torch_tools.network import load_network

# ── torchvision ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("alexnet", 16),
        ("densenet121", 30),
        ("efficientnet_b0", 65),
        ("googlenet", 45),
        ("mnasnet0_5", 45),
        ("mobilenet_v2", 38),
        ("regnet_y_400mf", 50),
        ("resnet18", 25),
        ("resnet50", 30),
        ("shufflenet_v2_x0_5", 33),
        ("squeezenet1_1", 25),
    ],
)
def test_classifiers_compute_the_same_bits(name: str, lines: int) -> None:
    """``import_torch`` compares; the text is short, in the one style, and without faults."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The default weight initialization")
        module = models.get_model(name, weights=None)
    made = imported(module, Volume((224, 224, 3)))
    assert made.model.output == Volume.vector(1000)
    assert sum(p.numel() for p in module.parameters()) == (
        made.model.trunk.parameters + made.model.heads.parameters
    )
    assert len(body_of(made)) <= lines
    assert archdsl.format(made.text) == made.text
    assert build(made.model).load_state_dict(made.state, strict=True)


def test_the_text_of_resnet18() -> None:
    made = imported(models.resnet18(weights=None), Volume((224, 224, 3)))
    assert (
        "\n".join(body_of(made))
        == """\
block basic_block(n, s=1, projects=false) {
  add {
    | conv1: conv 3x3 n stride=s p1 nobias; bn1: bn; relu
      conv2: conv 3x3 n same nobias; bn2: bn
    | if projects { downsample: { conv 1x1 n s2 nobias bn } } else { id }
  }
  relu
}
network Net: 224x224x3 → 1000 {
  conv1: conv 7x7 64 s2 p3 nobias; bn1: bn; relu; maxpool 3x3 s2 p1    → 56x56x64
  layer1: { basic_block(64) ×2 }                                       → 56x56x64
  layer2: { basic_block(128, 2, true); basic_block(128) }              → 28x28x128
  layer3: { basic_block(256, 2, true); basic_block(256) }              → 14x14x256
  layer4: { basic_block(512, 2, true); basic_block(512) }              → 7x7x512
  gap                                                                  → 1x1x512
  fc: fc 1000                                                          → 1000
}"""
    )


def test_heads_that_only_training_has_are_auxiliary() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The default weight initialization")
        module = models.googlenet(weights=None, init_weights=False)
    made = imported(module, Volume((224, 224, 3)))
    assert "aux1: aux(0.3) { inception_aux() }" in made.text
    assert made.model.heads.parameters == sum(
        p.numel() for name, p in module.named_parameters() if name.startswith("aux")
    )
    assert (
        "# The weight of the heads' losses is not in the module: 0.3 is GoogLeNet's.\n" in made.text
    )


# ── Modules of one's own ─────────────────────────────────────────────────────────────────────


class Functional(nn.Module):
    """What is no module in the original is a layer all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8 * 4 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x), inplace=True)
        x = F.max_pool2d(x, 2)
        x = x + torch.sigmoid(self.conv2(x)) * x
        x = F.avg_pool2d(x, kernel_size=2, stride=2)
        x = torch.flatten(x, 1)
        x = F.dropout(x, 0.5, self.training)
        return F.leaky_relu(self.fc(x), 0.2)


class Views(nn.Module):
    """The ways to flatten."""

    def __init__(self, way: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.way = way
        self.fc = nn.Linear(3 * 16 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.way(x))  # type: ignore[no-any-return]


class Crossing(nn.Module):
    """Branches that read one another: no nest of forks, but names."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(3 if i == 0 else 6, 6, 1) for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(a)
        c = self.c(b + a)
        return torch.cat([a, c * b, c], 1)


class NormAct(nn.BatchNorm2d):
    """Normalization and activation in one module, as timm has them."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        torch._assert(x.ndim == 4, "an image is wanted")
        if self.training:
            self.num_batches_tracked.add_(1)
        x = F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum or 0.0,
            self.eps,
        )
        return self.act(x)  # type: ignore[no-any-return]


class Words(nn.Module):
    """Attributes that are words of the language."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Conv2d(3, 4, 3)
        self.add = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.s2 = nn.ModuleDict({"x-1": nn.Conv2d(4, 4, 1)})

    def forward(self, x: Tensor) -> Tensor:
        return self.s2["x-1"](self.add(self.block(x)))  # type: ignore[no-any-return]


class Unit(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2)
        self.wide = nn.Conv2d(out, 4 * out, 1)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.wide(self.conv(x)))  # type: ignore[no-any-return]


class Units(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(Unit(3, 2), Unit(8, 3, 5), Unit(12, 3, 5), Unit(12, 3, 5))


class Shared(nn.Module):
    """A layer without weights may run more than once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.act, self.pool = nn.Hardswish(), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.act(self.conv2(self.pool(self.act(self.conv1(x))))))  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Names inside rows without one, and an option inside a block."""

    def __init__(self) -> None:
        super().__init__()
        rows = (
            nn.Sequential(OrderedDict(a=nn.Conv2d(3, 3, 1), b=nn.Conv2d(3, 3, 3, padding=1))),
            nn.Sequential(OrderedDict(a=nn.Conv2d(3, 3, 1), b=nn.Conv2d(3, 3, 5, padding=2))),
        )
        self.rows = nn.Sequential(*rows)
        self.pairs = nn.Sequential(Pairs(3, 4), Pairs(4, 4), Pairs(4, 6), Pairs(6, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.pairs(self.rows(x))  # type: ignore[no-any-return]


class Residual(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=1)
        self.other = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        other = x if isinstance(self.other, nn.Identity) else self.other(x)
        return self.conv(x) + other  # type: ignore[no-any-return]


class TwoSums(nn.Module):
    """One branch is always empty, the other sometimes."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.residual = Residual(channels, out)
        self.conv2 = nn.Conv2d(out, out, 1)
        self.other = nn.Conv2d(out, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.residual(x + self.conv(x))
        y = x if isinstance(self.other, nn.Identity) else self.other(x)
        return self.conv2(x) + y  # type: ignore[no-any-return]


class Pairs(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.first, self.second = Residual(channels, out), Residual(out, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))  # type: ignore[no-any-return]


OWN: dict[str, tuple[nn.Module, list[str]]] = {
    "functional": (
        Functional(),
        ["add { id | mul { conv2: conv 1x1 8; sigmoid | id } }", "dropout 0.5", "leakyrelu 0.2"],
    ),
    "a view by size": (Views(lambda x: x.view(x.size(0), -1)), ["fc: fc 5"]),
    "a view by shape": (Views(lambda x: x.reshape(x.shape[0], 768)), ["fc: fc 5"]),
    "a view by numbers": (Views(lambda x: x.view(-1, 3 * 16 * 16)), ["fc: fc 5"]),
    "a method": (Views(lambda x: x.flatten(1)), ["fc: fc 5"]),
    "crossing": (Crossing(), ["a: conv 1x1 6", "concat {"]),
    "words": (Words(), ['"block": conv 3x3 4', '"add": { conv 1x1 4 relu }']),
    "units": (Units(), ["block unit(k, n)", "padding=(k//2)", "unit(5, 3) ×3", "conv 1x1 (4*n)"]),
    "shared": (Shared(), ["hardswish"]),
    "dropping": (Dropping(), ["droppath 0.2"]),
    "a mean": (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d((1, None)), nn.Flatten()),
        ["adaptiveavgpool 1x14"],
    ),
    "one axis": (nn.Sequential(nn.Conv1d(3, 4, 5, 2), nn.BatchNorm1d(4), nn.MaxPool1d(2)), []),
    "three axes": (nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.AdaptiveAvgPool3d(1)), []),
    "stage": (Stage(), ["sequential(3)", "sequential(5)", "pairs(4, true)", "pairs(4)"]),
    "two sums": (
        nn.Sequential(TwoSums(3, 4), TwoSums(4, 4)),
        ["two_sums(3, true, true)", "two_sums(4)"],
    ),
    "all digits": (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=1 - 0.9997)),
        ["bn momentum=0.00029999999999996696"],
    ),
    "norm and act": (nn.Sequential(nn.Conv2d(3, 4, 3), NormAct(4)), ["bn", "silu"]),
    "up": (
        nn.Sequential(nn.ConvTranspose2d(3, 4, 2, 2), nn.Upsample(scale_factor=2), nn.Tanh()),
        ["deconv 2x2 4 s2", "upsample 2"],
    ),
}
INPUTS = {"one axis": Volume((40, 3)), "three axes": Volume((4, 6, 6, 3))}


@pytest.mark.parametrize("name", OWN)
def test_modules_of_ones_own(name: str) -> None:
    module, said = OWN[name]
    made = imported(module, INPUTS.get(name, SMALL))
    for line in said:
        assert line in made.text
    assert build(made.model).load_state_dict(made.state, strict=True)
    assert archdsl.format(made.text) == made.text


def test_random_networks_come_back() -> None:
    """Modules of random specs: imported with the same bits, or refused, and nothing else.

    A gradient that is a sum of three may be rounded otherwise, on some machines.
    """
    done = 0
    differences: list[str] = []
    for seed in range(40):
        models = read_models(Source(str(generate(seed)[0])))
        source = compile_module(models)
        for model in models:
            module = load_network(source, entry_name(model))
            try:
                made = import_torch(module, model.name, inputs_of(model, module), "spec")
            except NotInTheLanguage:
                continue
            except NotTheSame as fault:
                differences.append(str(fault))
                continue
            assert made.model.trunk.parameters == model.trunk.parameters
            assert made.model.heads.parameters == model.heads.parameters
            done += 1
    assert done > 15
    assert len(differences) < 3
    assert all("the gradient of" in difference for difference in differences)


#: Specs whose module is a network of plain layers: imported, it is that network again.
COMES_BACK = ["googlenet", "nin", "nin_cifar10", "torchvision/resnet", "torchvision/squeezenet"]


@pytest.mark.parametrize("spec", COMES_BACK)
def test_specs_come_back(spec: str) -> None:
    """From spec to module and back: the same volumes, costs and keys."""
    (model, *_) = archdsl.load_all(ROOT / "specs" / f"{spec}.arch")
    module = load_network(compile_module((model,)), entry_name(model))
    made = import_torch(module, model.name, model.input, "spec")
    assert [node.volume for node in made.model.layers] == [node.volume for node in model.layers]
    assert (made.model.trunk, made.model.heads) == (model.trunk, model.heads)
    assert [*made.state] == [*module.state_dict()]
