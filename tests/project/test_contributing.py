"""CONTRIBUTING, followed to the letter: a layer, a merge and a lint, each in a scratch copy."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from archdsl.layers.layer import Layer, MergeLayer, UnaryLayer, WeightLayer

PAGE = ROOT / "CONTRIBUTING.md"
COPIED = (
    "archdsl",
    "benchmarks",
    "deployed",
    "docs",
    "generated",
    "specs",
    "templates",
    "tests",
    "tools",
)
FENCE = re.compile(r"^ *(`{3,})(\w+)\n(.*?)^ *\1$", re.DOTALL | re.MULTILINE)
#: What the first line of a block says of its place.
PLACE = re.compile(r"# (\S+?)(?:, (at the end|after|in place of)(?: `(.+)`)?)?\n")


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """The project in a folder of its own, which is gone afterwards."""
    ignore = shutil.ignore_patterns("__pycache__", ".*", "out", "gallery")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for file in ROOT.glob("*.*"):
        if file.is_file():
            shutil.copy(file, tmp_path)
    yield tmp_path
    shutil.rmtree(tmp_path)


def section_of(heading: str) -> str:
    found = re.search(
        rf"^## {heading}\n(.*?)(?=^## (?:Add|Commits|Messages))",
        PAGE.read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert found, heading
    return found[1]


def follow(heading: str, folder: Path) -> list[str]:
    """Write what the blocks of a section say; the commands that it names then."""
    commands: list[str] = []
    for _, kind, text in FENCE.findall(section_of(heading)):
        if kind == "sh":
            commands += [line.strip() for line in text.splitlines() if line.strip()]
            continue
        place = PLACE.match(text)
        assert place, text
        _write(folder / place[1], place[2], place[3], text[place.end() :])
    return commands


def _write(path: Path, how: str | None, line: str | None, text: str) -> None:
    if how is None:
        assert not path.exists(), path
        path.write_text(text, "utf-8")
        return
    before = path.read_text("utf-8")
    if how == "at the end":
        path.write_text(before + text, "utf-8")
        return
    assert line
    lines = before.splitlines(keepends=True)
    (index, *_) = [i for i, one in enumerate(lines) if one.startswith(line)]
    kept = [] if how == "in place of" else [lines[index]]
    path.write_text("".join([*lines[:index], *kept, text, *lines[index + 1 :]]), "utf-8")


def run(folder: Path, *argv: str) -> str:
    """A command of the copy; its output. It must succeed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.parametrize(
    ("heading", "word", "page"),
    [
        ("Add a layer", "celu", "docs/layers.md"),
        ("Add a merge", "mean", "docs/layers.md"),
        ("Add a lint", "repeated-relu", "docs/diagnostics.md"),
    ],
)
def test_following_the_page_succeeds_at_first_try(
    copy: Path, heading: str, word: str, page: str
) -> None:
    commands = follow(heading, copy)
    assert "make docs" in section_of(heading)
    for name, file in (("layers", "layers.md"), ("explain", "diagnostics.md")):
        made = run(copy, "archdsl", name, "--format", "md")
        (copy / "docs" / file).write_text(made, "utf-8")
    assert f"`{word}`" in (copy / page).read_text("utf-8")
    run(copy, "ruff", "check", "--no-cache", "archdsl", "tests")
    run(copy, "ruff", "format", "--no-cache", "--check", "archdsl", "tests")
    tried = ""
    for command in commands:
        name, *arguments = shlex.split(command)
        assert name == "pytest"
        tried += run(copy, "pytest", "-vv", "-n", "0", "-p", "no:cacheprovider", *arguments)
    assert f"{word}] PASSED" in tried
    # What has been added is there for a user, too.
    if word == "repeated-relu":
        assert "relu" in run(copy, "archdsl", "explain", word)
    else:
        assert word in run(copy, "archdsl", "layers", word)


def test_the_table_of_a_layer_has_all_that_a_definition_may_say() -> None:
    """All names of the base classes of layers, except those that nobody overrides."""
    table = set(re.findall(r"`(\w+)`", section_of("Add a layer")))
    said = {
        name
        for base in (*Layer.__mro__, UnaryLayer, MergeLayer, WeightLayer)
        if base is not object
        for name in {*vars(base), *base.__annotations__}
        if not name.startswith("_")
    }
    assert said - table - {"combine", "fitted", "helpers"} == set()
    assert "combine" in section_of("Add a merge")
