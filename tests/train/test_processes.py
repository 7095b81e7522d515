"""Runs of several processes, on one machine and with gloo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from runs import SGD, SMALL, begin, run, train_command, train_here, write_spec
from safetensors.torch import load_file

import archdsl
from archdsl.recipe import Recipe
from archdsl.train.errors import TrainError
from archdsl.train.finished import open_run
from archdsl.train.folder import RunFolder

pytestmark = pytest.mark.filterwarnings("ignore")


#: A thread each: two processes share two cores.
ALONE = {"OMP_NUM_THREADS": "1"}


def _together(*command: str) -> None:
    """A command under torchrun, as two processes on this machine, with gloo."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, *command[1:]],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **ALONE},
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_follow_one_and_resume(tmp_path: Path) -> None:
    """Under torchrun with gloo: the weights of one process at the same global batch.

    20 steps; the two processes stop after the first epoch and go on from its checkpoint.
    """
    spec = write_spec(tmp_path, SMALL.replace(" dropout 0.5", ""))
    flags = ["--data", "fake:80", "--batch", "8"]
    train_here(tmp_path / "one", spec, *flags, "--epochs", "2")
    two = [*flags, "--devices", "2", "--strategy", "ddp"]
    for more in (["--epochs", "1"], ["--epochs", "2", "--resume", "auto"]):
        _together(*train_command(tmp_path / "two", spec, *two, *more))
    one = load_file(tmp_path / "one" / "run" / "last.safetensors")
    both = load_file(tmp_path / "two" / "run" / "last.safetensors")
    for name in one:
        torch.testing.assert_close(both[name], one[name], rtol=0, atol=1e-5)


def test_shared_weights_are_saved_in_parts_and_are_those_of_ddp(tmp_path: Path) -> None:
    """FSDP2 on two processes: stopped after an epoch, resumed, its whole weights those of DDP."""
    text = SMALL.replace(" dropout 0.5", "").replace(
        "conv 3x3 8 same relu", "conv 3x3 8 same bn relu"
    )
    spec = write_spec(tmp_path, text)
    flags = ["--data", "fake:80", "--batch", "8", "--devices", "2"]
    for strategy, stretches in (("ddp", ["2"]), ("fsdp", ["1", "2"])):
        for epochs in stretches:
            more = ["--epochs", epochs, "--strategy", strategy, "--resume", "auto"]
            _together(*train_command(tmp_path / strategy, spec, *flags, *more))
    ddp, fsdp = (RunFolder(tmp_path / name / "run") for name in ("ddp", "fsdp"))
    for name in ("last.safetensors", "weights.safetensors"):
        whole, parts = (load_file(run.folder / name) for run in (ddp, fsdp))
        for key, tensor in whole.items():
            torch.testing.assert_close(parts[key], tensor, rtol=1e-4, atol=1e-5)
    # The parts of each checkpoint that is there, and no others.
    shards = {torch.load(path, weights_only=True)["shards"] for path in (fsdp.last, fsdp.best)}
    assert {path.name for path in fsdp.checkpoints.glob("shards-*")} == shards
    assert len(list((fsdp.checkpoints / shards.pop()).glob("*.distcp"))) == 2
    assert open_run(fsdp.folder, "last").classes == list("0123")
    before = {path: path.read_bytes() for path in fsdp.folder.rglob("*") if path.is_file()}
    with pytest.raises(TrainError, match="was written with `--strategy fsdp`: resume it likewise"):
        run(
            archdsl.parse(text),
            tmp_path / "fsdp",
            Recipe("fake:80", 8, 3, optimizer=SGD),
            resume="auto",
        )
    assert {path: path.read_bytes() for path in before} == before


def test_a_process_that_dies_ends_the_others(tmp_path: Path) -> None:
    """Of two that the command has started itself: within a minute, with one line."""
    spec = write_spec(tmp_path)
    flags = ["--data", "fake:4000", "--epochs", "900", "--batch", "8", "--devices", "2"]
    process, here = begin(
        tmp_path, train_command(tmp_path, spec, *flags, "--strategy", "ddp"), ALONE
    )
    listed = subprocess.run(
        ["ps", "--ppid", str(process.pid), "-o", "pid=,args="],
        check=True,
        capture_output=True,
        text=True,
    )
    (other,) = [line.split()[0] for line in listed.stdout.splitlines() if "archdsl" in line]
    os.kill(int(other), signal.SIGKILL)
    before = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - before < 60
    assert process.returncode == 2, err
    assert "Traceback" not in err
    assert err.count("lost another process of the run") == 1
    assert torch.load(here.last, weights_only=True)["epoch"] >= 1


def test_a_signal_stops_all_processes_at_one_step(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, SMALL.replace(" dropout 0.5", ""))
    flags = ["--data", "fake:4000", "--batch", "8"]
    two = ["--devices", "2", "--strategy", "ddp"]
    process, _ = begin(
        tmp_path, train_command(tmp_path, spec, *flags, *two, "--epochs", "900"), ALONE
    )
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert out.startswith("Small: stopped after epoch ")
