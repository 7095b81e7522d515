"""Settings: [tool.archdsl] of pyproject.toml, and what the command line says on top of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archdsl.cli import main
from archdsl.cli.configuration import Configuration, ConfigurationError, find_configuration
from archdsl.text.diagnostics import Diagnostic, Severity

WARNS = "network N: 13x13x3 → 10 { maxpool 2; fc 10 }\n"
DROPPED = frozenset({"dropped-rows"})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("net.arch").write_text(WARNS, "utf-8")
    return tmp_path


def settings(text: str) -> None:
    Path("pyproject.toml").write_text(f"[tool.other]\nx = 1\n\n[tool.archdsl]\n{text}", "utf-8")


def check(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as leave:
        main(["check", "net.arch", *argv])
    return (leave.value.code, *capsys.readouterr())


def test_all_settings(here: Path) -> None:
    settings(
        'ignore = ["heavy-fc"]\nstrict = true\nformat = "concise"\n'
        '[tool.archdsl.per-file-ignores]\n"old/*" = ["dropped-rows"]\n'
    )
    below = here / "a" / "b"
    below.mkdir(parents=True)
    (below / "pyproject.toml").write_text("[project]\n", "utf-8")
    assert find_configuration(below) == Configuration(
        here, frozenset({"heavy-fc"}), (("old/*", DROPPED),), True, "concise"
    )


def test_without_a_section_the_defaults_hold(here: Path) -> None:
    Path("pyproject.toml").write_text("[project]\n", "utf-8")
    assert find_configuration(here) == Configuration()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('ignor = ["heavy-fc"]', "5: no setting is called `ignor`: did you mean `ignore`?"),
        ("strict = 1", "5: `strict`: must be true or false"),
        (
            '\nformat = "xml"',
            "6: `format`: must be one of full, concise, json, sarif, github",
        ),
        ('ignore = "x"', '5: `ignore`: must be a list of codes such as ["dropped-rows"]'),
        (
            'ignore = ["droped-rows"]',
            "5: `ignore`: there is no warning `droped-rows`; did you mean `dropped-rows`?",
        ),
        (
            'ignore = ["wrong-volume"]',
            "5: `ignore`: `wrong-volume` is an error, and errors cannot be ignored",
        ),
        (
            '[tool.archdsl.per-file-ignores]\n"a" = ["x-y"]',
            "5: `per-file-ignores`: there is no warning `x-y`; `archdsl explain` lists all rules",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_and_2(
    here: Path, capsys: pytest.CaptureFixture[str], text: str, fault: str
) -> None:
    settings(text)
    assert check(capsys) == (2, "", f"error: {here / 'pyproject.toml'}:{fault}\n")


def test_a_file_that_is_no_toml_is_refused(here: Path) -> None:
    settings("= 3")
    with pytest.raises(ConfigurationError, match="at line 5, column 1"):
        find_configuration(here)


def test_only_warnings_are_left_out(here: Path) -> None:
    def warning(path: str) -> Diagnostic:
        return Diagnostic("dropped-rows", "x", None, severity=Severity.WARNING, path=path)

    error = Diagnostic("wrong-volume", "x", None, path="old/a.arch")
    everything = [error, warning("old/a.arch"), warning("old/deep/b.arch"), warning("new.arch")]
    codes = DROPPED | {"wrong-volume"}

    def kept(**settings: object) -> list[str]:
        configuration = Configuration(here, **settings)  # type: ignore[arg-type]
        return [d.file for d in configuration.keep(everything)]

    assert kept(ignore=codes) == ["old/a.arch"]
    globbed = kept(per_file_ignores=(("old/*", codes),))
    assert globbed == ["old/a.arch", "new.arch"]
    named = kept(per_file_ignores=(("a.arch", codes),))
    assert named == ["old/a.arch", "old/deep/b.arch", "new.arch"]


def test_warnings_and_the_exit_code(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(capsys)[0] == 0
    assert check(capsys, "--strict")[0] == 1
    assert check(capsys, "--strict", "--exit-zero")[0] == 0
    assert check(capsys, "--strict", "--ignore", "dropped-rows")[0] == 0
    settings("strict = true\nformat = 'concise'")
    code, out, err = check(capsys)
    assert (code, err) == (1, "")
    assert out.startswith("net.arch:1:27: warning[dropped-rows]: ")
    assert "13x13x3 → 10" in check(capsys, "--format", "full")[1]


def test_exit_zero_does_not_hide_a_missing_file(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(capsys, "lost.arch", "--exit-zero")[0] == 2


def test_an_error_cannot_be_ignored_by_the_call(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = check(capsys, "--ignore", "wrong-volume")
    assert code == 2
    assert err.endswith(
        "error: `--ignore`: `wrong-volume` is an error, and errors cannot be ignored\n"
    )


def test_an_ignored_warning_is_not_fixed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "network N: 8x8x3 → 10 { conv 1x1 4 relu ×1; fc 10 }\n"
    Path("net.arch").write_text(text, "utf-8")
    check(capsys, "--fix", "--unsafe-fixes", "--ignore", "no-effect")
    assert Path("net.arch").read_text("utf-8") == text
    check(capsys, "--fix", "--unsafe-fixes")
    assert "×1" not in Path("net.arch").read_text("utf-8")


# ── watch ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        (["--fix"], "`--watch` only looks: leave `--fix` and `--diff` out"),
        (["-"], "`--watch` needs files, not the standard input"),
        (["--format", "json"], "`--watch` works with full or concise, not with json"),
    ],
)
def test_what_watch_does_not_go_with(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], fault: str
) -> None:
    code, _, err = check(capsys, "--watch", *argv)
    assert code == 2
    assert err.endswith(f"error: {fault}\n")


def test_watch_sees_a_change_of_a_used_file_and_ends_cleanly(here: Path) -> None:
    Path("lib.arch").write_text("block a(n) { conv 1x1 n }\n", "utf-8")
    use = 'use "lib.arch"\nnetwork N: 8x8x3 → 8x8x4 { a(4) }\n'
    Path("net.arch").write_text(use, "utf-8")
    log = here / "log"
    # A signal that this process ignores is ignored in its children, too, as behind `nohup`; one
    # with a handler gets the default there.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("wb") as out:
        command = [sys.executable, "-m", "archdsl", "check", "net.arch", "--watch"]
        child = subprocess.Popen([*command, "--format", "concise"], stdout=out, stderr=out)
    signal.signal(signal.SIGINT, before)

    def wait_for(text: str) -> None:
        until = time.monotonic() + 20
        while text not in log.read_text("utf-8"):
            assert time.monotonic() < until, log.read_text("utf-8")
            time.sleep(0.05)

    try:
        wait_for("no diagnostics; watching 2 files\n")
        Path("lib.arch").write_text("block a(n) { conv 1x1 n; gmp }\n", "utf-8")
        wait_for("1 diagnostic; watching 2 files\n")
    finally:
        child.send_signal(signal.SIGINT)
        code = child.wait(20)
    assert code == 130
    text = log.read_text("utf-8")
    assert "net.arch:2:20: error[wrong-volume]" in text
    assert "\x1b" not in text
    assert "Traceback" not in text
