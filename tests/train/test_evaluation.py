"""The numbers of an evaluation, against the same numbers counted by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from runs import damage_facts, run

import archdsl
from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, optimizers
from archdsl.recipe.augmentations import RandomCrop
from archdsl.train.calibration import calibrate
from archdsl.train.data import open_data
from archdsl.train.evaluation import Evaluation, evaluate_run, open_evaluated
from archdsl.train.finished import open_run

pytestmark = pytest.mark.filterwarnings("ignore")

#: So few weights that it is often wrong.
POOR = "network Poor: 32x32x1 → 10 { maxpool 8; fc 10 }"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe("digits", 100, 3, optimizer=optimizers.Adam(lr=0.01))
    return run(archdsl.parse(POOR), tmp_path_factory.mktemp("digits"), recipe).run.folder


@pytest.fixture(scope="module")
def answers(trained: Path) -> tuple[list[list[float]], list[int]]:
    """The probabilities of each held-out digit, and its class."""
    finished = open_run(trained)
    data = open_data("digits", input=finished.input)
    pairs = [data.validation[i] for i in range(1000)]
    scores = finished.probabilities(data.normalize(torch.stack([x for x, _ in pairs])))
    return scores.tolist(), [label for _, label in pairs]


def evaluate(*words: str | Path) -> Result:
    return CliRunner().invoke(commands, ["evaluate", *map(str, words)])


@pytest.fixture(scope="module")
def written(trained: Path) -> dict[str, Any]:
    done = evaluate(trained, "--top", "3")
    assert done.exit_code == 0, done.output
    facts: dict[str, Any] = json.loads((trained / "evaluation.json").read_text("utf-8"))
    return facts


def test_precision_recall_and_support(written: dict[str, Any], answers: Any) -> None:
    guesses = [row.index(max(row)) for row in answers[0]]
    labels = answers[1]
    for digit, score in enumerate(written["scores"]):
        both = sum(g == y == digit for g, y in zip(guesses, labels, strict=True))
        taken = guesses.count(digit)
        assert score == {
            "name": str(digit),
            "precision": pytest.approx(both / taken) if taken else None,
            "recall": pytest.approx(both / labels.count(digit)),
            "support": labels.count(digit),
        }
    assert any(score["precision"] != score["recall"] for score in written["scores"])


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k(trained: Path, answers: Any, k: int) -> None:
    hits = 0
    for row, label in zip(*answers, strict=True):
        best = sorted(range(10), key=lambda i, row=row: -row[i])[:k]
        hits += label in best
    assert 0 < hits < 1000
    found = evaluate_run(
        open_run(trained), None, root=trained, download=False, workers=0, device="cpu", top=k
    )
    assert found.top(k) == hits / 1000


def test_the_calibration_error(written: dict[str, Any], answers: Any) -> None:
    """Guo et al. 2017, equations 1 to 3: 15 bins, each open below and closed above."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for row, label in zip(*answers, strict=True):
        confidence = max(row)
        bins[math.ceil(confidence * 15) - 1].append((confidence, row.index(confidence) == label))
    error = 0.0
    for found, pairs in zip(written["calibration"]["bins"], bins, strict=True):
        assert found["images"] == len(pairs)
        if pairs:
            accuracy = sum(right for _, right in pairs) / len(pairs)
            confidence = sum(sure for sure, _ in pairs) / len(pairs)
            assert found["accuracy"] == pytest.approx(accuracy)
            assert found["confidence"] == pytest.approx(confidence)
            error += len(pairs) / 1000 * abs(accuracy - confidence)
    assert error > 0.01
    assert written["calibration"]["error"] == pytest.approx(error)


def test_a_confidence_on_a_border_belongs_to_the_bin_below() -> None:
    found = calibrate(torch.tensor([0.5, 0.5, 1.0, 0.0]), torch.tensor([1, 0, 1, 0]), bins=2)
    assert [each.images for each in found.bins] == [3, 1]
    low, high = found.bins
    assert (low.confidence, low.accuracy) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (high.confidence, high.accuracy, found.error) == (1, 1, pytest.approx(0))


def test_the_worst_images(written: dict[str, Any], answers: Any) -> None:
    chances = [row[label] for row, label in zip(*answers, strict=True)]
    order = sorted(range(1000), key=chances.__getitem__)[:16]
    assert [image["index"] for image in written["worst"]] == order
    for image in written["worst"]:
        row, label = answers[0][image["index"]], answers[1][image["index"]]
        assert image["class"] == str(label)
        assert image["taken_for"] == str(row.index(max(row)))
        assert image["probability"] == pytest.approx(row[label], abs=1e-6)
        assert image["file"] is None


def test_pictures_of_reliability_and_of_the_worst(trained: Path, written: dict[str, Any]) -> None:
    reliability = (trained / "reliability.svg").read_text("utf-8")
    error = written["calibration"]["error"]
    assert f"<!-- expected calibration error {error:.2%}, 15 bins -->" in reliability
    worst = (trained / "worst.svg").read_text("utf-8")
    first = written["worst"][0]
    assert f"<!-- class {first['class']}: {first['probability']:.0%}" in worst
    assert worst.count("<image ") == 16


def test_what_is_printed(trained: Path, written: dict[str, Any]) -> None:
    lines = evaluate(trained, "--top", "3").stdout.splitlines()
    assert lines[0] == f"top-1 {written['top1']:.2%}  top-3 {written['top3']:.2%}  of 1,000 images"
    assert lines[1].startswith(f"calibration error {written['calibration']['error']:.2%}  mean")
    assert lines[3].split() == ["class", "precision", "recall", "support"]
    found = [score["recall"] for score in written["scores"]]
    assert lines[14].split()[3] == f"{sum(found) / 10:.2%}"
    assert {len(line) for line in lines[3:15]} == {len(lines[3])}


def test_of_many_classes_the_worst_are_shown(tmp_path: Path) -> None:
    text = "network Many: 8x8x1 → 40 { fc 40 }"
    folder = run(archdsl.parse(text), tmp_path, Recipe("fake:160", 20, 1)).run.folder
    done = evaluate(folder)
    assert done.exit_code == 0, done.output
    assert "30 classes with a higher recall are in evaluation.json" in done.stdout
    facts = json.loads((folder / "evaluation.json").read_text("utf-8"))
    lowest = sorted(facts["scores"], key=lambda score: score["recall"])[:10]
    shown = [line.split()[0] for line in done.stdout.splitlines()[4:14]]
    assert shown == [score["name"] for score in lowest]


def test_a_class_that_is_never_guessed_has_no_precision() -> None:
    found = Evaluation(
        3, (1 / 3, 1.0), ((1, 0), (2, 0)), calibrate(torch.ones(3), torch.ones(3)), ()
    )
    first, second = found.scores(["a", "b"])
    assert (first.precision, first.recall, first.support) == (1 / 3, 1, 1)
    assert (second.precision, second.recall, second.support) == (None, 0, 2)


def test_files_of_the_worst_images_are_named(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in "ab":
            folder = tmp_path / "set" / split / name
            folder.mkdir(parents=True)
            for index in range(3):
                Image.new("L", (8, 8), 80 * index).save(folder / f"{index}.png")
    model = archdsl.parse("network Two: 8x8x1 → 2 { fc 2 }")
    folder = run(model, tmp_path, Recipe(f"folder:{tmp_path / 'set'}", 2, 1)).run.folder
    assert evaluate(folder).exit_code == 0
    worst = json.loads((folder / "evaluation.json").read_text("utf-8"))["worst"]
    expected = {str(tmp_path / "set" / "val" / c / f"{i}.png") for c in "ab" for i in range(3)}
    assert {image["file"] for image in worst} == expected
    assert all(Path(image["file"]).parent.name == image["class"] for image in worst)


def test_top_k_of_fewer_classes_is_refused(trained: Path) -> None:
    done = evaluate(trained, "--top", "11")
    assert done.exit_code == 2
    assert done.stderr == "Error: top-11 of 10 classes: there are no more than 10\n"


def test_images_are_prepared_as_those_of_the_runs_validation(tmp_path: Path) -> None:
    """Where training crops, they are the centres of enlarged ones, and the numbers the same."""
    recipe = Recipe("digits", 100, 2, (RandomCrop(),), optimizer=optimizers.Adam(lr=0.01))
    model = archdsl.parse("network Poor: 28x28x1 → 10 { maxpool 4; fc 10 }")
    outcome = run(model, tmp_path, recipe)
    finished = open_run(outcome.run.folder, "last")
    found = evaluate_run(
        finished, None, root=tmp_path, download=False, workers=0, device="cpu", top=5
    )
    assert found.top1 == pytest.approx(outcome.metrics["val_top1"])
    assert found.top(5) == pytest.approx(outcome.metrics["val_top5"])
    # Other data goes through what `predict` does to a file, too.
    photograph = torch.arange(40 * 36).reshape(40, 36) % 256
    for split in ("train", "val"):
        for name in "0123456789":
            (tmp_path / "set" / split / name).mkdir(parents=True)
            path = tmp_path / "set" / split / name / "x.png"
            Image.fromarray(photograph.byte().numpy()).save(path)
    other = open_evaluated(finished, f"folder:{tmp_path / 'set'}", root=tmp_path, download=False)
    image = other.validation[0][0]
    assert torch.equal(image, finished.pixels(path))
    assert torch.equal(other.normalize(image[None])[0], finished.prepare(path))


def test_runs_of_before_are_evaluated(tmp_path: Path) -> None:
    model = archdsl.parse("network Two: 8x8x1 → 2 { fc 2 }")
    folder = run(model, tmp_path, Recipe("fake:16", 8, 1)).run.folder
    damage_facts("data", "appearance")(folder)
    assert evaluate(folder).exit_code == 0
