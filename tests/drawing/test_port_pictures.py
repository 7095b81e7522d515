"""Pictures of networks with several inputs and outputs, and of parts that run again."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from structures import PORTS, REUSED

import archdsl
from archdsl.drawing import DrawingError, Options, render_drawing, render_svg
from archdsl.drawing.figure.composition import compose_figure
from archdsl.drawing.figure.figure import boxes_in
from archdsl.drawing.figure.ports import OUTPUT
from archdsl.model import Model

TEXTS = {name: f"network N: {text}" for name, text in PORTS.items()} | REUSED
PAIRS = """
network Pairs: (left: 8x8x4, right: 8x8x4) → (near: 1, both: 8) {
  f: { conv 3x3 4 same relu; fc 8 }
  right; g: reuse f
  both: max { f | g }
  sub { f | g }; near: fc 1
}
"""


def _model(text: str) -> Model:
    return archdsl.parse(text) if "network" in text else archdsl.parse(text, input="8x8x4")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_each_edge_of_the_graph_is_drawn(text: str) -> None:
    model = _model(text)
    figure = compose_figure(model, Options(flat=True))
    shown = {(edge.tail, edge.head) for edge in figure.edges}
    wanted = {
        (figure.box_of[source], figure.box_of[reader]) for source, reader in model.graph.edges()
    }
    assert {pair for pair in wanted if pair[0] != pair[1]} <= shown
    ends = sorted(figure.box_of[end] for end in model.ends)
    assert sorted(tail for tail, head in shown if head <= OUTPUT) == ends


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_all_styles_show_it(text: str) -> None:
    model = _model(text)
    for style, format in (
        ("graph", "svg"),
        ("graph", "html"),
        ("graph", "dot"),
        ("volumes", "svg"),
        ("table", "txt"),
    ):
        for options in (Options(), Options(depth=0), Options(names=True), Options(fit="a4")):
            # An option that a style lacks is refused.
            with suppress(DrawingError):
                assert render_drawing(model, format, options, style).content


def test_inputs_and_outputs_are_side_by_side_with_their_names() -> None:
    figure = compose_figure(_model(PAIRS))
    start, end = figure.items[0], figure.items[-1]
    assert [box.name for box in boxes_in(start)] == ["left", "right"]
    # The end of the trunk comes first.
    assert [box.name for box in boxes_in(end)] == ["near", "both"]
    assert figure.description.startswith("Pairs: left 8×8×4 and right 8×8×4 to near 1 and both 8")
    tooltips = re.findall(r"<title>(.*?)</title>", render_svg(_model(PAIRS)))
    assert {"input right 8×8×4", "output both 8"} <= {*tooltips}


def test_a_part_that_runs_again_is_one_marked_box() -> None:
    names = [
        (box.title, box.name, box.count)
        for text in (
            "f: { conv 3x3 4 same; relu; conv 1x1 4 }; reuse f ×2; b: reuse f",
            "f: basic(4); tanh; reuse f",
            "f: conv 3x3 4 same; tanh; reuse f; reuse f",
        )
        for item in compose_figure(_model(text)).items
        for box in boxes_in(item)
        if "shared" in (box.name or "")
    ]
    assert names == [
        ("f", "shared–b · shared", 3),
        ("basic", "shared with f", 1),
        ("conv 3×3", "shared with f", 2),
    ]


def test_a_table_counts_the_weights_of_a_part_once() -> None:
    text = render_drawing(_model(PAIRS), "txt", Options(), "table").content.decode()
    first, again = re.findall(r"^conv.*$", text, re.MULTILINE)
    assert "0.1K" in first
    assert "(shared)" in again
    assert "K" not in again
