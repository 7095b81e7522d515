"""The standard library: each block in a small network, its numbers from its paper's formula."""

from __future__ import annotations

from importlib import resources

import pytest

import archdsl
from archdsl.elaborate import standard_names
from archdsl.frontend import read_models
from archdsl.model import Model
from archdsl.text.source import Source


def apply(call: str, input: str) -> Model:
    return archdsl.parse(call, input=input)


def conv(kernel: int, channels: int, filters: int, bias: bool = True) -> int:
    """Parameters of one convolution."""
    return kernel * kernel * channels * filters + bias * filters


def bn(channels: int) -> int:
    return 2 * channels


#: call, input, output, parameters, weight layers
CASES = {
    "inception": (
        "inception(64, 96→128, 16→32, 32)",
        "28x28x192",
        "28x28x256",
        conv(1, 192, 64)
        + (conv(1, 192, 96) + conv(3, 96, 128))
        + (conv(1, 192, 16) + conv(5, 16, 32))
        + conv(1, 192, 32),
        6,
    ),
    "mlpconv": (
        "mlpconv(5, 192, 160, 96, p=2)",
        "32x32x3",
        "32x32x96",
        conv(5, 3, 192) + conv(1, 192, 160) + conv(1, 160, 96),
        3,
    ),
    "mlpconv, strided": (
        "mlpconv(11, 96, 96, 96, s=4)",
        "224x224x3",
        "54x54x96",
        conv(11, 3, 96) + 2 * conv(1, 96, 96),
        3,
    ),
    "basic": (
        "basic(64)",
        "56x56x64",
        "56x56x64",
        2 * (conv(3, 64, 64, bias=False) + bn(64)),
        2,
    ),
    "basic, projected": (
        "basic(128, 2)",
        "56x56x64",
        "28x28x128",
        (conv(3, 64, 128, bias=False) + bn(128))
        + (conv(3, 128, 128, bias=False) + bn(128))
        + (conv(1, 64, 128, bias=False) + bn(128)),
        3,
    ),
    "bottleneck": (
        "bottleneck(64)",
        "56x56x256",
        "56x56x256",
        (conv(1, 256, 64, bias=False) + bn(64))
        + (conv(3, 64, 64, bias=False) + bn(64))
        + (conv(1, 64, 256, bias=False) + bn(256)),
        3,
    ),
    "bottleneck, wider at the same size": (
        "bottleneck(64)",
        "56x56x64",
        "56x56x256",
        (conv(1, 64, 64, bias=False) + bn(64))
        + (conv(3, 64, 64, bias=False) + bn(64))
        + (conv(1, 64, 256, bias=False) + bn(256))
        + (conv(1, 64, 256, bias=False) + bn(256)),
        4,
    ),
    "bottleneck, projected": (
        "bottleneck(128, s=2)",
        "56x56x256",
        "28x28x512",
        (conv(1, 256, 128, bias=False) + bn(128))
        + (conv(3, 128, 128, bias=False) + bn(128))
        + (conv(1, 128, 512, bias=False) + bn(512))
        + (conv(1, 256, 512, bias=False) + bn(512)),
        4,
    ),
    "fire": (  # SqueezeNet, table 1: fire2 has 11,920 parameters before pruning
        "fire(16, 64, 64)",
        "55x55x96",
        "55x55x128",
        11_920,
        3,
    ),
    "squeeze_excite": (  # Hu et al. 2018, section 4: 2C²/r weights, and here their biases
        "squeeze_excite(16)",
        "14x14x256",
        "14x14x256",
        2 * 256 * 256 // 16 + 16 + 256,
        2,
    ),
    "depthwise_separable": (
        "depthwise_separable(64, 2)",
        "112x112x32",
        "56x56x64",
        (3 * 3 * 32 + bn(32)) + (32 * 64 + bn(64)),
        2,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_block(case: str) -> None:
    call, input, output, parameters, weight_layers = CASES[case]
    model = apply(call, input)
    assert str(model.output) == output
    assert model.trunk.parameters == parameters
    assert model.trunk.weight_layers == weight_layers


def test_every_block_has_a_case() -> None:
    assert {case.partition(",")[0] for case in CASES} == standard_names()


def test_every_block_has_a_file_of_its_name_and_a_source() -> None:
    for entry in resources.files("archdsl").joinpath("std").iterdir():
        text = entry.read_text("utf-8")
        name = entry.name.removesuffix(".arch")
        assert text.count("\nblock ") == 1
        assert f"\nblock {name}(" in text
        assert "201" in text.partition("\nblock ")[0], f"{name} names no paper"


def test_depthwise_separable_saves_what_its_paper_says() -> None:
    """Howard et al. 2017, section 3.1: 1/N + 1/k² of the MACs of a full convolution."""
    separable = apply("depthwise_separable(64)", "14x14x32").trunk.macs
    full = apply("conv 3x3 64 same", "14x14x32").trunk.macs
    assert separable * 64 * 9 == full * (9 + 64)


def test_the_squeeze_divides_exactly_or_is_refused() -> None:
    with pytest.raises(archdsl.ArchError) as caught:
        apply("squeeze_excite(16)", "14x14x24")
    assert [d.code for d in caught.value.diagnostics] == ["inexact-division"]


def test_a_local_block_wins() -> None:
    text = """
        block basic(n) { conv 1x1 n }
        network Local: 8x8x3 → 8x8x4 { basic(4) }
    """
    assert archdsl.parse(text).trunk.parameters == 16


#: He et al. 2016, table 1. Parameters and names are torchvision's.
RESNETS = """
network ResNet18Like(a, b, c, d): 224x224x3 → 1000 {
  conv1: conv 7x7 64 s2 p3 nobias; bn1: bn; relu; maxpool 3 s2 p1
  layer1: { basic(64) ×a }
  layer2: { basic(128, 2); basic(128) ×(b-1) }
  layer3: { basic(256, 2); basic(256) ×(c-1) }
  layer4: { basic(512, 2); basic(512) ×(d-1) }
  pool: gap; fc 1000
}
network ResNet50Like(a, b, c, d): 224x224x3 → 1000 {
  conv1: conv 7x7 64 s2 p3 nobias; bn1: bn; relu; maxpool 3 s2 p1
  layer1: { bottleneck(64) ×a }
  layer2: { bottleneck(128, 2); bottleneck(128) ×(b-1) }
  layer3: { bottleneck(256, 2); bottleneck(256) ×(c-1) }
  layer4: { bottleneck(512, 2); bottleneck(512) ×(d-1) }
  pool: gap; fc 1000
}
network ResNet18 = ResNet18Like(2, 2, 2, 2)
network ResNet34 = ResNet18Like(3, 4, 6, 3)
network ResNet50 = ResNet50Like(3, 4, 6, 3)
"""


def test_whole_resnets() -> None:
    models = {m.name: m for m in read_models(Source(RESNETS))}
    parameters = {name: model.trunk.parameters for name, model in models.items()}
    assert parameters == {"ResNet18": 11_689_512, "ResNet34": 21_797_672, "ResNet50": 25_557_032}
    names = set(models["ResNet50"].names.values())
    assert {"conv1", "bn1", "layer1.0.conv1", "layer1.0.downsample.0"} <= names
