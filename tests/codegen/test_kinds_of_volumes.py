"""Modules of networks of 1-D and 3-D volumes: their classes, and the names of sizes."""

from __future__ import annotations

import pytest
from oracle import judge

import archdsl
from archdsl.frontend import read_models
from archdsl.text.diagnostics import ArchError
from archdsl.text.source import Source


def source_of(text: str) -> str:
    models = read_models(Source(text, "net.arch"))
    for model in models:
        judge(model)
    return archdsl.compile(*models)


def test_the_length_is_an_argument_where_a_number_depends_on_it() -> None:
    source = source_of("""
        block squeeze(n) { conv 1 n; avgpool (L//4); conv 1 n }
        network Net: 64x3 → 5 { squeeze(4); squeeze(8); fc 5 }
    """)
    assert "def __init__(self, in_channels: int, length: int, n: int)" in source
    assert "nn.AvgPool1d(length // 4, stride=length // 4)" in source


def test_the_depth_is_an_argument_where_a_number_depends_on_it() -> None:
    source = source_of("""
        block flat(n) { conv 1 n; dwconv (D-1) }
        network Net: 6x6x6x3 → 5 { flat(4); flat(8); fc 5 }
    """)
    assert "def __init__(self, in_channels: int, depth: int, n: int)" in source
    assert "nn.Conv3d(n, n, depth - 1, groups=n)" in source


@pytest.mark.parametrize("name", ["L", "D"])
@pytest.mark.parametrize("input", ["40x3", "4x5x6x3", "9x8x3"])
def test_a_value_goes_before_a_size(name: str, input: str) -> None:
    model = archdsl.parse(f"let {name} = 2; conv {name} 8", input=input)
    assert model.output.spatial == tuple(size - 1 for size in model.input.spatial)
    judge(model)


def test_parameters_may_have_the_names_of_sizes() -> None:
    source = source_of("""
        block narrow(L, length) { conv L length; avgpool 2 }
        network Net: 64x3 → 5 { narrow(3, 4); narrow(5, 8); fc 5 }
    """)
    assert "def __init__(self, in_channels: int, L: int, length: int)" in source
    assert "nn.Conv1d(in_channels, length, L)" in source


def test_a_block_has_a_class_for_each_kind_of_volume() -> None:
    source = source_of("""
        block unit(n) { conv 3 n same nobias bn relu }
        network Sound: 40x3 → 5 { unit(8); unit(4); gap; fc 5 }
        network Picture: 9x8x3 → 5 { unit(8); unit(4); gap; fc 5 }
        network Video: 4x9x8x3 → 5 { unit(8); unit(4); gap; fc 5 }
    """)
    for rank in (1, 2, 3):
        assert f"nn.Conv{rank}d(in_channels, n, 3, padding=1, bias=False)" in source
        assert f"nn.BatchNorm{rank}d(n)" in source


def test_a_residual_network_of_the_standard_library_takes_sound() -> None:
    text = "conv 7 16 s2 p3; bn; relu; maxpool 3 s2 p1; basic(16); basic(32, 2); gap; fc 5"
    model = archdsl.parse(text, input="256x1")
    judge(model)
    assert "nn.Conv1d(in_channels, n, 3, stride=s, padding=1, bias=False)" in archdsl.compile(model)


@pytest.mark.parametrize(
    ("text", "input", "code"),
    [
        ("conv 3x3 8", "40x3", "wrong-axes"),
        ("conv 3 8 s1x2", "40x3", "wrong-axes"),
        ("conv 3 8 p1x2x1", "9x8x3", "wrong-axes"),
        ("maxpool 2x2", "4x9x8x3", "wrong-axes"),
        ("pad 1 2 3 4", "4x9x8x3", "wrong-axes"),
        ("upsample 2 mode=bilinear", "4x9x8x3", "wrong-axes"),
        ("pixelunshuffle 2", "40x3", "needs-image"),
        ("conv W 8", "40x3", "needs-image"),
        ("conv D 8", "9x8x3", "needs-image"),
        ("add { id | reshape 72x3 }", "9x8x3", "branch-size-mismatch"),
        ("mul { id | reshape 1x3 }", "1x1x3", "branch-size-mismatch"),
        ("concat { id | flatten }", "40x3", "branch-size-mismatch"),
        ("a: id; reshape 72x3; concat { crop a | id }", "9x8x3", "wrong-axes"),
    ],
)
def test_kinds_of_volumes_are_not_mixed(text: str, input: str, code: str) -> None:
    with pytest.raises(ArchError) as caught:
        archdsl.parse(text, input=input)
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == [code]
