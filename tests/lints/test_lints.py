"""Lints: silent on the originals, listed in one place, and no cost worth speaking of."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT

import archdsl
from archdsl.frontend import diagnose, read_source
from archdsl.layers.volume import Volume
from archdsl.lints import LINT_CODES
from archdsl.lints.suppressions import find_suppressions
from archdsl.rules import RULES
from archdsl.text.diagnostics import Severity
from archdsl.text.source import Source

FILES = sorted([*(ROOT / "specs").rglob("*.arch"), *(ROOT / "archdsl" / "std").glob("*.arch")])
IMAGE = Volume((13, 13, 16))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_warning_of_what_ships(path: Path) -> None:
    assert diagnose(read_source(path)) == ()


def test_few_suppressions_ship() -> None:
    """Each is a thing its original really does: a row that is dropped, a bias before a norm.

    The twin towers of Koch et al. end in a layer with nearly all of their parameters.
    """
    suppressions = [s.code for path in FILES for s in find_suppressions(read_source(path))]
    assert sorted(suppressions) == 4 * ["bias-before-norm"] + 4 * ["dropped-rows"] + ["heavy-fc"]


def test_every_code_of_a_lint_is_declared() -> None:
    assert RULES.keys() >= LINT_CODES


def test_errors_come_alone() -> None:
    found = diagnose(Source("maxpool 2; cnov 3x3"), IMAGE)
    assert [d.code for d in found] == ["unknown-word"]


def test_warnings_of_a_file_from_python(tmp_path: Path) -> None:
    path = tmp_path / "n.arch"
    path.write_text("network N: 13x13x3 → 6x6x3 { maxpool 2 }", "utf-8")
    (warning,) = archdsl.lint(path)
    assert (warning.code, warning.severity) == ("dropped-rows", Severity.WARNING)
    assert archdsl.load(path).name == "N"


@pytest.mark.parametrize(
    "text",
    [
        "maxpool 2  # archdsl: ignore[dropped-rows]",
        "maxpool 2 # see the paper",
        "# archdsl: ignore[dropped-rows]\nmaxpool 2",
        "#archdsl:ignore[ dropped-rows ]\n\n# more\nmaxpool 2",
        "relu; maxpool 2  # archdsl: ignore[dropped-rows] as the original",
    ],
)
def test_suppressions(text: str) -> None:
    found = [d.code for d in diagnose(Source(text), IMAGE)]
    assert found == ([] if "archdsl" in text else ["dropped-rows"])


@pytest.mark.parametrize(
    ("comment", "codes"),
    [("", ["bias-before-norm"]), ("  # archdsl: ignore[bias-before-norm]", [])],
)
def test_a_suppression_in_the_file_of_the_layer_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comment: str, codes: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    user = 'use "cell.arch"\nnetwork N: 8x8x3 → 6x6x4 { cell(4) }\n'
    Path("user.arch").write_text(user, "utf-8")
    Path("cell.arch").write_text(f"block cell(n) {{\n  conv 3x3 n bn{comment}\n}}\n", "utf-8")
    assert [d.code for d in archdsl.lint("user.arch")] == codes


#: What a lint could take for its fault and is none.
CLEAN = {
    "a stride larger than the window": "conv 1x1 8 s2",
    "rows left in the padding": "conv 3x3 8 s3 p1",
    "a bias before a layer norm": "conv 3x3 8 ln",
    "dropout behind a norm": "conv 3x3 8 nobias bn relu dropout 0.2",
    "dropout, a layer, a norm": "dropout 0.2 conv 3x3 8 nobias bn",
    "an even window that steps": "maxpool 2 same",
    "a softmax inside": "conv 1x1 8 softmax conv 1x1 4",
    "a name referred to": "a: conv 3x3 8 same; relu; add { a | id }",
    "a name used in a repeat": "let n = 2; { conv 3x3 same } ×n",
    "a name used in a claim": "let n = 8; fc n → n",
    "a name of which an element is used": "let ns = [8, 4]; for i in 0..2 { conv 1x1 (ns[i]) }",
    "a condition of a name": "let n = 2; if n > 1 { relu } else { tanh }",
    "a named single copy": "stage: { relu } ×1",
    "a rate by name": "dropout p=0.5",
}


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN)
def test_no_false_alarm(text: str) -> None:
    assert diagnose(Source(text), IMAGE) == ()
