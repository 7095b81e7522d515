"""Tables of papers: their full text, and whether their numbers are the Model's and the papers'."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

import archdsl
from archdsl.cli import main
from archdsl.drawing import Options, render_drawing
from archdsl.drawing.canvas.marks import texts_in
from archdsl.drawing.tables import table_of
from archdsl.drawing.tables.headings import headings_of
from archdsl.drawing.tables.stages import depth_of
from archdsl.drawing.tables.texts import TEXTS
from archdsl.drawing.tables.typeset import typeset
from archdsl.network.parts import CallPart

SPECS = ROOT / "specs"
EXPECTED = Path(__file__).parent / "tables"
TABLES = {
    "googlenet": ("googlenet.arch",),
    "vgg": ("vgg11.arch", "vgg.arch", "vgg13.arch", "vgg16.arch", "vgg19.arch"),
    "resnet": ("torchvision/resnet.arch",),
    "resnext": ("torchvision/resnext.arch",),
    "wide_resnet": ("torchvision/wide_resnet.arch",),
    "densenet": ("torchvision/densenet.arch",),
    "mobilenet_v2": ("torchvision/mobilenet_v2.arch",),
}

#: Szegedy et al. 2015, table 1: params in K, ops in M, typed in from there.
PAPER = {
    "conv 7×7/2": ("2.7", "34"),
    "conv 3×3/1": ("112", "360"),
    "i3a": ("159", "128"),
    "i3b": ("380", "304"),
    "i4a": ("364", "73"),
    "i4b": ("437", "88"),
    "i4c": ("463", "100"),
    "i4d": ("580", "119"),
    "i4e": ("840", "170"),
    "i5a": ("1072", "54"),
    "i5b": ("1388", "71"),
    "fc": ("1000", "1"),
}


def models_of(name: str) -> list[archdsl.Model]:
    return [model for spec in TABLES[name] for model in archdsl.load_all(SPECS / spec)]


def rows_of(model: archdsl.Model) -> list[dict[str, str]]:
    text = render_drawing(model, "csv", style="table").content.decode()
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("format", TEXTS)
def test_full_text(name: str, format: str, request: pytest.FixtureRequest) -> None:
    text = render_drawing(models_of(name), format, style="table").content.decode()
    path = EXPECTED / f"{name}.{format}"
    if request.config.getoption("--update"):
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


# ── Numbers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("spec", ["googlenet", "vgg16", "alexnet", "nin", "lenet5"])
def test_rows_add_up_to_the_model(spec: str) -> None:
    model = archdsl.load(SPECS / f"{spec}.arch")
    *rows, total = rows_of(model)
    assert sum(int(row["ops"] or 0) for row in rows) == int(total["ops"]) == model.trunk.macs
    weights = sum(int(row["params"] or 0) for row in rows)
    # What is left are biases: one for each output channel of what has weights.
    owners = [n for n in model.layers if n.layer.has_weights and n.head is None]
    biases = sum(node.volume.channels for node in owners)
    assert weights == int(total["params"]) == model.trunk.parameters - biases


def test_depth_is_what_the_paper_counts() -> None:
    model = archdsl.load(SPECS / "googlenet.arch")
    assert rows_of(model)[-1]["depth"] == "22"
    assert depth_of(model, 0, 0) == 0


def test_rows_that_differ_from_the_papers_are_known() -> None:
    """Of 24 numbers of table 1 11 are ours to the digits written; two differ by more than 10 %."""
    far, equal = [], 0
    for row in rows_of(archdsl.load(SPECS / "googlenet.arch"))[:-1]:
        name = row["type"].partition("(")[2].rstrip(")") or row["type"]
        key = f"{name} {row['patch size/stride']}" if name == "conv" else name
        if key not in PAPER:
            continue
        for column, scale, written in zip(("params", "ops"), (1024, 1e6), PAPER[key], strict=True):
            ours = int(row[column]) / scale
            equal += f"{ours:.0f}" == written
            if abs(ours - float(written)) > 0.1 * float(written):
                far.append((key, column, written, f"{ours:.1f}"))
    assert far == [("conv 7×7/2", "params", "2.7", "9.2"), ("conv 7×7/2", "ops", "34", "118.0")]
    assert equal == 11


# ── Columns and rows ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            "inception(2, 3→4, 5→6, 7)",
            "n1 #1×1, r3 #3×3 reduce, n3 #3×3, r5 #5×5 reduce, n5 #5×5, np pool proj",
        ),
        ("fire(2, 3, 4)", "e1 #1×1, e3 #3×3"),
    ],
)
def test_headings_come_from_the_branches_of_a_block(call: str, expected: str) -> None:
    model = archdsl.parse(call, input="8x8x4")
    (part,) = model.chain.parts
    assert isinstance(part, CallPart)
    headings = headings_of(model, part)
    names = [argument.name for argument in part.arguments]
    assert ", ".join(f"{n} {headings[n]}" for n in names if n in headings) == expected


def test_headings_see_through_conditions_and_groups_but_not_into_other_blocks() -> None:
    model = archdsl.parse(
        """
        block inner(n) { concat { | conv 1x1 n | conv 3x3 n same } }
        block outer(a, b, c, d, e) {
          concat {
            | if a > 1 { conv 5x5 a same }
            | g: { conv 1x1 b; conv 3x3 c same }
            | add { conv 1x1 d | conv 3x3 d same }
            | inner(e)
            | conv 1x1 (e + 1)
          }
        }
        network N: 8x8x4 → 8x8x30 { outer(2, 3, 4, 5, 6) }
        """
    )
    (part,) = model.chain.parts
    assert isinstance(part, CallPart)
    # `d` is the channels of two convolutions, and `e` of none in the block itself.
    assert headings_of(model, part) == {"a": "#5×5", "b": "#3×3 reduce", "c": "#3×3"}


def text_of(text: str, **options: str) -> list[str]:
    lines = TEXTS["txt"](table_of([archdsl.parse(text, **options)])).splitlines()
    return [line.strip() for line in lines[4 : lines.index("", 4) - 2]]


def test_normalization_and_activation_count_with_the_row_before() -> None:
    rows = text_of("conv 3x3 4 same nobias bn relu; maxpool 2", input="8x8x1")
    assert rows == [
        "conv     3×3/1              8×8×4            1   <0.1K  <0.1M",
        "maxpool  2×2/2              4×4×4            0",
    ]


def test_equal_neighbours_are_one_row() -> None:
    rows = text_of("basic(4) ×3; gap; flatten; fc 2", input="8x8x4")
    assert [row.split("  ")[0] for row in rows] == ["basic ×3", "gap", "fc"]
    assert rows[0].split() == ["basic", "×3", "8×8×4", "6", "4", "1", "0.9K", "0.1M"]


def test_what_differs_in_kind_stands_stage_by_stage() -> None:
    models = [archdsl.load(SPECS / f"{name}.arch") for name in ("lenet5", "alexnet")]
    rows = list(csv.reader(io.StringIO(TEXTS["csv"](table_of(models)))))
    assert [row for row in rows if "fc" in row[1]] == [
        ["", "fc-84", "fc-4096"],
        ["", "fc-10", "fc-4096"],
    ]
    assert ["", "avgpool 2×2/2", "maxpool 3×3/2"] in rows
    assert ["", "", "maxpool 3×3/2"] in rows  # LeNet has two stages, AlexNet three


def test_signs_of_markup_mean_themselves() -> None:
    table = table_of([archdsl.parse("conv 3x3 8", input="8x8x3")])
    odd = replace(table, title="a_b & 50% #|`<")
    assert TEXTS["md"](odd).startswith("**a_b & 50% \\#\\|\\`\\<**\n")
    assert r"\caption{a\_b \& 50\% \#|`$<$}" in TEXTS["tex"](odd)


def test_a_sequence_has_windows_along_its_one_axis() -> None:
    rows = text_of("conv 3 4 s2 p1 relu; maxpool 2", input="8x1")
    assert [row.split()[:3] for row in rows] == [["conv", "3/2", "4×4"], ["maxpool", "2/2", "2×4"]]


def test_a_transposed_convolution_has_the_stride_that_is_written() -> None:
    (row,) = text_of("deconv 2x2 4 s2", input="8x8x1")
    assert row.split()[:3] == ["deconv", "2×2/2", "16×16×4"]


def test_a_block_of_one_convolution_is_that_convolution() -> None:
    block = "block cbr(n, s=1) { conv 3x3 n stride=s padding=1 nobias bn relu }"
    model = archdsl.parse(f"{block}\nnetwork N: 8x8x3 → 4x4x8 {{ cbr(8, 2) }}")
    table = table_of([model])
    assert [cell.text for cell in table.head[3:5]] == ["depth", "params"]
    assert [cell.text for cell in table.rows[0].cells[:3]] == ["conv", "3×3/2", "4×4×8"]


# ── Pictures and the command ─────────────────────────────────────────────────────────────────


def test_the_picture_has_all_texts_and_fits_a_page() -> None:
    table = table_of(models_of("googlenet"))
    picture = typeset(table, Options(fit="a4"))
    shown = {text.text for text in texts_in(picture.marks)}
    assert {cell.text for row in table.rows for cell in row.cells if cell.text} <= shown
    assert picture.smallest_text >= 6.0
    assert picture.notes == ()
    for text in texts_in(picture.marks):
        assert 0 < text.at[0] < picture.width
        assert 0 < text.at[1] < picture.height


@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_pictures_are_the_same_bytes(format: str) -> None:
    model = archdsl.load(SPECS / "lenet5.arch")
    first, second = (render_drawing(model, format, style="table").content for _ in range(2))
    assert first == second


def test_the_graph_draws_one_network() -> None:
    with pytest.raises(ValueError, match="svg shows one network, but 6 were given"):
        render_drawing(models_of("vgg"), "svg")


@pytest.mark.parametrize(
    ("arguments", "written", "error"),
    [
        (["vgg11.arch", "vgg16.arch"], ["drawings/table.txt"], ""),
        (["vgg16.arch"], ["drawings/vgg16.txt"], ""),
        (["vgg11.arch", "vgg16.arch", "-o", "out.tex"], ["out.tex"], ""),
        (
            ["vgg16.arch", "--theme", "dark"],
            [],
            "VGG16 cannot be drawn: the table style as txt has no option --theme\n",
        ),
        (["vgg16.arch", "-o", "a.dot"], [], "the table style has no format dot; it has txt, md"),
    ],
)
def test_draw(
    arguments: list[str],
    written: list[str],
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [str(SPECS / a) if a.endswith(".arch") else a for a in arguments]
    with pytest.raises(SystemExit) as leave:
        main(["draw", *paths, "--style", "table"])
    assert leave.value.code == (2 if error else 0)
    out = capsys.readouterr()
    assert out.out.split() == written
    assert error in out.err
    assert [path.is_file() for path in map(Path, written)] == [True] * len(written)
