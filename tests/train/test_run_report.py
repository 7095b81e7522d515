"""What training says: of each epoch, in its report, in its evaluation, and of what it cannot do."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console
from test_steps import SMALL, TEN, run
from torch import Tensor, nn

import archdsl
from archdsl.model.memory import estimate_memory, render_bytes
from archdsl.recipe import Recipe, augmentations, averages, optimizers
from archdsl.train.choice import choose_folder
from archdsl.train.errors import TrainError
from archdsl.train.evaluation import evaluate_run
from archdsl.train.evaluation_report import write_evaluation
from archdsl.train.finished import Finished, open_run
from archdsl.train.folder import RunFolder
from archdsl.train.logs import read_metrics
from archdsl.train.options import TrainOptions
from archdsl.train.report import write_report
from archdsl.train.task import Classification

pytestmark = pytest.mark.filterwarnings("ignore")


# ── A run ────────────────────────────────────────────────────────────────────────────────────


def test_each_epoch_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that goes on by a second at each look: two for each of three batches, and the end."""
    looks = iter(range(1000))
    clock = SimpleNamespace(monotonic=lambda: float(next(looks)))
    monkeypatch.setattr("archdsl.train.loop.time", clock)
    outcome = run(SMALL, tmp_path, Recipe("fake:24", 8, 2))
    head, *lines = capsys.readouterr().err.splitlines()
    assert head == ("epoch      loss     top-1  val loss val top-1  images/s   waiting")
    rows = read_metrics(outcome.run)
    assert [row["images_per_second"] for row in rows] == [pytest.approx(24 / 7)] * 2
    assert [row["waiting"] for row in rows] == [pytest.approx(3 / 8)] * 2
    assert lines == [
        f"  {epoch}/2{row['train_loss']:10.4f}{row['train_top1']:10.2%}{row['val_loss']:10.4f}"
        f"{row['val_top1']:10.2%}         3       38%"
        for epoch, row in enumerate(rows, 1)
    ]


def test_the_facts_of_a_run(tmp_path: Path) -> None:
    recipe = Recipe("fake:24", 8, 1, (augmentations.RandomCrop(),))
    outcome = run(SMALL, tmp_path, recipe, seed=3)
    facts = json.loads(outcome.run.facts.read_text("utf-8"))
    mean, std = facts["data"].pop("mean"), facts["data"].pop("std")
    assert len(mean) == len(std) == 1
    assert facts["data"].pop("appearance").keys() == {"brightness", "polarity", "background"}
    assert facts["data"] == {
        "name": "fake:24",
        "train": 24,
        "validation": 6,
        "classes": ["0", "1", "2", "3"],
        "enlarged": True,
        "finished": False,
    }
    assert (facts["network"], facts["class"], facts["spec"]) == ("Small", "Small", "<text>")
    assert (facts["input"], facts["output"]) == ([8, 8, 1], [4])
    assert facts["parameters"] == archdsl.parse(SMALL).trunk.parameters
    assert facts["gives_probabilities"] is False
    options = facts["options"]
    assert (options["seed"], options["output"], options["resume"]) == (3, str(tmp_path), None)


METRICS = """epoch,step,train_loss,train_top1,val_loss,val_top1,val_top5
1,2,1.75,0.125,1.5,0.25,0.75
2,4,1.5,0.375,1.25,0.5,1
3,6,1.25,0.625,1.125,0.4375,1
"""
REPORT = """# Small

1,234 parameters; 8x8x1 → 4 classes; compiled from `small.arch` to `module.py`.

Trained on fake:1200: 1,200 images, 300 to validate. 3 of 5 epochs, batch 8, sgd lr=0.1.

Schedule: warmup epochs=2, cosine.

Loss: mse. Seed 7.

**Best validation top-1: 50.00%** in epoch 2; at the end 43.75%.

`weights.safetensors` is of epoch 3, which has the lowest validation loss.

![loss and accuracy by epoch](curves.svg)

| epoch | training loss | training top-1 | validation loss | top-1 | top-5 |
|---:|---:|---:|---:|---:|---:|
| 1 | 1.7500 | 12.50% | 1.5000 | 25.00% | 75.00% |
| 2 | 1.5000 | 37.50% | 1.2500 | 50.00% | 100.00% |
| 3 | 1.2500 | 62.50% | 1.1250 | 43.75% | 100.00% |

With archdsl 1, torch 2.
"""


def test_a_report_says_what_was_done_and_what_came_of_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text(METRICS, "utf-8")
    history = read_metrics(run)
    facts = {
        "network": "Small",
        "parameters": 1234,
        "input": [8, 8, 1],
        "output": [4],
        "spec": "small.arch",
        "data": {"name": "fake:1200", "train": 1200, "validation": 300},
        "recipe": {
            "epochs": 5,
            "batch": 8,
            "optimizer": {"name": "sgd", "lr": 0.1},
            "schedule": [{"name": "warmup", "epochs": 2}, {"name": "cosine"}],
            "augment": [],
            "loss": {"name": "mse"},
        },
        "options": {"seed": 7},
        "versions": {"archdsl": 1, "torch": 2},
    }
    run.facts.write_text(json.dumps(facts), "utf-8")
    write_report(run, history)
    assert run.report.read_text("utf-8") == REPORT
    curves = (tmp_path / "curves.svg").read_text("utf-8")
    for text in ("loss", "accuracy", "validation top-5", "epoch"):
        assert f"<!-- {text} -->" in curves
    # Epochs are counted in whole numbers.
    assert {"<!-- 1 -->", "<!-- 2 -->", "<!-- 3 -->"} <= set(re.findall("<!-- .*? -->", curves))
    first = curves[: curves.index("<!-- epoch -->")]
    assert "<!-- 1.5 -->" not in first


# ── Evaluation ───────────────────────────────────────────────────────────────────────────────


PICTURES = ("confusion", "reliability", "worst")


class Ranked(nn.Module):
    """Takes each image for class 2, then 0, 1, 3, 4 …"""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([8.0, 7, 9, 6, 5, 4, 3, 2, 1, 0]).repeat(len(x), 1)


def test_an_evaluation_counts_each_class_and_what_it_was_taken_for(tmp_path: Path) -> None:
    facts = json.loads(run(TEN, tmp_path, Recipe("fake:12", 8, 1)).run.facts.read_text("utf-8"))
    finished = Finished(RunFolder(tmp_path), Ranked(), facts)
    # Classes take turns: 2000 images to train, and then 500.
    found = evaluate_run(
        finished, "fake:2006", root=tmp_path, download=False, workers=0, device="cpu"
    )
    counts = [50] * 10
    counts[6] += 1
    assert found.images == 501
    assert found.top1 == pytest.approx(50 / 501)
    assert found.top5 == pytest.approx(250 / 501)
    assert found.confusion == tuple(
        tuple(count if guess == 2 else 0 for guess in range(10)) for count in counts
    )
    paths = write_evaluation(finished, found)
    assert [path.name for path in paths] == [
        "evaluation.json",
        *(f"{name}.{ending}" for name in PICTURES for ending in ("svg", "png")),
    ]
    written = json.loads(paths[0].read_text("utf-8"))
    assert written["confusion"] == [list(row) for row in found.confusion]
    assert written["classes"] == [str(index) for index in range(10)]
    picture = paths[1].read_text("utf-8")
    for text in ("taken for", "class", "top-1 9.98% of 501 images", "51"):
        assert f"<!-- {text} -->" in picture


def test_an_evaluation_needs_the_classes_of_the_network(tmp_path: Path) -> None:
    facts = {"input": [8, 8, 1], "data": {"classes": list("abc")}, "options": {"seed": 0}}
    finished = Finished(RunFolder(tmp_path), Ranked(), facts)
    with pytest.raises(TrainError, match="tells 3 classes apart, digits has 10"):
        evaluate_run(finished, "digits", root=tmp_path, download=False, workers=0, device="cpu")


def test_probabilities_are_those_of_a_softmax_but_for_one_that_is_there() -> None:
    scores = torch.tensor([[0.25, 0.75]])

    class Given(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return scores

    for is_there, expected in ((True, scores), (False, scores.softmax(1))):
        finished = Finished(RunFolder(Path()), Given(), {"gives_probabilities": is_there})
        torch.testing.assert_close(finished.probabilities(torch.zeros(1)), expected)


# ── What cannot be done ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("accumulate", [1, 4])
def test_running_out_of_memory_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    def exhausted(*_: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Classification, "measure", exhausted)
    recipe = Recipe("fake:32", 8, 1)
    model = archdsl.parse(SMALL)
    batch = 8 // accumulate
    needed = render_bytes(estimate_memory(model, batch=batch, recipe=recipe).total)
    with pytest.raises(TrainError) as raised:
        run(SMALL, tmp_path, recipe, accumulate=accumulate)
    assert str(raised.value) == (
        f"Small with {batch} images per device needs {needed}, which does not fit into memory: "
        "pass a smaller --batch"
    )


def test_running_out_of_a_gpus_memory_names_the_largest_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all steps that a batch is accumulated of; the GPU is made up."""
    model = archdsl.parse(SMALL)
    recipe = Recipe("fake:32", 16, 1)
    available = estimate_memory(model, batch=5, recipe=recipe).total

    def exhausted(*_: Any) -> None:
        properties = SimpleNamespace(total_memory=available)
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: properties)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(Classification, "measure", exhausted)
    needed = render_bytes(estimate_memory(model, batch=8, recipe=recipe).total)
    with pytest.raises(TrainError) as raised:
        run(SMALL, tmp_path, recipe, accumulate=2)
    assert str(raised.value) == (
        f"Small with 8 images per device needs {needed}, which does not fit into memory "
        f"({render_bytes(available)}); the largest batch that fits is 10"
    )


def test_a_gpu_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(TrainError, match="there is no CUDA device here"):
        run(SMALL, tmp_path, Recipe("fake:32", 8, 1), device="cuda")


@pytest.mark.parametrize(
    ("flags", "average", "said"),
    [
        (
            {"precision": "16"},
            None,
            "`--precision 16` needs a CUDA device; on a CPU",
        ),
        ({"sync_bn": True}, None, "`--sync-bn` needs CUDA devices"),
        (
            {"strategy": "fsdp"},
            averages.ExponentialMovingAverage(),
            "`ema` does not work with `--strategy fsdp`",
        ),
        ({"strategy": "fsdp", "precision": "16", "device": "cuda"}, None, "no CUDA device here"),
    ],
)
def test_what_a_cpu_or_a_strategy_does_not_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: Any, average: Any, said: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(TrainError, match=said):
        run(SMALL, tmp_path, Recipe("fake:32", 8, 1, average=average), **flags)


def test_a_run_that_has_just_begun_has_no_weights(tmp_path: Path) -> None:
    folder = run(SMALL, tmp_path, Recipe("fake:16", 8, 1)).run.folder
    open_run(folder)
    for path in (*folder.glob("checkpoints/*"), *folder.glob("*.safetensors")):
        path.unlink()
    for which in ("best", "last"):
        with pytest.raises(TrainError, match="has no weights yet"):
            open_run(folder, which)


def test_an_error_that_is_not_of_memory_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(Classification, "measure", broken)
    with pytest.raises(RuntimeError, match=r"^something else$"):
        run(SMALL, tmp_path, Recipe("fake:32", 8, 1))


def test_the_disk_must_hold_three_checkpoints_and_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adam keeps two numbers a weight: three checkpoints of three, and three files of weights."""
    needed = 12 * 4 * archdsl.parse(SMALL).trunk.parameters
    for free, is_enough in ((needed - 1, False), (needed, True)):
        usage = type("Usage", (), {"free": free})()
        monkeypatch.setattr("shutil.disk_usage", lambda _, usage=usage: usage)
        if is_enough:
            run(SMALL, tmp_path, Recipe("fake:16", 8, 1))
        else:
            with pytest.raises(TrainError, match="MB free"):
                run(SMALL, tmp_path, Recipe("fake:16", 8, 1))


def test_the_loss_that_is_no_number_names_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, steps = Classification.loss, []

    def loss(task: Classification, output: Tensor, labels: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            steps.append(0)
        found = own(task, output, labels)
        return found * float("nan") if len(steps) == 5 and torch.is_grad_enabled() else found

    monkeypatch.setattr(Classification, "loss", loss)
    with pytest.raises(TrainError) as raised:
        run(SMALL, tmp_path, Recipe("fake:24", 8, 3, optimizer=optimizers.SGD()))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert str(raised.value) == (
        f"the loss is not a finite number in epoch 2, step 2; the last checkpoint is {last}"
    )


# ── Folders ──────────────────────────────────────────────────────────────────────────────────


def checkpoint(folder: Path, time: int) -> None:
    path = folder / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    os.utime(path, (time, time))


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a process of a run, and none of what a run leaves to its processes."""
    monkeypatch.setenv("ARCHDSL_RUN_FOLDER", "")
    for name in ("ARCHDSL_RUN_FOLDER", "LOCAL_RANK", "WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("clean")
def test_to_resume_is_to_go_on_with_the_newest_run_of_the_network(tmp_path: Path) -> None:
    """Not with one of another network whose name begins like it, nor one without checkpoint."""
    for time, name in enumerate(["small", "small-12", "small-3", "smaller", "small-x"]):
        checkpoint(tmp_path / name, time)
    (tmp_path / "small-4").mkdir()
    model = archdsl.parse(SMALL)

    def chosen(**flags: Any) -> Path:
        return choose_folder(model, TrainOptions(output=tmp_path, **flags))

    assert chosen(resume="auto") == tmp_path / "small-3"
    assert chosen(resume="auto", name="small-12") == tmp_path / "small-12"
    assert chosen(resume=tmp_path / "smaller" / "checkpoints" / "last.ckpt").name == "smaller"
    assert chosen() == tmp_path / "small-2"
    assert [path.name for path in (tmp_path / "small-2").iterdir()] == [".lock"]


@pytest.mark.usefixtures("clean")
def test_to_resume_what_has_not_begun_is_to_begin(tmp_path: Path) -> None:
    outcome = run(SMALL, tmp_path, Recipe("fake:16", 8, 1), resume="auto", name=None)
    assert outcome.run.folder == tmp_path / "small"
    assert outcome.epochs == 1


# ── What is shown meanwhile ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_bar_counts_steps_from_one_and_does_not_wrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """On a terminal: what stands there last is the table and nothing of the bar."""
    shown = io.StringIO()
    monkeypatch.setattr(
        "archdsl.train.progress.Console",
        lambda **_: Console(file=shown, force_terminal=True, width=width, highlight=False),
    )
    monkeypatch.setattr("archdsl.train.progress._REFRESH", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run(SMALL, tmp_path, Recipe("fake:24", 8, 2))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())
    lines = [line.strip() for line in re.split(r"[\r\n]+", plain) if line.strip()]
    bars = [line for line in lines if re.match(r"epoch \d/2 ", line)]
    for number in (1, 2):
        counts = [re.search(r"(\d)/3", line) for line in bars if f"epoch {number}/2" in line]
        # The last once more, when it goes.
        assert [int(found[1]) for found in counts if found] == [1, 2, 3, 3]
    assert max(map(len, bars)) <= width
    assert [line.split()[0] for line in lines if line not in bars] == ["epoch", "1/2", "2/2"]
