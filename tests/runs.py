"""What the tests of training share: a small network, runs of it, and what they left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import archdsl
from archdsl.cli.commands import commands
from archdsl.model import Model
from archdsl.recipe import Recipe, optimizers
from archdsl.train.folder import RunFolder
from archdsl.train.logs import read_metrics
from archdsl.train.options import TrainOptions
from archdsl.train.run import Outcome, train_model
from archdsl.train.stopping import Stopping

SMALL = """
network Small: 16x16x1 → 4 {
  conv 3x3 8 same relu; maxpool 2; conv 3x3 8 same relu; maxpool 2; fc 16 relu dropout 0.5; fc 4
  train { data digits; batch 8; epochs 2; sgd lr=0.05 momentum=0.9 }
}
"""


SGD = optimizers.SGD(lr=0.05, momentum=0.9)


#: What a row says of when it was measured, and not of what.
TIMES = {"images_per_second", "waiting"}


def small() -> Model:
    return archdsl.parse(SMALL)


def run(model: Model, folder: Path, recipe: Recipe, **flags: Any) -> Outcome:
    options = TrainOptions(output=folder, device="cpu", name="run", **flags)
    return train_model(model, archdsl.compile(model), recipe, options)


def train_command(folder: Path, spec: Path, *more: str) -> list[str]:
    words = ["train", str(spec), "--device", "cpu", "--output", str(folder), "--name", "run"]
    return [sys.executable, "-m", "archdsl", *words, *more]


def train_here(folder: Path, spec: Path, *more: str) -> None:
    """The same command in this process: a new one takes seconds to import what it needs."""
    words = train_command(folder, spec, *more)[3:]
    done = CliRunner().invoke(commands, words)
    # What `--deterministic` sets is of the whole process.
    torch.use_deterministic_algorithms(False)
    assert done.exit_code == 0, done.output


def write_spec(folder: Path, text: str = SMALL) -> Path:
    path = folder / "small.arch"
    path.write_text(text, encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    """As many threads as here: sums of several threads are rounded otherwise."""
    return {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}


def begin(
    folder: Path, command: list[str], variables: dict[str, str]
) -> tuple[subprocess.Popen[str], RunFolder]:
    """Start a command, and wait until its run in ``folder`` has saved an epoch."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # No job of SLURM's, which would be put back into its queue.
        env={k: v for k, v in {**os.environ, **variables}.items() if k != "SLURM_JOB_ID"},
    )
    here = RunFolder(folder / "run")
    while not here.last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    return process, here


def states_of(folder: Path) -> tuple[dict[str, Any], list[dict[str, float]]]:
    rows = [
        {k: v for k, v in row.items() if k not in TIMES} for row in read_metrics(RunFolder(folder))
    ]
    return load_file(folder / "last.safetensors"), rows


class StopAt(Stopping):
    """A signal that comes at the given look at it; training and validation look at each step."""

    def __init__(self, look: int) -> None:
        self.looks = look

    @property
    def signal(self) -> int | None:  # type: ignore[override]
        self.looks -= 1
        return int(signal.SIGTERM) if self.looks < 0 else None


def damage_facts(*names: str, value: object = None) -> Any:
    def damage(folder: Path) -> None:
        facts = json.loads((folder / "run.json").read_text("utf-8"))
        place = facts
        for name in names[:-1]:
            place = place[name]
        if value is None:
            del place[names[-1]]
        else:
            place[names[-1]] = value
        (folder / "run.json").write_text(json.dumps(facts), "utf-8")

    return damage
