"""``archdsl check --fix``: what is written to files, what is only shown, and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import GOOD, write

WRONG = "network N: 28x28x16 → 10 {\n  cnov 3x3 8 smae relu\n  fc 10  # ten\n}\n"
RIGHT = WRONG.replace("cnov", "conv").replace("smae", "same")
CLAIM = "network N: 8x8x3 → 10 { fc 10; expect params = 3 }\n"
DIFF = """\
--- specs/n.arch
+++ specs/n.arch
@@ -1,4 +1,4 @@
 network N: 28x28x16 → 10 {
-  cnov 3x3 8 smae relu
+  conv 3x3 8 same relu
   fc 10  # ten
 }
"""


def test_fix_writes_and_says_so(call) -> None:
    write("specs/n.arch", WRONG)
    write("specs/good.arch", GOOD)
    result = call("check", "--fix")
    assert Path("specs/n.arch").read_text("utf-8") == RIGHT
    assert Path("specs/good.arch").read_text("utf-8") == GOOD
    assert (result.code, result.err) == (0, "note: fixed 2 errors in specs/n.arch\n")


def test_check_says_what_fix_would_fix(call) -> None:
    write("specs/n.arch", WRONG)
    result = call("check")
    assert result.code == 1
    assert result.err.endswith("1 error\nnote: `archdsl check --fix` fixes 1 of 1\n")


def test_diff_shows_and_writes_nothing(call) -> None:
    write("specs/n.arch", WRONG)
    result = call("check", "--diff")
    assert (result.code, result.out, result.err) == (1, DIFF, "")
    assert Path("specs/n.arch").read_text("utf-8") == WRONG
    write("specs/n.arch", RIGHT)
    assert call("check", "--diff").code == 0


def test_a_claim_is_changed_only_when_asked(call) -> None:
    file = write("n.arch", CLAIM)
    assert call("check", "--fix", "n.arch").code == 1
    assert file.read_text("utf-8") == CLAIM
    assert call("check", "--fix", "--unsafe-fixes", "n.arch").code == 0
    assert file.read_text("utf-8") == CLAIM.replace("= 3", "= 1_930")


def test_what_cannot_be_fixed_is_still_reported(call) -> None:
    write("n.arch", WRONG.replace("fc 10", "qwertz"))
    result = call("check", "--fix", "n.arch")
    assert result.code == 1
    assert result.err.startswith("note: fixed 2 errors in n.arch\nerror[unknown-word]")


@pytest.mark.parametrize("text", [WRONG.replace("\n", "\r\n"), "\ufeff" + WRONG])
def test_line_ends_and_byte_order_mark_stay(call, text: str) -> None:
    file = Path("n.arch")
    file.write_bytes(text.encode())
    assert call("check", "--fix", "n.arch").code == 0
    expected = text.replace("cnov", "conv").replace("smae", "same")
    assert file.read_bytes() == expected.encode()


def test_a_used_file_is_fixed_by_its_own_name(call) -> None:
    library = write("blocks.arch", "block cell(n) { conv 3x3 n smae }\n")
    write("n.arch", 'use "blocks.arch"\nnetwork N: 8x8x3 → 8x8x4 { cell(4) }\n')
    assert call("check", "--fix", "n.arch").code == 1
    assert "smae" in library.read_text("utf-8")
    assert call("check", "--fix", "n.arch", "blocks.arch").code == 0
    assert "same" in library.read_text("utf-8")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--fix", "-"), "the standard input cannot be fixed; name a file or a folder"),
        (("--unsafe-fixes",), "`--unsafe-fixes` needs `--fix` or `--diff`"),
    ],
)
def test_calls_that_make_no_sense(call, argv: tuple[str, ...], said: str) -> None:
    result = call("check", *argv)
    assert result.code == 2
    assert result.err.endswith(f"error: {said}\n")


def test_warnings_are_shown_and_no_failure(call) -> None:
    write("n.arch", "network N: 13x13x3 → 6x6x3 { maxpool 2 }\n")
    result = call("check", "n.arch")
    assert result.code == 0
    assert result.err.startswith("warning[dropped-rows]: `maxpool 2` never reads row 13 and")
    assert result.err.endswith("1 warning\n")
    assert call("compile", "n.arch", "--output", "n.py").err == ""


def test_what_ships_with_the_tool_is_left_alone(call, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("shipped/std/n.arch", WRONG)
    monkeypatch.setattr("archdsl.cli.fixing.SHIPPED", Path("shipped").resolve())
    assert call("check", "--fix", "shipped").code == 1
    assert file.read_text("utf-8") == WRONG
