"""The command line: what is read, printed and written, and the exit codes."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import archdsl
from archdsl.cli import main
from archdsl.cli.commands import MODULES, commands
from archdsl.cli.compile import module_path
from archdsl.cli.terminal import wants_color

ROOT = Path(__file__).parent.parent
GOOD = "network Good: 8x8x3 → 10 { conv 3x3 4 relu; fc 10; expect weight_layers = 2 }\n"
FALSE = "network False: 8x8x3 → 10 { fc 10; expect params = 3 }\n"
WRONG = "network Wrong: 8x8x3 → 10 { conv 9x9 4; fc 10 }\n"
TWO = "network One: 4x4x1 → 2 { fc 2 }\nnetwork Two: 4x4x1 → 3 { fc 3 }\n"
LIBRARY = "block twice(n) { conv 1x1 n ×2 }\n"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, without the tester's wishes for colour."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return tmp_path


@pytest.fixture
def call(here: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> object:
    """Run the command line in this process."""

    def run(*argv: str) -> Result:
        with pytest.raises(SystemExit) as leave:
            main(argv)
        captured = capsysbinary.readouterr()
        assert isinstance(leave.value.code, int)
        return Result(leave.value.code, captured.out.decode(), captured.err.decode())

    return run


def write(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def process(*argv: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "archdsl", *argv]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, **options)


# ── check ────────────────────────────────────────────────────────────────────────────────────


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


@pytest.mark.parametrize("volume", ["28x", "0x1x1", "a", "1x2", "-3", "9" * 20, ""])
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
        ("/dev/zero", "unreadable-file", "no regular file"),
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


# ── Colour ───────────────────────────────────────────────────────────────────────────────────


class Terminal:
    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(
    ("choice", "is_terminal", "environment", "wanted"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_when_there_is_colour(here, monkeypatch, choice, is_terminal, environment, wanted) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_color(choice, Terminal(is_terminal)) is wanted


def test_colour_reaches_the_output_only_when_asked_for(call) -> None:
    write("false.arch", FALSE)
    piped = call("check", "false.arch")
    assert "\x1b" not in piped.out + piped.err
    colored = call("check", "false.arch", "--color", "always")
    assert "\x1b[2m" in colored.out
    assert "\x1b[31m" in colored.err


def test_on_a_terminal_the_way_to_explain_is_shown_once(call, monkeypatch) -> None:
    write("wrong.arch", WRONG)
    piped = call("check", "wrong.arch", "--color", "never").err
    monkeypatch.setattr("archdsl.cli.terminal.is_terminal", lambda stream: True)
    shown = call("check", "wrong.arch", "--color", "never").err
    assert shown == piped + "\nfor more about a code: archdsl explain kernel-larger-than-input\n"


# ── fmt ──────────────────────────────────────────────────────────────────────────────────────

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
    assert good.stat() == before
    assert call("fmt").out == "2 files left unchanged\n"
    assert [path.name for path in Path("specs").rglob("*.*")] == ["good.arch", "rough.arch"]


def test_fmt_check_writes_nothing_and_is_1(call) -> None:
    file = write("rough.arch", ROUGH)
    write("good.arch", GOOD)
    assert call("fmt", "--check", ".") == Result(
        1,
        "would reformat rough.arch\n1 file would be reformatted, 1 file formatted already\n",
        "",
    )
    assert file.read_bytes().decode() == ROUGH
    assert call("fmt", "--check", "good.arch") == Result(0, "1 file formatted already\n", "")


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
        (["fmt", "-", "a.arch"], "`-` stands alone: its text goes to the standard output"),
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


# ── compile ──────────────────────────────────────────────────────────────────────────────────


def test_modules_for_inference_stand_apart(call) -> None:
    write("specs/good.arch", GOOD)
    call("compile")
    plain = Path("generated/good.py").read_bytes()
    assert call("compile", "--inference") == Result(0, "wrote deployed/good.py\n", "")
    source = Path("deployed/good.py").read_text("utf-8")
    assert " for inference. Generated by archdsl from good.arch." in source
    assert "def load_training_state(self, state: Mapping[str, Tensor]) -> None:" in source
    assert call("compile", "good.arch", "--inference", "-o", "-").code == 2
    assert call("compile", "specs/good.arch", "--inference", "-o", "-").out == source
    assert call("compile", "--inference", "--check") == Result(0, "1 module: all fresh\n", "")
    Path("deployed/good.py").write_bytes(plain)
    assert call("compile", "--inference", "--check").out == "stale: deployed/good.py\n"
    assert Path("generated/good.py").read_bytes() == plain
    assert call("compile", "--check") == Result(0, "1 module: all fresh\n", "")


def test_a_module_is_written_for_each_spec(call) -> None:
    write("specs/good.arch", GOOD)
    write("specs/torchvision/two-nets.arch", TWO)
    write("specs/lib.arch", LIBRARY)
    result = call("compile")
    assert result.code == 0
    assert result.out == "wrote generated/good.py\nwrote generated/torchvision/two_nets.py\n"
    assert "lib.arch defines blocks only" in result.err
    module = Path("generated/good.py").read_text("utf-8")
    assert module.startswith('"""')
    assert "Generated by archdsl" in module
    assert "class Two" in Path("generated/torchvision/two_nets.py").read_text("utf-8")


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("specs/torchvision/x.arch", "generated/torchvision/x.py"),
        ("specs/torchvision", "generated/torchvision/x.py"),
        ("specs", "generated/torchvision/x.py"),
        (".", "generated/torchvision/x.py"),
    ],
)
def test_the_place_below_specs_is_kept(call, path: str, module: str) -> None:
    write("specs/torchvision/x.arch", GOOD)
    assert call("compile", path).out == f"wrote {module}\n"


@pytest.mark.parametrize(
    ("place", "module"),
    [
        ("resnet-50", "resnet_50.py"),
        ("3d", "_3d.py"),
        ("class", "class_.py"),
        ("a b/né", "a_b/né.py"),
        ("pass/x", "pass_/x.py"),
    ],
)
def test_module_names_can_be_imported(place: str, module: str) -> None:
    from pathlib import PurePosixPath

    assert str(module_path(PurePosixPath(place))) == module


def test_two_specs_for_one_module_are_refused(call) -> None:
    write("specs/a-b.arch", GOOD)
    write("specs/a_b.arch", GOOD)
    result = call("compile")
    assert result.code == 2
    assert "would both become generated/a_b.py" in result.err
    assert not Path("generated").exists()


def test_what_has_not_changed_is_not_written(call) -> None:
    write("specs/good.arch", GOOD)
    call("compile")
    before = Path("generated/good.py").stat()
    assert call("compile").out == "unchanged generated/good.py\n"
    after = Path("generated/good.py").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_with_a_finding_nothing_is_written(call) -> None:
    write("specs/a.arch", GOOD)
    write("specs/b.arch", FALSE)
    result = call("compile")
    assert result.code == 1
    assert "failed-claim" in result.err
    assert not Path("generated").exists()


def test_the_module_can_be_printed(call) -> None:
    write("good.arch", GOOD)
    result = call("compile", "good.arch", "-o", "-")
    assert result.code == 0
    assert result.out.startswith('"""')
    compile(result.out, "good.py", "exec")
    assert os.listdir() == ["good.arch"]


def test_two_modules_cannot_be_printed(call) -> None:
    write("a.arch", GOOD)
    write("b.arch", GOOD)
    result = call("compile", ".", "-o", "-")
    assert result.code == 2
    assert "2 specs" in result.err


def test_check_tells_stale_missing_and_stray_modules(call) -> None:
    write("specs/a.arch", GOOD)
    write("specs/b.arch", TWO)
    call("compile")
    assert call("compile", "--check") == Result(0, "2 modules: all fresh\n", "")
    Path("specs/a.arch").rename("specs/c.arch")
    write("specs/b.arch", TWO.replace("fc 3", "fc 3 relu"))
    write("generated/own.py", "# by hand\n")
    before = Path("generated/b.py").read_bytes()
    result = call("compile", "--check")
    assert result.code == 1
    assert result.out == (
        "stale: generated/b.py\nmissing: generated/c.py\nno spec makes it: generated/a.py\n"
    )
    assert Path("generated/b.py").read_bytes() == before
    assert call("compile", "--check", "specs/c.arch").out == "missing: generated/c.py\n"


def test_check_of_a_subfolder_leaves_the_rest_alone(call) -> None:
    write("specs/a.arch", GOOD)
    write("specs/sub/b.arch", TWO)
    call("compile")
    assert call("compile", "--check", "specs/sub").out == "1 module: all fresh\n"


@pytest.mark.parametrize("text", ["import mine\n", "# Generated by archdsl, then changed\n", ""])
def test_a_file_of_another_hand_is_not_overwritten(call, text: str) -> None:
    write("specs/a.arch", TWO)
    write("specs/good.arch", GOOD)
    foreign = write("generated/good.py", text)
    result = call("compile")
    assert result.code == 2
    assert "generated/good.py: not generated by archdsl" in result.err
    assert foreign.read_text() == text
    assert not Path("generated/a.py").exists()
    assert call("compile", "--force").code == 0
    assert "class Good" in foreign.read_text("utf-8")


def test_a_failing_replacement_leaves_everything_as_it_was(call, monkeypatch) -> None:
    write("specs/good.arch", GOOD)
    call("compile")
    before = Path("generated/good.py").read_bytes()
    write("specs/good.arch", GOOD.replace("relu", "tanh"))

    def refuse(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    result = call("compile")
    assert result.code == 2
    assert "cannot write" in result.err
    assert "No space left on device" in result.err
    assert os.listdir("generated") == ["good.py"]
    assert Path("generated/good.py").read_bytes() == before


def test_a_disk_that_is_full_halfway_changes_no_file(call, monkeypatch) -> None:
    write("specs/a.arch", GOOD)
    write("specs/b.arch", TWO)
    call("compile")
    before = {name: Path("generated", name).read_bytes() for name in os.listdir("generated")}
    write("specs/a.arch", GOOD.replace("relu", "tanh"))
    write("specs/b.arch", TWO.replace("fc 3", "fc 3 relu"))
    synced = []

    def fill(handle: int) -> None:
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill)
    assert call("compile").code == 2
    assert {n: Path("generated", n).read_bytes() for n in os.listdir("generated")} == before


def test_an_interrupt_while_writing_leaves_nothing_behind(call, monkeypatch) -> None:
    write("specs/good.arch", GOOD)

    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    assert call("compile").code == 130
    assert os.listdir("generated") == []


def test_the_mode_of_a_file_is_what_umask_gives(call) -> None:
    write("specs/good.arch", GOOD)
    before = os.umask(0o027)
    try:
        call("compile")
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("generated/good.py").stat().st_mode) == 0o640


def test_a_link_is_written_through(call) -> None:
    write("specs/good.arch", GOOD)
    Path("generated").mkdir()
    Path("elsewhere").mkdir()
    Path("generated/good.py").symlink_to("../elsewhere/good.py")
    assert call("compile").code == 0
    assert Path("generated/good.py").is_symlink()
    assert "class Good" in Path("elsewhere/good.py").read_text("utf-8")


def test_a_folder_that_cannot_be_made_is_2(call) -> None:
    write("good.arch", GOOD)
    write("generated", "a file")
    result = call("compile", "good.arch")
    assert result.code == 2
    assert "generated" in result.err


# ── draw ─────────────────────────────────────────────────────────────────────────────────────


def test_pictures_are_named_after_specs_and_networks(call) -> None:
    write("specs/good.arch", GOOD)
    write("specs/sub/two.arch", TWO)
    result = call("draw", "--format", "dot")
    assert result.code == 0
    paths = ["drawings/good.dot", "drawings/sub/two-One.dot", "drawings/sub/two-Two.dot"]
    assert result.out.splitlines() == paths
    assert all("digraph" in Path(path).read_text("utf-8") for path in paths)


def test_the_format_follows_the_ending(call) -> None:
    write("good.arch", GOOD)
    assert call("draw", "good.arch", "-o", "a/x.dot").out == "a/x.dot\n"
    assert "digraph" in Path("a/x.dot").read_text("utf-8")


def test_a_picture_on_the_standard_output(call) -> None:
    write("good.arch", GOOD)
    result = call("draw", "good.arch", "-o", "-", "--format", "dot")
    assert result.code == 0
    assert "digraph" in result.out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("-o", "x.gif"), "does not end in .svg, .png, .pdf, .tikz, .html, .dot"),
        (("-o", "x.svg", "--format", "png"), "contradicts"),
        (("--format", "gif"), "is not one of"),
    ],
)
def test_formats_that_are_none_are_wrong_calls(call, argv, words: str) -> None:
    write("good.arch", GOOD)
    result = call("draw", "good.arch", *argv)
    assert result.code == 2
    assert words in result.err


def test_one_file_takes_one_network_and_a_folder_many(call) -> None:
    write("two.arch", TWO)
    result = call("draw", "two.arch", "-o", "x.dot")
    assert result.code == 2
    assert "2 networks" in result.err
    Path("there").mkdir()
    for folder in ("there", "new/"):
        result = call("draw", "two.arch", "-o", folder, "--format", "dot")
        name = folder.strip("/")
        assert result.out.splitlines() == [f"{name}/two-One.dot", f"{name}/two-Two.dot"]


def test_a_drawing_that_fails_is_2_and_one_line(call, monkeypatch) -> None:
    import archdsl.drawing

    def refuse(*arguments: object) -> bytes:
        raise archdsl.drawing.DrawingError("it is too beautiful")

    monkeypatch.setattr(archdsl.drawing, "render_drawing", refuse)
    write("good.arch", GOOD)
    result = call("draw", "good.arch")
    assert result == Result(2, "", "error: good.arch: Good cannot be drawn: it is too beautiful\n")
    assert not Path("drawings").exists()


def test_what_a_picture_lacks_is_a_note(call) -> None:
    steps = "; ".join(f"conv 3x3 {8 + n * n % 13 * 8} same relu" for n in range(100))
    write("long.arch", f"network Long: 8x8x8 → 10 {{ {steps}; fc 10 }}\n")
    result = call("draw", "long.arch", "-o", "x.svg", "--fit", "column")
    assert result.code == 0
    assert re.fullmatch(
        r"note: Long: the smallest text is [0-5]\.\d pt on a column, "
        r"\d\.\d pt less than is legible\n",
        result.err,
    )


def test_options_reach_the_picture(call) -> None:
    write("good.arch", GOOD)
    argv = ("draw", "good.arch", "-o", "-", "--theme", "dark", "--color-by", "macs", "--flat")
    out = call(*argv).out
    assert 'fill="#0d1117"' in out
    assert "MACs for one image" in out


def test_a_part_that_is_none_cannot_be_open(call) -> None:
    write("good.arch", GOOD)
    result = call("draw", "good.arch", "--open", "nix")
    message = "no part is named 'nix' (name one as the spec does)"
    assert result == Result(2, "", f"error: good.arch: Good cannot be drawn: {message}\n")


def test_with_a_finding_nothing_is_drawn(call) -> None:
    write("wrong.arch", WRONG)
    assert call("draw", "wrong.arch").code == 1
    assert not Path("drawings").exists()


# ── show, layers, completion, help ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("syntax", "  Network @1:9\n"),
        ("graph", "%1  layers.0"),
        ("model", "  conv 3x3 4 → 6x6x4  112 parameters\n"),
    ],
)
def test_each_stage_can_be_shown(call, stage: str, words: str) -> None:
    write("good.arch", GOOD)
    result = call("show", "good.arch", "--stage", stage)
    assert result.code == 0
    assert words.replace("layers.0", "0") in result.out


def test_show_says_what_is_wrong(call) -> None:
    write("wrong.arch", WRONG)
    write("lib.arch", LIBRARY)
    assert call("show", "wrong.arch").code == 1
    assert call("show", "wrong.arch", "--stage", "syntax").code == 0
    assert call("show", "nowhere.arch").code == 2
    assert call("show", "lib.arch").code == 2


def test_layers_are_listed_and_shown(call) -> None:
    assert "\n  conv " in call("layers").out
    assert call("layers", "conv", "pad").out.startswith("conv  (convolution)\n")
    assert call("layers", "--format", "md").out.startswith("# Layers\n")
    result = call("layers", "cnv")
    assert result == Result(2, "", "error: there is no layer `cnv`; did you mean `conv`?\n")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(call, shell: str) -> None:
    result = call("completion", shell)
    assert result.code == 0
    assert "_ARCHDSL_COMPLETE" in result.out


def test_completion_completes(here: Path) -> None:
    environment = os.environ | {
        "_ARCHDSL_COMPLETE": "bash_complete",
        "COMP_WORDS": "archdsl layers max",
        "COMP_CWORD": "2",
    }
    result = process(cwd=here, env=environment)
    assert result.stdout.decode().split() == ["plain,maxpool"]


def test_the_version(call) -> None:
    assert call("--version") == Result(0, f"archdsl {archdsl.__version__}\n", "")


@pytest.mark.parametrize("name", MODULES)
def test_each_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(commands, [name, "--help"], prog_name="archdsl")
    assert result.exit_code == 0
    assert f"Usage: archdsl {name}" in result.output
    assert f"\n archdsl {name}" in result.output or f"$(archdsl {name}" in result.output
    assert "\x1b" not in result.output


def test_each_option_says_what_it_does() -> None:
    def options(command: click.Command, path: str) -> Iterator[tuple[str, click.Option]]:
        yield from ((path, found) for found in command.params if isinstance(found, click.Option))
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from options(inner, f"{path} {name}")

    found = list(options(commands, "archdsl"))
    assert len(found) > 80
    assert [f"{path} {option.name}" for path, option in found if not option.help] == []
    # Numbers without a name are shown as `INTEGER RANGE [x>=1]`.
    assert [
        f"{path} {option.name}"
        for path, option in found
        if isinstance(option.type, click.IntRange | click.FloatRange) and option.metavar is None
    ] == []


def test_the_readme_lists_all_commands() -> None:
    rows = re.findall(r"^\| `archdsl ([a-z]+)", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert rows == list(MODULES)


def test_help_lists_all_commands(call) -> None:
    out = call("--help").out
    assert [
        line.split()[1]
        for line in out.splitlines()
        if line[2:].split()[:1] and line[2:].split()[0] in MODULES and line.startswith("│")
    ] == list(MODULES)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("chek",), "there is no command `chek`; did you mean `check`?"),
        (("\x1b[31m",), "there is no command `\\x1b[31m`"),
        (("check", "--colour"), "'--colour'"),
        (("check", "--\x1b[31m"), "\\x1b[31m"),
        (("show",), "Missing argument 'SPEC'"),
        ((), "Usage: archdsl"),
    ],
)
def test_a_wrong_call_is_2_and_safe_to_print(call, argv: tuple[str, ...], words: str) -> None:
    result = call(*argv)
    assert result.code == 2
    assert words in result.err
    assert "\x1b" not in result.err
    assert result.out == ""


def test_an_interrupt_is_130(call, monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("archdsl.cli.check.read_specs", interrupt)
    assert call("check").code == 130


# ── Processes ────────────────────────────────────────────────────────────────────────────────


def test_check_imports_none_of_the_slow_packages(here: Path) -> None:
    write("good.arch", GOOD)
    program = (
        "import sys\n"
        "from archdsl.cli import main\n"
        "try: main(['check', 'good.arch'])\n"
        "except SystemExit as leave: assert leave.code == 0\n"
        "slow = {'torch', 'rich', 'rich_click', 'jinja2', 'graphviz', 'pygraphviz', 'numpy'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=here, timeout=60
    )
    assert result.stderr.decode() == "[]\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_a_character_shows_its_escape(here: Path, encoding: str) -> None:
    write("false.arch", FALSE)
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    result = process("check", "false.arch", cwd=here, env=environment)
    assert result.returncode == 1
    assert b"\x1b" not in result.stdout + result.stderr
    assert b"Traceback" not in result.stderr
    if encoding == "latin-1":  # click takes ascii for a mistake and writes UTF-8
        assert b"8x8x3 \\u2192 10" in result.stdout


def test_a_reader_that_goes_away_is_no_traceback(here: Path) -> None:
    write("good.arch", GOOD)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "archdsl", "check", "good.arch"],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            cwd=here,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert result.returncode == 141
    assert result.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_output_is_one_line(here: Path) -> None:
    write("good.arch", GOOD)
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "archdsl", "check", "good.arch"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            cwd=here,
            timeout=60,
        )
    assert result.returncode == 2
    assert result.stderr == b"error: cannot write the output: No space left on device\n"
