"""What all tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from command import Result

import archdsl
from archdsl.cli import main
from archdsl.model import Model

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each process has a core: threads of several that wait for one another cost most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
#: More take too long to compare in numbers.
MOST_MACS = 10**10
#: Layers that make a network too large to be one of many.
MANY = 600
sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite the corpus messages")


def sample(path: Path) -> tuple[Model, ...]:
    """The networks of a spec; of a large family the three that take least.

    `archdsl check --prove specs` goes through all of them.
    """
    models = archdsl.load_all(path)
    small = sorted((m for m in models if len(m.nodes) <= MANY), key=lambda m: m.trunk.macs)
    few = small[:3]
    return tuple(model for model in models if model in few and model.trunk.macs < MOST_MACS) or (
        *small[:1],
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, without the tester's chosen for colour."""
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
