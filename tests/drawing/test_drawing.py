"""The graph style: what is in the figure, how it is laid out, and what is written of it."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from conftest import ROOT
from figures import TANGLES, boxes_of

import archdsl
from archdsl.drawing import render_drawing, render_svg
from archdsl.drawing.canvas import png as raster
from archdsl.drawing.figure.composition import compose_figure
from archdsl.drawing.figure.dot import html, quoted
from archdsl.drawing.figure.figure import (
    Cluster,
    ClusterKind,
    EdgeRole,
    Figure,
    Fork,
)
from archdsl.layers import REGISTRY, Family

SPECS = ROOT / "specs"
SVG = "{http://www.w3.org/2000/svg}"

RESIDUAL = """
network R: 8x8x4 → 10 {
  add { conv 3x3 4 same bn relu; conv 3x3 4 same bn | id } relu
  gap; fc 10
}
"""


def figure_of(statements: str, input: str = "8x8x4", more: str = "") -> Figure:
    """The figure of a network with these statements, which ends in 10 units."""
    text = f"{more}\nnetwork N: {input} → 10 {{\n{statements}\nfc 10\n}}\n"
    return compose_figure(archdsl.parse(text))


def texts_of(figure: Figure) -> list[str]:
    """Each box but input, output and the last ``fc`` as ``title | detail ×N``."""
    return [
        f"{box.title} | {box.detail}" + (f" ×{box.count}" if box.count > 1 else "")
        for box in boxes_of(figure)[1:-2]
    ]


def clusters_of(figure: Figure) -> list[Cluster]:
    def within(items: tuple[object, ...]) -> list[Cluster]:
        found: list[Cluster] = []
        for item in items:
            if isinstance(item, Cluster):
                found += [item, *within(item.items)]
            if isinstance(item, Fork):
                found += [inner for branch in item.branches for inner in within(branch)]
        return found

    return within(figure.items)


def render_dot(model: archdsl.Model) -> str:
    return render_drawing(model, "dot").content.decode()


def labels_of(figure: Figure) -> list[str]:
    return [edge.label for edge in figure.edges if edge.label]


@pytest.fixture(scope="module")
def googlenet() -> archdsl.Model:
    return archdsl.load(SPECS / "googlenet.arch")


# ── Fusing ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ("conv 3x3 8 same bn relu", ["conv 3×3 | 8 · s1 same · bn relu"]),
        ("fc 32 relu dropout 0.5", ["fc | 32 · relu dropout 0.5"]),
        ("bn; relu", ["bn | relu"]),
        ("maxpool 2 s2; lrn", ["maxpool 2×2 | s2", "lrn | n5"]),
        ("conv 1x7 8 same", ["conv 1×7 | 8 · s1 same"]),
        ("gap", ["gap | "]),
    ],
)
def test_layers_that_papers_write_as_one_are_one_box(statements: str, expected: list[str]) -> None:
    assert texts_of(figure_of(statements)) == expected


def test_a_result_that_is_used_twice_is_not_fused_away() -> None:
    figure = figure_of("a: conv 3x3 4 same; relu; add { a | id }")
    assert texts_of(figure) == ["conv 3×3 | 4 · s1 same", "relu | ", "add | "]
    conv, relu, add = (box.id for box in boxes_of(figure)[1:4])
    into_add = [(edge.tail, edge.head) for edge in figure.edges if edge.head == add]
    assert into_add == [(conv, add), (relu, add)]


def test_a_name_stands_in_its_box_or_over_its_cluster() -> None:
    figure = figure_of("stem: conv 3x3 8 same relu\nbody: { conv 3x3 8 same; maxpool 2 }")
    assert boxes_of(figure)[1].name == "stem"
    assert [(c.title, c.name) for c in clusters_of(figure)] == [("", "body")]


# ── Folding ──────────────────────────────────────────────────────────────────────────────────


def test_equal_statements_fold_though_the_first_has_other_input_channels() -> None:
    assert texts_of(figure_of("conv 3x3 8 same relu ×3")) == ["conv 3×3 | 8 · s1 same · relu ×3"]


def test_neighbours_of_other_volumes_do_not_fold() -> None:
    figure = figure_of("conv 3x3 8 ×2")
    assert texts_of(figure) == ["conv 3×3 | 8 · s1"] * 2
    assert labels_of(figure) == ["6×6×8", "4×4×8"]


def test_a_box_that_is_used_elsewhere_does_not_fold() -> None:
    figure = figure_of("conv 3x3 4 same\na: conv 3x3 4 same\nconv 3x3 4 same; add { a | id }")
    assert [box.count for box in boxes_of(figure)[1:-2]] == [2, 1, 1]


def test_equal_boxes_side_by_side_do_not_fold() -> None:
    figure = figure_of("a: maxpool 3 s1 same; conv 1x1 4; a; conv 1x1 4")
    assert [box.count for box in boxes_of(figure)[1:-2]] == [1, 1, 1]


def test_names_of_folded_neighbours_are_a_range() -> None:
    figure = figure_of("a: conv 3x3 4 same\nb: conv 3x3 4 same\nc: conv 3x3 4 same")
    assert [(box.name, box.count) for box in boxes_of(figure)[1:-2]] == [("a–c", 3)]


def test_equal_block_calls_fold_into_one_cluster() -> None:
    block = "block res(n) { add { conv 3x3 n same relu; conv 1x1 n | id } relu }"
    figure = figure_of("conv 1x1 8; res(8) ×4", more=block)
    assert [(c.title, c.count) for c in clusters_of(figure)] == [("res", 4)]
    assert texts_of(figure)[1:] == [
        "conv 3×3 | 8 · s1 same · relu",
        "conv 1×1 | 8 · s1",
        "add | relu",
    ]


def test_a_named_repeat_is_one_cluster() -> None:
    figure = figure_of("stage: { conv 3x3 8 same relu; conv 1x1 8 } ×5")
    assert [(c.name, c.count) for c in clusters_of(figure)] == [("stage", 5)]
    assert len(boxes_of(figure)) == 5


def test_names_inside_copies_fold_with_them_and_other_names_do_not() -> None:
    copies = figure_of("s: { t: { conv 1x1 4; conv 3x3 4 same }; maxpool 3 s1 same } ×3")
    assert [(c.name, c.count) for c in clusters_of(copies)] == [("s", 3), ("t", 1)]
    written = figure_of("a: conv 1x1 4; b: conv 3x3 4 same; c: conv 1x1 4; d: conv 3x3 4 same")
    assert [box.name for box in boxes_of(written)[1:-2]] == ["a", "b", "c", "d"]


def test_the_count_of_a_run_is_not_that_of_the_part_around_it() -> None:
    block = "block two(n) { { conv 3x3 n same relu; conv 1x1 n } ×5 }"
    clusters = clusters_of(figure_of("conv 1x1 8; two(8)", more=block))
    assert [(c.title, c.count) for c in clusters] == [("two", 1), ("", 5)]
    clusters = clusters_of(figure_of("g: { { conv 3x3 4 same relu; conv 1x1 4 } ×5 }"))
    assert [(c.name, c.count) for c in clusters] == [("g", 1), (None, 5)]


def test_the_sums_of_growing_concats_stay() -> None:
    figure = figure_of("concat { id | conv 3x3 2 same } ×3")
    merges = [box.detail for box in boxes_of(figure) if box.family is Family.MERGE]
    assert merges == ["4+2 = 6", "6+2 = 8", "8+2 = 10"]


def test_a_long_network_gives_a_small_figure() -> None:
    figure = figure_of("conv 3x3 8 same relu ×500")
    assert [box.count for box in boxes_of(figure)] == [1, 500, 1, 1]
    assert len(figure.edges) == 3


def test_the_tooltip_of_a_folded_box_counts_all_copies() -> None:
    figure = figure_of("conv 3x3 4 same ×3")
    box = boxes_of(figure)[1]
    assert f"{3 * (9 * 4 * 4 + 4):,} parameters" in figure.tooltips[box.id]


# ── Edges ────────────────────────────────────────────────────────────────────────────────────


def test_edges_carry_the_volume_where_it_changes() -> None:
    figure = figure_of("conv 3x3 16 same relu; conv 3x3 16 same; bn; maxpool 2; gap")
    assert labels_of(figure) == ["8×8×16", "4×4×16", "1×1×16"]


def test_the_volume_that_branches_share_is_written_once() -> None:
    figure = figure_of("conv 1x1 8; concat { conv 1x1 4 | conv 3x3 4 same | maxpool 3 s1 same }")
    assert labels_of(figure) == ["8×8×8", "8×8×16"]


def test_a_skip_is_an_edge_from_the_input_of_the_fork() -> None:
    figure = compose_figure(archdsl.parse(RESIDUAL))
    start, _, _, add, *_ = (box.id for box in boxes_of(figure))
    assert [(e.tail, e.role) for e in figure.edges if e.head == add][1] == (start, EdgeRole.MERGE)


def test_the_two_edges_of_a_doubled_branch_are_both_drawn() -> None:
    figure = figure_of("add { id | id }")
    add = boxes_of(figure)[1].id
    assert [edge.tail for edge in figure.edges if edge.head == add] == [0, 0]


def test_a_part_that_is_referred_to_is_drawn_from_where_it_was() -> None:
    figure = figure_of("enc: conv 3x3 8\nmaxpool 2; deconv 2x2 8 s2; concat { crop enc | id }")
    boxes = boxes_of(figure)
    crop = next(box for box in boxes if box.title == "crop")
    assert [edge.tail for edge in figure.edges if edge.head == crop.id] == [boxes[1].id]
    assert "8+8 = 16" in [box.detail for box in boxes]


def test_each_edge_joins_two_boxes_that_are_drawn(googlenet: archdsl.Model) -> None:
    figure = compose_figure(googlenet)
    drawn = {box.id for box in boxes_of(figure)}
    assert {end for edge in figure.edges for end in (edge.tail, edge.head)} == drawn


def test_what_draws_nothing_is_left_out() -> None:
    block = "block maybe(n) { if n > 1 { conv 1x1 n } }"
    figure = figure_of("conv 1x1 4; maybe(1); add { maybe(1) | conv 3x3 4 same }", more=block)
    assert texts_of(figure) == ["conv 1×1 | 4 · s1", "conv 3×3 | 4 · s1 same", "add | "]
    assert len(figure.edges) == 6
    assert not clusters_of(figure)


@pytest.mark.parametrize(
    ("text", "input"),
    [(example.text, example.input) for layer in REGISTRY.values() for example in layer.examples]
    + [(f"{text}; fc 10", (8, 8, 4)) for text in TANGLES],
)
def test_every_node_is_drawn_once_and_every_edge_ends_somewhere(
    text: str, input: tuple[int, ...]
) -> None:
    model = archdsl.parse(text, input=input)
    figure = compose_figure(model)
    boxes = boxes_of(figure)
    assert sorted(m for box in boxes for m in box.members) == [-1, *range(len(model.nodes))]
    assert all(len(box.members) == len(box.nodes) * box.count for box in boxes if box.count > 1)
    drawn = {box.id for box in boxes}
    ends = {end for edge in figure.edges for end in (edge.tail, edge.head)}
    assert ends <= drawn
    assert all(any(edge.head == box for edge in figure.edges) for box in drawn - {0})


# ── GoogLeNet ────────────────────────────────────────────────────────────────────────────────


def test_googlenet_has_its_blocks_and_sums(googlenet: archdsl.Model) -> None:
    figure = compose_figure(googlenet)
    inceptions = [c.name for c in clusters_of(figure) if c.title == "inception"]
    assert inceptions == ["i3a", "i3b", "i4a", "i4b", "i4c", "i4d", "i4e", "i5a", "i5b"]
    sums = [box.detail for box in boxes_of(figure) if box.title == "concat"]
    assert sums[2] == "192+208+48+64 = 512"
    assert "28×28×192" in labels_of(figure)


def test_branches_stand_in_the_order_of_the_spec_on_one_row(googlenet: archdsl.Model) -> None:
    dot = render_dot(googlenet)
    i3a = dot[dot.index("cluster_") :].split("subgraph cluster_")
    body = next(part for part in i3a if "<B>inception</B> · i3a" in part)
    titles = re.findall(r"<B>(\w+ \d×\d|concat)</B>", body)
    first = ["conv 1×1", "conv 1×1", "conv 3×3", "conv 1×1", "conv 5×5", "maxpool 3×3", "conv 1×1"]
    assert titles[:8] == [*first, "concat"]
    ids = re.findall(r"^\t*(n\d+) \[label", body, flags=re.MULTILINE)
    row = re.search(r"rank=same\]\s*((?:n\d+\s+)+)", body)
    assert row is not None
    assert row[1].split() == [ids[0], ids[1], ids[3], ids[5]]


def test_each_auxiliary_head_is_drawn_and_tagged(googlenet: archdsl.Model) -> None:
    figure = compose_figure(googlenet)
    heads = [c for c in clusters_of(figure) if c.kind is ClusterKind.HEAD]
    assert [head.name for head in heads] == ["aux1", "aux2"]
    assert sum(edge.role is EdgeRole.HEAD for edge in figure.edges) == 2
    dot = render_dot(googlenet)
    assert dot.count("training only · loss × 0.3") >= 2
    assert dot.count("style=dashed") == 2
    assert dot.index("<B>aux1</B>") > dot.index("· i5b")  # so it stands to the right of the trunk


# ── Text ─────────────────────────────────────────────────────────────────────────────────────


HOSTILE = 'a"b<B>&amp;\\N\\l{x|y}\x00é'


def drawn_by_graphviz(dot: str) -> ElementTree.Element:
    """The SVG that Graphviz makes of DOT, in a process of its own."""
    script = (
        "import sys, pygraphviz; graph = pygraphviz.AGraph(string=sys.stdin.read()); "
        "sys.stdout.buffer.write(graph.draw(prog='dot', format='svg'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=dot.encode(), capture_output=True, check=True
    )
    return ElementTree.fromstring(done.stdout)


def test_text_in_labels_means_itself() -> None:
    root = drawn_by_graphviz(
        f"digraph {{ n [label=<{html(HOSTILE)}>, tooltip={_attribute(HOSTILE)}] }}"
    )
    shown = HOSTILE.replace("\x00", " ").replace("\\", "∖")
    assert [text.text for text in root.iter(f"{SVG}text")] == [shown]
    links = [link.get("{http://www.w3.org/1999/xlink}title") for link in root.iter(f"{SVG}a")]
    assert links == [shown]


def test_graphviz_takes_the_dot(googlenet: archdsl.Model) -> None:
    root = drawn_by_graphviz(render_dot(googlenet))
    nodes = [g for g in root.iter(f"{SVG}g") if (g.get("class") or "").startswith("node")]
    assert len(nodes) == len(boxes_of(compose_figure(googlenet)))


def _attribute(text: str) -> str:
    import graphviz

    return str(graphviz.quoting.quote(quoted(text)))


def test_quoted_text_is_never_html() -> None:
    assert _attribute("<b>") == '"<b>"'


def test_a_network_named_after_a_hostile_file_is_drawn() -> None:
    model = archdsl.parse("conv 3x3 8", path='x/a"<b>&\\N.arch', input="8x8x3")
    root = ElementTree.fromstring(render_svg(model))
    assert root.findtext(f"{SVG}title") == model.name


# ── Formats ──────────────────────────────────────────────────────────────────────────────────


def test_svg_is_well_formed_and_described(googlenet: archdsl.Model) -> None:
    svg = render_svg(googlenet)
    assert svg.startswith("<svg ")
    assert "<!--" not in svg
    assert "prefers-color-scheme: dark" in svg
    root = ElementTree.fromstring(svg)
    assert root.findtext(f"{SVG}title") == "GoogLeNet"
    assert "6,998,552 parameters" in (root.findtext(f"{SVG}desc") or "")
    nodes = [g for g in root.iter(f"{SVG}g") if (g.get("class") or "").startswith("node")]
    assert len(nodes) == len(boxes_of(compose_figure(googlenet)))
    assert all(node.findtext(f"{SVG}title") for node in nodes)
    assert sum("convolution" in (node.get("class") or "") for node in nodes) == 59


def test_png_is_crisp_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = archdsl.parse(RESIDUAL)
    drawing = render_drawing(model, "png")
    width, height = _png_size(drawing.content)
    assert 200 < width < height < 2000
    assert drawing.notes == ()
    monkeypatch.setattr(raster, "MAX_PIXELS", 300)
    coarse = render_drawing(model, "png")
    assert max(_png_size(coarse.content)) <= 301
    dots = 192 * 300 / height
    (note,) = coarse.notes
    assert note.startswith(f"it has {dots:.0f} dots per inch instead of 192, so that no side is")
    assert render_drawing(model, "svg").notes == ()


def _png_size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_pdf_is_one() -> None:
    pdf = render_drawing(archdsl.parse(RESIDUAL), "pdf").content
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="'gif' is not a format of drawings; they are svg, png"):
        render_drawing(archdsl.parse(RESIDUAL), "gif")


@pytest.mark.parametrize("format", ["dot", "svg", "png", "pdf"])
def test_the_same_model_gives_the_same_picture(format: str) -> None:
    script = (
        "import sys, archdsl; from archdsl.drawing import render_drawing; "
        "model = archdsl.load(sys.argv[1]); "
        "sys.stdout.buffer.write(render_drawing(model, sys.argv[2]).content)"
    )
    pictures = {
        subprocess.run(
            [sys.executable, "-c", script, str(SPECS / "vgg16.arch"), format],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(pictures) == 1


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys, archdsl.drawing; "
        "assert not {'graphviz', 'resvg_py', 'reportlab', 'torch'} & set(sys.modules); "
        "archdsl.drawing.render_svg(archdsl.parse('network N: 4 → 2 { fc 2 }')); "
        "assert not {'graphviz', 'reportlab', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
