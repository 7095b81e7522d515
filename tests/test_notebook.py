"""Notebooks: what IPython shows of models and drawings, and the cell ``%%arch``."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output

import archdsl
from archdsl.drawing.styles import STYLES
from archdsl.report.table import render_report

SOUND = "network N: 8x8x4 → 10 { conv 3x3 4 same relu; fc 10 }"
FAILING = "network N: 8x8x4 → 10 {\n  conv 3x3 4 same relu\n  conv 9x9 4\n  fc 10\n}"
MESSAGE = """\
error[kernel-larger-than-input]: a window of height 9 does not fit into an input of height 8
  --> <cell>:3:3
  |
1 | network N: 8x8x4 → 10 {
  |            ----- the input is 8x8x4
2 |   conv 3x3 4 same relu
3 |   conv 9x9 4
  |   ^^^^^^^^^^ here
  |
help: use a kernel of at most 8, padding (`same`), or fewer reductions before

1 error
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setattr("IPython.core.history.HistoryManager.enabled", False)
        shell = InteractiveShell.instance()
        shell.run_line_magic("load_ext", "archdsl")
        yield shell
        InteractiveShell.clear_instance()


def run(shell: InteractiveShell, cell: str) -> tuple[CapturedIO, Any]:
    """What a cell shows, and how it went."""
    with capture_output() as captured:
        done = shell.run_cell(cell)
    return captured, done


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_model_shows_its_graph_or_a_line() -> None:
    model = archdsl.parse(SOUND)
    bundle = model._repr_mimebundle_()
    assert list(bundle) == ["image/svg+xml", "text/plain"]
    assert bundle["image/svg+xml"].startswith("<svg ")
    assert repr(model) == "Model(name='N')"
    assert bundle["text/plain"] == ("N: 8x8x4 → 10, 2 weight layers, 2,718 parameters, 11,776 MACs")


@pytest.mark.parametrize(
    ("format", "style", "kind"),
    [
        ("svg", "graph", "image/svg+xml"),
        ("png", "graph", "image/png"),
        ("pdf", "graph", "application/pdf"),
        ("dot", "graph", "text/plain"),
        ("md", "table", "text/markdown"),
        ("tex", "table", "text/plain"),
    ],
)
def test_a_drawing_shows_itself(format: str, style: str, kind: str) -> None:
    drawing = archdsl.draw(archdsl.parse(SOUND), format, style=style)
    bundle = drawing._repr_mimebundle_()
    is_text = kind.startswith("text") or format == "svg"
    shown = bundle[kind].encode() if is_text else base64.b64decode(bundle[kind])
    assert shown == drawing.content
    assert "text/plain" in bundle


def test_a_cell_shows_picture_and_table_and_binds(shell: InteractiveShell) -> None:
    captured, done = run(shell, f"%%arch net\n{SOUND}\n")
    assert done.success
    (output,) = captured.outputs
    assert output.data["image/svg+xml"].startswith("<svg ")
    model = shell.user_ns["net"]
    assert model.name == "N"
    assert captured.stdout == render_report(model) + "\n"
    assert captured.stderr == ""


def test_a_cell_of_bare_statements_and_one_of_several_networks(shell: InteractiveShell) -> None:
    captured, _ = run(shell, "%%arch --input 8x8x3\nconv 3x3 4; maxpool 2\n")
    assert len(captured.outputs) == 1
    captured, _ = run(shell, f"%%arch both --style table\n{SOUND}\n{SOUND.replace('N:', 'M:')}\n")
    (output,) = captured.outputs
    assert output.data["text/markdown"].startswith("**N · M**\n")
    assert [model.name for model in shell.user_ns["both"]] == ["N", "M"]


def test_a_cell_takes_every_style(shell: InteractiveShell) -> None:
    captured, _ = run(shell, f"%%arch --style volumes\n{SOUND}\n")
    (output,) = captured.outputs
    assert "sizes on a log" in output.data["image/svg+xml"]
    page = (ROOT / "docs" / "notebook.md").read_text("utf-8")
    styles = "\\|".join(style.name for style in STYLES)
    assert f"`--style {styles}`" in page


def test_a_faulty_cell_shows_the_diagnostic_and_no_traceback(shell: InteractiveShell) -> None:
    captured, done = run(shell, f"%%arch lost\n{FAILING}\n")
    assert done.success
    assert captured.stdout == ""
    assert plain(captured.stderr) == MESSAGE
    assert "\x1b[" in captured.stderr
    (output,) = captured.outputs
    assert "a window of height 9" in output.data["image/svg+xml"]
    assert "lost" not in shell.user_ns


def test_a_cell_that_cannot_be_read_has_no_picture(shell: InteractiveShell) -> None:
    captured, done = run(shell, "%%arch\nnetwork N: 8x8x4 → 10 {\n")
    assert done.success
    assert captured.outputs == []
    assert plain(captured.stderr).startswith("error[unclosed-bracket]: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--input 8y8", "'8y8' is not a volume such as 28x28x192"),
        ("a-b", "'a-b' is not a variable name"),
        ("--style sculpture", "argument --style: invalid choice: 'sculpture'"),
        ("--shapes all", "unrecognized arguments: --shapes"),
        ("'", "No closing quotation"),
    ],
)
def test_a_wrong_line_is_one_line(shell: InteractiveShell, line: str, message: str) -> None:
    captured, _ = run(shell, f"%%arch {line}\n{SOUND}\n")
    assert captured.outputs == []
    said = plain(captured.stdout + captured.stderr)
    assert said.startswith(f"UsageError: %%arch: {message}")
    assert said.count("\n") == 1
