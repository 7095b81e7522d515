"""Which comment belongs to what."""

from __future__ import annotations

import dataclasses
import re
import time
from typing import Any

import pytest
from comment_owners import nodes_in, owners_in
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from random_networks import networks
from texts import SPECS, examples

from archdsl.api import format_source
from archdsl.formatting.meaning import is_same
from archdsl.frontend import diagnose
from archdsl.text import syntax
from archdsl.text.comment import said_in
from archdsl.text.parser import parse_program
from archdsl.text.source import Source
from archdsl.text.syntax import Program

STD = [path.read_text("utf-8") for path in sorted((ROOT / "archdsl" / "std").glob("*.arch"))]


def said(text: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """What is said above and behind each node that has a comment, by its first word."""
    found = {}
    for node in nodes_in(parse_program(Source(text))):
        if node.comment is not None:
            is_file = isinstance(node, Program)
            word = "file" if is_file else re.split(r"\b", node.span.text, maxsplit=2)[1]
            found[word] = (node.comment.above, node.comment.behind)
    return found


CASES: dict[str, tuple[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]]] = {
    "above": ("gap\n# one\n# two\nrelu", {"relu": (("one", "two"), ())}),
    "behind": ("gap\nrelu # one\nid", {"relu": ((), ("one",))}),
    "behind a claim": ("gap; relu → 1x1x3 # one", {"relu": ((), ("one",))}),
    "both": ("gap\n# one\nrelu # two\nid", {"relu": (("one",), ("two",))}),
    "above the first of a line, behind the last": (
        "id\n# one\nrelu; gap # two",
        {"relu": (("one",), ()), "gap": ((), ("two",))},
    ),
    "behind a semicolon": ("relu; # one\ngap", {"relu": ((), ("one",))}),
    "behind, then above the next": (
        "relu # one\n# two\ngap",
        {"relu": ((), ("one",)), "gap": (("two",), ())},
    ),
    "a blank line divides": ("id\n# one\n\n# two\nrelu", {"relu": (("two",), ())}),
    "a blank line below": ("id\n# one\n\nrelu", {}),
    "a line of a semicolon divides": ("id\n# one\n;\nrelu", {}),
    "one without a word is part of it": (
        "id\n# one\n#\n# two\nrelu",
        {"relu": (("one", "", "two"), ())},
    ),
    "at any depth of indentation": ("id\n  # one\n# two\n    relu", {"relu": (("one", "two"), ())}),
    "at the top of a file": (
        "# one\nrelu",
        {"file": (("one",), ()), "relu": (("one",), ())},
    ),
    "at the top, then a blank line": (
        "\n# one\n# two\n\n# three\nrelu",
        {"file": (("one", "two"), ()), "relu": (("three",), ())},
    ),
    "nothing else in the file": ("# one", {"file": (("one",), ())}),
    "nothing else, with an end": ("# one\n# two\n\n# three\n", {"file": (("one", "two"), ())}),
    "behind the last line": ("relu # one\n# two", {"relu": ((), ("one",))}),
    "behind the last word of a file": ("relu # one; two", {"relu": ((), ("one; two",))}),
    "behind an opening brace": (
        "a: relu; b: { # one\n# two\nrelu # three\n# four\n} # five\n",
        {"b": ((), ("one", "five")), "relu": (("two",), ("three",))},
    ),
    "behind what opens and ends on a line": ("a: { gap; relu } # one", {"a": ((), ("one",))}),
    "at the end of braces": ("a: {\nrelu\n# one\n}", {}),
    "above a bar": ("add {\n# one\n| gap\n# two\n# three\n| relu\n}", {
        "gap": (("one",), ()), "relu": (("two", "three"), ()),
    }),
    "behind a bar that begins a line": (
        "add {\n# one\n| # two\n# three\ngap\n| # four\n relu\n}",
        {"gap": (("one", "two", "three"), ()), "relu": (("four",), ())},
    ),
    "behind a bar that ends a line": (
        "add { gap; tanh | # one\n relu # two\n | id }",
        {"tanh": ((), ("one",)), "relu": ((), ("two",))},
    ),
    "behind several bars": (
        "a: add { gap | # one\n relu | # two\n tanh } # three",
        {"gap": ((), ("one",)), "relu": ((), ("two",)), "a": ((), ("three",))},
    ),
    "behind a brace and a bar": ("a: add { | # one\n relu | id }", {"a": ((), ("one",))}),
    "a blank line below a bar": ("a: add {\n# one\n|\n\nrelu | id }", {}),
    "in parentheses": (
        "# zero\na: b(1, # one\n# two\n2 # three\n) # four\nrelu",
        {"file": (("zero",), ()), "a": (("zero",), ("one", "two", "three", "four"))},
    ),
    "behind a name, where a statement goes on": (
        "relu\na: # one\n# two\ngap # three",
        {"a": ((), ("one", "two", "three"))},
    ),
    "of values": ("relu\n# one\nlet k = # two\n3 # three", {"k": (("one",), ("two", "three"))}),
    "of claims": (
        "network N: 3 → 3 { fc 3\n# one\nexpect params = 12 # two\n}",
        {"params": (("one",), ("two",))},
    ),
    "of conditions": (
        "relu\n# one\nif (C == 3) { # two\n# three\ngap # four\n} else { # five\ntanh\n} # six\nid",
        {"C": (("one",), ("two", "five", "six")), "gap": (("three",), ("four",))},
    ),
    "of a condition behind another": (
        "relu\nif C == 3 { # one\ngap\n} else if H == 1 { # two\ntanh\n} # three\nid",
        {"C": ((), ("one",)), "H": ((), ("two", "three"))},
    ),
    "of definitions": (
        "use 'x'\n# one\nblock b(n) { # two\nrelu\n} # three\n"
        "# four\nnetwork N: 3 → 3 { fc 3 } # five\n"
        "# six\nnetwork F(n): 3 → 3 { # seven\nfc n }\n"
        "# eight\nnetwork M = F(3) # nine\n".replace("'", '"'),
        {
            "b": (("one",), ("two", "three")),
            "N": (("four",), ("five",)),
            "F": (("six",), ("seven",)),
            "M": (("eight",), ("nine",)),
        },
    ),
    "of a recipe": (
        "fc 3\n# one\ntrain { # two\ndata mnist # three\n}",
        {"train": (("one",), ("two",)), "data": ((), ("three",))},
    ),
    "the text is data": (
        'id\n#!odd\n##  two \n# ────\n# conv 3x3 8 | "\n# é\ufeff\\n\r\n#\t\nrelu # # }',
        {"relu": (("!odd", "#  two", "────", 'conv 3x3 8 | "', "é\ufeff\\n", ""), ("# }",))},
    ),
    "no comment in quotes": ('use "a#b" # one\nrelu # two', {"relu": ((), ("two",))}),
    "line ends of Windows": (
        "id\r\n# one\r\n# two\r\nrelu # three\r\ngap",
        {"relu": (("one", "two"), ("three",))},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_a_comment_belongs_to(name: str) -> None:
    text, wanted = CASES[name]
    assert said(text) == wanted


def test_the_notes_on_table_1_are_on_their_branches() -> None:
    text = (ROOT / "specs" / "lenet5_1998.arch").read_text("utf-8")
    found = {
        " ".join(node.span.text.split()): node.comment.above + node.comment.behind
        for node in nodes_in(parse_program(Source(text)).items[0].body)  # type: ignore[union-attr]
        if node.comment is not None
    }
    assert found == {
        "take(0, 1, 2) conv 5x5 1": ("Table I: six maps see three neighbouring maps of S2,",),
        "take(0, 1, 2, 3) conv 5x5 1": ("six see four neighbours, three see four that are not,",),
        "conv 5x5 1": ("and the last sees all six.",),
        "depth = 4": ("C1, C3, C5, F6; the paper's seven layers are these, S2, S4 and the output",),
        "macs = 325_680": ("of convolutions and products; the paper counts 340,908 connections",),
    }


def test_what_is_said_to_the_tool_is_no_prose() -> None:
    lines = ["one", "archdsl: ignore[a, b]", "two", "  archdsl:ignore[c]  three  ", "archdsl: odd"]
    assert list(said_in(lines)) == ["one", "two", "three"]


# ── Any text ─────────────────────────────────────────────────────────────────────────────────

COMMENTS = st.sampled_from(
    ["# c", "#", '## "d" }{', "# archdsl: ignore[x]", "# a; b | c (", "#   é"]
)


@st.composite
def commented(draw: Any) -> str:
    """A text with comments above and behind some of its lines."""
    text = draw(st.one_of(networks(), st.sampled_from([*SPECS, *STD])))
    lines: list[str] = []
    for line in text.splitlines():
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            lines.append(draw(st.sampled_from(["", "  "])) + draw(COMMENTS))
            lines += [""] * draw(st.sampled_from([0, 0, 1]))
        is_open = "#" not in line and draw(st.booleans())
        lines.append(f"{line} {draw(COMMENTS)}" if is_open else line)
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n"]))


def _blanked(text: str) -> tuple[str, list[str]]:
    """The text with spaces in place of its comments, and what these say."""
    found: list[str] = []

    def blank(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        found.append(match[1][1:].rstrip().removeprefix(" "))
        return " " * len(match[0])

    return re.sub(r'^[ \t]*use[ \t]*"[^"\n]*"|(#[^\n\r]*)', blank, text, flags=re.MULTILINE), found


@examples(100)
@given(commented())
def test_a_text_without_its_comments_is_the_same_tree(text: str) -> None:
    program = parse_program(Source(text))
    bare, comments = _blanked(text)
    without = parse_program(Source(bare))
    assert is_same(program, without)
    assert not any(owners_in(without))
    places = [(n.span.start, n.span.end) for n in nodes_in(program.items)]
    assert places == [(n.span.start, n.span.end) for n in nodes_in(without.items)]
    # Each is kept once at most, and none is made up.
    kept = [owner for owner in owners_in(program)[1:] if owner is not None]
    lines = sorted(line for owner in kept for line in (*owner.above, *owner.behind))
    rest = sorted(comments)
    for line in lines:
        rest.remove(line)
    # Each remark is about something.
    behind = [c for owner in kept for c in owner.behind]
    assert len(behind) == len(re.findall(r"^[^#\n\"]*[^#\s][^#\n\"]*#", text, re.MULTILINE))


@examples(50)
@given(commented())
def test_the_formatter_leaves_a_comment_with_its_statement(text: str) -> None:
    source = Source(text)
    assert owners_in(parse_program(Source(format_source(source)))) == owners_in(
        parse_program(source)
    )


def test_comments_are_no_part_of_equality() -> None:
    source = Source("relu\nrelu # one")
    (one, other) = parse_program(source).items
    assert isinstance(one, syntax.Step)
    same = dataclasses.replace(one, comment=other.comment)  # type: ignore[union-attr]
    assert one == same
    assert hash(one) == hash(same)
    assert one.comment != same.comment


# ── Errors ───────────────────────────────────────────────────────────────────────────────────


def test_an_error_is_placed_before_the_comment_behind_it() -> None:
    (error,) = diagnose(Source("network N: 3x3x3 # volumes\n{ relu }"))
    assert error.message == "the statement is not finished"
    assert error.span is not None
    assert error.span.start == len("network N: 3x3x3")


@pytest.mark.parametrize("text", ["(", "relu }{ # a", "let k = # c\n# d\nlet l = 3", "// a\n# b"])
def test_comments_of_a_text_with_errors_are_not_those_of_the_next(text: str) -> None:
    assert diagnose(Source(text))
    assert said("relu\ngap # one") == {"gap": ((), ("one",))}


# ── Time ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "write",
    [
        lambda n: "id\n" + "# a comment\n" * (10 * n) + "relu",
        lambda n: "id\n" + "# a comment\n\n" * (10 * n) + "relu",
        lambda n: "# above\nrelu # behind\n" * n,
        lambda n: "add {\n" + "| # a\nrelu | # b\ngap\n" * n + "}",
        lambda n: f"take({'0, # one ; two' + chr(10)}{('1, # three' + chr(10)) * n}2)",
    ],
    ids=["a block", "paragraphs", "each line", "branches", "arguments"],
)
def test_time_is_linear_in_comments(write: Any) -> None:
    def seconds(count: int) -> float:
        source = Source(write(count))
        runs = []
        for _ in range(3):
            start = time.process_time()
            parse_program(source)
            runs.append(time.process_time() - start)
        return min(runs)

    assert seconds(1_000) < 16 * seconds(125)
