"""Runs that are stopped, by a signal, a kill or a full disk, and what goes on from them."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from runs import (
    SGD,
    SMALL,
    StopAt,
    begin,
    environment,
    run,
    small,
    states_of,
    train_command,
    write_spec,
)
from safetensors.torch import load_file
from torch.utils.data import Dataset

from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, augmentations, averages, optimizers, schedules
from archdsl.train.errors import TrainError
from archdsl.train.finished import open_run
from archdsl.train.logs import read_metrics
from archdsl.train.stopping import Stopping, requeue

pytestmark = pytest.mark.filterwarnings("ignore")


#: Forks what trains, so that many runs need not import torch each; ends when one of them does.
KILLER = """
import os, random, signal, sys, time
import torch
from archdsl.cli import main
import archdsl.train.run
argv, kills = sys.argv[2:], int(sys.argv[1])
made, moment = 0, random.Random(7)
while True:
    child = os.fork()
    if not child:
        sys.stderr = open(os.devnull, "w")
        main(argv)
    if made < kills:
        end = time.monotonic() + moment.uniform(0.02, 0.6)
        while time.monotonic() < end and not os.waitpid(child, os.WNOHANG)[0]:
            time.sleep(0.005)
        if time.monotonic() < end:
            sys.exit(f"over after {made} kills")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        made += 1
    else:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_kills_leave_no_trace(tmp_path: Path) -> None:
    """``kill -9`` at random moments of a run that gets no better: the same bits in the end."""
    text = SMALL.replace("sgd lr=0.05 momentum=0.9", "sgd lr=0.6 momentum=0.9")
    spec = write_spec(tmp_path, text)
    flags = ["--data", "fake:6000", "--epochs", "3", "--batch", "8", "--deterministic"]
    words = train_command(tmp_path / "whole", spec, *flags)[3:]
    done = CliRunner().invoke(commands, words)
    torch.use_deterministic_algorithms(False)
    assert done.exit_code == 0, done.output
    command = train_command(
        tmp_path / "cut", spec, *flags, "--checkpoint-every", "25", "--resume", "auto"
    )
    done = subprocess.run(
        [sys.executable, "-c", KILLER, "15", *command[3:]],
        check=False,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    weights, rows = states_of(tmp_path / "whole" / "run")
    again, rows_again = states_of(tmp_path / "cut" / "run")
    assert rows[-1]["val_loss"] > min(row["val_loss"] for row in rows)
    assert rows_again == rows
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    best = [load_file(tmp_path / name / "run" / "weights.safetensors") for name in ("whole", "cut")]
    assert all(torch.equal(best[0][name], best[1][name]) for name in weights)


# ── Signals ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 138)])
def test_a_signal_ends_the_step_and_saves_the_run(tmp_path: Path, name: str, code: int) -> None:
    spec = write_spec(tmp_path)
    flags = ["--data", "fake:1600", "--epochs", "900", "--batch", "8", "--deterministic"]
    process, here = begin(tmp_path, train_command(tmp_path, spec, *flags), environment())
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    state = torch.load(here.last, weights_only=True)
    assert state["epoch"] == len(read_metrics(here)) >= 1
    step = f", step {state['step']}" if state["step"] else ""
    assert out == (
        f"Small: stopped after epoch {state['epoch']}{step}; resume with the same command and "
        f"--resume {here.folder}\n"
    )
    for path in (here.report, here.weights, here.last_weights, here.folder / "curves.svg"):
        assert path.exists()
    # And it goes on to the bits of a run that was not stopped.
    epochs = str(state["epoch"] + 1)
    for folder, more in ((tmp_path, ["--resume", str(here.folder)]), (tmp_path / "whole", [])):
        words = train_command(folder, spec, *flags[:2], "--epochs", epochs, *flags[4:], *more)
        done = CliRunner().invoke(commands, words[3:])
        torch.use_deterministic_algorithms(False)
        assert done.exit_code == 0, done.output
    weights, rows = states_of(here.folder)
    expected, expected_rows = states_of(tmp_path / "whole" / "run")
    assert rows == expected_rows
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


PLATEAU = Recipe(
    "fake:20",
    8,
    2,
    optimizer=optimizers.SGD(lr=0.1, momentum=0.9),
    schedule=(schedules.Plateau(patience=1),),
)


MODERN = replace(
    PLATEAU,
    augment=(augmentations.RandAugment(), augmentations.MixUp(0.2), augmentations.CutMix()),
    schedule=(schedules.OneCycle(),),
    average=averages.ExponentialMovingAverage(steps=2, decay=0.8),
    clip=0.5,
)


@pytest.mark.parametrize("recipe", [PLATEAU, MODERN], ids=["plateau", "modern"])
@pytest.mark.parametrize("look", range(9))
def test_a_run_goes_on_from_any_step_and_from_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int, recipe: Recipe
) -> None:
    """Two epochs of three steps and one of validation, with dropout and momentum."""
    expected, rows = states_of(run(small(), tmp_path / "whole", recipe).run.folder)

    class Watch:
        def __enter__(self) -> Stopping:
            return StopAt(look)

        def __exit__(self, *_: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr("archdsl.train.run.watch_signals", Watch)
        outcome = run(small(), tmp_path / "cut", recipe)
    assert outcome.signal == (signal.SIGTERM if look < 8 else None)
    if look == 0:
        assert str(outcome.progress) == "step 1"
        assert open_run(outcome.run.folder).classes == list("0123")  # no best weights yet
    outcome = run(small(), tmp_path / "cut", recipe, resume="auto")
    assert bool(outcome.metrics) == (look < 8)  # the validation alone is left to do, or nothing
    weights, rows_again = states_of(outcome.run.folder)
    assert rows_again == rows
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_slurm_requeues_where_it_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {said}\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not requeue(signal.SIGUSR1)
    monkeypatch.setenv("SLURM_JOB_ID", "412")
    assert not requeue(signal.SIGTERM)
    assert not said.exists()
    assert requeue(signal.SIGUSR1)
    assert said.read_text() == "requeue 412\n"
    scontrol.write_text("#!/bin/sh\necho 'not allowed' >&2\nexit 1\n")
    with pytest.raises(TrainError, match="is saved, but job 412 is not requeued: not allowed"):
        requeue(signal.SIGUSR1)


# ── The disk ───────────────────────────────────────────────────────────────────────────────────


def test_a_disk_that_is_full_at_any_write_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write fails in turn: one line that names the file; the run goes on to the same bits."""
    recipe = Recipe("fake:16", 8, 2)
    expected, rows = states_of(run(small(), tmp_path / "whole", recipe).run.folder)
    real, named, number = os.fsync, set(), 0
    while True:
        left = [number]

        def full(handle: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(handle)

        folder = tmp_path / str(number)
        monkeypatch.setattr(os, "fsync", full)
        try:
            run(small(), folder, recipe)
        except TrainError as fault:
            monkeypatch.setattr(os, "fsync", real)
            text, _, reason = str(fault).rpartition(": ")
            assert reason == "No space left on device"
            named.add(Path(text.removeprefix("cannot write ")).name)
            assert not [path for path in folder.rglob(".*") if path.name != ".lock"]
        else:
            break
        outcome = run(small(), folder, recipe, resume="auto")
        weights, rows_again = states_of(outcome.run.folder)
        assert rows_again == rows
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
        number += 1
    assert named == {
        "spec.arch",
        "module.py",
        "run.json",
        "weights.safetensors",
        "last.ckpt",
        "best.ckpt",
        "metrics.csv",
        "last.safetensors",
        "curves.svg",
        "curves.png",
        "report.md",
    }


# ── What is not a number ─────────────────────────────────────────────────────────────────────────


def test_weights_that_are_destroyed_are_not_kept(tmp_path: Path) -> None:
    """The loss before the step is finite, and that of the validation behind it is not."""
    recipe = Recipe("fake:16", 16, 1, optimizer=optimizers.SGD(lr=1e30))
    with pytest.raises(TrainError, match=r"the validation loss is not a finite number in epoch 1$"):
        run(small(), tmp_path, recipe)
    names = {path.name for path in (tmp_path / "run").rglob("*")}
    assert not names & {"weights.safetensors", "last.ckpt", "best.ckpt"}


# ── Workers ────────────────────────────────────────────────────────────────────────────────────


class Drawing(Dataset[Any]):
    """The user's own images, drawn anew each time, from all three generators."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        noise = torch.rand(1, 16, 16) + random.random() + np.random.rand()
        return (60 * noise + index % 4).to(torch.uint8), index % 4


def test_what_own_data_draw_hangs_on_the_seed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("drawn_data")
    module.make = lambda: (Drawing(), Drawing(), list("abcd"))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "drawn_data", module)
    recipe = Recipe("drawn_data:make", 8, 2, optimizer=SGD)
    expected, rows = states_of(run(small(), tmp_path / "0", recipe, workers=0).run.folder)
    found = [run(small(), tmp_path / "2", recipe, workers=2).run.folder]
    with monkeypatch.context() as patch:
        patch.setattr("archdsl.train.run.watch_signals", lambda: nullcontext(StopAt(1)))
        run(small(), tmp_path / "cut", recipe, workers=1)
    found.append(run(small(), tmp_path / "cut", recipe, workers=0, resume="auto").run.folder)
    for folder in found:
        weights, rows_again = states_of(folder)
        assert rows_again == rows
        assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_fault_in_a_worker_ends_the_workers(tmp_path: Path) -> None:
    """Though they react to no signal: the command would wait for them for ever."""
    for part in ("train", "val"):
        for name in "abcd":
            folder = tmp_path / "set" / part / name
            folder.mkdir(parents=True)
            (folder / "0.png").write_bytes(b"no picture")
    spec = write_spec(tmp_path)
    words = ["--data", f"folder:{tmp_path / 'set'}", "--epochs", "1", "--workers", "2"]
    done = subprocess.run(
        train_command(tmp_path, spec, *words),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "broken image" in done.stderr
