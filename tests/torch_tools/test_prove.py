"""``archdsl check --prove``: what torch denies is found, and said in full."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import ROOT

import archdsl
from archdsl import compilation
from archdsl.cli.commands import commands
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.model.proof import Numbers, Proof
from archdsl.report.diagnostics import render_diagnostics
from archdsl.torch_tools.prove import prove
from archdsl.torch_tools.sampling import Effort, Sample, choose_sample

SPEC = """\
network Small: 8x8x3 → 5 {
  conv 3x3 4 relu
  add { c: conv 3x3 4 same nobias bn | id } tanh
  aux(0.3) { fc 7 relu; fc 5 }
  fc 5
}
"""
MODEL = archdsl.parse(SPEC)
SOURCE = archdsl.compile(MODEL)
INFERENCE = archdsl.compile(MODEL, inference=True)
IDS = {name: node for node, name in MODEL.names.items()}


def _prove(model: Model = MODEL, source: str = SOURCE, inference: str = INFERENCE) -> Proof:
    return prove([model], source, inference)[model]


def _said(model: Model, source: str = SOURCE) -> str:
    proof = _prove(model, source)
    assert proof.holds == (not proof.diagnostics)
    return render_diagnostics(proof.diagnostics)


def _with_volume(name: str, volume: Volume) -> Model:
    nodes = [replace(n, volume=volume) if n.id == IDS[name] else n for n in MODEL.nodes]
    return replace(MODEL, nodes=tuple(nodes))


def _with_cost(name: str, **numbers: int) -> Model:
    node = IDS[name]
    return replace(MODEL, costs={**MODEL.costs, node: replace(MODEL.costs[node], **numbers)})


def test_what_is_proved() -> None:
    proof = _prove()
    assert proof.diagnostics == ()
    assert proof.volumes == len(MODEL.layers) == 10
    # By hand: 3·3·3·4 + 4, 3·3·4·4, 2·4, 144·7 + 7, 7·5 + 5, 144·5 + 5.
    assert proof.parameters == 112 + 144 + 8 + 1015 + 40 + 725
    assert proof.macs == 6 * 6 * (108 + 144) + 1008 + 35 + 720
    # The logits three times and the head's once; weights and biases of five layers with one bias
    # less, factor and shift of the normalization, and the image; its statistics and their count.
    assert proof.numbers == Numbers(MODEL.input, 2, 1, outputs=4, gradients=12, buffers=3)
    assert proof.omitted == ""


def test_a_wrong_volume() -> None:
    said = _said(_with_volume("layers.0", Volume.image(6, 7, 4)))
    assert said == (
        "error[torch-disagrees]: Small: torch disagrees on the volume of `layers.0`\n"
        "  --> <text>:2:3\n"
        "  |\n"
        "2 |   conv 3x3 4 relu\n"
        "  |   ^^^^^^^^^^ archdsl says 6x7x4, torch says 6x6x4\n"
        "\n"
        "1 error"
    )


def test_a_wrong_volume_of_a_merge() -> None:
    said = _said(_with_volume("add", Volume.image(6, 6, 8)))
    assert said.startswith(
        "error[torch-disagrees]: Small: torch disagrees on the volume of `add`\n  --> <text>:3:3\n"
    )
    assert "archdsl says 6x6x8, torch says 6x6x4\n" in said
    assert said.endswith("\n1 error")


def test_a_wrong_volume_of_the_output() -> None:
    said = _said(_with_volume(MODEL.names[MODEL.chain.output], Volume.vector(6)))
    assert "the volume of `fc`\n" in said
    assert "archdsl says 6, torch says 5\n" in said


@pytest.mark.parametrize(
    ("name", "numbers", "fact", "label"),
    [
        ("c.0", {"macs": 5183}, "MACs", "archdsl says 5,183, torch says 5,184"),
        ("c.1", {"parameters": 4}, "parameters", "archdsl says 4, torch says 8"),
        ("aux1.0", {"macs": 0}, "MACs", "archdsl says 0, torch says 1,008"),
        ("tanh", {"macs": 7}, "MACs", "archdsl says 7, torch says 0"),
    ],
)
def test_a_wrong_cost(name: str, numbers: dict[str, int], fact: str, label: str) -> None:
    """Told once, of the layer, although the sums are wrong as well."""
    said = _said(_with_cost(name, **numbers))
    assert said.startswith(
        f"error[torch-disagrees]: Small: torch disagrees on the {fact} of `{name}`\n"
    )
    assert f" {label}\n" in said
    assert said.endswith("\n1 error")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "if self.training else None",
            "if True else None",
            "the use of `aux1.0`: archdsl says it does not run in evaluation, torch says it runs",
        ),
        (
            "self.fc = ",
            "self.more = nn.Linear(2, 2)\n        self.fc = ",
            "the parameters of the network: archdsl says 2,044, torch says 2,050",
        ),
        (
            "self.fc(torch.flatten(x, 1))",
            "self.fc(torch.flatten(x, 1)) @ torch.ones(5, 5)",
            "the MACs of the network in training: archdsl says 10,835, torch says 10,860",
        ),
        (
            "return x, aux1",
            "return x, **aux1",
            "the module: archdsl says it runs, torch says SyntaxError: ",
        ),
        (
            "return x, aux1",
            "return x, x, aux1",
            "the number of outputs in training: archdsl says 2, torch says 3",
        ),
        (
            "self.fc = nn.Linear(4 * 6 * 6, 5)",
            "self.fc = nn.Linear(4 * 6 * 7, 5)",
            "the module: archdsl says it runs, torch says RuntimeError: ",
        ),
        (
            "class Small(",
            "class Smaller(",
            "the module: archdsl says it runs, torch says ToolError: the module has no network "
            "Small",
        ),
    ],
)
def test_a_wrong_module(old: str, new: str, expected: str) -> None:
    assert old in SOURCE
    proof = _prove(source=SOURCE.replace(old, new))
    said = [f"{d.message}: {d.label}" for d in proof.diagnostics]
    found = [text for text in said if text.startswith(f"Small: torch disagrees on {expected}")]
    assert len(found) == 1, said


# ── In numbers: what has the right volumes, parameters and MACs ──────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    {
        "a skip of another value": ("self.c(x) + x", "self.c(x) + x * 2", "input of `tanh`"),
        "no skip": ("self.c(x) + x", "self.c(x)", "input of `tanh`"),
        "another activation": ("nn.Tanh()", "nn.Sigmoid()", "output of `tanh`"),
        "a constant": ("BatchNorm2d(4)", "BatchNorm2d(4, eps=1e-4)", "output of `c.1`"),
        "a momentum": (
            "BatchNorm2d(4)",
            "BatchNorm2d(4, momentum=0.2)",
            "buffer of `c.1.running_mean`",
        ),
        "the input of a head": (
            "self.aux1(torch.flatten(x, 1)) if",
            "self.aux1(torch.flatten(x.relu(), 1)) if",
            "input of `aux1.0`",
        ),
        "outputs in another order": ("return x, aux1", "return aux1, x", "output in training"),
        "evaluation alone": (
            "x = self.tanh(x)",
            "x = self.tanh(x) * (2 - self.training)",
            "output in evaluation",
        ),
        "no gradient": ("self.c(x) + x", "self.c(x) + x.detach()", "gradient of `input`"),
        "an input written over": (
            "x = self.layers(x)",
            "x_ = x; x = self.layers(x); x_.data.mul_(2)",
            "input written over",
        ),
    }.values(),
)
def test_a_module_that_computes_something_else(old: str, new: str, expected: str) -> None:
    assert old in SOURCE
    found = _prove(source=SOURCE.replace(old, new)).diagnostics
    assert [d.message for d in found] == [f"Small: torch disagrees on the {expected}"]
    assert found[0].label is not None
    assert " apart, of " in found[0].label


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    {
        "no skip": ("self.c(x) + x", "self.c(x)", "output for inference"),
        "an activation": ("nn.Tanh()", "nn.Sigmoid()", "output for inference"),
        "no fold": ("factor = (variance + 1e-5)", "factor = (variance * 2)", "output for inf"),
        "a state that is left": (', ("aux1.",)', "", "module"),
        "no Python": ("return x", "return return", "module"),
    }.values(),
)
def test_a_module_for_inference_that_computes_something_else(
    old: str, new: str, expected: str
) -> None:
    assert old in INFERENCE
    (found,) = _prove(inference=INFERENCE.replace(old, new)).diagnostics
    assert found.message.startswith(f"Small: torch disagrees on the {expected}")


def test_a_layer_that_computes_something_else_is_shown() -> None:
    assert _said(
        MODEL, SOURCE.replace("nn.Conv2d(3, 4, 3), nn.ReLU()", "nn.Conv2d(3, 4, 3), nn.GELU()")
    ).startswith(
        "error[torch-disagrees]: Small: torch disagrees on the output of `layers.1`\n"
        "  --> <text>:2:14\n"
        "  |\n"
        "2 |   conv 3x3 4 relu\n"
        "  |              ^^^^ "
    )


def test_what_is_not_finite_is_not_compared() -> None:
    """Infinity minus infinity is not a number, and would be as good as any other."""
    model = archdsl.parse("linear 4; " + "mul { id | id }; " * 12 + "fc 2", input="4x4x4")
    proof = _proved(model)
    assert proof.holds
    assert proof.numbers is None
    assert proof.omitted == "with random weights not all of them are finite"


def test_gradients_that_are_not_finite_are_not_compared() -> None:
    """The outputs are: beside such a gradient all others would pass."""
    text = "linear 4; " + "mul { id | id }; " * 12 + "tanh; fc 2"
    proof = _proved(archdsl.parse(text, input="4x4x4"))
    assert proof.holds
    assert proof.numbers is None
    assert proof.omitted == "with random weights not all of them are finite"


#: Of one channel `ln` leaves its bias, so that the gradients before it are rounding. Here it is
#: multiplied by the cube of large numbers.
ROUNDING = """
{ add { id | id } } ×5
mul { conv 3 same | id | id | id } ln
mul { id | gap; conv 1 1 sigmoid | id | t: tanh }
fc 3
"""


def test_gradients_that_are_rounding_alone_are_no_difference() -> None:
    proof = _proved(archdsl.parse(ROUNDING, input="8x8x1"))
    assert proof.diagnostics == ()
    assert proof.numbers is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.t(x)", "self.t(x.detach())"),
        ("self.fc(torch.flatten(x, 1))", "self.fc(torch.flatten(x, 1).detach())"),
        # The outputs are the same, and the gradients nearly.
        ("self.t(x)", "self.t(x + 1e-8 * (x - x.detach()))"),
    ],
)
def test_gradients_beside_rounding_are_compared(old: str, new: str) -> None:
    model = archdsl.parse(ROUNDING, input="8x8x1")
    source = archdsl.compile(model)
    assert old in source
    inference = archdsl.compile(model, inference=True)
    found = _prove(model, source.replace(old, new), inference).diagnostics
    assert "gradient of `ln.bias`" in "".join(diagnostic.message for diagnostic in found)


def _proved(model: Model) -> Proof:
    sources = (archdsl.compile(model, inference=is_inference) for is_inference in (False, True))
    return prove([model], *sources)[model]


# ── On what: large networks are run smaller than they are ────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "input", "sample"),
    {
        "small": ("conv 3 8 same; fc 10", "32x32x3", Sample(Volume.image(32, 32, 3))),
        "wide": ("conv 3 64 same; fc 1000", "64x64x3", Sample(Volume.image(64, 64, 3), divisor=8)),
        "long": (
            "conv 3 12 same; conv 3 12 same; gap; fc 10",
            "400x400x3",
            Sample(Volume.image(200, 200, 3)),
        ),
        "wide and long": (
            "conv 3 64 same; conv 3 64 same; conv 3 8 same; gap; fc 1000",
            "512x512x3",
            Sample(Volume.image(256, 256, 3), divisor=8),
        ),
        "long, with one input": (
            "conv 3 12 same ×2; fc 10",
            "400x400x3",
            Sample(Volume.image(400, 400, 3), 1),
        ),
        "coupled": ("conv 3 12 same bn ×2; fc 2", "400x400x3", Sample(Volume.image(400, 400, 3))),
        "an image of many channels": (
            "fc 1000 ×2; fc 8000; fc 2",
            "64x64x8",
            Sample(Volume.image(64, 64, 1), divisor=8),
        ),
    }.values(),
)
def test_what_a_network_is_run_on(text: str, input: str, sample: Sample) -> None:
    assert choose_sample(archdsl.parse(text, input=input)) == sample


@pytest.mark.parametrize(
    "statement",
    [
        "gn 8",
        "ln",
        "scale",
        "take(0) concat { id | conv 1 63 }",
        "reshape 32x32x16",
        "conv 3 72 same groups=2; conv 3 72 same groups=12",
        "conv 3 60 same; concat { conv 1 4 | id }",
    ],
)
def test_what_counts_its_channels_is_not_narrowed(statement: str) -> None:
    model = archdsl.parse(f"conv 3 64 same; {statement}; fc 4000", input="16x16x3")
    sample = choose_sample(model)
    assert isinstance(sample, Sample)
    assert sample.divisor == 1


@pytest.mark.parametrize(
    "text",
    [
        "conv 3 64 s2 same bn relu; add { conv 3 64 same bn | id } relu; maxpool 2; lrn; fc 16",
        "conv 3 64 same; dwconv 3 same bn; conv 3 128 groups=32; deconv 2 64 s2; flatten; fc 1000",
        "concat { conv 1 64 | conv 3 32 same }; mul { id | gap; conv 1 96; sigmoid }; linear 100",
        "conv 2 64 same; upsample 2; aux(0.3) { gap; fc 1000 }; gap; fc 1000; bn dropout 0.5 fc 8",
    ],
)
def test_narrowed_networks_are_compared(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Effort, "is_large", property(lambda _effort: True))
    proof = _proved(archdsl.parse(text, input="16x16x3"))
    assert proof.holds, render_diagnostics(proof.diagnostics)
    assert proof.numbers is not None
    assert proof.numbers.divisor == 8


def test_a_network_that_takes_minutes_is_not_compared(check: Callable[..., Result]) -> None:
    Path("vast.arch").write_text("network Vast: 64x64x12 → 9 { fc 9000; fc 9 }\n", "utf-8")
    result = check("--prove", "vast.arch", "small.arch")
    assert result.exit_code == 0
    assert (
        "  outputs and gradients were not compared: it takes 442,449,000 MACs an image, "
        "with 442,458,009 parameters\n"
    ) in result.stdout
    assert result.stdout.endswith(
        "no claims are made, all numbers proved by torch, "
        "except outputs and gradients of 1 network\n"
    )


# ── The command ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    Path("small.arch").write_text(SPEC, "utf-8")
    return lambda *argv: CliRunner().invoke(commands, ["check", *argv])


def _version() -> str:
    import torch

    return torch.__version__.partition("+")[0]


def test_a_proof_is_a_line(check: Callable[..., Result]) -> None:
    result = check("--prove", "small.arch")
    assert result.exit_code == 0
    assert result.stdout.endswith(
        f"\n\n✓ proved by torch {_version()}: 10 volumes, 2,044 parameters, 10,835 MACs\n"
        "  and in numbers: 4 outputs (training, evaluation, inference), 12 gradients, 3 buffers, "
        "for 2 random images of 8x8x3\n"
    )
    assert result.stderr == ""
    assert "proved" not in check("small.arch").stdout


def test_the_networks_of_a_family_are_proved_in_their_common_module(
    check: Callable[..., Result],
) -> None:
    result = check("--prove", str(ROOT / "specs" / "inception_reduced.arch"), "small.arch")
    assert result.exit_code == 0
    assert result.stdout.count("✓ proved by torch") == 4
    assert result.stdout.endswith(
        "\n4 networks in 2 files: all claims hold, all numbers proved by torch\n"
    )


def test_a_proof_in_json(check: Callable[..., Result]) -> None:
    document = json.loads(check("--prove", "--format=json", "small.arch").stdout)
    assert document["networks"][0]["proof"] == {
        "holds": True,
        "torch": _version(),
        "volumes": 10,
        "params": 2044,
        "macs": 10835,
        "numbers": {
            "input": [8, 8, 3],
            "others": [],
            "images": 2,
            "divisor": 1,
            "outputs": 4,
            "gradients": 12,
            "buffers": 3,
        },
        "omitted": None,
    }
    assert "proof" not in json.loads(check("--format=json", "small.arch").stdout)["networks"][0]


def test_a_disagreement_is_a_finding(
    check: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = SOURCE.replace("nn.Conv2d(3, 4, 3)", "nn.Conv2d(3, 4, 3, bias=False)")
    assert wrong != SOURCE
    # The validator would refuse it before torch is asked.
    monkeypatch.setattr(compilation, "compile_module", lambda models, inference: wrong)
    result = check("--prove", "small.arch")
    assert result.exit_code == 1
    assert result.stdout.endswith(f"\n\n✗ torch {_version()} disagrees: 1 error\n")
    assert result.stderr == (
        "error[torch-disagrees]: Small: torch disagrees on the parameters of `layers.0`\n"
        "  --> small.arch:2:3\n"
        "  |\n"
        "2 |   conv 3x3 4 relu\n"
        "  |   ^^^^^^^^^^ archdsl says 112, torch says 108\n"
        "\n"
        "1 error\n"
    )
    document = json.loads(check("--prove", "--format=json", "small.arch").stdout)
    assert document["networks"][0]["proof"]["holds"] is False
    assert document["diagnostics"][0]["code"] == "torch-disagrees"


def test_without_torch(check: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("archdsl.torch_tools.")]:
        monkeypatch.delitem(sys.modules, name)
    result = check("--prove", "small.arch")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: `--prove` needs the package `torch`: pip install 'archdsl[torch]'\n"
    )
    assert result.stdout == ""
