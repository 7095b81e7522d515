"""The formatter: one style, idempotent, every comment kept, the meaning never changed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from comment_owners import owners_in
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from random_networks import networks
from texts import SPECS, examples, mutants

import archdsl
from archdsl import formatting
from archdsl.api import format_source
from archdsl.formatting import FormatError
from archdsl.formatting.columns import WIDTH
from archdsl.formatting.meaning import is_same
from archdsl.frontend import read_models
from archdsl.text.diagnostics import ArchError
from archdsl.text.parser import lex, parse_program
from archdsl.text.source import Source

STD = [path.read_text("utf-8") for path in sorted((ROOT / "archdsl" / "std").glob("*.arch"))]
FILES = sorted([*(ROOT / "specs").rglob("*.arch"), *(ROOT / "archdsl" / "std").glob("*.arch")])


def _comments(text: str) -> list[str]:
    """The comments of a text, in order; not what looks like one inside quotes."""
    return [
        found.group(1).rstrip()
        for found in re.finditer(r'"[^"\n]*"|(#[^\n]*)', _without_quotes(text))
        if found.group(1)
    ]


def _without_quotes(text: str) -> str:
    """The text with the quotes inside comments made harmless."""
    return "\n".join(
        line if "#" not in line or line.lstrip().startswith("use") else line.replace('"', "'")
        for line in text.split("\n")
    )


def _formatted(text: str) -> str:
    """The text formatted, and all that must be true of it verified."""
    result = archdsl.format(text)
    assert is_same(parse_program(Source(text)), parse_program(Source(result)))
    assert _comments(result) == _comments(text)
    assert owners_in(parse_program(Source(result))) == owners_in(parse_program(Source(text)))
    assert archdsl.format(result) == result
    lines = result.split("\n")
    assert lines.pop() == ""
    assert all(line == line.rstrip() and "\t" not in line.partition("#")[0] for line in lines)
    assert not re.search(r"^\n|\n\n\n|\n\n$", result)
    return result


# ── The style ────────────────────────────────────────────────────────────────────────────────

STYLE = {
    "spelling": (
        "conv 3×3 64 x2;conv 1 s2×1 *3 ;relu × n -> 4×4×3",
        "conv 3x3 64 ×2; conv 1 s2x1 ×3; relu ×n    → 4x4x3\n",
    ),
    "signs": (
        "a :b( 1,r3 -> 5 , s = - 2 ) × ( n-1 )\nlet k=( a+b )×2//c*−1",
        "a: b(1, r3→5, s=-2) ×(n - 1)\nlet k = (a + b)*2//c*-1\n",
    ),
    "names that look like arguments": (
        "x1:relu x2;d1 :bn;add{x3 : relu x2|p1x2:relu}\na:{x2:id;id}",
        "x1: relu ×2; d1: bn; add { x3: relu ×2 | p1x2: relu }\na: { x2: id; id }\n",
    ),
    "elements": (
        "conv ns[ 0 ]ns[i+1] ×ns[0 ]",
        "conv ns[0] ns[i + 1] ×ns[0]\n",
    ),
    "logic": (
        "if not a==1 or b<=min(2 ,c)and-c>0{relu}else if true{id} else{gap}",
        "if not a == 1 or b <= min(2, c) and -c > 0 { relu } else if true { id } else { gap }\n",
    ),
    "items": (
        'use   "a.arch"\nnetwork  V ( a,b=2 ):4x4x3->10{fc 10}\n'
        "network W=V( 1 ) {expect params=3}\n"
        "block b( n,r→m , s=( 1 ) ){conv 1x1 ( 4*n ) stride=( s )}",
        'use "a.arch"\nnetwork V(a, b=2): 4x4x3 → 10 { fc 10 }\n'
        "network W = V(1) { expect params = 3 }\n"
        "block b(n, r→m, s=(1)) { conv 1x1 (4*n) stride=(s) }\n",
    ),
    "numbers stay as written": (
        "relu eps=1e-4 a=.5 b=5.\nexpect params=60_965.5K",
        "relu eps=1e-4 a=.5 b=5.\nexpect params = 60_965.5K\n",
    ),
    "line ends, tabs and the last line": (
        "\n\n  conv\t3x3  \r\n\r\n\r\n\trelu # x \t\r\n\n",
        "conv 3x3\n\nrelu  # x\n",
    ),
    "a minus between words is a sign": (
        "relu pad − 1 0; slice 1 3 pad -2",
        "relu pad -1 0; slice 1 3 pad -2\n",
    ),
    "no blank lines at the ends of braces": (
        "a: {\n\n\n  relu\n\n\n\n  relu\n\n}\n",
        "a: {\n  relu\n\n  relu\n}\n",
    ),
    "statements of one line stay on it": (
        "relu;;gelu ;\n;gap;\nfc 3 ; # x\n",
        "relu; gelu\ngap\nfc 3  # x\n",
    ),
    "braces of one line stay on it": (
        "a:{relu;gap\n} x2;add{|id|relu}\nb {}\n",
        "a: { relu; gap } ×2; add { id | relu }\nb {}\n",
    ),
    "braces of more lines are opened": (
        "network N: 3 → 3 { relu\n relu }\na: {\nrelu; gap } tanh\n"
        "if C == 1 { id\nrelu} else { id }",
        "network N: 3 → 3 {\n  relu\n  relu\n}\na: {\n  relu; gap\n} tanh\n"
        "if C == 1 {\n  id\n  relu\n} else {\n  id\n}\n",
    ),
    "or hang, if a statement follows the brace": (
        "train { data mnist; batch 3\nsgd lr=1\n   loss mse\n}\n",
        "train { data mnist; batch 3\n        sgd lr=1\n        loss mse }\n",
    ),
    "braces that begin a statement can hang": (
        "relu; { gap\nid } ×2",
        "relu; { gap\n        id } ×2\n",
    ),
    "one branch keeps its bar": ("add { | relu }", "add { | relu }\n"),
    "branches of lines begin with a bar": (
        "concat { a: relu |\n b: relu | c: relu\n  | relu\n gelu | id } tanh",
        "concat {\n  | a: relu\n  | b: relu | c: relu\n  | relu\n    gelu\n  | id\n} tanh\n",
    ),
    "claims of a run share a column": (
        "conv 3x3 64 → 8x8x64\nrelu\nconv 3x3 128 same relu → 8x8x128\n\nrelu → 8x8x128\n",
        "conv 3x3 64               → 8x8x64\nrelu\nconv 3x3 128 same relu    → 8x8x128\n\n"
        "relu    → 8x8x128\n",
    ),
    "so do comments": (
        "relu # one\nconv 3x3 64 same → 8x8x64 # two\nid\n",
        "relu                          # one\nconv 3x3 64 same    → 8x8x64  # two\nid\n",
    ),
    "and what is around braces": (
        "C1: relu → 1x1x1\nC2: add {\n| relu\n| id\n} tanh → 1x1x1\n",
        "C1: relu    → 1x1x1\nC2: add {\n  | relu\n  | id\n} tanh      → 1x1x1\n",
    ),
    "a column that the author began is kept": (
        "i3: inception(64,  96→128, 3)\nmaxpool 2\ni4: inception(128, 6→8,   16)\n"
        "conv 3x3 64  same\n",
        "i3: inception(64,  96→128, 3)\nmaxpool 2\ni4: inception(128, 6→8,    16)\n"
        "conv 3x3 64 same\n",
    ),
    "one that he did not begin is not": (
        "i3: inception(64, 96→128)\ni4: inception(128, 6→8)\n",
        "i3: inception(64, 96→128)\ni4: inception(128, 6→8)\n",
    ),
    "statements can be a column": (
        "a: conv 3x3 n stride=s; bn1: bn\nb: conv 3x3 n same;  bn2: bn\nfc 3; fc 4\n",
        "a: conv 3x3 n stride=s; bn1: bn\nb: conv 3x3 n same;     bn2: bn\nfc 3; fc 4\n",
    ),
    "comments keep their places": (
        "# top\n\n#!odd\nnetwork N: 3 → 3 {# open\n   # first\n relu# behind\n# last\n\n}\n# end",
        "# top\n\n#!odd\nnetwork N: 3 → 3 {  # open\n"
        "  # first\n  relu  # behind\n  # last\n}\n# end\n",
    ),
    "comments between branches": (
        "concat { # a\n # b\n relu | # c\n # d\n gelu\n # e\n}\n",
        "concat {  # a\n  # b\n  | relu  # c\n  # d\n  | gelu\n  # e\n}\n",
    ),
    "comments in parentheses": (
        "a: b(1, # one\n  # two\n 3) relu\nlet k = # why\n (1 +\n 2)\n",
        "a: b(1,  # one\n    # two\n    3) relu\nlet k =  # why\n    (1 + 2)\n",
    ),
    "comments in empty braces": ("a: { # x\n}\n", "a: {  # x\n}\n"),
    "nothing": ("", ""),
    "comments alone": (" # a\n\n\n\n # b ", "# a\n\n# b\n"),
}


@pytest.mark.parametrize("name", STYLE)
def test_style(name: str) -> None:
    before, after = STYLE[name]
    assert archdsl.format(before) == after
    _formatted(before)


LONG = "; ".join(f"part{i}: conv 3x3 64 same" for i in range(5))


def test_statements_that_do_not_fit_on_a_line_get_their_own() -> None:
    assert _formatted(LONG + "\n") == LONG.replace("; ", "\n") + "\n"


def test_braces_that_do_not_fit_on_a_line_are_opened() -> None:
    expected = "group: {\n  " + LONG.replace("; ", "\n  ") + "\n} ×2    → 3x3x64\n"
    assert _formatted(f"group: {{ {LONG} }} ×2 → 3x3x64\n") == expected
    branches = LONG.replace(";", " |")
    expected = "add {\n  | " + LONG.replace("; ", "\n  | ") + "\n}\n"
    assert _formatted(f"add {{ {branches} }}\n") == expected


def test_a_width_of_100_fits() -> None:
    statement = f"a: {{ {'r' * 89}; id }}"
    assert len(statement) == WIDTH
    assert _formatted(f"{statement}\n") == f"{statement}\n"
    assert _formatted(f"{statement} relu\n").startswith("a: {\n")


def test_arguments_that_do_not_fit_are_broken() -> None:
    text = f"take({', '.join(str(i) for i in range(40))}) relu    → 3x3x40\n"
    first, second = _formatted(text).splitlines()
    assert first.endswith(" 25,")
    assert len(first) <= WIDTH
    assert second.startswith("    26, 27, ")
    assert second.endswith(", 39) relu → 3x3x40")


def test_a_line_that_is_too_long_does_not_move_the_columns_of_others() -> None:
    long = f"a: b({'n' * 85})"
    text = f"relu → 3x3x3\n{long} → 3x3x3\ngelu gelu → 3x3x3\n"
    assert _formatted(text) == f"relu         → 3x3x3\n{long} → 3x3x3\ngelu gelu    → 3x3x3\n"


def test_specs_and_the_standard_library_are_formatted() -> None:
    assert len(FILES) > 20
    for path in FILES:
        text = path.read_bytes().decode()
        assert _formatted(text) == text, path


# ── Volumes ──────────────────────────────────────────────────────────────────────────────────


def _with_volumes(text: str, input: str | None = None) -> str:
    """The text with its volumes, and what must be true of it verified."""
    result = archdsl.format(text, volumes=True, input=input)
    assert archdsl.format(result, volumes=True, input=input) == result
    assert archdsl.format(result) == result
    assert _comments(result) == _comments(text)
    return result


def test_volumes_are_written_behind_the_lines_of_a_network() -> None:
    text = """\
network N(classes=10): 32x32x3 → classes {
  let k = 8
  a: conv 3x3 k; maxpool 2 # c
  features: {
    conv 3x3 16; if C == 16 { relu }
    add { relu | id }
    add {
      | gap
      | gmp
    } relu
  } # all
  aux(0.3) { fc 3 }
  { conv 1x1 4 } ×2
  gap; fc classes
  expect params > 0
  train {
    batch 3
  }
}
"""
    assert (
        _with_volumes(text)
        == """\
network N(classes=10): 32x32x3 → classes {
  let k = 8
  a: conv 3x3 k; maxpool 2    → 15x15x8  # c
  features: {
    conv 3x3 16; if C == 16 { relu }
    add { relu | id }    → 13x13x16
    add {
      | gap
      | gmp
    } relu               → 1x1x16
  }                                      # all
  aux(0.3) { fc 3 }
  { conv 1x1 4 } ×2           → 1x1x4
  gap; fc classes             → 10
  expect params > 0
  train {
    batch 3
  }
}
"""
    )


def test_wrong_volumes_are_fixed_and_expressions_stay() -> None:
    text = "let c = 8\nconv 3x3 8 → 1x1x1; relu → (c)\nflatten → 5\n"
    with pytest.raises(ArchError, match="the volume here is 6x6x8, not 8"):
        archdsl.format(text, volumes=True, input="8x8x3")
    text = text.replace("(c)", "3x3x3")
    expected = "let c = 8\nconv 3x3 8 → 6x6x8; relu    → 6x6x8\nflatten                     → 288\n"
    assert _with_volumes(text, "8x8x3") == expected
    assert _with_volumes("let n = 9\nfc n → n\n", "4") == "let n = 9\nfc n    → n\n"


BLOCKS = """\
block b(n) {
  conv 1x1 n    → 1x1x1
  relu
}
network F(n): 4x4x2 → 4x4x3 {
  b(n)          → 2x2x2
  conv 1x1 3
}
"""


def test_a_volume_in_which_uses_differ_is_left_alone() -> None:
    one = BLOCKS + "network A = F(8)\n"
    assert _with_volumes(one) == one.replace("1x1x1", "4x4x8").replace("2x2x2", "4x4x8").replace(
        "conv 1x1 3", "conv 1x1 3    → 4x4x3"
    )
    # What is left alone is not verified either: that is for `check`.
    two = BLOCKS + "network A = F(8)\nnetwork B = F(9)\n"
    assert _with_volumes(two) == two.replace("conv 1x1 3", "conv 1x1 3    → 4x4x3")


def test_other_faults_are_reported_with_the_text_as_it_stands() -> None:
    text = "conv 3x3 8 → 1x1x1\nconv 9x9 3 → 2x2x2\n"
    with pytest.raises(ArchError) as caught:
        archdsl.format(text, volumes=True, input="8x8x3")
    (found,) = caught.value.diagnostics
    assert found.code == "kernel-larger-than-input"
    assert found.span is not None
    assert found.span.source.text == text
    assert {label.span.source.text for label in found.related} == {text}


def test_a_claim_that_makes_a_line_too_long_breaks_it() -> None:
    text = "; ".join(["conv 1x1 64 same relu"] * 4 + ["fc 300"]) + "\n"
    assert len(text) == 99
    result = _with_volumes(text, "1x1x64")
    assert result == "conv 1x1 64 same relu    → 1x1x64\n" * 4 + "fc 300                   → 300\n"


def test_specs_keep_their_numbers_with_volumes() -> None:
    for path in FILES[-12:]:
        source = Source(path.read_text("utf-8"), path.as_posix())
        text = format_source(source, True)
        assert [m.trunk for m in read_models(Source(text, source.path))] == [
            m.trunk for m in read_models(source)
        ]


# ── The net below ────────────────────────────────────────────────────────────────────────────


def test_a_result_that_means_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatting, "render_layout", lambda *_: "relu; gelu\n")
    with pytest.raises(FormatError):
        archdsl.format("relu")


# ── Any layout ───────────────────────────────────────────────────────────────────────────────

TWINS = {"→": "->", "->": "→", "×": "*", "*": "×"}
ENDS = st.sampled_from([";", "\n", " ;; ", "\r\n", ";\n\n\n\t", " # one\n", "\n\n# two \n  "])
INSIDE = st.sampled_from([" ", "  ", "\t", "    "])
IN_PARENTHESES = st.sampled_from([" ", "\n", "  # three\n", "\r\n  # four\n\n"])


@st.composite
def layouts(draw: Any, texts: st.SearchStrategy[str]) -> str:
    """A text with other white space, comments, separators and spellings between its words."""
    source = Source(draw(texts))
    parts: list[str] = []
    depth = end = 0
    before = ""
    for lexeme in lex(source):
        between = source.text[end : lexeme.span.start]
        depth -= lexeme.kind == "RPAR"
        if lexeme.is_separated or before in ("LBRACE", "BAR") or lexeme.kind == "RBRACE":
            optional = not lexeme.is_separated or lexeme.kind in ("RBRACE", "$END")
            between = draw(st.one_of(INSIDE, ENDS) if optional else ENDS)
        elif depth:
            between = draw(st.one_of(st.just(between), INSIDE, IN_PARENTHESES))
        elif between or draw(st.booleans()):
            between = draw(INSIDE)
        text = lexeme.span.text
        if draw(st.booleans()):
            text = TWINS.get(text, text)
            text = text.replace("x", "×") if lexeme.kind in ("DIMS", "FLAG") else text
        parts += (between, text)
        depth += lexeme.kind in ("LPAR", "CALL_NAME")
        end, before = lexeme.span.end, lexeme.kind
    return "".join(parts)


@examples(60)
@given(layouts(networks()))
def test_random_networks_in_any_layout(text: str) -> None:
    _formatted(text)


@examples(60)
@given(layouts(st.sampled_from([*SPECS, *STD])))
def test_specs_in_any_layout(text: str) -> None:
    _formatted(text)


@examples(150)
@given(mutants())
def test_mutated_specs_are_formatted_or_refused(text: str) -> None:
    try:
        parse_program(Source(text))
    except ArchError:
        with pytest.raises(ArchError):
            archdsl.format(text)
    else:
        _formatted(text)
