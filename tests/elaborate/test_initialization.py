"""What weights start as: torch draws them, and their statistics are compared with what is said."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import pytest
import torch
from conftest import ROOT
from oracle import build
from torch import Tensor, nn

import archdsl
from archdsl.frontend import read_models
from archdsl.layers import INITIALIZERS, Initializer, initializers
from archdsl.layers.definition import fields_of
from archdsl.model import Model
from archdsl.report.statement import render_value
from archdsl.text.source import Source

FAN_IN, FAN_OUT = 64 * 3 * 3, 128 * 3 * 3

#: Standard deviation and largest absolute value, by hand, for `conv 3x3 128` on 64 channels.
SPREADS: dict[str, tuple[Callable[[], float], float | None]] = {
    "he": (lambda: sqrt(2 / FAN_IN), None),
    "he(mode=fan_out)": (lambda: sqrt(2 / FAN_OUT), None),
    "xavier": (lambda: sqrt(2 / (FAN_IN + FAN_OUT)), sqrt(6 / (FAN_IN + FAN_OUT))),
    "normal(0.02)": (lambda: 0.02, None),
    "uniform(0.3)": (lambda: 0.3 / sqrt(3), 0.3),
    "zeros": (lambda: 0.0, 0.0),
}


def built(text: str, input: str = "8x8x64") -> nn.Module:
    torch.manual_seed(1)
    return build(archdsl.parse(text, input=input))


def tensors(text: str, input: str = "8x8x64") -> dict[str, Tensor]:
    return dict(built(text, input).state_dict())


@pytest.mark.parametrize("written", SPREADS)
def test_weights_are_drawn_as_stated(written: str) -> None:
    deviation, bound = SPREADS[written]
    found = tensors(f"conv 3x3 128 init={written}; conv 1x1 4")["0.weight"]
    # 73,728 numbers: the sampling error of a standard deviation is below 0.3 %.
    assert float(found.std()) == pytest.approx(deviation(), rel=0.02)
    assert abs(float(found.mean())) <= 0.02 * deviation()
    if bound is not None:
        assert 0.99 * bound <= float(found.abs().max()) <= bound


def test_every_initializer_is_drawn() -> None:
    assert {written.partition("(")[0] for written in SPREADS} == INITIALIZERS.keys()


@pytest.mark.parametrize(
    "definition", INITIALIZERS.values(), ids=lambda definition: definition.name
)
def test_definition_is_complete(definition: type[Initializer]) -> None:
    """Its example reads as a statement and, written as an attribute, means the same."""
    assert definition.__doc__
    assert all(item.role.doc for item in fields_of(definition))
    init = archdsl.parse(f"fc 10; {definition.example}", input="4").init
    assert isinstance(init, definition)
    own = archdsl.parse(f"fc 10 init={render_value(init)}", input="4")
    assert own.init is None
    assert own.layers[0].layer.init == init
    assert f"`{definition.name}`" in (ROOT / "docs" / "language.md").read_text("utf-8")


@pytest.mark.parametrize(
    "layer", ["conv 3x3 32 same", "dwconv 3", "deconv 2 8", "fc 32", "linear 8"]
)
def test_every_layer_with_weights_takes_an_init(layer: str) -> None:
    text = f"{layer} init=uniform(0.5, bias=0.25); fc 2"
    weights, biases, *_ = tensors(text).values()
    assert 0.45 < float(weights.abs().max()) <= 0.5
    assert bool((biases == 0.25).all())
    assert "module" not in archdsl.compile(archdsl.parse(text, input="8x8x64"))


NETWORK = """
block own(n) { conv 3x3 n same init=normal(0.5) relu; conv 2x2 n same nobias }
network N: 8x8x16 → 10 {
  a: conv 3x3 64 same init=zeros(bias=2) bn relu
  own(64); own(32)
  init normal 0.01 bias 1
  head: aux(0.3) { fc 10 }
  b: deconv 2x2 16 s2 init=normal(0.01, bias=3)
  c: mlpconv(3, 32, 16, 16)
  logits: fc 10
}
"""


def test_a_network_says_it_for_all_and_a_layer_for_itself() -> None:
    (model,) = read_models(Source(NETWORK))
    torch.manual_seed(1)
    found = build(model).state_dict()
    weights = {n.removesuffix(".weight"): t for n, t in found.items() if n.endswith(".weight")}
    deviations = {name: float(t.std()) for name, t in weights.items() if t.dim() > 1}
    expected = dict.fromkeys(deviations, 0.01)
    expected |= {"a.0": 0.0, "layers.0.0": 0.5, "layers.1.0": 0.5}
    assert deviations == pytest.approx(expected, rel=0.15)
    assert {name: set(t.tolist()) for name, t in found.items() if name.endswith(".bias")} == {
        "a.0.bias": {2.0},
        "a.1.bias": {0.0},  # of the batch normalization: PyTorch's own
        "layers.0.0.bias": {0.0},
        "layers.1.0.bias": {0.0},
        "head.0.bias": {1.0},
        "b.bias": {3.0},
        "c.0.bias": {1.0},
        "c.2.bias": {1.0},
        "c.4.bias": {1.0},
        "logits.bias": {1.0},
    }
    assert bool((weights["a.1"] == 1).all())


def init_lines(model: Model) -> list[str]:
    """What stands in the ``__init__`` of the last class behind its modules."""
    body = archdsl.compile(model).rpartition("    def __init__")[2].partition("    def forward")[0]
    lines = [line[8:] for line in body.splitlines() if line.strip()]
    starts = (i for i, line in enumerate(lines) if line.startswith(("for ", "nn.init")))
    return lines[next(starts, len(lines)) :]


def test_without_a_word_nothing_is_emitted() -> None:
    assert init_lines(archdsl.parse("a: conv 3x3 8; fc 10", input="8x8x3")) == []
    assert "nn.init" not in archdsl.compile(*archdsl.load_all(ROOT / "specs" / "googlenet.arch"))


def test_it_reads_as_written_by_hand() -> None:
    assert init_lines(archdsl.load(ROOT / "specs" / "alexnet.arch")) == [
        "for module in self.modules():",
        "    if isinstance(module, nn.Conv2d | nn.Linear):",
        "        nn.init.normal_(module.weight, std=0.01)",
        "        if module.bias is not None:",
        "            nn.init.zeros_(module.bias)",
        'for name in ("conv2.0", "conv4.0", "conv5.0", "fc6.0", "fc7.0"):',
        '    nn.init.ones_(self.get_parameter(f"{name}.bias"))',
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "a: fc 8 relu; b: fc 4; init he",
            [
                "for module in self.modules():",
                "    if isinstance(module, nn.Linear):",
                '        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")',
                "        if module.bias is not None:",
                "            nn.init.zeros_(module.bias)",
            ],
        ),
        (
            "a: conv 1x1 8 nobias relu; b: conv 1x1 4; init he",
            [
                "for module in self.modules():",
                "    if isinstance(module, nn.Conv2d):",
                '        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")',
                "        if module.bias is not None:",
                "            nn.init.zeros_(module.bias)",
            ],
        ),
        (
            "a: conv 1x1 8 nobias relu; init xavier",
            [
                "for module in self.modules():",
                "    if isinstance(module, nn.Conv2d):",
                "        nn.init.xavier_uniform_(module.weight)",
            ],
        ),
        (
            "a: fc 8 init=zeros; b: fc 4 init=normal(0.1, bias=0.5)",
            [
                'nn.init.zeros_(self.get_parameter("a.weight"))',
                'nn.init.zeros_(self.get_parameter("a.bias"))',
                'nn.init.normal_(self.get_parameter("b.weight"), std=0.1)',
                'nn.init.constant_(self.get_parameter("b.bias"), 0.5)',
            ],
        ),
        ("a: fc 8 init=he; init he; b: fc 4 init=he(bias=0)", None),
    ],
)
def test_lines(text: str, lines: list[str] | None) -> None:
    found = init_lines(archdsl.parse(text, input="2x2x8"))
    if lines is None:  # what a layer says again is not written again
        assert not any("self.get_parameter" in line for line in found)
    else:
        assert found == lines


def test_the_biases_of_alexnet_are_the_papers() -> None:
    found = build(archdsl.load(ROOT / "specs" / "alexnet.arch")).state_dict()
    biases = {name.split(".")[0]: set(t.tolist()) for name, t in found.items() if "bias" in name}
    ones = {"conv2", "conv4", "conv5", "fc6", "fc7"}
    assert biases == {name: {1.0} if name in ones else {0.0} for name in biases}
    assert float(found["fc6.0.weight"].std()) == pytest.approx(0.01, rel=0.01)


def test_a_member_replaces_the_init_of_its_family() -> None:
    text = """
    network F(n): 8x8x1 → 10 { init xavier; fc n; fc 10 }
    network A = F(4)
    network B = F(8) { init normal 0.1 bias (1 / 4.0) }
    """
    a, b = read_models(Source(text))
    assert a.init == initializers.Xavier()
    assert b.init == initializers.Normal(0.1, bias=0.25)


def test_values_are_seen() -> None:
    text = "let s = 0.5; block f(b) { fc 4 init=normal(s, bias=b) }; f(2); fc 4 init=uniform(s / 2)"
    one, two = (node.layer.init for node in archdsl.parse(text, input="8").layers)
    assert one == initializers.Normal(0.5, bias=2.0)
    assert two == initializers.Uniform(0.25)
