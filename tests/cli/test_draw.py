"""``archdsl draw``: which pictures are written, and the exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import GOOD, TWO, WRONG, Result, write


def test_pictures_are_named_after_specs_and_networks(call) -> None:
    write("specs/good.arch", GOOD)
    write("specs/sub/two.arch", TWO)
    result = call("draw", "--format", "dot")
    assert result.code == 0
    paths = ["drawings/good.dot", "drawings/sub/two-One.dot", "drawings/sub/two-Two.dot"]
    assert result.out.splitlines() == paths
    assert all("digraph" in Path(path).read_text("utf-8") for path in paths)


def test_the_format_follows_the_ending(call) -> None:
    write("good.arch", GOOD)
    assert call("draw", "good.arch", "-o", "a/x.dot").out == "a/x.dot\n"
    assert "digraph" in Path("a/x.dot").read_text("utf-8")


def test_a_picture_on_the_standard_output(call) -> None:
    write("good.arch", GOOD)
    result = call("draw", "good.arch", "-o", "-", "--format", "dot")
    assert result.code == 0
    assert "digraph" in result.out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("-o", "x.gif"), "does not end in .svg, .png, .pdf, .tikz, .html, .dot, .tex"),
        (("-o", "x.svg", "--format", "png"), "contradicts"),
        (("--format", "gif"), "is not one of"),
    ],
)
def test_formats_that_are_none_are_wrong_calls(call, argv, words: str) -> None:
    write("good.arch", GOOD)
    result = call("draw", "good.arch", *argv)
    assert result.code == 2
    assert words in result.err


def test_one_file_takes_one_network_and_a_folder_many(call) -> None:
    write("two.arch", TWO)
    result = call("draw", "two.arch", "-o", "x.dot")
    assert result.code == 2
    assert "2 networks" in result.err
    Path("there").mkdir()
    for folder in ("there", "new/"):
        result = call("draw", "two.arch", "-o", folder, "--format", "dot")
        name = folder.strip("/")
        assert result.out.splitlines() == [f"{name}/two-One.dot", f"{name}/two-Two.dot"]


def test_a_drawing_that_fails_is_2_and_one_line(call, monkeypatch) -> None:
    import archdsl.drawing

    def refuse(*arguments: object) -> bytes:
        raise archdsl.drawing.DrawingError("it is too beautiful")

    monkeypatch.setattr(archdsl.drawing, "render_drawing", refuse)
    write("good.arch", GOOD)
    result = call("draw", "good.arch")
    assert result == Result(2, "", "error: good.arch: Good cannot be drawn: it is too beautiful\n")
    assert not Path("drawings").exists()


def test_what_a_picture_lacks_is_a_note(call) -> None:
    steps = "; ".join(f"conv 3x3 {8 + n * n % 13 * 8} same relu" for n in range(100))
    write("long.arch", f"network Long: 8x8x8 → 10 {{ {steps}; fc 10 }}\n")
    result = call("draw", "long.arch", "-o", "x.svg", "--fit", "column")
    assert result.code == 0
    assert re.fullmatch(
        r"note: Long: the smallest text is [0-5]\.\d pt on a column, "
        r"\d\.\d pt less than is legible\n",
        result.err,
    )


def test_options_reach_the_picture(call) -> None:
    write("good.arch", GOOD)
    argv = ("draw", "good.arch", "-o", "-", "--theme", "dark", "--color-by", "macs", "--flat")
    out = call(*argv).out
    assert 'fill="#0d1117"' in out
    assert "MACs for one image" in out


def test_a_part_that_is_none_cannot_be_open(call) -> None:
    write("good.arch", GOOD)
    result = call("draw", "good.arch", "--open", "nix")
    message = "no part is named 'nix' (name one as the spec does)"
    assert result == Result(2, "", f"error: good.arch: Good cannot be drawn: {message}\n")


def test_with_a_finding_nothing_is_drawn(call) -> None:
    write("wrong.arch", WRONG)
    assert call("draw", "wrong.arch").code == 1
    assert not Path("drawings").exists()
