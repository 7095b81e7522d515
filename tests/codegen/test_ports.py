"""Inputs and outputs with names: what ``forward`` takes, and the tuple that it gives."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import onnxruntime
import pytest
import torch
from conftest import ROOT
from oracle import build, judge, run_source
from structures import PORTS
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection.rpn import RPNHead

import archdsl
from archdsl.model.memory import estimate_memory
from archdsl.recipe import Recipe
from archdsl.torch_tools.export import export_onnx
from archdsl.train.errors import TrainError
from archdsl.train.options import TrainOptions
from archdsl.train.run import train_model
from archdsl.validation import InvalidModuleError, validate

PAIRS = """
network Pairs: (left: 8x8x4, right: 8x8x4) → (near: 1, both: 8) {
  f: { conv 3x3 4 same bn relu; fc 8 sigmoid }
  right; g: reuse f
  both: max { f | g }
  sub { f | g }; near: fc 1
}
"""


@pytest.mark.parametrize("text", PORTS.values(), ids=PORTS)
def test_a_network_with_names(text: str) -> None:
    judge(archdsl.parse(f"network N: {text}"))


def test_forward_takes_and_gives_the_names_of_the_spec() -> None:
    module = run_source(archdsl.compile(archdsl.parse(PAIRS)))
    assert module.__all__ == ["Pairs", "PairsOutput"]
    assert module.PairsOutput._fields == ("near", "both")
    signature = inspect.signature(module.Pairs.forward)
    assert [*signature.parameters] == ["self", "left", "right"]
    assert signature.return_annotation is module.PairsOutput
    left, right = torch.randn(2, 3, 4, 8, 8)
    network = module.Pairs().eval()
    output = network(right=right, left=left)
    assert output.near.shape == (3, 1)
    assert torch.equal(output.both, torch.maximum(network.f(left), network.f(right)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return PairsOutput(near, both)", "return PairsOutput(both, near)"),
        ("return PairsOutput(near, both)", "return near, both"),
        ("return PairsOutput(near, both)", "return near"),
        ("left: Tensor, right: Tensor", "right: Tensor, left: Tensor  # as before"),
        ("self.f(right)", "self.f(left)"),
        ("    near: Tensor  # 1\n    both: Tensor  # 8", "    both: Tensor\n    near: Tensor"),
        ("left: Tensor, right: Tensor", "image: Tensor, right: Tensor"),
    ],
)
def test_a_wrong_name_or_order_is_found(old: str, new: str) -> None:
    model = archdsl.parse(PAIRS)
    source = archdsl.compile(model)
    wrong = source.replace(old, new)
    assert wrong != source
    validate(source, {"Pairs": model})
    if new.endswith("# as before"):
        validate(wrong.replace("  # as before", ""), {"Pairs": model})  # they are given by name
        return
    with pytest.raises(InvalidModuleError):
        validate(wrong, {"Pairs": model})


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_all_tools_of_torch_take_named_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pairs.py").write_text(archdsl.compile(archdsl.parse(PAIRS)), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    network = importlib.import_module("pairs").Pairs().eval()
    inputs: tuple[Tensor, ...] = tuple(torch.randn(2, 3, 4, 8, 8))
    wanted = network(*inputs)
    for other in (torch.jit.script(network), torch.export.export(network, inputs).module()):
        assert all(map(torch.allclose, other(*inputs), wanted))


def test_onnx_has_the_names() -> None:
    model = archdsl.parse(PAIRS)
    exported = export_onnx(model, archdsl.compile(model))
    session = onnxruntime.InferenceSession(exported.content)
    assert [node.name for node in session.get_inputs()] == ["left", "right"]
    assert [node.name for node in session.get_outputs()] == ["near", "both"]


@pytest.mark.parametrize(
    ("text", "inputs", "outputs"),
    [
        ("8x8x1 → (image: 8x8x1, code: 2) { image: conv 1 1; code: fc 2 }", ["image_"], None),
        ("(logits: 4, logits_: 4) → 3 { add { logits | logits_ }; fc 3 }", None, ["logits__"]),
    ],
)
def test_no_two_tensors_in_onnx_have_one_name(
    text: str, inputs: list[str] | None, outputs: list[str] | None
) -> None:
    model = archdsl.parse(f"network N: {text}")
    session = onnxruntime.InferenceSession(export_onnx(model, archdsl.compile(model)).content)
    assert [node.name for node in session.get_inputs()] == (inputs or ["logits", "logits_"])
    assert [node.name for node in session.get_outputs()] == (outputs or ["image", "code"])


def test_members_of_a_family_share_the_class_of_their_result(tmp_path: Path) -> None:
    (tmp_path / "head.arch").write_text(
        """
        network Head(n): (map: 8x8x4) → (cls: 8x8x2, box: 8x8x8) {
          rpn: conv 3x3 n same relu; cls: conv 1x1 2; rpn; box: conv 1x1 8
        }
        network Small = Head(8)
        network Large = Head(16)
        """,
        "utf-8",
    )
    source = archdsl.compile(*archdsl.load_all(tmp_path / "head.arch"))
    assert source.count("class HeadOutput(NamedTuple):") == source.count("(NamedTuple):") == 1
    for name in ("small", "large"):
        output = vars(run_source(source))[name]()(torch.randn(1, 4, 8, 8))
        assert output.box.shape == (1, 8, 8, 8)


def test_the_field_of_several_inputs_is_the_largest() -> None:
    text = """network N: (near: 16x16x1, far: 32x32x1) → (a: 16x16x1, b: 16x16x1, c: 16x16x1) {
      a: conv 3x3 1 same
      far; maxpool 2; b: conv 5x5 1 same
      c: add { a | b }
    }"""
    model = archdsl.parse(text)
    fields = {name: model.receptive_fields[id] for id, name in model.names.items() if id > 1}
    assert (fields["a"], fields["b"], fields["c.add"]) == ((3, 3), (10, 10), (10, 10))
    x, y = torch.randn(1, 1, 16, 16), torch.randn(1, 1, 32, 32, requires_grad=True)
    build(model)(x, y).c[0, 0, 8, 8].backward()
    rows = y.grad.abs().sum((0, 1, 3)).nonzero()
    assert 8 <= rows.max() - rows.min() + 1 <= 10  # a pool reads one of its two rows


def test_memory_holds_all_inputs_and_the_labels_of_all_outputs() -> None:
    one = archdsl.parse("network N: (a: 8x8x4) → (y: 3) { y: fc 3 }")
    two = archdsl.parse("network N: (a: 8x8x4, b: 8x8x4) → (y: 3, z: 3) { y: fc 3; b; z: fc 3 }")
    memories = [estimate_memory(model, batch=1).activations_per_image for model in (one, two)]
    assert memories[1] == 2 * memories[0]


def test_training_is_refused() -> None:
    for text, message in (
        (PAIRS, "has 2 inputs"),
        ("network N: 8 → 3 { embedding 9 4; gmp; fc 3 }", "reads the numbers of words"),
    ):
        model = archdsl.parse(text)
        with pytest.raises(TrainError, match=message):
            train_model(model, archdsl.compile(model), Recipe(), TrainOptions())


# ── Networks of papers ───────────────────────────────────────────────────────────────────────


def test_the_proposal_network_is_that_of_torchvision() -> None:
    model = archdsl.load(ROOT / "specs/zoo/rpn.arch")
    ours, theirs = build(model), RPNHead(512, 9)
    state = theirs.state_dict()
    assert sum(p.numel() for p in theirs.parameters()) == model.trunk.parameters
    ours.load_state_dict(dict(zip(ours.state_dict(), state.values(), strict=True)))
    x = torch.randn(1, 512, 12, 10)
    objectness, box = theirs([x])
    assert torch.equal(ours(x).objectness, objectness[0])
    assert torch.equal(ours(x).box, box[0])


class Siamese(nn.Module):
    """The network of Koch et al. by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(
            *(nn.Conv2d(1, 64, 10), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 128, 7), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(128, 128, 4), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(128, 256, 4), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(9216, 4096), nn.Sigmoid()),
        )
        self.score = nn.Linear(4096, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.sigmoid(self.score((self.tower(left) - self.tower(right)).abs()))


def test_the_siamese_network_is_that_of_the_paper() -> None:
    model = archdsl.load(ROOT / "specs/zoo/siamese.arch")
    ours, theirs = build(model), Siamese()
    assert sum(p.numel() for p in theirs.parameters()) == model.trunk.parameters == 38_951_745
    state = theirs.state_dict()
    ours.load_state_dict(dict(zip(ours.state_dict(), state.values(), strict=True)))
    left, right = torch.randn(2, 2, 1, 105, 105)
    assert torch.equal(ours(left, right), theirs(left, right))
    with FlopCounterMode(display=False) as counter:
        theirs(left, right)
    assert counter.get_total_flops() == 2 * 2 * model.trunk.macs
