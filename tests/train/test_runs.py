"""``archdsl runs``: the list of runs, their curves in one picture, and in what they differ."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from runs import run, small

import archdsl
from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, augmentations, optimizers, schedules
from archdsl.train.folder import RunFolder
from archdsl.train.logs import read_metrics
from archdsl.train.runs import differences, draw_comparison, find_runs, read_run

pytestmark = pytest.mark.filterwarnings("ignore")

FIRST = Recipe("fake:16", 8, 2, optimizer=optimizers.SGD(lr=0.05))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in a few settings."""
    folder = tmp_path_factory.mktemp("runs")
    run(small(), folder, FIRST)
    other = replace(
        FIRST,
        epochs=1,
        optimizer=optimizers.Adam(lr=0.002),
        augment=(augmentations.Shift(0.1),),
        schedule=(schedules.Cosine(),),
    )
    run(small(), folder, other, seed=7, log=())
    return folder


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(commands, ["runs", *map(str, words)])


# ── The list ───────────────────────────────────────────────────────────────────────────────────


def test_each_run_is_a_line(folder: Path) -> None:
    done = call(folder)
    assert done.exit_code == 0, done.output
    head, first, second = (line.split() for line in done.stdout.splitlines())
    assert head == "run network parameters data optimizer epochs top-1 loss".split()
    rows = read_metrics(RunFolder(folder / "run"))
    assert first == [
        str(folder / "run"),
        "Small",
        f"{small().trunk.parameters:,}",
        "fake:16",
        "sgd",
        "0.05",
        "2/2",
        f"{max(row['val_top1'] for row in rows):.2%}",
        f"{min(row['val_loss'] for row in rows):.4f}",
    ]
    # Its rows are in no CSV file, but in its checkpoint.
    assert second[4:7] == ["adam", "0.002", "1/1"]


def test_the_list_as_json(folder: Path) -> None:
    facts = json.loads(call("--format", "json", folder).stdout)
    assert [each["run"] for each in facts] == [str(folder / name) for name in ("run", "run-2")]
    rows = read_metrics(RunFolder(folder / "run"))
    best = max(rows, key=lambda row: row["val_top1"])
    assert facts[0]["top1"] == best["val_top1"]
    assert facts[0]["best_epoch"] == best["epoch"]
    assert (facts[0]["epochs"], facts[0]["planned"], facts[0]["lr"]) == (2, 2, 0.05)


def test_runs_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("net-10", "net", "net-2", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    (tmp_path / "not a run").mkdir()
    assert [path.name for path in find_runs(tmp_path)] == ["net", "net-2", "net-10", "other"]
    assert find_runs(tmp_path / "net") == [tmp_path / "net"]


def test_a_run_that_has_just_begun_has_no_numbers(tmp_path: Path, folder: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(folder / "run" / "run.json", new)
    done = call(new)
    assert done.stdout.splitlines()[1].split()[-3:] == ["0/2", "–", "–"]


def test_a_damaged_run_does_not_hide_the_others(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder / "run", tmp_path / "good")
    for name, text in (("a", "{"), ("b", '{"network": "N"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    done = call(tmp_path)
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [str(tmp_path / "good")]
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["warning"] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["comprae", "a"], "there is no folder comprae; did you mean `compare`?"),
        (["compare", "a"], "name two runs or more"),
        (["compare", "a", "b"], "a is not the folder of a run"),
        (["compare", "a", "b", "-o", "c.txt"], "c.txt is not the name of a picture"),
        (["compare", "a", "b", "-o", "here.svg"], "here.svg already exists; use --force"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.svg").write_text("mine")
    done = call(*words)
    assert done.exit_code == 2
    assert said in done.stderr.splitlines()[-1]
    assert Path("here.svg").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_without_runs_is_no_fault(tmp_path: Path) -> None:
    done = call(tmp_path)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"note: there is no run in {tmp_path}\n"


# ── Comparing ──────────────────────────────────────────────────────────────────────────────────


def test_only_what_differs_is_listed(folder: Path) -> None:
    found = dict(differences([read_run(folder / "run"), read_run(folder / "run-2")]))
    assert found == {
        "epochs": ("2", "1"),
        "augment": ("–", "shift"),
        "augment.shift.share": ("–", "0.1"),
        "optimizer": ("sgd", "adam"),
        "optimizer.lr": ("0.05", "0.002"),
        "optimizer.momentum": ("0", "–"),
        "optimizer.nesterov": ("no", "–"),
        "optimizer.eps": ("–", "1e-08"),
        "schedule": ("–", "cosine"),
        "--seed": ("0", "7"),
    }


def test_another_network_is_a_difference(tmp_path: Path, folder: Path) -> None:
    """Also where only the order of its layers differs."""
    text = small().source.text.replace("maxpool 2; fc 16", "maxpool 2; tanh; fc 16")
    run(archdsl.parse(text), tmp_path, FIRST)
    found = differences([read_run(folder / "run"), read_run(tmp_path / "run")])
    assert [name for name, _ in found] == ["module (SHA-256)"]


def test_the_comparison_as_printed(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curves.svg"
    words = ("compare", folder / "run", folder / "run-2", "-o", picture)
    done = call(*words)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[4] == ["run", "run-2"]
    assert ["optimizer.lr", "0.05", "0.002"] in lines
    assert done.stdout.endswith(f"\nwrote {picture}\n")
    svg = picture.read_text("utf-8")
    assert "<!-- run-2 -->" in svg
    assert call(*words, "--force").exit_code == 0
    assert picture.read_text("utf-8") == svg
    same = call("compare", folder / "run", folder / "run", "-o", tmp_path / "same.png")
    assert "All settings are the same." in same.stdout
    assert (tmp_path / "same.png").read_bytes().startswith(b"\x89PNG")


def test_the_curves_are_those_of_the_runs(folder: Path) -> None:
    runs = [read_run(folder / "run"), read_run(folder / "run-2")]
    loss, top1 = draw_comparison(runs).axes
    for axes, column in ((loss, "loss"), (top1, "top1")):
        drawn = [[list(line.get_xdata()), list(line.get_ydata())] for line in axes.lines]
        assert drawn == [
            [
                [row["epoch"] for row in each.history],
                [row[f"{part}_{column}"] for row in each.history],
            ]
            for each in runs
            for part in ("val", "train")
        ]
