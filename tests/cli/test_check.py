"""``archdsl check``: what is read and printed, and the exit codes."""

from __future__ import annotations

import json
import os
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from command import FALSE, GOOD, LIBRARY, TWO, WRONG, process, write


def test_a_clean_file_is_a_table_and_0(call) -> None:
    write("good.arch", GOOD)
    result = call("check", "good.arch")
    assert result.code == 0
    assert result.out.startswith("Good  8x8x3 → 10  good.arch:1\n\nName")
    assert "✓ line 1  expect weight_layers = 2  it is 2" in result.out
    assert result.err == ""


def test_an_error_is_a_diagnostic_and_1(call) -> None:
    write("wrong.arch", WRONG)
    result = call("check", "wrong.arch")
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("error[kernel-larger-than-input]: a window of height 9")
    assert "--> wrong.arch:1:" in result.err
    assert result.err.endswith("\n1 error\n")


def test_a_failed_claim_is_a_table_a_diagnostic_and_1(call) -> None:
    write("false.arch", FALSE)
    result = call("check", "false.arch")
    assert result.code == 1
    assert "✗ line 1  expect params = 3  it is 1,930" in result.out
    assert result.err.startswith("error[failed-claim]: False: `expect params = 3` does not hold\n")


def test_a_folder_is_searched_in_order_and_summed_up(call) -> None:
    write("nets/b/two.arch", TWO)
    write("nets/a.arch", GOOD)
    write("nets/lib.arch", LIBRARY)
    write("nets/.hidden/x.arch", WRONG)
    write("nets/notes.txt", WRONG)
    result = call("check", "nets")
    assert result.code == 0
    titles = [line.split()[0] for line in result.out.splitlines() if ".arch:" in line]
    assert titles == ["Good", "One", "Two"]
    assert result.out.endswith("\n\n3 networks in 2 files: all claims hold\n")
    assert result.err == "note: nets/lib.arch defines blocks only; there is no network to check\n"


def test_the_summary_counts_what_is_wrong(call) -> None:
    for name, text in {"a": GOOD, "b": FALSE, "c": WRONG}.items():
        write(f"{name}.arch", text)
    result = call("check", ".")
    assert result.code == 1
    last = result.out.splitlines()[-1]
    assert last == "2 networks in 2 files: 1 of 2 claims does not hold, 1 error"
    assert result.err.endswith("\n2 errors\n")


def test_a_file_named_twice_is_checked_once(call) -> None:
    write("good.arch", GOOD)
    result = call("check", "good.arch", ".", "./good.arch")
    assert result.out.count("Good  8x8x3") == 1


def test_without_a_path_the_folder_specs_is_checked(call) -> None:
    write("specs/good.arch", GOOD)
    assert call("check").out.startswith("Good  8x8x3 → 10  specs/good.arch:1")


def test_without_a_folder_the_specs_that_ship_with_the_tool_are_checked(call) -> None:
    result = call("check", "--format", "json")
    names = {network["name"] for network in json.loads(result.out)["networks"]}
    assert "VGG16" in names


def test_bare_statements_take_their_input_from_the_call(call, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO("conv 3x3 64 same ×2".encode())))
    result = call("check", "-", "--input", "28x28x192")
    assert result.code == 0
    assert "28x28x192 → 28x28x64  <stdin>:1" in result.out


@pytest.mark.parametrize("volume", ["28x", "0x1x1", "a", "1x2x3x4x5", "-3", "9" * 20, ""])
def test_a_malformed_input_is_a_wrong_call(call, volume: str) -> None:
    write("good.arch", GOOD)
    result = call("check", "good.arch", f"--input={volume}")
    assert result.code == 2
    assert "'--input'" in result.err


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("nowhere.arch", "unreadable-file", "No such file or directory"),
        ("nowhere", "unreadable-file", "No such file or directory"),
        ("", "unreadable-file", "cannot read"),
        ("latin1.arch", "not-utf8", "byte 9"),
        ("empty", "unreadable-file", "holds no file that ends in .arch"),
        ("/dev/zero", "unreadable-file", "not a regular file"),
    ],
)
def test_what_cannot_be_read_is_2(call, path: str, code: str, words: str) -> None:
    Path("empty").mkdir()
    Path("latin1.arch").write_bytes(b"conv 3x3 \xe9")
    result = call("check", path)
    assert result.code == 2
    assert result.err.startswith(f"error[{code}]: ")
    assert words in result.err


def test_a_file_without_permission_is_2(call, monkeypatch) -> None:
    write("good.arch", GOOD)

    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # Who runs the tests as root may read anything.
    monkeypatch.setattr(Path, "open", refuse)
    result = call("check", "good.arch")
    assert result.code == 2
    assert "Permission denied" in result.err


def test_a_missing_file_does_not_hide_the_others(call) -> None:
    write("good.arch", GOOD)
    result = call("check", "nowhere.arch", "good.arch")
    assert result.code == 2
    assert "Good  8x8x3" in result.out


def test_a_file_that_a_spec_uses_and_lacks_is_a_finding(call) -> None:
    write("net.arch", 'use "lost.arch"\n' + GOOD)
    result = call("check", "net.arch")
    assert result.code == 1
    assert "--> net.arch:1:" in result.err


def test_a_text_beyond_the_bound_is_refused(call, monkeypatch) -> None:
    monkeypatch.setattr("archdsl.cli.files.MAX_BYTES", 10)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(GOOD.encode())))
    assert call("check", "-").code == 2


def test_json_is_one_document_whatever_happens(call) -> None:
    write("a.arch", GOOD)
    write("b.arch", FALSE)
    write("c.arch", WRONG)
    result = call("check", "--format", "json", "a.arch", "b.arch", "c.arch", "nowhere.arch")
    assert result.code == 2
    assert result.err == ""
    document = json.loads(result.out)
    assert [network["name"] for network in document["networks"]] == ["Good", "False"]
    codes = [diagnostic["code"] for diagnostic in document["diagnostics"]]
    assert codes == ["failed-claim", "kernel-larger-than-input", "unreadable-file"]
    assert document["networks"][1]["claims"] == [
        {"line": 1, "text": "params = 3", "holds": False, "actual": 1930}
    ]


def test_json_with_a_file_name_that_is_no_text(here: Path) -> None:
    name = os.fsdecode(b"a\xff.arch")
    (here / name).write_text(GOOD, "utf-8")
    result = process("check", "--format", "json", name, cwd=here)
    assert result.returncode == 0
    assert json.loads(result.stdout)["networks"][0]["path"] == name
