"""What the parser takes for the same, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path

import lark
import pytest
from conftest import ROOT

from archdsl.formatting.meaning import is_same
from archdsl.text import grammar, parser
from archdsl.text.diagnostics import ArchError
from archdsl.text.parser import lex, parse_program
from archdsl.text.source import Source


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("take(\n0\n,\n1\n)", "take(0, 1)"),
        ("conv 1x1 (\r\n2\r\n*\r\nn\r\n)\nrelu", "conv 1x1 (2*n)\nrelu"),
        (
            "a: b(64, # one\n # two\n 96 # three\n → 128, s\n = # four\n 1) ×2",
            "a: b(64, 96→128, s=1) ×2",
        ),
        ("let k = max(1\n,2) # five\nrelu", "let k = max(1, 2)\nrelu"),
        ("block b(n\n=1\n, m) { relu }", "block b(n=1, m) { relu }"),
        ("network N (n\n): 3x3x3 → (n\n+1) { relu }", "network N(n): 3x3x3 → (n + 1) { relu }"),
    ],
)
def test_line_breaks_inside_parentheses_do_not_count(broken: str, whole: str) -> None:
    assert is_same(parse_program(Source(broken)), parse_program(Source(whole)))


@pytest.mark.parametrize("text", ["take(0;1)", "take(0\n;1)", "take(0 # one ;\n ; # two\n, 1)"])
def test_a_semicolon_inside_parentheses_is_a_fault(text: str) -> None:
    with pytest.raises(ArchError, match="the statement is not finished"):
        parse_program(Source(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("relu; gap", "relu"),
        ("conv 3", "conv 3x3"),
        ("conv 3", "conv 3."),
        ("take(0)", "take (0)"),
        ("take(n=0)", "take(0)"),
        ("relu ×2", "relu"),
        ("relu → 3", "relu → (3)"),
        ("add { | relu }", "add { relu }"),
        ("let k = 1 - 2 - 3", "let k = 1 - (2 - 3)"),
        ("expect params = 1K", "expect params = 1000"),
        ('use "a.arch"', 'use "b.arch"'),
        ("a: { b: relu }", "a: { c: relu }"),
    ],
)
def test_trees_that_differ_are_not_the_same(one: str, other: str) -> None:
    assert not is_same(parse_program(Source(one)), parse_program(Source(other)))
    assert is_same(parse_program(Source(one)), parse_program(Source(f"\n{one} # comment")))


def test_a_long_sum_is_compared() -> None:
    text = "let k = " + " + ".join(["1"] * 5_000)
    assert is_same(parse_program(Source(text)), parse_program(Source(text)))
    assert not is_same(parse_program(Source(text)), parse_program(Source(f"{text} + 1")))


def test_lexemes_and_what_separates_them() -> None:
    lexemes = lex(Source("a: conv 3x3 x2 # one\n;\n id"))
    assert [(item.kind, item.span.text) for item in lexemes] == [
        ("NAME", "a"),
        ("COLON", ":"),
        ("NAME", "conv"),
        ("DIMS", "3x3"),
        ("X_TIMES", "x2"),
        ("NAME", "id"),
        ("$END", ""),
    ]
    assert [item.span.text for item in lexemes if item.is_separated] == ["id"]


# ── Tables ───────────────────────────────────────────────────────────────────────────────────

SPECS = sorted((ROOT / "specs").rglob("*.arch"))


def test_tables_are_those_of_the_grammar() -> None:
    """`make grammar` writes them; a Lark of another version works them out in each run."""
    kept = json.loads(grammar.TABLES.read_text("utf-8"))["of"]
    made = json.loads(grammar.make_tables())["of"]
    assert kept[1] == made[1]
    if kept[0] == lark.__version__:
        assert grammar.read_tables(grammar.GRAMMAR.read_text("utf-8")) is not None


@pytest.mark.parametrize("change", ["grammar", "version", "damage", "absence"])
def test_tables_that_do_not_fit_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    text = grammar.GRAMMAR.read_text("utf-8")
    match change:
        case "grammar":
            text += "// more"
        case "version":
            monkeypatch.setattr(lark, "__version__", "0.0.0")
        case "damage":
            monkeypatch.setattr(grammar, "TABLES", tmp_path / "tables.json")
            grammar.TABLES.write_text('{"of": [', "utf-8")
        case "absence":
            monkeypatch.setattr(grammar, "TABLES", tmp_path / "tables.json")
    assert grammar.read_tables(text) is None


def test_tables_and_grammar_make_one_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """All specs, and texts with errors, read once by the tables and once without them."""
    texts = [path.read_text("utf-8") for path in SPECS] + ["conv 3x3, 64", "a: {", "relu $"]

    def read(text: str) -> object:
        try:
            return repr(parse_program(Source(text)).items)
        except ArchError as error:
            return str(error)

    by_tables = [read(text) for text in texts]
    parser._lark.cache_clear()
    monkeypatch.setattr(grammar, "read_tables", lambda text: None)
    try:
        assert [read(text) for text in texts] == by_tables
    finally:
        parser._lark.cache_clear()
