"""Going on with a run: which one, from where, and with what."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from runs import SMALL, damage_facts, run, small, states_of, train_command, write_spec

import archdsl
from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, optimizers, schedules
from archdsl.train.errors import TrainError
from archdsl.train.logs import read_metrics
from archdsl.train.options import TrainOptions
from archdsl.train.run import train_model
from archdsl.train.stopping import Stopping

pytestmark = pytest.mark.filterwarnings("ignore")


# ── The network ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "16 relu",
            "17 relu",
            r"another Small: `nn.Linear\(.*, 17\),` was `nn.Linear\(",
        ),
        (
            "16 relu",
            "16 tanh",
            r"another Small: `nn.Tanh\(\),` was `nn.ReLU\(\),`; train",
        ),
        ("network Small", "network Other", "is a run of Small, not of Other"),
    ],
)
def test_a_run_goes_on_with_the_network_that_it_began_with(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    recipe = Recipe("fake:16", 8, 2)
    first = run(small(), tmp_path, replace(recipe, epochs=1)).run
    before = {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}
    with pytest.raises(TrainError, match=said):
        run(archdsl.parse(SMALL.replace(old, new, 1)), tmp_path, recipe, resume="auto")
    assert {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()} == before
    commented = archdsl.parse(f"# What is said of it may change.\n{SMALL}")
    assert run(commented, tmp_path, recipe, resume="auto").epochs == 2


# ── Where it is ────────────────────────────────────────────────────────────────────────────────


def test_a_resumed_run_keeps_its_history(tmp_path: Path) -> None:
    run(small(), tmp_path, Recipe("fake:16", 8, 2))
    outcome = run(small(), tmp_path, Recipe("fake:16", 8, 4), resume="auto")
    assert len(read_metrics(outcome.run)) == 4
    assert "4 of 4 epochs" in outcome.run.report.read_text("utf-8")


def test_a_run_goes_forward(tmp_path: Path) -> None:
    first = run(small(), tmp_path, Recipe("fake:16", 8, 2)).run
    last = first.checkpoints / "last.ckpt"
    before = last.read_bytes()
    with pytest.raises(TrainError, match="has 2 epochs behind it, which is more than 1"):
        run(small(), tmp_path, Recipe("fake:16", 8, 1), resume="auto")
    outcome = run(small(), tmp_path, Recipe("fake:16", 8, 2), resume="auto")
    assert (outcome.epochs, outcome.metrics) == (2, {})
    assert last.read_bytes() == before
    for broken in (b"", before[: len(before) // 2], b"no checkpoint", b"\x80\x02c__main__\nx\n."):
        last.write_bytes(broken)
        with pytest.raises(
            TrainError, match=r"last\.ckpt is not a checkpoint of a run, or incomplete"
        ):
            run(small(), tmp_path, Recipe("fake:16", 8, 3), resume="auto")


def test_nothing_left_to_train_is_said(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    words = train_command(tmp_path, spec, "--data", "fake:16", "--epochs", "1")[3:]
    for more, said in (
        ([], "top-1"),
        (["--resume", "auto"], "nothing left to train after 1 epoch"),
    ):
        done = CliRunner().invoke(commands, [*words, *more])
        assert done.exit_code == 0, done.output
        assert f"Small: {'validation ' * (not more)}{said}" in done.stdout


def test_only_a_run_goes_on(tmp_path: Path) -> None:
    """A checkpoint from elsewhere: nothing is written beside it."""
    first = run(small(), tmp_path, Recipe("fake:16", 8, 1)).run
    other = tmp_path / "elsewhere" / "checkpoints" / "last.ckpt"
    other.parent.mkdir(parents=True)
    other.write_bytes((first.checkpoints / "last.ckpt").read_bytes())
    for path in (other, other.parent.parent):
        with pytest.raises(TrainError, match="elsewhere is not the folder of a run"):
            run(small(), tmp_path, Recipe("fake:16", 8, 2), resume=path)
    assert [path.name for path in (tmp_path / "elsewhere").rglob("*")] == [
        "checkpoints",
        "last.ckpt",
    ]


def test_resuming_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="there is no checkpoint"):
        run(small(), tmp_path, Recipe("fake:32", 8, 1), resume=tmp_path / "none.ckpt")


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
    options = TrainOptions(output=tmp_path, device="cpu", name=name)
    recipe = Recipe("fake:16", 8, 1)
    here = train_model(small(), archdsl.compile(small()), recipe, options).run.folder
    monkeypatch.chdir(here / "checkpoints")
    for path in (here, Path("last.ckpt"), here / "checkpoints" / "last.ckpt"):
        outcome = train_model(
            small(), archdsl.compile(small()), recipe, replace(options, resume=path, name=None)
        )
        assert outcome.run.folder.resolve() == here


def test_what_was_killed_before_it_had_begun_begins(tmp_path: Path) -> None:
    """A job that may be killed at any time carries `--resume auto`."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", ".run.json.abcdefgh"):
        (folder / name).write_bytes(b"")
    assert run(small(), tmp_path, Recipe("fake:16", 8, 1), resume="auto").run.folder == folder
    assert not (folder / ".run.json.abcdefgh").exists()


def test_files_of_others_are_no_run_to_go_on_with(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.md").write_text("mine")
    with pytest.raises(TrainError, match="has files that are not those of a run"):
        run(small(), tmp_path, Recipe("fake:16", 8, 1), resume="auto")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["report.md"]


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


# ── What may change, and what not ──────────────────────────────────────────────────────────────


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
    # A third part with nothing new does not add a stretch.
    outcome = run(
        small(), tmp_path / "cut", replace(recipe, epochs=5, optimizer=slow), resume="auto"
    )
    facts = json.loads(outcome.run.facts.read_text("utf-8"))
    assert [part["until"] for part in facts["earlier"]] == ["epoch 2", "epoch 4"]


@pytest.mark.parametrize(
    ("change", "flags", "said"),
    [
        ({"optimizer": optimizers.Adam()}, {}, "began with sgd, and cannot continue with adam"),
        ({"batch": 4}, {}, "is in the middle of epoch 1, which has a batch of 8, not 4"),
        ({}, {"seed": 5}, "is in the middle of epoch 1, which has a seed of 0, not 5"),
        ({"data": "fake:24"}, {}, "began with the data fake:16, and cannot continue with fake:24"),
    ],
)
def test_a_run_does_not_go_on_as_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, flags: Any, said: str
) -> None:
    recipe = Recipe("fake:16", 8, 2, optimizer=optimizers.SGD())
    monkeypatch.setattr(Stopping, "__init__", lambda self: setattr(self, "signal", signal.SIGTERM))
    here = run(small(), tmp_path, recipe).run
    before = {path: path.read_bytes() for path in here.folder.rglob("*") if path.is_file()}
    with pytest.raises(TrainError, match=said):
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
    damage_facts("recipe", "batch", value=4)(here.folder)
    with pytest.raises(TrainError, match="which has a batch of 8, not 4"):
        run(small(), tmp_path, replace(recipe, batch=4), resume="auto")
    weights, _ = states_of(run(small(), tmp_path, recipe, resume="auto").run.folder)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
