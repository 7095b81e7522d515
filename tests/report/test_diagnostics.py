"""What is printed of diagnostics: excerpts, labels, colours, and the signs in them."""

from __future__ import annotations

import pytest
from test_report import at, expect_text, models_of

from archdsl.report.diagnostics import render_diagnostics
from archdsl.text.diagnostics import ArchError, Diagnostic, Label, Severity
from archdsl.text.source import Source, Span


def faults(text: str, path: str = "net.arch") -> str:
    with pytest.raises(ArchError) as caught:
        models_of(text, path)
    return render_diagnostics(caught.value.diagnostics)


def test_a_place_inside_calls_is_shown_with_the_way_to_it() -> None:
    text = """
        block shrink(n) { conv 9x9 n }
        network A: 8x8x3 → 4 {
          stem: conv 3x3 4
          part: shrink(4)
          fc 4
        }
        """
    expect_text(
        faults(text),
        """
        error[kernel-larger-than-input]: a window of height 9 does not fit into an input of height 6
          --> net.arch:1:19     in shrink(4), called at line 4 as `part`
          |
        1 | block shrink(n) { conv 9x9 n }
          |                   ^^^^^^^^^^ here
        2 | network A: 8x8x3 → 4 {
        3 |   stem: conv 3x3 4
          |         ---------- 6x6x4 here: (8 + 2·0 − 3)/1 + 1 = 6
          |
        help: use a kernel of at most 6, padding (`same`), or fewer reductions before

        1 error
        """,
    )


def test_several_labels_of_one_line_hang_below_it() -> None:
    source = Source("concat { conv 3x3 8 | conv 5x5 8 }\n", "net.arch")
    diagnostic = Diagnostic(
        "branch-size-mismatch",
        "branches differ",
        at(source, "concat"),
        "joined here",
        related=(
            Label(at(source, "conv 3x3 8"), "26x26x8"),
            Label(at(source, "conv 5x5 8"), "24x24x8"),
        ),
        notes=("first line\nsecond line",),
    )
    expect_text(
        render_diagnostics([diagnostic]),
        """
        error[branch-size-mismatch]: branches differ
          --> net.arch:1:1
          |
        1 | concat { conv 3x3 8 | conv 5x5 8 }
          | ^^^^^^   ----------   ---------- 24x24x8
          | |        |
          | |        26x26x8
          | joined here
          |
        note: first line
              second line

        1 error
        """,
    )


def test_labels_of_another_file_get_an_excerpt_of_their_own() -> None:
    here = Source("a\nb\nuse this\n", "net.arch")
    there = Source("block this() { relu }\n", "blocks.arch")
    diagnostic = Diagnostic(
        "repeated-name",
        "`this` is defined twice",
        at(here, "this"),
        related=(Label(at(there, "this"), "first here"),),
        severity=Severity.WARNING,
    )
    expect_text(
        render_diagnostics([diagnostic, Diagnostic("no-network", "none", None, path="x.arch")]),
        """
        warning[repeated-name]: `this` is defined twice
          --> net.arch:3:5
          |
        3 | use this
          |     ^^^^
          --> blocks.arch:1:7
          |
        1 | block this() { relu }
          |       ---- first here

        error[no-network]: none
          --> x.arch

        1 error, 1 warning
        """,
    )


def test_lines_far_apart_are_separated_and_numbers_aligned() -> None:
    source = Source("\n" * 2 + "early\n" + "\n" * 8 + "late\n", "net.arch")
    early = Label(at(source, "early"), "from here")
    shown = render_diagnostics(
        [Diagnostic("wrong-volume", "no", at(source, "late"), related=(early,))]
    )
    expect_text(
        shown,
        """
        error[wrong-volume]: no
           --> net.arch:12:1
           |
         3 | early
           | ----- from here
        ...
        12 | late
           | ^^^^

        1 error
        """,
    )


@pytest.mark.parametrize(
    ("line", "word", "shown", "marks"),
    [
        ("\tconv x", "conv", "    conv x", "    ^^^^"),
        ("a\tconv x", "conv", "a   conv x", "    ^^^^"),
        ("漢字 conv x", "conv", "漢字 conv x", "     ^^^^"),
        ("conv 漢字", "漢字", "conv 漢字", "     ^^^^"),
        ("a → b ×2 conv", "conv", "a → b ×2 conv", "         ^^^^"),
        ("🦊 ×2", "×2", "🦊 ×2", "   ^^"),
        ("漢\tconv", "conv", "漢  conv", "    ^^^^"),
        ("conv\r\n\r\n", "conv", "conv", "^^^^"),
        ("ｃｏｎｖ x", "ｃｏｎｖ", "ｃｏｎｖ x", "^^^^^^^^"),
        ("e\u0301 conv", "conv", "e\u0301 conv", "  ^^^^"),
        ("\x1b[31m conv", "conv", "\\x1b[31m conv", "         ^^^^"),
        ("\u202ex conv", "conv", "\\u202ex conv", "        ^^^^"),
    ],
)
def test_marks_stand_under_the_columns_of_the_terminal(
    line: str, word: str, shown: str, marks: str
) -> None:
    source = Source(line, "net.arch")
    rows = render_diagnostics([Diagnostic("wrong-value", "no", at(source, word))]).splitlines()
    assert rows[3:5] == [f"1 | {shown}", f"  | {marks}"]


@pytest.mark.parametrize("control", ["\x00", "\x1b[2J", "\x07", "\x9b", "\r", "\u2028", "\u202e"])
def test_nothing_in_a_diagnostic_steers_the_terminal(control: str) -> None:
    source = Source(f"conv {control} x", f"a{control}b.arch")
    diagnostic = Diagnostic(
        "wrong-value",
        f"no {control}",
        Span(source, 0, 4),
        f"label {control}",
        related=(Label(Span(source, 5, 6), f"other {control}"),),
        context=(f"in {control}",),
        notes=(f"note {control}",),
        help=f"help {control}",
    )
    shown = render_diagnostics([diagnostic])
    assert all(line.isprintable() for line in shown.split("\n"))
    assert control not in shown


def test_a_long_line_is_shown_around_its_mark() -> None:
    source = Source("relu; " * 500 + "bad 3; " + "relu; " * 500, "net.arch")
    rows = render_diagnostics([Diagnostic("unknown-word", "no", at(source, "bad"))]).splitlines()
    line, marks = rows[3], rows[4]
    assert len(line) <= 4 + 122
    assert line.startswith("1 | …")
    assert line.endswith("…")
    assert line[marks.index("^") : marks.rindex("^") + 1] == "bad"


@pytest.mark.parametrize("word", ["first", "last"])
def test_a_mark_at_an_end_of_a_long_line_is_shown(word: str) -> None:
    source = Source("first; " + "relu; " * 100 + "last", "net.arch")
    rows = render_diagnostics([Diagnostic("unknown-word", "no", at(source, word))]).splitlines()
    assert rows[3][rows[4].index("^") : rows[4].rindex("^") + 1] == word


@pytest.mark.parametrize("between", [1, 5, 6, 12, 18, 20, 60])
def test_of_marks_far_apart_in_a_long_line_the_main_one_is_shown(between: int) -> None:
    """With the other, where that is near."""
    source = Source(
        "relu; " * 50 + "other; " + "relu; " * between + "bad" + "; relu" * 50, "n.arch"
    )
    other = Label(at(source, "other"), "")
    shown = render_diagnostics(
        [Diagnostic("wrong-value", "no", at(source, "bad"), related=(other,))]
    )
    line, marks = shown.splitlines()[3:5]
    assert line[marks.index("^") : marks.rindex("^") + 1] == "bad"
    if between <= 5:
        assert line[marks.index("-") : marks.rindex("-") + 1] == "other"


def test_a_span_wider_than_the_window_is_marked_inside_it() -> None:
    source = Source("x" * 1000, "net.arch")
    rows = render_diagnostics(
        [Diagnostic("unknown-word", "no", Span(source, 100, 900))]
    ).splitlines()
    assert 80 < rows[4].count("^") <= 122
    assert len(rows[4]) <= len(rows[3])


def test_of_a_span_over_lines_the_first_is_marked_to_its_end() -> None:
    source = Source("add {  \n id\n}", "net.arch")
    rows = render_diagnostics([Diagnostic("wrong-value", "no", Span(source, 0, 13))]).splitlines()
    assert rows[3:5] == ["1 | add {", "  | ^^^^^"]


def test_an_empty_span_at_the_end_of_the_text_has_a_mark() -> None:
    source = Source("add {\n", "net.arch")
    rows = render_diagnostics(
        [Diagnostic("unclosed-bracket", "no", Span(source, 6, 6))]
    ).splitlines()
    assert rows[1] == "  --> net.arch:2:1"
    assert rows[4] == "  | ^"


def test_no_diagnostics_are_no_text() -> None:
    assert render_diagnostics([]) == ""
