"""What a run makes of its recipe and its flags, against PyTorch's own loop written out."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from oracle import build
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.transforms import v2

import archdsl
from archdsl.model import Model
from archdsl.recipe import Recipe, augmentations, averages, optimizers, schedules
from archdsl.recipe.losses import CrossEntropy, MeanSquaredError
from archdsl.train.data import ImageData, open_data
from archdsl.train.errors import TrainError
from archdsl.train.finished import open_run
from archdsl.train.loading import EpochSampler, mix
from archdsl.train.logs import read_metrics
from archdsl.train.options import TrainOptions
from archdsl.train.run import Outcome, train_model

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = "network Small: 8x8x1 → 4 { conv 3x3 4 same relu; maxpool 2; fc 8 relu; fc 4 }"
HEADS = """
network Heads: 8x8x1 → 4 {
  conv 3x3 4 same relu; a: aux(0.3) { gap; fc 4 }; maxpool 2; b: aux(0.7) { fc 4 }; fc 8 relu; fc 4
}
"""
NORMS = """
network Norms: 8x8x1 → 4 {
  conv 3x3 4 same nobias; bn; relu; maxpool 2; conv 3x3 4; ln relu; fc 8 relu; fc 4
}
"""
SGD = optimizers.SGD(lr=0.1)


def run(text: str, folder: Path, recipe: Recipe, **flags: Any) -> Outcome:
    model = archdsl.parse(text)
    options = TrainOptions(
        **{"output": folder, "device": "cpu", "name": "run", "log": ("csv",)} | flags
    )
    return train_model(model, archdsl.compile(model), recipe, options)


def images_of(model: Model, recipe: Recipe, seed: int = 0) -> tuple[Any, Any]:
    data = open_data(recipe.data or "", input=model.input, classes=4, seed=seed)
    return Normalized(data, data.train), Normalized(data, data.validation)


class Normalized:
    """The images of a part as the network takes them."""

    def __init__(self, data: ImageData, part: Any) -> None:
        self.data = data
        self.part = part

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.part[index]
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (self.data.mean, self.data.std))
        return (image / 255 - mean) / std, label


def batch_of(images: Any, indices: list[int]) -> tuple[Tensor, Tensor]:
    pairs = [images[index] for index in indices]
    return torch.stack([x for x, _ in pairs]), torch.tensor([y for _, y in pairs])


# ── Steps ────────────────────────────────────────────────────────────────────────────────────


def loss_of(recipe: Recipe, output: Any, labels: Tensor) -> Tensor:
    if not isinstance(output, Tensor):
        trunk, *heads = (loss_of(recipe, part, labels) for part in output)
        return trunk + sum(w * head for w, head in zip((0.3, 0.7), heads, strict=True))
    if isinstance(recipe.loss, MeanSquaredError):
        return ((output - (torch.eye(4)[labels] if labels.ndim == 1 else labels)) ** 2).mean()
    return F.cross_entropy(output, labels, label_smoothing=recipe.loss.smoothing)


def decayed(network: nn.Module, definition: Any) -> list[dict[str, Any]]:
    """Each parameter by itself: torchvision's reference has custom keys, then normalizations."""
    groups = []
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            decay = definition.weight_decay
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
                decay = (
                    decay if definition.norm_weight_decay is None else definition.norm_weight_decay
                )
            if name == "bias" and definition.bias_weight_decay is not None:
                decay = definition.bias_weight_decay
            groups.append({"params": [parameter], "weight_decay": decay})
    return groups


def train_plainly(network: nn.Module, model: Model, recipe: Recipe, optimizer: Any) -> nn.Module:
    """The loop as one writes it by hand; the order of the images is the run's.

    Gives what is validated: the network, or the average of its weights.
    """
    images, held_out = images_of(model, recipe)
    plateau = [
        definition for definition in recipe.schedule if isinstance(definition, schedules.Plateau)
    ]
    steps = -(-len(images) // recipe.batch)
    cycle = average = None
    if any(isinstance(definition, schedules.OneCycle) for definition in recipe.schedule):
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.optimizer.lr, recipe.epochs * steps
        )
    if recipe.average:
        average = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average.decay), use_buffers=True
        )
    mixes = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
    mixing = [
        mixes[definition.name](alpha=definition.alpha, num_classes=4)
        for definition in recipe.augment
    ]
    step = 0
    for epoch in range(recipe.epochs):
        for group in optimizer.param_groups if not plateau and not cycle else ():
            factors = [definition.factor_at(epoch, recipe.epochs) for definition in recipe.schedule]
            group["lr"] = recipe.optimizer.lr * torch.tensor(factors).double().prod().item()
        sampler = EpochSampler(len(images), seed=0, shuffle=True)
        sampler.epoch = epoch
        order = [position % len(images) for position in sampler]
        for start in range(0, len(order), recipe.batch):
            x, labels = batch_of(images, order[start : start + recipe.batch])
            torch.manual_seed(mix(0, epoch, start // recipe.batch))
            for way in mixing:
                x, labels = way(x, labels)
            optimizer.zero_grad()
            loss_of(recipe, network.train()(x), labels).backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            step += 1
            if cycle:
                cycle.step()
            if average and (step - 1) % recipe.average.steps == 0:
                average.update_parameters(network)
        if plateau:
            with torch.no_grad():
                x, labels = batch_of(held_out, list(range(len(held_out))))
                loss = loss_of(recipe, network.eval()(x), labels)
            if epoch == 0:
                best, bad = loss, 0
            bad = 0 if loss < best * (1 - 1e-4) else bad + bool(epoch)
            best = min(best, loss)
            if bad > plateau[0].patience:
                optimizer.param_groups[0]["lr"] *= plateau[0].factor
                bad = 0
    return average.module if average else network


@pytest.mark.parametrize(
    ("recipe", "flags"),
    [
        (
            Recipe(optimizer=optimizers.SGD(lr=0.1, momentum=0.8, weight_decay=0.1, nesterov=True)),
            {},
        ),
        (Recipe(optimizer=optimizers.Adam(lr=0.01, weight_decay=0.3, eps=0.01)), {}),
        (Recipe(optimizer=optimizers.AdamW(lr=0.01, weight_decay=0.3, eps=0.01)), {}),
        (
            Recipe(
                optimizer=optimizers.RMSprop(
                    lr=0.01, momentum=0.5, weight_decay=0.3, alpha=0.7, eps=0.01
                )
            ),
            {},
        ),
        (Recipe(optimizer=SGD, loss=MeanSquaredError()), {}),
        (Recipe(optimizer=SGD, loss=CrossEntropy(0.3)), {}),
        (Recipe(optimizer=SGD, schedule=(schedules.Warmup(2), schedules.Every(1, 0.5))), {}),
        (Recipe(optimizer=SGD, schedule=(schedules.Plateau(patience=1, factor=0.2),)), {}),
        (Recipe(optimizer=SGD), {"accumulate": 2}),
        (Recipe(optimizer=SGD, clip=0.05), {}),
        (
            Recipe(
                optimizer=optimizers.SGD(lr=0.1, momentum=0.9), schedule=(schedules.OneCycle(),)
            ),
            {},
        ),
        (
            Recipe(
                optimizer=optimizers.RMSprop(lr=0.01, momentum=0.9),
                schedule=(schedules.OneCycle(),),
            ),
            {},
        ),
        (Recipe(optimizer=optimizers.AdamW(lr=0.01), schedule=(schedules.OneCycle(),)), {}),
        (Recipe(optimizer=SGD, average=averages.ExponentialMovingAverage(decay=0.9)), {}),
        (Recipe(optimizer=SGD, average=averages.ExponentialMovingAverage(decay=0.7, steps=5)), {}),
        (Recipe(optimizer=SGD, augment=(augmentations.MixUp(0.2),)), {}),
        (Recipe(optimizer=SGD, augment=(augmentations.CutMix(),), loss=CrossEntropy(0.1)), {}),
        (Recipe(optimizer=SGD, augment=(augmentations.MixUp(),), loss=MeanSquaredError()), {}),
        (Recipe(optimizer=SGD), {"channels_last": False}),
        (Recipe(optimizer=SGD), {"workers": 1}),
    ],
    ids=lambda value: value.optimizer.name if isinstance(value, Recipe) else str(value),
)
@pytest.mark.parametrize("text", [SMALL, HEADS], ids=["plain", "heads"])
def test_a_run_takes_the_steps_of_a_loop_by_hand(
    tmp_path: Path, text: str, recipe: Recipe, flags: dict[str, Any]
) -> None:
    compare_with_a_plain_loop(tmp_path, text, recipe, flags)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimizer=SGD, average=averages.ExponentialMovingAverage(decay=0.8, steps=2)),
        Recipe(optimizer=optimizers.SGD(0.1, 0.3, bias_weight_decay=0.0)),
        Recipe(optimizer=optimizers.AdamW(0.01, 0.3, norm_weight_decay=0.0)),
        Recipe(optimizer=optimizers.RMSprop(0.01, 0.3, norm_weight_decay=0.0)),
        Recipe(optimizer=optimizers.Adam(0.01, 0.3, 0.1, 0.2)),
    ],
    ids=lambda recipe: recipe.optimizer.name,
)
def test_normalizations_are_averaged_and_decay_by_their_own_rule(
    tmp_path: Path, recipe: Recipe
) -> None:
    compare_with_a_plain_loop(tmp_path, NORMS, recipe, {})


def compare_with_a_plain_loop(
    tmp_path: Path, text: str, recipe: Recipe, flags: dict[str, Any]
) -> None:
    recipe = replace(recipe, data="fake:24", batch=8, epochs=4)
    definition, model = recipe.optimizer, archdsl.parse(text)
    torch.manual_seed(0)
    network = build(model)
    made = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
    }[definition.name]
    names = ("lr", "momentum", "nesterov", "alpha", "eps")
    settings = {name: getattr(definition, name) for name in names if hasattr(definition, name)}
    optimizer = made(decayed(network, definition), **settings)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network = train_plainly(network, model, recipe, optimizer)
    found = load_file(run(text, tmp_path, recipe, **flags).run.last_weights)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(found[name], before[name], rtol=0, atol=1e-4), name


# ── Metrics ──────────────────────────────────────────────────────────────────────────────────

TEN = "network Ten: 8x8x1 → 10 { conv 3x3 4 same relu; gap; fc 10 }"


def scores_of(network: nn.Module, images: Any) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        x, labels = batch_of(images, list(range(len(images))))
        return network.eval()(x), labels


def test_metrics_are_shares_and_means_over_all_images(tmp_path: Path) -> None:
    """A rate of almost 0 keeps the weights; no batch is as large as the last."""
    recipe = Recipe("fake:52", 7, 2, optimizer=optimizers.SGD(lr=1e-12))
    outcome = run(TEN, tmp_path, recipe, seed=1)
    model = archdsl.parse(TEN)
    network = build(model)
    network.load_state_dict(load_file(outcome.run.weights))
    data = open_data("fake:52", input=model.input, classes=10, seed=1)
    expected = {}
    for name, images in (("train", data.train), ("val", data.validation)):
        scores, labels = scores_of(network, Normalized(data, images))
        ranks = (scores > scores.gather(1, labels[:, None])).sum(1)
        expected |= {
            f"{name}_loss": F.cross_entropy(scores, labels).item(),
            f"{name}_top1": (ranks < 1).float().mean().item(),
            f"{name}_top5": (ranks < 5).float().mean().item(),
        }
    assert 0 < expected["val_top1"] < expected["val_top5"] < 1
    del expected["train_top5"]
    for row in read_metrics(outcome.run):
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert outcome.epochs == 2
    shown = {name: value for name, value in outcome.metrics.items() if name in expected}
    assert shown == pytest.approx(expected, rel=1e-4)


def test_the_best_weights_are_those_of_the_lowest_validation_loss(tmp_path: Path) -> None:
    recipe = Recipe("fake:24", 8, 6, optimizer=optimizers.SGD(lr=1.2, momentum=0.95))
    outcome = run(SMALL, tmp_path, recipe)
    losses = [row["val_loss"] for row in read_metrics(outcome.run)]
    # Not the first, not the last, and not that of the highest loss.
    assert losses.index(min(losses)) not in (0, 5, losses.index(max(losses)))
    _, held_out = images_of(archdsl.parse(SMALL), recipe)
    for _ in range(2):
        for which, loss in (("best", min(losses)), ("last", losses[-1])):
            scores, labels = scores_of(open_run(outcome.run.folder, which).network, held_out)
            assert F.cross_entropy(scores, labels).item() == pytest.approx(loss, rel=1e-4)
        # A run that was killed has checkpoints alone.
        outcome.run.weights.unlink(missing_ok=True)
        outcome.run.last_weights.unlink(missing_ok=True)


def test_a_run_resumes_behind_its_last_epoch_though_it_was_not_the_best(tmp_path: Path) -> None:
    recipe = Recipe("fake:24", 8, 5, optimizer=optimizers.SGD(lr=1.2, momentum=0.95))
    first = run(SMALL, tmp_path, recipe)
    losses = [row["val_loss"] for row in read_metrics(first.run)]
    assert losses[-1] > min(losses)
    run(SMALL, tmp_path, replace(recipe, epochs=6), resume="auto")
    with first.run.metrics.open(encoding="utf-8") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4", "5", "6"]


# ── Flags ────────────────────────────────────────────────────────────────────────────────────


def test_a_seed_says_all_that_is_random(tmp_path: Path) -> None:
    text = SMALL.replace("fc 8 relu", "fc 8 relu dropout 0.5")
    recipe = Recipe("fake:24", 8, 2, (augmentations.HorizontalFlip(),), SGD)
    one, same, other = (
        load_file(run(text, tmp_path / str(index), recipe, seed=seed).run.last_weights)
        for index, seed in enumerate((1, 1, 2))
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path) -> None:
    recipe = Recipe("fake:16", 8, 9, optimizer=optimizers.SGD(lr=1e-12))
    assert run(SMALL, tmp_path / "two", replace(recipe, patience=2)).epochs == 3
    assert run(SMALL, tmp_path / "four", replace(recipe, patience=4)).epochs == 5
    # It is over for good.
    again = run(SMALL, tmp_path / "two", replace(recipe, patience=2), resume="auto")
    assert (again.epochs, again.metrics) == (3, {})


def test_overfitting_trains_and_validates_on_the_first_images(tmp_path: Path) -> None:
    recipe = Recipe("fake:24", 8, 1, (augmentations.RandomCrop(),), optimizers.SGD(lr=1e-12))
    outcome = run(SMALL, tmp_path, recipe, overfit=6)
    facts = json.loads(outcome.run.facts.read_text("utf-8"))["data"]
    assert (facts["train"], facts["validation"]) == (6, 6)
    images, _ = images_of(archdsl.parse(SMALL), recipe)
    x, labels = batch_of(images, list(range(6)))
    with torch.no_grad():
        scores = open_run(outcome.run.folder).network(x)
    loss = F.cross_entropy(scores, labels).item()
    (row,) = read_metrics(outcome.run)
    assert row["val_loss"] == pytest.approx(loss, rel=1e-4)
    assert row["train_loss"] == pytest.approx(loss, rel=1e-4)
    assert run(SMALL, tmp_path / "all", recipe, overfit=99).epochs == 1


@pytest.mark.parametrize("log", [("csv",), ("tensorboard",), ("csv", "tensorboard")])
def test_only_the_chosen_loggers_write(tmp_path: Path, log: tuple[str, ...]) -> None:
    folder = run(SMALL, tmp_path, Recipe("fake:16", 8, 1), log=log).run.folder
    names = [path.name for path in folder.rglob("*")]
    assert ("metrics.csv" in names) == ("csv" in log)
    assert any("tfevents" in name for name in names) == ("tensorboard" in log)


class Seen:
    """What a network is run with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.formats: set[bool] = set()
        self.dtypes: set[torch.dtype] = set()
        self.deterministic: set[bool] = set()
        self.compiled = 0
        own = nn.Conv2d.forward

        def forward(module: nn.Conv2d, x: Tensor) -> Tensor:
            self.formats.add(
                x.is_contiguous(memory_format=torch.channels_last)
                and module.weight.is_contiguous(memory_format=torch.channels_last)
            )
            self.deterministic.add(torch.are_deterministic_algorithms_enabled())
            result = own(module, x)
            self.dtypes.add(result.dtype)
            return result

        def compile(module: nn.Module) -> None:
            self.compiled += 1

        monkeypatch.setattr(nn.Conv2d, "forward", forward)
        monkeypatch.setattr(nn.Module, "compile", compile)


@pytest.mark.parametrize(
    ("flags", "format", "dtype", "deterministic", "compiled"),
    [
        ({}, True, torch.float32, False, 0),
        ({"channels_last": False}, False, torch.float32, False, 0),
        ({"precision": "bf16"}, True, torch.bfloat16, False, 0),
        ({"deterministic": True}, True, torch.float32, True, 0),
        ({"compile": True}, True, torch.float32, False, 1),
    ],
    ids=["default", "channels first", "bf16", "deterministic", "compile"],
)
def test_a_flag_changes_how_the_network_is_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: dict[str, Any],
    format: bool,
    dtype: torch.dtype,
    deterministic: bool,
    compiled: int,
) -> None:
    seen = Seen(monkeypatch)
    text = SMALL.replace("8x8x1", "8x8x3")
    try:
        run(text, tmp_path, Recipe("fake:16", 8, 1), **flags)
    finally:
        torch.use_deterministic_algorithms(False)
    assert (seen.formats, seen.dtypes) == ({format}, {dtype})
    assert (seen.deterministic, seen.compiled) == ({deterministic}, compiled)


def test_a_run_resumes_from_the_checkpoint_that_is_named(tmp_path: Path) -> None:
    """Its folder, or a file in it; with 0 epochs left nothing changes."""
    recipe = Recipe("fake:24", 8, 3, optimizer=optimizers.SGD(lr=1.2, momentum=0.95))
    before = load_file(run(SMALL, tmp_path, recipe).run.last_weights)
    folder = tmp_path / "run"
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    outcome = run(SMALL, tmp_path / "elsewhere", recipe, resume=folder, name=None)
    assert outcome.run.folder == folder
    again = load_file(outcome.run.last_weights)
    assert all(torch.equal(again[name], tensor) for name, tensor in before.items())
    longer = replace(recipe, epochs=best["epoch"])
    path = folder / "checkpoints" / "best.ckpt"
    outcome = run(SMALL, tmp_path / "elsewhere", longer, resume=path, name=None)
    assert outcome.run.folder == folder
    again = load_file(outcome.run.last_weights)
    assert all(torch.equal(again[name], tensor) for name, tensor in best["network"].items())
    with pytest.raises(TrainError, match="there is no checkpoint"):
        run(SMALL, tmp_path, recipe, resume=tmp_path / "nothing")
