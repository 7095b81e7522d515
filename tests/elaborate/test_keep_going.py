"""Networks drawn up to their faults: what is drawn, what is red, and what the command says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cases import CASES, Case
from figures import boxes_of

import archdsl
from archdsl.cli import main
from archdsl.drawing import DrawingError, Options, render_drawing, render_svg
from archdsl.drawing.canvas.marks import Group, Line, Mark
from archdsl.drawing.figure.composition import compose_figure
from archdsl.drawing.graph.picture import graph_picture
from archdsl.frontend import read_partly
from archdsl.model import PartialModel
from archdsl.text.diagnostics import ArchError
from archdsl.text.source import Source

MISMATCH = """\
network N: 28x28x192 → 10 {
  stem: conv 3x3 64 same relu
  mix: concat {
    | conv 1x1 64 relu
    | conv 5x5 32 relu
  }
  fc 10
}
"""


def partial(text: str) -> PartialModel:
    (model,), diagnostics = read_partly(Source(text, "n.arch"))
    assert diagnostics
    assert isinstance(model, PartialModel)
    return model


def shown(text: str) -> list[str]:
    """Each box as ``title | detail``, with its fault behind ``!`` and ``?`` where it waits."""
    lines = []
    for box in boxes_of(compose_figure(partial(text))):
        sign = f" ! {box.fault}" if box.fault else " ?" if box.is_waiting else ""
        lines.append(f"{box.title} | {box.detail}{sign}")
    return lines


def in_network(statements: str) -> str:
    return f"network N: 8x8x4 → 10 {{\n{statements}\nfc 10\n}}\n"


def _lines(marks: tuple[Mark, ...], kind: str) -> Iterator[Line]:
    for mark in marks:
        if isinstance(mark, Group):
            inside = kind in mark.classes
            for inner in mark.marks:
                if isinstance(inner, Line) and inside:
                    yield inner
                elif isinstance(inner, Group):
                    yield from _lines((inner,), kind)


def red_wires(text: str) -> int:
    picture = graph_picture(partial(text), Options())
    wires = [line for line in _lines(picture.marks, "edge") if line.fill is None]
    return sum(wire.stroke == "fault" for wire in wires)


@pytest.mark.parametrize(
    ("statements", "expected", "wires"),
    [
        (
            "conv 3x3 8 same; conv 9x9 8; conv 3x3 8",
            [
                "conv 3×3 | 8 · s1 same",
                "conv 9×9 | 8 · s1 ! a window of height 9 does not fit into an input of height 8",
            ],
            1,
        ),
        (
            "conv 3x3 8 smae relu",
            ["conv 3x3 8 smae relu |  ! smae is not a layer, nor a flag of conv"],
            1,
        ),
        (
            "conv 3x3 8 same → 4x4x8; maxpool 2",
            [
                "conv 3×3 | 8 · s1 same ! the volume here is 8×8×8, not 4×4×8",
                "maxpool 2×2 | s2",
                "fc | 10",
                "output | 10",
            ],
            1,
        ),
        (
            "add { conv 3x3 4 same | gn 3 }",
            [
                "conv 3×3 | 4 · s1 same",
                "gn | 3 groups ! 4 channels cannot be split into 3 equal groups",
                "add |  ?",
            ],
            1,
        ),
        ("conv 3x3 8 same; let k = nothing; conv 3x3 k", ["conv 3×3 | 8 · s1 same"], 0),
    ],
)
def test_what_is_drawn(statements: str, expected: list[str], wires: int) -> None:
    text = in_network(statements)
    assert shown(text)[1:] == expected
    assert red_wires(text) == wires


def test_all_branches_into_a_merge_that_refuses_them_are_red() -> None:
    assert shown(MISMATCH)[1:] == [
        "conv 3×3 | 64 · s1 same · relu",
        "conv 1×1 | 64 · s1 · relu",
        "conv 5×5 | 32 · s1 · relu",
        "concat | 28×28×64 | 24×24×32 ! branches of concat differ in height and width",
    ]
    assert red_wires(MISMATCH) == 2
    figure = compose_figure(partial(MISMATCH))
    assert figure.description == (
        "N, up to its fault: branches of `concat` differ in height and width"
    )


def test_a_merge_whose_volume_is_known_still_says_its_sum() -> None:
    text = in_network("concat { conv 1x1 4 | conv 1x1 6 } → 8x8x9; gap")
    assert shown(text)[3] == "concat | 4+6 = 10 ! the volume here is 8×8×10, not 8×8×9"


def test_a_wrong_end_is_red_behind_the_last_layer() -> None:
    text = "network N: 8x8x4 → 10 { conv 3x3 4; fc 11 }"
    assert shown(text)[2:] == ["fc | 11 ! the network ends in 11, not in 10", "output | 11"]
    assert red_wires(text) == 1


def test_a_fault_in_a_block_keeps_its_frame_and_its_name() -> None:
    text = in_network("a: basic(4); b: basic(4, 0); basic(4)")
    svg = render_svg(partial(text))
    assert "<title>basic · a</title>" in svg
    assert "stride" in svg


def test_a_closed_block_says_the_fault_inside() -> None:
    model = partial(in_network("a: inception(4, 4→4, 4→4, 4); mix: { conv 3x3 4; conv 9x9 4 }"))
    figure = compose_figure(model, Options(depth=0))
    collapsed = [box for box in boxes_of(figure) if box.block]
    assert [box.fault for box in collapsed] == [
        None,
        "a window of height 9 does not fit into an input of height 6",
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_faulty_text_is_drawn_or_has_nothing_to_draw(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for model in read_partly(*case.write(tmp_path))[0]:
        for options in (Options(), Options(flat=True), Options(depth=0, names=True)):
            assert render_svg(model, options).startswith("<svg ")


def test_a_partial_model_is_neither_compiled_nor_tabled() -> None:
    model = partial(MISMATCH)
    with pytest.raises(ArchError, match="branches of `concat` differ"):
        archdsl.compile(model)
    with pytest.raises(
        DrawingError, match="txt cannot show a network with faults; pictures of the graph can"
    ):
        render_drawing(model, "txt", style="table")


@pytest.mark.parametrize(
    ("text", "written", "code"),
    [
        (MISMATCH, ["drawings/n.svg"], 1),
        ("network N: 8x8x4 → 10 {", [], 1),
        ("network N: 8x8x4 → 10 { fc 10; expect params = 1 }", ["drawings/n.svg"], 1),
        ("network N: 8x8x4 → 10 { fc 10 }", ["drawings/n.svg"], 0),
    ],
)
def test_draw(
    text: str,
    written: list[str],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.arch").write_text(text, "utf-8")
    with pytest.raises(SystemExit) as leave:
        main(["draw", "n.arch", "--keep-going"])
    out = capsys.readouterr()
    assert leave.value.code == code
    assert out.out.split() == written
    assert ("1 error" in out.err) == (code == 1)
