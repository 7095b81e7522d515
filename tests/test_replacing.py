"""A network once more, with other arguments or another input."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT

import archdsl

FAMILY = """
network Net(width, depth=2, classes=10): 16x16x3 → classes {
  { conv 3 width same relu } ×depth
  gap; fc classes
}
network Small = Net(8, depth=1) { expect params = 314 }
network Large = Net(32) { expect depth = 3 }
network Other: 8x8x3 → 8x8x4 { conv 1 4; expect params = 16 }
network Plain(n=4): 8x8x3 → 8x8x4 { conv 1 4 ×n; expect depth = 4 }
"""


@pytest.fixture
def models(tmp_path: Path) -> dict[str, archdsl.Model]:
    path = tmp_path / "net.arch"
    path.write_text(FAMILY, "utf-8")
    return {model.name: model for model in archdsl.load_all(path)}


def test_arguments_take_the_place_of_others(models: dict[str, archdsl.Model]) -> None:
    model = archdsl.replace(models["Small"], classes=3, depth=2)
    assert model.name == "Small"
    assert model.signature == "16x16x3 → 3"
    assert model.trunk.parameters == (27 * 8 + 8) + (72 * 8 + 8) + (8 * 3 + 3)
    assert model.claims == ()
    assert models["Small"].signature == "16x16x3 → 10"
    assert "def small(" in archdsl.compile(model)


def test_an_argument_by_its_place_is_replaced_by_its_name(models: dict[str, archdsl.Model]) -> None:
    model = archdsl.replace(models["Large"], width=4, classes="2 * 3")
    assert model.output.sizes == (6,)
    assert model.trunk.parameters == (27 * 4 + 4) + (36 * 4 + 4) + (4 * 6 + 6)


def test_what_was_replaced_stays(models: dict[str, archdsl.Model]) -> None:
    model = archdsl.replace(models["Small"], classes=3)
    model = archdsl.replace(model, input="20x20x3")
    model = archdsl.replace(model, depth=2, width=6)
    assert model.signature == "20x20x3 → 3"
    assert model.trunk.parameters == (27 * 6 + 6) + (54 * 6 + 6) + (6 * 3 + 3)
    plain = archdsl.replace(archdsl.replace(models["Plain"], n=2), input="8x8x1")
    assert (plain.depth, plain.input.channels) == (2, 1)


def test_pairs_lists_and_the_name_of_an_input() -> None:
    text = """
    network Net(a→b, widths, k=2): (x: 8x8x3) → 1 {
      y: conv k a; for n in widths { conv 1 n }; conv 1 b
      x; conv 1 b; gap; z: fc 1
    }
    network Mine = Net(3→4, [5, 6])
    """
    mine = archdsl.parse(text)
    model = archdsl.replace(mine, widths=[7], input="9x9x2")
    assert [n.volume.sizes for n in model.layers][:3] == [(8, 8, 3), (8, 8, 7), (8, 8, 4)]
    assert "def forward(self, x: Tensor)" in archdsl.compile(model)
    model = archdsl.replace(mine, a="2→1", k=(1, 3))
    assert [n.volume.sizes for n in model.layers][:4] == [
        (8, 6, 2),
        (8, 6, 5),
        (8, 6, 6),
        (8, 6, 1),
    ]


def test_defaults_are_replaced(models: dict[str, archdsl.Model]) -> None:
    assert archdsl.replace(models["Plain"], n=1).depth == 1


def test_an_input_is_replaced(models: dict[str, archdsl.Model]) -> None:
    for input in ("32x24x3", (32, 24, 3), archdsl.Volume((32, 24, 3))):
        model = archdsl.replace(models["Small"], input=input)
        assert model.input.sizes == (32, 24, 3)
        assert model.trunk.macs == 32 * 24 * 216 + 80
    model = archdsl.replace(models["Small"], input="20x20x1", classes=2)
    assert model.signature == "20x20x1 → 2"


def test_what_no_longer_fits_is_refused_at_its_place(models: dict[str, archdsl.Model]) -> None:
    with pytest.raises(archdsl.ArchError, match="ends in 9x9x4, not in 8x8x4"):
        archdsl.replace(models["Other"], input="9x9x3")
    with pytest.raises(archdsl.ArchError, match="has no parameter `clases`"):
        archdsl.replace(models["Small"], clases=3)


def test_what_cannot_be_replaced_is_said(models: dict[str, archdsl.Model]) -> None:
    with pytest.raises(ValueError, match="Other has no parameters"):
        archdsl.replace(models["Other"], classes=3)
    with pytest.raises(ValueError, match="no parameter 'm': there are n"):
        archdsl.replace(models["Plain"], m=3)
    twins = archdsl.parse("network N: (a: 4x4x1, b: 4x4x1) → 4x4x1 { add { a | b } }")
    with pytest.raises(ValueError, match="several inputs"):
        archdsl.replace(twins, input="8x8x1")
    bare = archdsl.parse("conv 3 8", input="8x8x3")
    with pytest.raises(ValueError, match="bare statements"):
        archdsl.replace(bare, input="9x9x3")


def test_a_family_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "family.arch").write_text(
        "network Net(n, classes=10): 8x8x3 → classes { conv 1 n; gap; fc classes }", "utf-8"
    )
    path = tmp_path / "member.arch"
    path.write_text('use "family.arch"\nnetwork Mine = Net(4)\n', "utf-8")
    model = archdsl.load(path)
    assert archdsl.replace(model, classes=2).output.sizes == (2,)
    with pytest.raises(ValueError, match="another file"):
        archdsl.replace(model, input="9x9x3")


def test_a_layer_or_a_block_by_its_name() -> None:
    text = """
    block a() { conv 1 2 }
    block b() { conv 3 4 same }
    network Net(unit: block = a, act: layer = relu): 8x8x3 → 1 { unit(); act; fc 1 }
    """
    model = archdsl.replace(archdsl.parse(text), unit="b", act="leakyrelu(0.2)")
    assert [str(node.volume) for node in model.layers] == ["8x8x4", "8x8x4", "1"]
    assert "nn.LeakyReLU(negative_slope=0.2)" in archdsl.compile(model)


def test_specs_of_the_project() -> None:
    models = {m.name: m for m in archdsl.load_all(ROOT / "specs" / "zoo" / "swin.arch")}
    model = archdsl.replace(models["Swin_T"], rate=0, c=48)
    assert model.trunk.parameters < models["Swin_T"].trunk.parameters / 3
