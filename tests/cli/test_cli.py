"""The command line: colour, help, small commands, and processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command import FALSE, GOOD, LIBRARY, WRONG, Result, process, write

import archdsl
from archdsl.cli.commands import MODULES, commands
from archdsl.cli.terminal import wants_color

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
    assert result.stdout.decode().split() == ["plain,max", "plain,maxpool"]


def test_the_version(call) -> None:
    assert call("--version") == Result(0, f"archdsl {archdsl.__version__}\n", "")


@pytest.mark.parametrize("name", MODULES)
def test_each_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(commands, [name, "--help"], prog_name="archdsl")
    assert result.exit_code == 0
    assert f"Usage: archdsl {name}" in result.output
    assert "\n Exit codes: 0 " in result.output
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
        (("weights", "prt"), "there is no command `prt`; did you mean `port`?"),
        (("weights", "load"), "there is no command `load`; there is only port"),
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
