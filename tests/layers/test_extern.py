"""Modules written in Python: imported by the generated module, and proved by running it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command import Result
from oracle import judge, run_source

import archdsl
from archdsl.layers.call import Arg
from archdsl.layers.extern import Target, read_target
from archdsl.torch_tools.prove import prove
from archdsl.validation import InvalidModuleError, validate

PARTS = '''
import torch
from torch import nn



class Gate(nn.Module):
    """Times a trained number for each channel."""

    class Soft(nn.Softsign):
        pass

    def __init__(self, channels, *, start=1.0, axes=(1, 1), name="gate"):
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, *axes), start))

    def forward(self, x):
        return x * self.weight
'''
GATE = "extern \"own.parts:Gate(4, start=0.5, axes=(1, 1), name='x')\" 6x6x4 params=4 macs=0"
SPEC = f"network N: 8x8x3 → 5 {{ conv 3 4; gate: {GATE}; relu; fc 5 }}"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the user's own."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "parts.py").write_text(PARTS, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own", "own.parts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_the_parts_of_a_target() -> None:
    assert read_target("a.b:C.D(1, 2.5, x='s', y=(3, 4), z=True)") == Target(
        "a.b",
        "C.D",
        (Arg(1), Arg(2.5), Arg("s", "x"), Arg((3, 4), "y"), Arg(True, "z")),
    )


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a:B",
        ":B()",
        "a.:B()",
        "a:B(",
        "a:B(x)",
        "a:B(*x)",
        "a:B(**x)",
        "a:B(1)(2)",
        "a:B()()",
        "a:B([1])",
        "a:B({})",
        "a:B(None)",
        "a:B(1 + 1)",
        "a:B(__import__('os'))",
        "a b:C()",
        "a:class()",
        "import:B()",
        "a:B(), 1",
        "a:B(((1, 2), 3))",
        "a:B({[]})",
        "a:B('\\n')",
        "a:B(x=1, x=2)",
        "a:B(1j)",
        "nn:Softsign()",
        "torch:nn.Softsign()",
        "math:inf()",
        3,
    ],
)
def test_what_is_no_target(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_target(text)


def test_it_is_imported_by_the_module_alone(own: Path) -> None:
    model = archdsl.parse(SPEC)
    source = archdsl.compile(model)
    assert "own" not in sys.modules
    assert source.splitlines()[2:4] == ["import own.parts", "from torch import Tensor, nn"]
    assert "own.parts.Gate(" in source
    network = run_source(source).N()
    assert isinstance(network.gate, sys.modules["own.parts"].Gate)
    assert network.gate.weight.shape == (4, 1, 1)
    assert torch.equal(network.gate.weight, torch.full((4, 1, 1), 0.5))
    judge(model)


def test_a_class_in_a_class(own: Path) -> None:
    judge(archdsl.parse('extern "own.parts:Gate.Soft()" 3x3x2 params=0 macs=0', input="3x3x2"))


def test_a_module_of_torch_itself() -> None:
    text = 'conv 3 4; extern "torch.nn:Softshrink(0.25)" 6x6x4 params=0 macs=0; fc 2'
    model = archdsl.parse(text, input="8x8x3")
    source = archdsl.compile(model)
    assert "nn.Softshrink(0.25)" in source
    assert "import torch\n" not in source
    judge(model)
    with pytest.raises(InvalidModuleError):
        validate(source.replace("Softshrink(0.25)", "Softshrink(0.5)"), {"Text": model})


def test_it_is_compiled_where_it_is_not_installed() -> None:
    text = 'extern "no.such:Thing(3)" 4x4x2 params=7 macs=9; gap; fc 2'
    model = archdsl.parse(text, input="8x8x3")
    assert model.trunk.parameters == 7 + 6
    assert model.trunk.macs == 9 + 4
    source = archdsl.compile(model)
    assert "import no.such\n" in source
    (proof,) = prove([model], source, archdsl.compile(model, inference=True)).values()
    assert not proof.holds
    assert "No module named 'no'" in str(proof.diagnostics[0])


@pytest.mark.parametrize(
    ("before", "after", "fact"),
    [
        ("params=4", "params=5", "parameters of `gate`"),
        ("macs=0", "macs=3", "MACs of `gate`"),
        ("6x6x4 params", "6x6x5 params", "module"),
    ],
)
def test_what_is_said_wrongly_is_disproved(own: Path, before: str, after: str, fact: str) -> None:
    model = archdsl.parse(SPEC.replace(before, after))
    (proof,) = prove([model], archdsl.compile(model), "").values()
    assert any(fact in d.message for d in proof.diagnostics)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Gate(", "Other("),
        ("start=0.5", "start=0.25"),
        ("import own.parts", "import own.others"),
        ("import own.parts", "import own"),
        ("4,", "5,"),
        ("own.parts.Gate", "nn.Identity"),
    ],
)
def test_a_wrong_call_is_refused(old: str, new: str) -> None:
    model = archdsl.parse(SPEC)
    source = archdsl.compile(model)
    validate(source, {"N": model})
    wrong = source.replace(old, new)
    assert wrong != source
    with pytest.raises(InvalidModuleError):
        validate(wrong, {"N": model})


def test_in_blocks_and_repeats(own: Path) -> None:
    model = archdsl.parse(
        """
        block gated(n) { conv 3 n same; extern "own.parts:Gate(4)" (size(H, W, 4)) params=4 macs=0 }
        network N: 8x8x3 → 5 { gated(4) ×2; maxpool 2; gated(4); fc 5 }
        """
    )
    judge(model)
    assert archdsl.compile(model).count("own.parts.Gate(4)") == 1


PLACES = {
    "head": "8x8x4 → 5 { conv 1 4; aux(0.3) { GATE; gap; fc 5 }; relu; fc 5 }",
    "reuse": "8x8x4 → 5 { conv 1 4; g: GATE; relu; reuse g; fc 5 }",
    "folded": "8x8x4 → 5 { bn; GATE; bn; relu; conv 1 4; GATE; bn; dropout; fc 5 }",
    "branch": "8x8x4 → 5 { concat { GATE | id | a: GATE relu }; fc 5 }",
    "for": "8x8x4 → 5 { for i in 0..3 { GATE; conv 1 4 }; fc 5 }",
}


@pytest.mark.parametrize("place", PLACES)
def test_in_other_places(own: Path, place: str) -> None:
    gate = 'extern "own.parts:Gate(4)" 8x8x4 params=4 macs=0'
    judge(archdsl.parse("network N: " + PLACES[place].replace("GATE", gate)))


def test_a_network_of_it_is_not_made_smaller(own: Path) -> None:
    """On half of the image it would not give what is said of it."""
    text = """
    network N: 256x256x8 → 8 {
      conv 3 64 same relu; conv 3 64 same; conv 1 4
      extern "own.parts:Gate(4)" 256x256x4 params=4 macs=0; gap; fc 8
    }
    """
    judge(archdsl.parse(text))


def test_the_command_line_proves_it(own: Path, call: Callable[..., Result]) -> None:
    Path("n.arch").write_text(SPEC, "utf-8")
    assert call("fmt", "--check", "n.arch").code in (0, 1)
    result = call("check", "--prove", "n.arch")
    assert result.code == 0, result.err
    assert "proved by torch" in result.out
