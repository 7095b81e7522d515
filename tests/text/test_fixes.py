"""Every fix, applied to the text, makes its diagnostic disappear and brings no new one there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases import CASES, Case
from conftest import ROOT

from archdsl.cli.fixing import fix_source
from archdsl.elaborate.findings import Findings
from archdsl.frontend import diagnose
from archdsl.layers.volume import Volume
from archdsl.text.brackets import find_bracket_faults
from archdsl.text.diagnostics import Diagnostic, Fix, replaced
from archdsl.text.fixes import applicable, apply_fixes
from archdsl.text.source import Source, Span


def _line(diagnostic: Diagnostic) -> int:
    return diagnostic.span.line if diagnostic.span else 0


def _fixes(source: Source, found: tuple[Diagnostic, ...]) -> Iterator[tuple[Diagnostic, Fix]]:
    for diagnostic in found:
        fix = applicable(diagnostic, source, unsafe=True)
        if fix is not None:
            yield diagnostic, fix


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fixes_of_the_corpus(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source, input = case.write(tmp_path)
    found = diagnose(source, input)
    before = {(d.code, d.message) for d in found}
    for diagnostic, fix in _fixes(source, found):
        fixed = apply_fixes(source, [diagnostic], unsafe=True)
        assert fixed.diagnostics == (diagnostic,)
        after = diagnose(Source(fixed.text, source.path), input)
        same = [d for d in after if (d.code, d.message) == (diagnostic.code, diagnostic.message)]
        assert not same, fixed.text
        lines = {edit.span.line for edit in fix.edits} | {_line(diagnostic)}
        new = [
            d
            for d in after
            if d.severity is diagnostic.severity
            and (d.code, d.message) not in before
            and _line(d) in lines
        ]
        assert not new, (fixed.text, new)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_meant_can_be_written(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word that help names in place of another is a fix, which `--fix` carries out."""
    monkeypatch.chdir(tmp_path)
    for diagnostic in diagnose(*case.write(tmp_path)):
        if meant := re.match(r"did you mean `([^…`]+)`", diagnostic.help or ""):
            written = {edit.replacement for fix in diagnostic.fixes for edit in fix.edits}
            assert meant[1] in written, diagnostic


#: A text with a fault and the text after all its fixes, numbers and claims among them.
FIXED = {
    "cnov 3x3 8": "conv 3x3 8",
    "batchnorm Dense 10": "bn fc 10",
    "conv 3x3 8 smae": "conv 3x3 8 same",
    "conv 3x3 8 strde=2": "conv 3x3 8 stride=2",
    "conv 3x3 8 s=2x1": "conv 3x3 8 s2x1",
    "conv 3x3 8 p=(1 + 1)": "conv 3x3 8 padding=(1 + 1)",
    "conv 3x3, 8": "conv 3x3 8",
    "conv 3x3,8": "conv 3x3 8",
    "relu // and on": "relu # and on",
    "// before\nrelu": "# before\nrelu",
    ", relu": ", relu",
    "conv 3x3 8 p1 p1": "conv 3x3 8 p1",
    "conv 3x3 8 9 10": "conv 3x3 8",
    "gap(3)": "gap()",
    "let n = 7; conv 3x3 (n / 2)": "let n = 7; conv 3x3 (n // 2)",
    "let width = 7; conv 3x3 (2 * widht)": "let width = 7; conv 3x3 (2 * width)",
    "enc1: relu; concat { crop enc2 | id }": "enc1: relu; concat { crop enc1 | id }",
    "inceptoin(64, 96→128, 16→32, 32)": "inception(64, 96→128, 16→32, 32)",
    "inception(64, 96, 128, 16, 32, 32)": "inception(64, 96→128, 16→32, 32)",
    "fire(16, 64, 64, 64)": "fire(16, 64, 64)",
    "basic(16, s=1, s=2)": "basic(16, s=1)",
    "basic(16, t=1)": "basic(16, t=1)",
    "conv 3x3 8 → 27x27x8": "conv 3x3 8 → 26x26x8",
    "conv 3x3 8 → 28x28x8": "conv 3x3 8 same → 28x28x8",
    "conv 3x3 8 relu ×2 → 28x28x8": "conv 3x3 8 same relu ×2 → 28x28x8",
    "maxpool 3 s2 → 14x14x16": "maxpool 3 s2 same → 14x14x16",
    "conv 1x1 4; maxpool 5 s2 ceil → 14x14x4": "conv 1x1 4; maxpool 5 s2 ceil same → 14x14x4",
    "maxpool 3 → 10x10x16": "maxpool 3 same → 10x10x16",
    "conv 4x4 8; maxpool 2 → 13x13x8": "conv 4x4 8; maxpool 2 same → 13x13x8",
    "conv 3x3 8 p0 → 28x28x8": "conv 3x3 8 p0 → 26x26x8",
    "concat { id | conv 5x5 8 p1 }": "concat { id | conv 5x5 8 p1 }",
    "conv 3x3 64 g3": "conv 3x3 64 g2",
    "conv 3x3 64 groups=3": "conv 3x3 64 groups=2",
    "let g = 3; conv 3x3 64 groups=g": "let g = 3; conv 3x3 64 groups=g",
    "gn 3 eps=0.001": "gn 2 eps=0.001",
    "maxpool 3x5 p2 s1": "maxpool 3x5 p1x2 s1",
    "concat { id | conv 5x5 8 }": "concat { id | conv 5x5 8 same }",
    "add { id | { dwconv 3x3 } ×3 }": "add { id | { dwconv 3x3 same } ×3 }",
    "relu; expect parms = 5": "relu; expect params = 0",
    "relu; expect params = 5": "relu; expect params = 0",
    "relu; expect params <= -5": "relu; expect params <= -5",
    "fc 10; expect params ~ 1.0M": "fc 10; expect params ~ 0.1M",
    "conv 3x3 8 same bn": "conv 3x3 8 same nobias bn",
    "add { id | }": "add { id | id }",
    "add { id | relu": "add { id | relu }",
    "relu }": "relu ",
    "fc (2 * 5; relu": "fc (2 * 5); relu",
    "block cell(n { fc n }\ncell(3)": "block cell(n) { fc n }\ncell(3)",
    "a: {\n  relu  # and\nfc 10": "a: {\n  relu  # and\n}\nfc 10",
    "a: { relu\nfc 10": "a: { relu }\nfc 10",
}


@pytest.mark.parametrize(("before", "after"), FIXED.items(), ids=FIXED)
def test_fixed(before: str, after: str) -> None:
    text, _ = fix_source(Source(before, "x.arch"), Volume((28, 28, 16)), unsafe=True)
    assert text == after
    assert fix_source(Source(text, "x.arch"), Volume((28, 28, 16)), unsafe=True) == (text, ())


def test_a_missing_flatten_is_written() -> None:
    text = "network N: 8x8x3 → 10 { conv 1x1 10; gap → 1x1x10\n expect params = 40 }"
    fixed, faults = fix_source(Source(text), None)
    assert fixed == text.replace("1x1x10", "1x1x10; flatten")
    assert [fault.code for fault in faults] == ["wrong-volume"]


def test_what_ships_with_the_tool_is_not_changed() -> None:
    findings = Findings()
    for is_shipped in (True, False):
        span = Span(Source("relu", f"{is_shipped}.arch", is_shipped), 0, 4)
        fixes = (replaced(span, "tanh", "write `tanh`"),)
        findings.add(Diagnostic("unknown-word", "wrong", span, fixes=fixes))
    assert [len(diagnostic.fixes) for diagnostic in findings] == [0, 1]


def test_only_safe_fixes_unless_asked() -> None:
    text = "conv 3x3 8 → 27x27x8; conv 3x3 8 smae"
    fixed, _ = fix_source(Source(text), Volume((28, 28, 16)))
    assert fixed == "conv 3x3 8 → 27x27x8; conv 3x3 8 same"


def test_a_brace_is_put_back() -> None:
    """Where the only brace of a line is missing, its indentation says where it was."""
    for path in sorted((ROOT / "specs").rglob("*.arch")):
        text = path.read_text("utf-8")
        for match in re.finditer(r"^ *\}\n", text, re.MULTILINE):
            without = Source(text[: match.start()] + text[match.end() :])
            (fault,) = find_bracket_faults(without)
            fixed = apply_fixes(without, [fault], unsafe=True).text
            assert _code(fixed) == _code(text), (path, match.start())


def _code(text: str) -> list[str]:
    lines = (line.partition("#")[0].rstrip() for line in text.splitlines())
    return [line for line in lines if line]
