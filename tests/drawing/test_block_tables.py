"""Tables of families of blocks: what stands in brackets is so of each block that is counted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

import archdsl
from archdsl.drawing.canvas.marks import texts_in
from archdsl.drawing.options import Options
from archdsl.drawing.tables import table_of
from archdsl.drawing.tables.branches import MainBranch, branch_of, opens
from archdsl.drawing.tables.latex import SETTINGS, TEXT_WIDTH, WIDE, latex_of, layout_of, width_of
from archdsl.drawing.tables.table import Table
from archdsl.drawing.tables.texts import TEXTS
from archdsl.drawing.tables.typeset import typeset
from archdsl.network.parts import CallPart, Chain, chains_in

SPECS = sorted((ROOT / "specs").rglob("*.arch"))
TORCHVISION = ROOT / "specs" / "torchvision"


def family(name: str) -> Table:
    return table_of(archdsl.load_all(TORCHVISION / f"{name}.arch"))


def columns(table: Table) -> dict[str, list[str]]:
    """By heading, the texts of a column of the CSV."""
    head, *rows = csv.reader(io.StringIO(TEXTS["csv"](table)))
    return {name: [row[at] for row in rows] for at, name in enumerate(head)}


def brackets(table: Table, name: str) -> list[str]:
    return [text for text in columns(table)[name] if text.startswith("[")]


# ── The papers' own tables ───────────────────────────────────────────────────────────────────

#: He et al. 2016, table 1: rows conv2_x to conv5_x, typed in from there. The strides are those of
#: torchvision, which gives a bottleneck's to its 3×3 convolution.
HE = {
    "ResNet18": (2, (2, 2, 2, 2)),
    "ResNet34": (2, (3, 4, 6, 3)),
    "ResNet50": (3, (3, 4, 6, 3)),
    "ResNet101": (3, (3, 4, 23, 3)),
    "ResNet152": (3, (3, 8, 36, 3)),
}


@pytest.mark.parametrize("name", HE)
def test_resnet_is_table_1_of_he(name: str) -> None:
    layers, counts = HE[name]
    expected = []
    for channels, count in zip((64, 128, 256, 512), counts, strict=True):
        step = "" if channels == 64 else "/2"
        lines = (
            f"3×3{step}, {channels}; 3×3, {channels}"
            if layers == 2
            else f"1×1, {channels}; 3×3{step}, {channels}; 1×1, {4 * channels}"
        )
        expected.append(f"[{lines}] ×{count}")
    assert brackets(family("resnet"), name) == expected


def test_a_stage_stands_at_its_own_size() -> None:
    table = columns(family("resnet"))
    sizes = [label for label in table[""] if "×" in label]
    assert sizes == ["112×112", "56×56", "28×28", "14×14", "7×7"]


def test_depth_is_what_papers_count_and_the_other_count_is_named() -> None:
    table = columns(family("resnet"))
    rows = {label: [table[name][at] for name in HE] for at, label in enumerate(table[""][:2])}
    assert rows == {
        "depth": ["18", "34", "50", "101", "152"],
        "all weight layers": ["21", "37", "54", "105", "156"],
    }
    # One count says all where no branch has layers beside the longest path.
    assert columns(family("densenet"))[""][0] == "weight layers"


def test_the_last_rows_are_those_of_the_model() -> None:
    models = archdsl.load_all(TORCHVISION / "resnet.arch")
    table = columns(table_of(models))
    assert table[""][-2:] == ["parameters", "MACs"]
    for model in models:
        assert table[model.name][-2:] == [str(model.trunk.parameters), str(model.trunk.macs)]


def test_densenet_is_table_1_of_huang() -> None:
    table = family("densenet")
    for name, counts, growth in (
        ("DenseNet121", (6, 12, 24, 16), 32),
        ("DenseNet169", (6, 12, 32, 32), 32),
        ("DenseNet201", (6, 12, 48, 32), 32),
        ("DenseNet161", (6, 12, 36, 24), 48),
    ):
        block = f"[1×1, {4 * growth}; 3×3, {growth}]"
        assert brackets(table, name) == [f"{block} ×{count}" for count in counts]
        transitions = [text for text in columns(table)[name] if text.startswith("conv1-")]
        assert len(transitions) == columns(table)[name].count("avgpool 2×2/2") == 3


def test_resnext_says_its_groups_and_wide_resnet_its_width() -> None:
    assert brackets(family("resnext"), "ResNeXt50_32x4d")[:2] == [
        "[1×1, 128; 3×3, 128, C=32; 1×1, 256] ×3",
        "[1×1, 256; 3×3/2, 256, C=32; 1×1, 512] ×4",
    ]
    assert "C: the groups of a convolution." in family("resnext").notes[2]
    assert brackets(family("wide_resnet"), "WideResNet50_2")[-1] == (
        "[1×1, 1024; 3×3/2, 1024; 1×1, 2048] ×3"
    )
    assert "C:" not in " ".join(family("wide_resnet").notes)


def test_mobilenet_v2_has_the_columns_of_its_table_alone() -> None:
    table = table_of([archdsl.load(TORCHVISION / "mobilenet_v2.arch")])
    assert [cell.text for cell in table.head[4:-2]] == ["t", "n", "s"]
    first = [cell.text for cell in table.rows[0].cells]
    assert first[:4] == ["conv", "3×3/2", "112×112×32", "1"]
    # Sandler et al. 2018, table 2: t, c, n, s, where a row's first block alone has its stride.
    counted: dict[tuple[str, str], int] = {}
    for row in table.rows:
        texts = [cell.text for cell in row.cells]
        if texts[0].startswith("inverted_residual"):
            _, _, times = texts[0].partition(" ×")
            key = (texts[4], texts[5])
            counted[key] = counted.get(key, 0) + int(times or 1)
    assert counted == {
        ("1", "16"): 1,
        ("6", "24"): 2,
        ("6", "32"): 3,
        ("6", "64"): 4,
        ("6", "96"): 3,
        ("6", "160"): 3,
        ("6", "320"): 1,
    }


# ── What is counted is alike ─────────────────────────────────────────────────────────────────


def counted(body: str, blocks: str, input: str = "16x16x16") -> list[str]:
    """The lines of a network beside itself."""
    model = archdsl.parse(f"{blocks}\nnetwork N: {input} → 10 {{ {body}; gap; fc 10 }}")
    rows = columns(table_of([model, model]))
    (name,) = (name for name in rows if name)
    return [text for text in rows[name] if text.startswith(("[", "conv", "b(", "odd("))]


RESIDUAL = """
block b(n, k=3, s=1, d=1, g=1) {
  add {
    | conv k n stride=s padding=(d*(k//2)) dilation=d groups=g nobias bn relu; conv 3x3 n same
    | if s != 1 or C != n { conv 1x1 n stride=s nobias bn } else { id }
  }
  relu
}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("b(16) ×3", ["[3×3, 16; 3×3, 16] ×3"]),
        ("b(32, s=2); b(32) ×2", ["[3×3/2, 32; 3×3, 32] ×3"]),
        ("b(16) ×2; b(32); b(32)", ["[3×3, 16; 3×3, 16] ×2", "[3×3, 32; 3×3, 32] ×2"]),
        ("b(16); b(16, k=5); b(16)", [f"[{k}×{k}, 16; 3×3, 16] ×1" for k in (3, 5, 3)]),
        ("b(16); b(16, d=2)", ["[3×3, 16; 3×3, 16] ×1", "[3×3, 16, dilation 2; 3×3, 16] ×1"]),
        ("b(16); b(16, g=4)", ["[3×3, 16; 3×3, 16] ×1", "[3×3, 16, C=4; 3×3, 16] ×1"]),
        ("b(16); b(16, g=16)", ["[3×3, 16; 3×3, 16] ×1", "[dw 3×3, 16; 3×3, 16] ×1"]),
        ("b(32, s=2); b(32, s=2)", ["[3×3/2, 32; 3×3, 32] ×1"] * 2),
    ],
)
def test_what_differs_is_not_counted_with_it(body: str, expected: list[str]) -> None:
    assert counted(body, RESIDUAL) == expected


def test_a_stride_that_a_later_block_has_starts_a_stage() -> None:
    model = archdsl.parse(
        f"{RESIDUAL}network N: 16x16x16 → 10 {{ b(16) ×2; b(16, s=2); b(16); gap; fc 10 }}"
    )
    rows = columns(table_of([model, model]))
    assert [label for label in rows[""] if "×" in label] == ["16×16", "8×8"]
    assert [text for text in rows["N"] if text.startswith("[")] == [
        "[3×3, 16; 3×3, 16] ×2",
        "[3×3/2, 16; 3×3, 16] ×2",
    ]


@pytest.mark.parametrize(
    "block",
    [
        # Two branches of convolutions; two in a row around parts; a shortcut that is a pooling; a
        # gate that is not squeeze and excitation; weights of before.
        "block odd(n) { concat { | conv 1x1 n relu; conv 3x3 n same | conv 3x3 n same } }",
        "block odd(n) { add { id | conv 3x3 n same }; relu; add { id | conv 3x3 n same } }",
        "block odd(n) { add { maxpool 3 s1 p1 | conv 3x3 n same } }",
        "block odd(n) { add { conv 3x3 n same | conv 3x3 n same; relu; conv 3x3 n same } }",
        "block odd(n) { mul { id | conv 3x3 n same; sigmoid } }",
        "block odd(n) { add { id | a: conv 3x3 n same; relu; reuse a } }",
        "block odd(n) { add { id | conv 3x3 n same; upsample 2; maxpool 2 } }",
    ],
)
def test_a_block_that_is_more_than_its_main_branch_is_called_by_its_name(block: str) -> None:
    assert counted("odd(16) ×2", block) == ["odd(16) ×2"]


def test_notes_say_no_more_than_is_so() -> None:
    """ResNet's blocks all have shortcuts; MNASNet's only where the shape stays."""
    assert family("resnet").notes[-1] == (
        "A shortcut adds the input of a block to the result of its layers, in the first block of "
        "some brackets through a 1×1 convolution that is not shown."
    )
    assert family("mnasnet").notes[-1].endswith("; blocks that change the shape have none.")
    assert "1×1 convolution" not in family("mnasnet").notes[-1]
    assert family("densenet").notes[-1].startswith("The result of each block is the input together")


def blocks_in(model: archdsl.Model, chain: Chain) -> Iterator[MainBranch]:
    """The main branches of all blocks, in order, none folded."""
    for part in chain.parts:
        if isinstance(part, CallPart) and not opens(model, part):
            branch = branch_of(model, part)
            assert branch is not None
            yield branch
        else:
            for inner in chains_in(part):
                yield from blocks_in(model, inner)


@pytest.mark.parametrize("name", ["resnet", "densenet", "mnasnet", "efficientnet", "regnet"])
def test_each_counted_block_has_the_layers_of_its_brackets(name: str) -> None:
    """Block for block: what ×n unfolds to is what the blocks of the network are, in order."""
    for model in archdsl.load_all(TORCHVISION / f"{name}.arch"):
        table = table_of([model, model])
        shown: list[str] = []
        for row in table.rows:
            cell = row.cells[1]
            if cell.layers:
                plain = [line.replace("/2", "") for line in cell.layers]
                shown += ["; ".join(plain)] * cell.count
        found = ["; ".join(branch.layers) for branch in blocks_in(model, model.chain)]
        assert shown == found


# ── Each format ──────────────────────────────────────────────────────────────────────────────


def test_text_has_the_layers_below_each_other() -> None:
    lines = TEXTS["txt"](family("resnet")).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("56×56"))
    start = lines[at - 1].index("⎡1×1, 64 ⎤")
    assert lines[at][start:].startswith("⎢3×3, 64 ⎥ ×3")
    assert lines[at + 1][start:].startswith("⎣1×1, 256⎦")


def test_markdown_has_them_in_one_cell() -> None:
    text = TEXTS["md"](family("resnet"))
    assert "| [ 1×1, 64<br>3×3, 64<br>1×1, 256 ] ×3 |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {7}


def test_latex_has_a_large_bracket() -> None:
    assert (
        r"$\left[\begin{tabular}{@{}l@{}}1$\times$1, 64\\3$\times$3, 64\\1$\times$1, 256"
        r"\end{tabular}\right]{\times}3$"
    ) in latex_of(family("resnet"))


def test_the_picture_has_a_text_for_each_layer() -> None:
    picture = typeset(family("resnet"), Options(fit="a4"))
    shown = [text.text for text in texts_in(picture.marks)]
    assert shown.count("1×1, 2048") == 3
    assert "×36" in shown
    places = {text.text: text.at for text in texts_in(picture.marks) if text.text == "3×3, 64"}
    assert all(0 < x < picture.width for x, _ in places.values())


@pytest.mark.parametrize("format", TEXTS)
def test_a_table_is_the_same_each_time(format: str) -> None:
    assert TEXTS[format](family("resnet")) == TEXTS[format](family("resnet"))


# ── Widths in LaTeX ──────────────────────────────────────────────────────────────────────────

#: By table, TeX's own widths in points for each setting, from largest to smallest: pdflatex's
#: ``\\wd`` of a box with the tabular.
MEASURED = {
    "googlenet": (660, 511, 458, 404, 348),
    "torchvision/resnet": (557, 500, 454, 412, 371),
    "torchvision/resnext": (493, 440, 400, 365, 331),
    "torchvision/densenet": (432, 377, 346, 310, 281),
    "torchvision/mobilenet_v2": (434, 372, 333, 293, 252),
    "torchvision/efficientnet": (962, 899, 828, 758, 682),
    "lenet5": (317, 257, 230, 203, 175),
}


@pytest.mark.parametrize("name", MEASURED)
def test_widths_are_tex_s_or_a_little_more(name: str) -> None:
    table = table_of(archdsl.load_all(ROOT / "specs" / f"{name}.arch"))
    for setting, measured in zip(SETTINGS, MEASURED[name], strict=True):
        assert measured - 0.5 <= width_of(table, setting) <= 1.07 * measured


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_latex_table_fits_the_page(path: Path) -> None:
    """In the text of LaTeX's ``article``, or in the middle of a page with margins of an inch."""
    table = table_of(archdsl.load_all(path))
    layout = layout_of(table)
    limit = WIDE if layout.is_wide else TEXT_WIDTH
    assert all(width_of(part, layout.setting) <= limit for part in layout.parts)
    names = [cell.text for part in layout.parts for cell in part.head[1:]]
    assert names == [cell.text for cell in table.head[1:]]
    text = latex_of(table)
    assert "resizebox" not in text
    assert ("makebox" in text or "LTleft" in text) == layout.is_wide
    assert text.count("\\begin{") == text.count("\\end{")


def test_googlenet_fits_where_it_was_half_as_wide_again() -> None:
    layout = layout_of(table_of([archdsl.load(ROOT / "specs" / "googlenet.arch")]))
    assert layout.is_wide
    assert layout.setting.size == 8
    assert r"\shortstack[r]{\#3$\times$3\\reduce}" in latex_of(layout.parts[0])


def test_columns_in_parts_have_the_first_one_each() -> None:
    layout = layout_of(family("efficientnet"))
    assert [[cell.text[-2:] for cell in part.head] for part in layout.parts] == [
        ["", "B0", "B1", "B2"],
        ["", "B3", "B4", "B5"],
        ["", "B6", "B7"],
    ]
    for part in layout.parts:
        assert [row.cells[0].text for row in part.rows][:2] == ["weight layers", "input"]
        assert all(sum(cell.span for cell in row.cells) == len(part.head) for row in part.rows)


def test_a_table_higher_than_a_page_goes_on_over_the_next() -> None:
    text = latex_of(family("mnasnet"))
    assert text.startswith("% needs \\usepackage{booktabs,longtable}\n")
    assert "\\begin{table}" not in text
    assert text.count("MNASNet1\\_3 \\\\\n") == 2  # the head of the first page, and of others
    assert not layout_of(family("resnet")).is_long
