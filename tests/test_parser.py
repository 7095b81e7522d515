"""What the parser takes for the same, and what it does not."""

from __future__ import annotations

import pytest

from archdsl.diagnostics import ArchError
from archdsl.parser import parse
from archdsl.source import Source


@pytest.mark.parametrize("text", ["take(0;1)", "take(0\n;1)", "take(0 # one ;\n ; # two\n, 1)"])
def test_a_semicolon_inside_parentheses_is_a_fault(text: str) -> None:
    with pytest.raises(ArchError, match="the statement is not finished"):
        parse(Source(text))


@pytest.mark.parametrize(
    "text", ["take(\n0\n,\n1\n)", "conv 1x1 (2\r\n*2\n)", "let k = max(1 # one;\n# two\n,2)"]
)
def test_line_breaks_inside_parentheses_do_not_count(text: str) -> None:
    assert len(parse(Source(text)).items) == 1
