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
from archdsl.model import Model
from archdsl.report.diagnostics import render_diagnostics
from archdsl.runtime.prove import prove
from archdsl.volume import Volume

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
IDS = {name: node for node, name in MODEL.names.items()}


def _said(model: Model, source: str = SOURCE) -> str:
    proof = prove(model, source)
    assert proof.holds == (not proof.diagnostics)
    return render_diagnostics(proof.diagnostics)


def _with_volume(name: str, volume: Volume) -> Model:
    nodes = [replace(n, volume=volume) if n.id == IDS[name] else n for n in MODEL.nodes]
    return replace(MODEL, nodes=tuple(nodes))


def _with_cost(name: str, **numbers: int) -> Model:
    node = IDS[name]
    return replace(MODEL, costs={**MODEL.costs, node: replace(MODEL.costs[node], **numbers)})


def test_what_is_proved() -> None:
    proof = prove(MODEL, SOURCE)
    assert proof.diagnostics == ()
    assert proof.volumes == len(MODEL.layers) == 10
    # By hand: 3·3·3·4 + 4, 3·3·4·4, 2·4, 144·7 + 7, 7·5 + 5, 144·5 + 5.
    assert proof.parameters == 112 + 144 + 8 + 1015 + 40 + 725
    assert proof.macs == 6 * 6 * (108 + 144) + 1008 + 35 + 720


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
            "the module: archdsl says it runs, torch says Fault: the module has no network Small",
        ),
    ],
)
def test_a_wrong_module(old: str, new: str, expected: str) -> None:
    assert old in SOURCE
    proof = prove(MODEL, SOURCE.replace(old, new))
    said = [f"{d.message}: {d.label}" for d in proof.diagnostics]
    found = [text for text in said if text.startswith(f"Small: torch disagrees on {expected}")]
    assert len(found) == 1, said


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
    }
    assert "proof" not in json.loads(check("--format=json", "small.arch").stdout)["networks"][0]


def test_a_disagreement_is_a_finding(
    check: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = SOURCE.replace("nn.Conv2d(3, 4, 3)", "nn.Conv2d(3, 4, 3, bias=False)")
    assert wrong != SOURCE
    # The validator would refuse it before torch is asked.
    monkeypatch.setattr(compilation, "compile_module", lambda models: wrong)
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
    for name in [name for name in sys.modules if name.startswith("archdsl.runtime.")]:
        monkeypatch.delitem(sys.modules, name)
    result = check("--prove", "small.arch")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: `--prove` needs the package `torch`: pip install 'archdsl[torch]'\n"
    )
    assert result.stdout == ""
