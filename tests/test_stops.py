"""Runs that are stopped, by a signal, a kill or a full disk, and what goes on from them."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from test_train import SMALL, _spec, _train_command, run, small
from torch.utils.data import Dataset

import archdsl
from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, augmentations, averages, optimizers, schedules
from archdsl.train.choice import hold
from archdsl.train.faults import TrainFault
from archdsl.train.finished import open_run
from archdsl.train.folder import Run
from archdsl.train.logs import read_metrics
from archdsl.train.options import Options
from archdsl.train.run import train
from archdsl.train.stopping import Stopping, requeue

pytestmark = pytest.mark.filterwarnings("ignore")

SGD = optimizers.SGD(lr=0.05, momentum=0.9)

#: What a row says of when it was measured, and not of what.
TIMES = {"images_per_second", "waiting"}

#: Forks what trains, so that 30 runs need not import torch 30 times; ends when one of them does.
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


def environment() -> dict[str, str]:
    """As many threads as here: sums of several threads are rounded otherwise."""
    return {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}


def states_of(folder: Path) -> tuple[dict[str, Any], list[dict[str, float]]]:
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in read_metrics(Run(folder))]
    return load_file(folder / "last.safetensors"), rows


def test_thirty_kills_leave_no_trace(tmp_path: Path) -> None:
    """``kill -9`` at random moments of a run that gets no better: the same bits in the end."""
    text = SMALL.replace("sgd lr=0.05 momentum=0.9", "sgd lr=0.6 momentum=0.9")
    spec = _spec(tmp_path, text)
    flags = ["--data", "fake:6000", "--epochs", "3", "--batch", "8", "--deterministic"]
    words = _train_command(tmp_path / "whole", spec, *flags)[3:]
    done = CliRunner().invoke(commands, words)
    torch.use_deterministic_algorithms(False)
    assert done.exit_code == 0, done.output
    command = _train_command(
        tmp_path / "cut", spec, *flags, "--checkpoint-every", "25", "--resume", "auto"
    )
    done = subprocess.run(
        [sys.executable, "-c", KILLER, "30", *command[3:]],
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


# ── Signals ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 138)])
def test_a_signal_ends_the_step_and_saves_the_run(tmp_path: Path, name: str, code: int) -> None:
    spec = _spec(tmp_path)
    flags = ["--data", "fake:4000", "--epochs", "900", "--batch", "8", "--deterministic"]
    process = subprocess.Popen(
        _train_command(tmp_path, spec, *flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in environment().items() if k != "SLURM_JOB_ID"},
    )
    here = Run(tmp_path / "run")
    while not here.last.exists():  # the first epoch
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
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
        words = _train_command(folder, spec, *flags[:2], "--epochs", epochs, *flags[4:], *more)
        done = CliRunner().invoke(commands, words[3:])
        torch.use_deterministic_algorithms(False)
        assert done.exit_code == 0, done.output
    weights, rows = states_of(here.folder)
    expected, expected_rows = states_of(tmp_path / "whole" / "run")
    assert rows == expected_rows
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


class StopAt(Stopping):
    """A signal that comes at the given look at it; training and validation look at each step."""

    def __init__(self, look: int) -> None:
        self.looks = look

    @property
    def signal(self) -> int | None:  # type: ignore[override]
        self.looks -= 1
        return int(signal.SIGTERM) if self.looks < 0 else None


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
    with pytest.raises(TrainFault, match="is saved, but job 412 is not requeued: not allowed"):
        requeue(signal.SIGUSR1)


# ── What may change, and what not ────────────────────────────────────────────────────────────


def test_a_rate_given_on_resuming_counts_and_the_report_tells_both(tmp_path: Path) -> None:
    """As if the rate had fallen by the schedule: momentum and all else go on."""
    fast, slow = (optimizers.SGD(lr=lr, momentum=0.9) for lr in (0.1, 0.01))
    recipe = Recipe("fake:16", 8, 2, optimizer=fast)
    falling = replace(recipe, epochs=4, schedule=(schedules.Steps((2,), 0.1),))
    expected, _ = states_of(run(small(), tmp_path / "whole", falling).run.folder)
    run(small(), tmp_path / "cut", recipe)
    outcome = run(
        small(), tmp_path / "cut", replace(recipe, epochs=4, optimizer=slow), resume="auto"
    )
    weights, rows = states_of(outcome.run.folder)
    assert [row["lr"] for row in rows] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-6, atol=1e-7)
    report = outcome.run.report.read_text("utf-8")
    assert "sgd lr=0.01 weight_decay=0.0 momentum=0.9 nesterov=False" in report
    assert "\nUntil epoch 2: epochs 2, optimizer sgd lr=0.1 weight_decay=0.0 momentum=0.9" in report
    facts = json.loads(outcome.run.facts.read_text("utf-8"))
    assert facts["earlier"][0]["until"] == "epoch 2"
    # A third part with nothing new is no third stretch.
    outcome = run(
        small(), tmp_path / "cut", replace(recipe, epochs=5, optimizer=slow), resume="auto"
    )
    facts = json.loads(outcome.run.facts.read_text("utf-8"))
    assert [part["until"] for part in facts["earlier"]] == ["epoch 2", "epoch 4"]


@pytest.mark.parametrize(
    ("change", "flags", "said"),
    [
        ({"optimizer": optimizers.Adam()}, {}, "began with sgd, and cannot go on with adam"),
        ({"batch": 4}, {}, "is amid epoch 1, which has a batch of 8, not 4"),
        ({}, {"seed": 5}, "is amid epoch 1, which has a seed of 0, not 5"),
        ({"data": "fake:24"}, {}, "began with the data fake:16, and cannot go on with fake:24"),
    ],
)
def test_a_run_does_not_go_on_as_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, flags: Any, said: str
) -> None:
    recipe = Recipe("fake:16", 8, 2, optimizer=optimizers.SGD())
    monkeypatch.setattr(Stopping, "__init__", lambda self: setattr(self, "signal", signal.SIGTERM))
    here = run(small(), tmp_path, recipe).run
    before = {path: path.read_bytes() for path in here.folder.rglob("*") if path.is_file()}
    with pytest.raises(TrainFault, match=said):
        run(small(), tmp_path, replace(recipe, **change), resume="auto", **flags)
    assert {path: path.read_bytes() for path in before} == before


def test_what_a_run_was_told_is_in_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``run.json`` may be that of a try to go on which was killed before it saved anything."""
    recipe = Recipe("fake:16", 8, 2, optimizer=optimizers.SGD())
    expected, _ = states_of(run(small(), tmp_path / "whole", recipe).run.folder)
    with monkeypatch.context() as patch:
        patch.setattr(Stopping, "__init__", lambda self: setattr(self, "signal", signal.SIGTERM))
        here = run(small(), tmp_path, recipe).run
    _damage_facts("recipe", "batch", value=4)(here.folder)
    with pytest.raises(TrainFault, match="which has a batch of 8, not 4"):
        run(small(), tmp_path, replace(recipe, batch=4), resume="auto")
    weights, _ = states_of(run(small(), tmp_path, recipe, resume="auto").run.folder)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_what_a_killed_process_left_is_put_in_order(tmp_path: Path) -> None:
    """Half a file; and the best checkpoint where the last was written and it was not."""
    recipe = Recipe("fake:16", 8, 1, optimizer=optimizers.SGD())
    here = run(small(), tmp_path, recipe).run
    half = here.checkpoints / ".last.ckpt.abcdefgh"
    half.write_bytes(b"half")
    here.best.unlink()
    here.best.write_bytes(b"old")
    assert run(small(), tmp_path, recipe, resume="auto").metrics == {}
    assert not half.exists()
    assert here.best.read_bytes() == here.last.read_bytes()


def test_going_on_from_the_best_makes_it_the_last(tmp_path: Path) -> None:
    recipe = Recipe("fake:24", 8, 6, optimizer=optimizers.SGD(lr=1.2, momentum=0.95))
    here = run(small(), tmp_path, recipe).run
    epoch = torch.load(here.best, weights_only=True)["epoch"]
    assert epoch < 6
    run(small(), tmp_path, replace(recipe, epochs=epoch), resume=here.best)
    assert torch.load(here.last, weights_only=True)["epoch"] == epoch


@pytest.mark.parametrize("name", ["exp0.1", "run.v2"])
def test_a_folder_with_a_dot_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    options = Options(output=tmp_path, device="cpu", name=name)
    recipe = Recipe("fake:16", 8, 1)
    here = train(small(), archdsl.compile(small()), recipe, options).run.folder
    monkeypatch.chdir(here / "checkpoints")
    for path in (here, Path("last.ckpt"), here / "checkpoints" / "last.ckpt"):
        outcome = train(
            small(), archdsl.compile(small()), recipe, replace(options, resume=path, name=None)
        )
        assert outcome.run.folder.resolve() == here


def test_a_run_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    late = averages.ExponentialMovingAverage(steps=1000)
    for recipe, flags, said in (
        (Recipe("fake:16", 8, 2, average=late), {}, "the run has 4 steps"),
        (Recipe("fake:16", 8, 1), {"accumulate": 3}, "cannot be split into 3"),
        (Recipe("fake:16", 8, 1), {"resume": tmp_path / "nope"}, "there is no checkpoint"),
    ):
        with pytest.raises(TrainFault, match=said):
            run(small(), tmp_path / "runs", recipe, **flags)
    assert not list(tmp_path.rglob("*run*/*"))
    assert not (tmp_path / "nope").exists()


def test_files_of_others_are_no_run_to_go_on_with(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.md").write_text("mine")
    with pytest.raises(TrainFault, match="has files that are not of a run"):
        run(small(), tmp_path, Recipe("fake:16", 8, 1), resume="auto")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["report.md"]


def test_weights_that_are_destroyed_are_not_kept(tmp_path: Path) -> None:
    """The loss before the step is finite, and that of the validation behind it is not."""
    recipe = Recipe("fake:16", 16, 1, optimizer=optimizers.SGD(lr=1e30))
    with pytest.raises(TrainFault, match=r"the validation loss is no finite number in epoch 1$"):
        run(small(), tmp_path, recipe)
    names = {path.name for path in (tmp_path / "run").rglob("*")}
    assert not names & {"weights.safetensors", "last.ckpt", "best.ckpt"}


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
    """Though they heed no signal: else the command would wait for them for ever."""
    for part in ("train", "val"):
        for name in "abcd":
            folder = tmp_path / "set" / part / name
            folder.mkdir(parents=True)
            (folder / "0.png").write_bytes(b"no picture")
    spec = _spec(tmp_path)
    words = ["--data", f"folder:{tmp_path / 'set'}", "--epochs", "1", "--workers", "2"]
    done = subprocess.run(
        _train_command(tmp_path, spec, *words),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "broken image" in done.stderr


def test_one_run_at_a_time_in_a_folder(tmp_path: Path) -> None:
    recipe = Recipe("fake:16", 8, 1)
    first = run(small(), tmp_path, recipe).run
    with hold(first), pytest.raises(TrainFault, match=r"another process trains in .*run$"):
        run(small(), tmp_path, replace(recipe, epochs=2), resume="auto")
    assert run(small(), tmp_path, replace(recipe, epochs=2), resume="auto").epochs == 2


# ── The disk ─────────────────────────────────────────────────────────────────────────────────


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
        except TrainFault as fault:
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


# ── What was tampered with ───────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(small(), tmp_path_factory.mktemp("trained"), Recipe("fake:16", 8, 1)).run.folder


def _damage_facts(*names: str, value: object = None) -> Any:
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


DAMAGES: dict[str, tuple[Any, str]] = {
    "no JSON": (lambda f: (f / "run.json").write_text("{"), "is no folder of a run"),
    "a list": (lambda f: (f / "run.json").write_text("[]"), "does not say what a run is"),
    "no class": (_damage_facts("class"), "is damaged: `class` is not there"),
    "no classes": (_damage_facts("data", "classes"), "is damaged: `data.classes` is not there"),
    "no data": (_damage_facts("data"), "is damaged: `data.name` is not there"),
    "an odd class": (_damage_facts("data", "classes", value=[1, 2]), "are no names"),
    "fewer classes": (
        _damage_facts("data", "classes", value=["a"]),
        "1 class, .* gives 4 numbers",
    ),
    "an odd input": (_damage_facts("input", value=[16, -1, 1]), r"`input` is \[16, -1, 1\]"),
    "another input": (_damage_facts("input", value=[8, 9, 1]), "does not run: "),
    "a short mean": (_damage_facts("data", "mean", value=[]), r"`data.mean` is \[\]"),
    "no module": (lambda f: (f / "module.py").unlink(), "cannot read .*module.py"),
    "no Python": (lambda f: (f / "module.py").write_text("class"), "cannot be run: SyntaxError"),
    "an error": (lambda f: (f / "module.py").write_text("1 / 0"), "run: ZeroDivisionError"),
    "another class": (lambda f: (f / "module.py").write_text("x = 1"), "has no network Small"),
    "half weights": (
        lambda f: (f / "weights.safetensors").write_bytes(
            (f / "weights.safetensors").read_bytes()[:999]
        ),
        "weights.safetensors is no file of weights",
    ),
    "no weights at all": (
        lambda f: [p.unlink() for p in (*f.glob("*.safetensors"), *f.glob("checkpoints/*"))],
        "has no weights yet",
    ),
    "a checkpoint that is none": (
        lambda f: (f / "checkpoints" / "last.ckpt").write_bytes(b"\x80\x02c__main__\nx\n."),
        "last.ckpt is no checkpoint of a run",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_that_was_tampered_with_is_told_in_one_line(
    tmp_path: Path, trained: Path, damage: str
) -> None:
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", trained, folder], check=True)
    change, said = DAMAGES[damage]
    change(folder)
    image = tmp_path / "a.png"
    from PIL import Image

    Image.new("L", (20, 30), 128).save(image)
    for words in (["evaluate", str(folder)], ["predict", str(folder), str(image)]):
        done = CliRunner().invoke(commands, words)
        assert done.exit_code == 2, done.output
        assert len(done.stderr.splitlines()) == 1, done.stderr
        import re

        assert re.search(said, done.stderr), done.stderr


def test_weights_and_checkpoints_are_taken_everywhere(tmp_path: Path, trained: Path) -> None:
    spec = _spec(tmp_path)
    for weights in ("weights.safetensors", "last.safetensors", "checkpoints/best.ckpt"):
        path = str(trained / weights)
        for words in (
            ["export", str(spec), "--onnx", "--weights", path],
            ["weights", "port", path, str(spec), "--quiet"],
        ):
            output = tmp_path / f"{words[0]}.{'onnx' if words[0] == 'export' else 'safetensors'}"
            words += ["--force", "-o", str(output)]
            done = CliRunner().invoke(commands, words)
            assert done.exit_code == 0, done.output


def test_a_run_is_exported_with_its_best_weights(tmp_path: Path, trained: Path) -> None:
    import onnxruntime

    output = tmp_path / "run.onnx"
    done = CliRunner().invoke(commands, ["export", str(trained), "--onnx", "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert "the weights are those of" in done.stderr
    images = torch.randn(2, 1, 16, 16)
    (found,) = onnxruntime.InferenceSession(output).run(None, {"image": images.numpy()})
    expected = open_run(trained, "best").network(images)
    torch.testing.assert_close(torch.tensor(found), expected, rtol=1e-4, atol=1e-5)


def test_predict_goes_on_behind_an_image_that_is_broken(tmp_path: Path, trained: Path) -> None:
    from PIL import Image

    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path in paths:
        Image.new("L", (20, 30), 128).save(path)
    paths[1].write_bytes(b"no picture")
    done = CliRunner().invoke(commands, ["predict", str(trained), *map(str, paths)])
    assert done.exit_code == 2
    assert [line for line in done.stdout.splitlines() if line[0] != " "] == [
        str(paths[0]),
        str(paths[2]),
    ]
    assert done.stderr.count("broken image") == 1


# ── Several processes ────────────────────────────────────────────────────────────────────────


def _together(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command under torchrun, as two processes on this machine, with gloo."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, *command[1:]],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def test_shared_weights_are_saved_in_parts_and_are_those_of_ddp(tmp_path: Path) -> None:
    """FSDP2 on two processes: stopped after an epoch, resumed, its whole weights those of DDP."""
    text = SMALL.replace(" dropout 0.5", "").replace(
        "conv 3x3 8 same relu", "conv 3x3 8 same bn relu"
    )
    spec = _spec(tmp_path, text)
    flags = ["--data", "fake:80", "--batch", "8", "--devices", "2"]
    for strategy, stretches in (("ddp", ["2"]), ("fsdp", ["1", "2"])):
        for epochs in stretches:
            more = ["--epochs", epochs, "--strategy", strategy, "--resume", "auto"]
            _together(*_train_command(tmp_path / strategy, spec, *flags, *more))
    ddp, fsdp = (Run(tmp_path / name / "run") for name in ("ddp", "fsdp"))
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
    with pytest.raises(TrainFault, match="was written with `--strategy fsdp`: go on likewise"):
        run(
            archdsl.parse(text),
            tmp_path / "fsdp",
            Recipe("fake:80", 8, 3, optimizer=SGD),
            resume="auto",
        )
    assert {path: path.read_bytes() for path in before} == before


def test_a_process_that_dies_ends_the_others(tmp_path: Path) -> None:
    """Of two that the command has started itself: within a minute, with one line."""
    spec = _spec(tmp_path)
    flags = ["--data", "fake:4000", "--epochs", "900", "--batch", "8", "--devices", "2"]
    process = subprocess.Popen(
        _train_command(tmp_path, spec, *flags, "--strategy", "ddp"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    here = Run(tmp_path / "run")
    while not here.last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
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
    spec = _spec(tmp_path, SMALL.replace(" dropout 0.5", ""))
    flags = ["--data", "fake:4000", "--batch", "8"]
    two = ["--devices", "2", "--strategy", "ddp"]
    process = subprocess.Popen(
        _train_command(tmp_path, spec, *flags, *two, "--epochs", "900"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    here = Run(tmp_path / "run")
    while not here.last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert out.startswith("Small: stopped after epoch ")
