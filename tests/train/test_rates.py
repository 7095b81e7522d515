"""``archdsl train --find-lr``: a sweep of the rate, against PyTorch's own loop written out."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from oracle import build
from runs import write_spec
from test_steps import SMALL, batch_of, images_of
from torch.nn import functional as F

import archdsl
from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, averages, optimizers, schedules
from archdsl.train.errors import TrainError
from archdsl.train.loading import EpochSampler, mix
from archdsl.train.options import TrainOptions
from archdsl.train.rates import RateSweep, find_rate

pytestmark = pytest.mark.filterwarnings("ignore")

RECIPE = Recipe("fake:24", 8, 2, optimizer=optimizers.SGD(lr=0.05, momentum=0.9))


def sweep_of(folder: Path, recipe: Recipe = RECIPE) -> tuple[RateSweep, list[Path]]:
    model = archdsl.parse(SMALL)
    options = TrainOptions(output=folder, device="cpu")
    return find_rate(model, archdsl.compile(model), recipe, options)


def call(folder: Path, *words: str) -> Result:
    spec = write_spec(folder, SMALL)
    flags = ["--data", "fake:24", "--device", "cpu", "--output", str(folder / "runs")]
    return CliRunner().invoke(commands, ["train", str(spec), *flags, *words])


def test_a_sweep_takes_the_steps_of_a_plain_loop(tmp_path: Path) -> None:
    """20 rates for each power of ten, in three steps an epoch; no schedule and no average."""
    schedule = (schedules.OneCycle(),)
    average = averages.ExponentialMovingAverage()
    found, _ = sweep_of(tmp_path, replace(RECIPE, schedule=schedule, average=average))
    model = archdsl.parse(SMALL)
    images, _ = images_of(model, RECIPE)
    torch.manual_seed(0)
    network = build(model).train()
    optimizer = torch.optim.SGD(network.parameters(), momentum=0.9)
    losses = []
    for number in range(len(found.rates)):
        epoch, step = divmod(number, 3)
        sampler = EpochSampler(24, seed=0, shuffle=True)
        sampler.epoch = epoch
        order = [position % 24 for position in sampler]
        x, labels = batch_of(images, order[8 * step : 8 * step + 8])
        torch.manual_seed(mix(0, epoch, step))
        loss = F.cross_entropy(network(x), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = 10 ** (-6 + number / 20)
        optimizer.step()
    assert len(losses) > 60
    assert found.losses == pytest.approx(losses, rel=1e-3)
    assert found.rates == pytest.approx([10 ** (-6 + i / 20) for i in range(len(losses))], rel=1e-5)


def test_the_proposal_is_a_tenth_of_the_rate_with_the_lowest_loss() -> None:
    falling = RateSweep((0.001, 0.01, 0.1, 1.0), (2.0, 1.0, 0.1, 9.0))
    assert falling.smoothed == pytest.approx(
        [2.0, 2.8 / 1.9, (2 * 0.81 + 0.9 + 0.1) / 2.71, (2 * 0.729 + 0.81 + 0.09 + 9) / 3.439]
    )
    assert (falling.highest, falling.proposal) == (0.1, 0.01)
    assert not falling.has_diverged
    assert RateSweep((1.0, 2.0), (0.1, 1.0)).has_diverged
    assert replace(falling, losses=(2.0, 2.0, 2.0, 2.1)).proposal is None


def test_nothing_is_left_but_the_plot_and_the_numbers(tmp_path: Path) -> None:
    found, paths = sweep_of(tmp_path)
    again, others = sweep_of(tmp_path)
    assert again == found
    assert [path.relative_to(tmp_path).as_posix() for path in paths + others] == [
        f"small-lr{suffix}/lr.{ending}" for suffix in ("", "-2") for ending in ("csv", "svg", "png")
    ]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths + others)
    assert [a.read_bytes() for a in paths] == [b.read_bytes() for b in others]
    with paths[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["lr"]) for row in rows] == list(found.rates)
    assert [float(row["loss"]) for row in rows] == list(found.losses)
    assert [float(row["smoothed_loss"]) for row in rows] == list(found.smoothed)
    assert f"<!-- proposed: {found.proposal:.2g} -->" in paths[1].read_text("utf-8")


def test_what_is_printed(tmp_path: Path) -> None:
    done = call(tmp_path, "--find-lr", "--name", "rates", "--batch", "8")
    assert done.exit_code == 0, done.output
    proposal = sweep_of(tmp_path, Recipe("fake:24", 8))[0].proposal
    first, *others = done.stdout.splitlines()
    assert first.endswith(f"; try --lr {proposal:g}")
    folder = tmp_path / "runs" / "rates"
    assert others == [f"wrote {folder / 'lr'}.{ending}" for ending in ("csv", "svg", "png")]


@pytest.mark.parametrize("flag", ["--lr 0.1", "--epochs 3", "--resume auto", "--dry-run"])
def test_flags_of_training_are_refused(tmp_path: Path, flag: str) -> None:
    done = call(tmp_path, "--find-lr", *flag.split())
    assert done.exit_code == 2
    assert f"`--find-lr` does not train: leave out `{flag.split(maxsplit=1)[0]}`" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_sweep_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "archdsl.train.rates._SweepLoop._measured_sums", lambda _: [float("nan"), 8]
    )
    with pytest.raises(TrainError, match="not a finite number in the first step"):
        sweep_of(tmp_path)
    assert list(tmp_path.iterdir()) == []
