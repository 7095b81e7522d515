"""Every fix, applied to the text, makes its diagnostic disappear and brings no new one there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_corpus import CASES, Case

from archdsl.api import diagnose
from archdsl.diagnostics import Diagnostic, Fix
from archdsl.fixes import applicable, apply_fixes
from archdsl.source import Source


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
        mended = apply_fixes(source, [diagnostic], unsafe=True)
        assert mended.diagnostics == (diagnostic,)
        after = diagnose(Source(mended.text, source.path), input)
        same = [d for d in after if (d.code, d.message) == (diagnostic.code, diagnostic.message)]
        assert not same, mended.text
        lines = {edit.span.line for edit in fix.edits} | {_line(diagnostic)}
        new = [d for d in after if (d.code, d.message) not in before and _line(d) in lines]
        assert not new, (mended.text, new)
