"""Training: what a run leaves, that it learns, and that nothing is lost when it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from conftest import ROOT
from runs import (
    SMALL,
    run,
    small,
    train_command,
    train_here,
    write_spec,
)
from safetensors.torch import load_file
from torch import nn

import archdsl
from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, optimizers, schedules
from archdsl.recipe.losses import CrossEntropy, MeanSquaredError
from archdsl.train import keeping
from archdsl.train.checkpoints import write_atomically
from archdsl.train.errors import TrainError
from archdsl.train.loading import EpochSampler
from archdsl.train.logs import read_metrics
from archdsl.train.task import Classification

pytestmark = pytest.mark.filterwarnings("ignore")


# ── What a run leaves ────────────────────────────────────────────────────────────────────────


def test_a_run_leaves_all_it_promises(tmp_path: Path) -> None:
    model = small()
    outcome = run(model, tmp_path, Recipe("fake:32", 8, 2, optimizer=optimizers.SGD(lr=0.05)))
    names = {
        path.relative_to(tmp_path / "run").as_posix() for path in outcome.run.folder.rglob("*")
    }
    assert {
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "curves.png",
        "curves.svg",
        "metrics.csv",
        "module.py",
        "report.md",
        "run.json",
        "spec.arch",
        "last.safetensors",
        "weights.safetensors",
    } <= names
    assert any("tfevents" in name for name in names)
    assert (outcome.run.folder / "spec.arch").read_text("utf-8") == SMALL
    assert outcome.run.module.read_text("utf-8") == archdsl.compile(model)
    facts = json.loads(outcome.run.facts.read_text("utf-8"))
    assert facts["recipe"]["optimizer"] == {
        "name": "sgd",
        "lr": 0.05,
        "weight_decay": 0.0,
        "norm_weight_decay": None,
        "bias_weight_decay": None,
        "momentum": 0.0,
        "nesterov": False,
    }
    assert len(facts["data"]["classes"]) == 4
    assert facts["versions"]["torch"] == torch.__version__
    epochs = read_metrics(outcome.run)
    assert [set(row) >= {"train_loss", "train_top1", "val_loss", "val_top1"} for row in epochs] == [
        True,
        True,
    ]
    assert "Best validation top-1" in outcome.run.report.read_text("utf-8")


def test_the_weights_are_the_networks(tmp_path: Path) -> None:
    outcome = run(small(), tmp_path, Recipe("fake:16", 8, 1))
    for weights, checkpoint in (("weights", "best"), ("last", "last")):
        state = load_file(outcome.run.folder / f"{weights}.safetensors")
        path = outcome.run.checkpoints / f"{checkpoint}.ckpt"
        saved = torch.load(path, weights_only=True)["network"]
        assert state.keys() == saved.keys()
        assert all(torch.equal(state[name], saved[name]) for name in state)


def test_a_dry_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it write a checkpoint of perhaps a gigabyte only to delete it."""
    monkeypatch.setattr(keeping, "write_checkpoint", None)
    monkeypatch.setattr(keeping, "write_atomically", None)
    run(small(), tmp_path, Recipe("fake:16", 8, 3), dry_run=True)
    assert list(tmp_path.iterdir()) == []


def test_files_have_the_users_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, lambda target: Path(target).write_text("a"))
    plain = tmp_path / "b.txt"
    plain.write_text("b")
    assert path.stat().st_mode == plain.stat().st_mode


# ── Learning ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("fake:32", 16, 6, optimizer=optimizers.SGD(lr=0.05, momentum=0.9)),
        Recipe("fake:32", 16, 6, optimizer=optimizers.Adam(lr=0.003), loss=MeanSquaredError()),
        Recipe("fake:32", 16, 6, optimizer=optimizers.AdamW(lr=0.003), loss=CrossEntropy(0.1)),
        Recipe("fake:32", 16, 6, optimizer=optimizers.RMSprop(lr=0.001)),
        Recipe("fake:32", 16, 6, schedule=(schedules.Warmup(2), schedules.Cosine())),
        Recipe("fake:32", 16, 6, schedule=(schedules.Plateau(patience=1),)),
    ],
    ids=lambda recipe: f"{recipe.optimizer.name}-{recipe.loss.name}-{len(recipe.schedule)}",
)
def test_the_loss_falls(recipe: Recipe, tmp_path: Path) -> None:
    outcome = run(small(), tmp_path, recipe)
    epochs = read_metrics(outcome.run)
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.arch")), ids=lambda p: p.stem)
def test_every_seed_network_takes_a_step(path: Path, tmp_path: Path) -> None:
    """A real step of training and of validation through the whole trainer."""
    model = archdsl.load_all(path)[-1]
    if not model.output.is_vector:
        with pytest.raises(TrainError, match="one number per class"):
            run(model, tmp_path, Recipe("fake:64", 2, 1), dry_run=True)
        return
    recipe = replace(model.recipe or Recipe(), data="fake:64", batch=2, augment=())
    outcome = run(model, tmp_path, replace(recipe, schedule=()), dry_run=True)
    assert outcome.metrics["train_loss"] > 0


def test_nin_overfits_64_images(tmp_path: Path) -> None:
    model = archdsl.load(ROOT / "specs" / "nin_cifar10.arch")
    recipe = Recipe("fake:64", 2, 12, optimizer=optimizers.Adam(lr=0.0002))
    outcome = run(model, tmp_path, recipe, overfit=64)
    assert max(row["val_top1"] for row in read_metrics(outcome.run)) >= 0.99


def test_a_narrow_googlenet_overfits_64_images(tmp_path: Path) -> None:
    model = archdsl.parse(
        """
        network Narrow: 32x32x3 → 10 {
          conv 3x3 16 same relu; maxpool 2
          a: inception(8, 8→12, 2→4, 4); b: inception(8, 8→12, 2→4, 4)
          h: aux(0.3) { avgpool 5 s3; conv 1x1 16 relu; fc 10 }
          maxpool 2; c: inception(12, 12→20, 4→8, 8)
          gap; fc 10
        }
        """
    )
    recipe = Recipe("fake:64", 16, 40, optimizer=optimizers.Adam(lr=0.003))
    outcome = run(model, tmp_path, recipe, overfit=64)
    assert max(row["val_top1"] for row in read_metrics(outcome.run)) >= 0.99


def test_lenet_reads_digits(tmp_path: Path) -> None:
    """97 % of the 1,000 held-out digits in at most 15 epochs, with the recipe of the spec."""
    model = archdsl.load(ROOT / "specs" / "lenet5.arch")
    assert model.recipe is not None
    recipe = replace(model.recipe, data="digits", epochs=9)
    outcome = run(model, tmp_path, recipe)
    assert outcome.metrics["val_top1"] >= 0.97
    evaluated = CliRunner().invoke(commands, ["evaluate", str(outcome.run.folder)])
    assert evaluated.exit_code == 0, evaluated.output
    facts = json.loads((outcome.run.folder / "evaluation.json").read_text("utf-8"))
    assert facts["images"] == 1000
    assert facts["top1"] >= 0.97
    assert sum(map(sum, facts["confusion"])) == 1000
    assert (outcome.run.folder / "confusion.svg").exists()


# ── Losses ───────────────────────────────────────────────────────────────────────────────────


def test_auxiliary_losses_are_weighted() -> None:
    logits, head = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    task = Classification(Recipe(), 2, aux_weights=(0.3,))
    label = torch.tensor([0])
    expected = nn.functional.cross_entropy(logits, label) + 0.3 * nn.functional.cross_entropy(
        head, label
    )
    total, hits = task.measure((logits, head), label)
    assert (total.item(), hits.item()) == (pytest.approx(expected.item()), 1)


def test_probabilities_get_no_second_softmax() -> None:
    logits, label = torch.tensor([[2.0, 0.5, -1.0]]), torch.tensor([1])
    plain = Classification(Recipe(), 3)
    ended = Classification(Recipe(), 3, gives_probabilities=True)
    torch.testing.assert_close(ended.loss(logits.softmax(1), label), plain.loss(logits, label))


def test_a_spec_that_ends_in_softmax_trains_and_predicts(tmp_path: Path) -> None:
    text = SMALL.replace("fc 4\n", "fc 4 softmax\n")
    outcome = run(archdsl.parse(text), tmp_path, Recipe("fake:16", 8, 1))
    assert json.loads(outcome.run.facts.read_text("utf-8"))["gives_probabilities"]


# ── Order and processes ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("size", "world"), [(20, 1), (20, 2), (21, 2), (7, 3)])
def test_processes_share_each_batch(size: int, world: int) -> None:
    whole = EpochSampler(size, seed=3, shuffle=True)
    whole.epoch = 4
    order = list(whole)
    assert sorted(i % size for i in order) == list(range(size))
    parts = []
    for rank in range(world):
        part = EpochSampler(size, seed=3, shuffle=True, rank=rank, world=world)
        part.epoch = 4
        parts.append(list(part))
    together = [index for step in zip(*parts, strict=True) for index in step]
    assert together[:size] == order
    whole.skip = 2
    assert (list(whole), len(whole)) == (order[2:], size - 2)


def test_each_epoch_and_each_seed_has_an_order_of_its_own() -> None:
    size, orders = 20, set()
    for seed in (3, 4):
        for epoch in range(5):
            sampler = EpochSampler(size, seed=seed, shuffle=True)
            sampler.epoch = epoch
            positions = list(sampler)
            assert {position // size for position in positions} == {epoch}
            orders.add(tuple(position % size for position in positions))
            sampler.shuffle = False
            assert [position % size for position in sampler] == list(range(size))
    assert len(orders) == 10


def test_a_run_shuffles_each_epoch_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the trainer runs it: it must tell the sampler which epoch it is."""
    orders: dict[int, tuple[int, ...]] = {}
    iterate = EpochSampler.__iter__

    def record(sampler: EpochSampler) -> Iterator[int]:
        positions = list(iterate(sampler))
        if sampler.shuffle:
            orders[sampler.epoch] = tuple(position % sampler.size for position in positions)
        return iter(positions)

    monkeypatch.setattr(EpochSampler, "__iter__", record)
    run(archdsl.parse(SMALL), tmp_path, Recipe("fake:40", 8, 3))
    assert sorted(orders) == [0, 1, 2]
    assert len(set(orders.values())) == 3


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """``kill -9`` in the middle of an epoch, ``--resume auto``: equal to the last bit."""
    spec = write_spec(tmp_path)
    flags = ["--data", "fake:2000", "--epochs", "3", "--batch", "10", "--deterministic"]
    train_here(tmp_path / "whole", spec, *flags)
    # As many threads as here: sums of several threads are rounded otherwise.
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    killed = subprocess.Popen(
        train_command(tmp_path / "cut", spec, *flags),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    last = tmp_path / "cut" / "run" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists():
        assert time.monotonic() < deadline
        assert killed.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    time.sleep(0.15)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "cut" / "run" / "last.safetensors").exists()
    torch.load(last, weights_only=True)
    subprocess.run(
        train_command(tmp_path / "cut", spec, *flags, "--resume", "auto"),
        check=True,
        capture_output=True,
        env=environment,
    )
    whole = load_file(tmp_path / "whole" / "run" / "last.safetensors")
    cut = load_file(tmp_path / "cut" / "run" / "last.safetensors")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


# ── Faults ───────────────────────────────────────────────────────────────────────────────────


def test_classes_must_fit(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="tells 4 classes apart, digits has 10"):
        run(small(), tmp_path, Recipe("digits", 8, 1))
    assert not (tmp_path / "run").exists()


def test_a_batch_must_split(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="a batch of 9 cannot be split"):
        run(small(), tmp_path, Recipe("fake:32", 9, 1), accumulate=2)


def test_a_loss_that_is_no_number_stops_with_the_last_good_checkpoint(tmp_path: Path) -> None:
    rates = (schedules.Every(1, factor=1e30),)
    recipe = Recipe("fake:32", 8, 9, optimizer=optimizers.SGD(lr=0.01), schedule=rates)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with pytest.raises(TrainError, match=r"not a finite number in epoch \d+, step \d+.*last\.ckpt"):
        run(small(), tmp_path, recipe)
    torch.load(last, weights_only=True)


def test_an_unwritable_folder_stops_before_training(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(TrainError, match="cannot write to"):
        run(small(), tmp_path, Recipe("fake:32", 8, 1))
    assert (tmp_path / "run").read_text() == "in the way"


def test_a_full_disk_is_known_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(TrainError, match=r"has 0\.000 MB free; checkpoints need 0\.\d+ MB"):
        run(small(), tmp_path, Recipe("fake:32", 8, 1))


def test_a_write_that_fails_leaves_the_last_file(tmp_path: Path) -> None:
    target = tmp_path / "last.ckpt"
    target.write_bytes(b"good")

    def fail(path: str) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(TrainError, match="No space left"):
        write_atomically(target, fail)
    assert target.read_bytes() == b"good"
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_running_out_of_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(Classification, "measure", exhausted)
    with pytest.raises(TrainError, match="does not fit into memory"):
        run(small(), tmp_path, Recipe("fake:32", 8, 1))


def test_broken_images_are_named_or_left_out(tmp_path: Path) -> None:
    from PIL import Image

    for split, name in (("train", "a"), ("train", "b"), ("val", "a"), ("val", "b")):
        folder = tmp_path / "set" / split / name
        folder.mkdir(parents=True)
        for index in range(3):
            Image.new("L", (20, 20), 80 * index).save(folder / f"{index}.png")
    (tmp_path / "set" / "train" / "b" / "1.png").write_bytes(b"no picture")
    spec = write_spec(tmp_path, SMALL.replace("→ 4", "→ 2").replace("fc 4", "fc 2"))
    words = train_command(tmp_path, spec, "--data", f"folder:{tmp_path / 'set'}", "--epochs", "1")
    done = CliRunner().invoke(commands, words[3:])
    assert done.exit_code == 2, done.output
    assert "b/1.png" in done.output
    done = CliRunner().invoke(commands, [*words[3:], "--skip-broken"])
    assert done.exit_code == 0, done.output
    assert "1 broken image left out" in done.output


# ── The command line ─────────────────────────────────────────────────────────────────────────


def test_commands_report_what_the_user_can_fix(tmp_path: Path) -> None:
    spec = str(write_spec(tmp_path))
    for words, message in (
        (["train", spec, "--data", "digits", "--output", str(tmp_path)], "tells 4 classes apart"),
        (["train", spec, "--data", "digitz", "--output", str(tmp_path)], "digits"),
        (["train", spec, "--log", "wands"], "there is no logger"),
        (["train", str(ROOT / "specs" / "vgg.arch")], "several networks"),
        (["evaluate", str(tmp_path)], "is not the folder of a run"),
        (["predict", str(tmp_path), "x.png"], "is not the folder of a run"),
    ):
        done = CliRunner().invoke(commands, words)
        assert done.exit_code == 2, done.output
        assert message in done.output


def test_a_missing_extra_names_its_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "archdsl.train.run", None)
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    for name in [name for name in sys.modules if name.startswith("archdsl.train.")]:
        monkeypatch.delitem(sys.modules, name)
    done = CliRunner().invoke(commands, ["train", str(write_spec(tmp_path)), "--data", "fake:8"])
    assert done.exit_code == 2
    assert "pip install 'archdsl[train]'" in done.output


def test_predict_names_classes_with_probabilities(tmp_path: Path) -> None:
    from PIL import Image

    outcome = run(small(), tmp_path, Recipe("fake:16", 8, 1))
    image = tmp_path / "a.png"
    Image.new("L", (20, 30), 128).save(image)
    done = CliRunner().invoke(
        commands, ["predict", str(outcome.run.folder), str(image), "--top", "4"]
    )
    assert done.exit_code == 0, done.output
    shares = [float(line.split("%")[0]) for line in done.stdout.splitlines()[1:]]
    assert len(shares) == 4
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert shares == sorted(shares, reverse=True)
