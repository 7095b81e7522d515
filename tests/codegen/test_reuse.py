"""``reuse``: one module, called several times, with parameters that count once."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from oracle import build, run_source
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import archdsl
from archdsl.cli.fixing import fix_source
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.text.source import Source

RECURRENT = "step: { conv 3x3 4 same; bn; relu }; maxpool 2; reuse step ×2; fc 3"


class Recurrent(nn.Module):
    """``RECURRENT`` by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.step(x))
        return self.fc(self.step(self.step(x)).flatten(1))


@pytest.fixture(scope="module")
def model() -> Model:
    return archdsl.parse(RECURRENT, input="8x8x4")


def test_a_module_that_runs_again_is_that_of_torch(model: Model) -> None:
    torch.manual_seed(0)
    ours, theirs = build(model), Recurrent()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 4, 8, 8)
    for _ in range(2):  # the statistics are those of each run, in order
        assert torch.equal(ours(x), theirs(x))
    assert all(
        torch.equal(ours.state_dict()[key], tensor) for key, tensor in theirs.state_dict().items()
    )
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_parameters_count_once_and_macs_each_time(model: Model) -> None:
    network = Recurrent().to("meta")
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(2, 4, 8, 8, device="meta"))
    assert model.trunk.macs == counter.get_total_flops() // 4
    assert model.trunk.parameters == sum(p.numel() for p in network.parameters())
    assert (model.trunk.weight_layers, model.depth) == (2, 4)
    names = [model.names[node.id] for node in model.layers]
    assert names.count("step.0") == 3
    assert [*build(model, "meta").state_dict()] == [*network.state_dict()]


def test_a_class_refuses_arguments_for_which_a_part_cannot_run_again() -> None:
    block = "block cell(n) { f: conv 1x1 n; relu; reuse f }"
    model = archdsl.parse(f"{block}\ncell(4); tanh; cell(4)", input="8x8x4")
    cell = run_source(archdsl.compile(model)).Cell
    assert cell(6, 6)(torch.randn(1, 6, 2, 2)).shape == (1, 6, 2, 2)
    with pytest.raises(ValueError, match="in_channels != n"):
        cell(4, 6)


def test_a_normalization_is_folded_only_where_all_runs_agree() -> None:
    both = archdsl.parse("f: { conv 1x1 4; bn }; relu; reuse f", input="8x8x4")
    assert "BatchNorm" not in archdsl.compile(both, inference=True)
    for text in (
        "conv 1x1 4; f: bn; relu; conv 1x1 4; reuse f",
        "f: conv 1x1 4; bn; relu; reuse f",
        "c: conv 1x1 4; f: bn; relu; reuse c; reuse f",
    ):
        apart = archdsl.parse(text, input="8x8x4")
        assert "BatchNorm" in archdsl.compile(apart, inference=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_all_tools_of_torch_take_modules_that_run_again(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recurrent.py").write_text(archdsl.compile(model), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    network = vars(importlib.import_module("recurrent"))[model.name]().eval()
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(torch.jit.script(network)(x), network(x))
    exported = torch.export.export(network, (x,)).module()
    assert torch.allclose(exported(x), network(x))


def test_what_a_part_refers_to_is_read_again_as_it_was() -> None:
    """Also where that is what flowed into the part, and into a block inside it."""
    text = "block cell(n) { conv 3x3 n same }\na: conv 1x1 4; d: { cell(4); add { a | id } }"
    model = archdsl.parse(f"{text}; tanh; reuse d", input="8x8x4")
    first, *_, last = (node for node in model.layers if node.layer.name in ("conv", "add"))
    assert model.nodes[last.id].inputs[0] == first.id
    network, x = build(model), torch.randn(1, 4, 8, 8)
    a = network.a(x)
    assert torch.equal(network(x), network.d(torch.tanh(network.d(a, a)), a))


def test_an_initializer_of_a_shared_layer_is_written_once() -> None:
    model = archdsl.parse("f: conv 1x1 4 init=zeros; relu; reuse f", input="8x8x4")
    assert archdsl.compile(model).count("zeros_(") == 2  # of the weight and of the bias


def test_a_normal_form_is_kept() -> None:
    text = "network N: 8x8x4 → 8x8x4 {\n  f: conv 3x3 4 same\n  b: reuse f ×2\n}\n"
    assert archdsl.format(text) == text
    assert "reuse f               → 8x8x4" in archdsl.format(
        text.replace("b: reuse f ×2", "reuse f"), volumes=True
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("feat: conv 1x1 4; reuse faet", "feat: conv 1x1 4; reuse feat"),
        ("f: conv 1x1 4; g: reuse f; reuse g", "f: conv 1x1 4; g: reuse f; reuse f"),
        ("f: conv 1x1 8; reuse f", "f: conv 1x1 8; reuse f"),
    ],
)
def test_a_name_that_is_meant_is_written(before: str, after: str) -> None:
    assert fix_source(Source(before), Volume.image(8, 8, 4))[0] == after
