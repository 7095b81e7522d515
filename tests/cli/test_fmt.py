"""``archdsl fmt``: what is rewritten, shown and refused, and the exit codes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from command import GOOD, Result, process, write

ROUGH = "network Rough : 8x8x3 -> 10 {conv 3x3 4 x2;fc 10} # why\r\n"
SMOOTH = "network Rough: 8x8x3 → 10 { conv 3x3 4 ×2; fc 10 }  # why\n"


def test_fmt_rewrites_what_differs(call) -> None:
    rough, good = write("specs/a/rough.arch", ROUGH), write("specs/good.arch", GOOD)
    rough.chmod(0o640)
    before = good.stat()
    result = call("fmt")
    assert result == Result(
        0, "reformatted specs/a/rough.arch\n1 file reformatted, 1 file left unchanged\n", ""
    )
    assert rough.read_bytes().decode() == SMOOTH
    assert stat.S_IMODE(rough.stat().st_mode) == 0o640
    after = good.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert call("fmt").out == "2 files left unchanged\n"
    assert [path.name for path in Path("specs").rglob("*.*")] == ["good.arch", "rough.arch"]


def test_fmt_check_writes_nothing_and_is_1(call) -> None:
    file = write("rough.arch", ROUGH)
    write("good.arch", GOOD)
    assert call("fmt", "--check", ".") == Result(
        1,
        "would reformat rough.arch\n1 file would be reformatted, 1 file already formatted\n",
        "",
    )
    assert file.read_bytes().decode() == ROUGH
    assert call("fmt", "--check", "good.arch") == Result(0, "1 file already formatted\n", "")


def test_fmt_diff_shows_and_is_1(call) -> None:
    file = write("rough.arch", "relu->3\t# \x1b[31m\r\n\n\nfc 3")
    result = call("fmt", "--diff", "rough.arch")
    assert result == Result(
        1,
        "--- rough.arch\n+++ rough.arch\n@@ -1,4 +1,3 @@\n-relu->3\\t# \\x1b[31m\\r\n"
        "+relu    → 3  # \\x1b[31m\n \n-\n-fc 3\n\\ No newline at end of file\n+fc 3\n",
        "",
    )
    colored = call("fmt", "--diff", "--color", "always", "rough.arch").out
    assert "\x1b[31m-relu->3\\t# \\x1b[31m\\r\x1b[0m\n" in colored
    assert "\x1b[32m+fc 3\x1b[0m\n" in colored
    assert file.read_text("utf-8").endswith("fc 3")
    write("good.arch", GOOD)
    assert call("fmt", "--diff", "good.arch") == Result(0, "", "")


def test_fmt_leaves_a_file_with_errors_alone(call) -> None:
    broken = write("broken.arch", "conv 3x3 (\n")
    rough = write("rough.arch", ROUGH)
    result = call("fmt", "broken.arch", "rough.arch")
    assert result.code == 1
    assert result.out == "reformatted rough.arch\n1 file reformatted\n"
    assert result.err.startswith("error[unclosed-bracket]: the `(` of line 1 is never closed\n")
    assert broken.read_text("utf-8") == "conv 3x3 (\n"
    assert rough.read_text("utf-8") == SMOOTH
    assert call("fmt", "missing.arch").code == 2


def test_fmt_formats_the_standard_input(here: Path) -> None:
    result = process("fmt", "-", input=ROUGH.encode())
    assert (result.returncode, result.stdout.decode(), result.stderr) == (0, SMOOTH, b"")
    result = process("fmt", "--check", "-", input=ROUGH.encode())
    assert (result.returncode, result.stdout) == (1, b"")
    result = process("fmt", "-", input=b"conv {")
    assert (result.returncode, result.stdout) == (1, b"")


def test_fmt_writes_volumes(call) -> None:
    file = write("bare.arch", "conv 3x3 4 → 1x1x1\n")
    result = call("fmt", "--volumes", "bare.arch", "--input", "8x8x3")
    assert result == Result(0, "reformatted bare.arch\n1 file reformatted\n", "")
    assert file.read_text("utf-8") == "conv 3x3 4    → 6x6x4\n"
    result = call("fmt", "--volumes", "bare.arch")
    assert result.code == 1
    assert result.err.startswith("error[missing-input]: bare statements need an input volume\n")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["fmt", "--input", "3", "a.arch"], "`--input` is about volumes: add `--volumes`"),
        (["fmt", "-", "a.arch"], "`-` must be the only path: its text goes to standard output"),
        (["fmt"], "there is no folder `specs` here; name a file or a folder"),
    ],
)
def test_fmt_refuses(call, arguments: list[str], fault: str) -> None:
    result = call(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.endswith(f"error: {fault}\n")


def test_fmt_does_not_replace_a_file_that_is_read_only(
    call, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("rough.arch", ROUGH)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert call("fmt", "rough.arch") == Result(
        2, "", "error: cannot write rough.arch: it is read-only\n"
    )
    assert file.read_bytes().decode() == ROUGH


def test_fmt_writes_nothing_that_means_something_else(
    call, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("rough.arch", ROUGH)
    monkeypatch.setattr("archdsl.formatting.render_layout", lambda *_: "relu\n")
    result = call("fmt", "rough.arch")
    assert result == Result(
        2,
        "",
        "error: formatting would change what rough.arch means, so nothing is written; "
        "this is a fault of archdsl: please report it with the file\n",
    )
    assert file.read_bytes().decode() == ROUGH
