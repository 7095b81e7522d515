"""The folders of runs: their names, what is in them, and what is taken from them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from runs import damage_facts, run, small, write_spec

import archdsl
from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, averages
from archdsl.train.choice import choose_folder, hold
from archdsl.train.errors import TrainError
from archdsl.train.finished import open_run
from archdsl.train.options import TrainOptions
from archdsl.train.run import train_model

pytestmark = pytest.mark.filterwarnings("ignore")


# ── Names ──────────────────────────────────────────────────────────────────────────────────────


def test_the_second_run_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = []
    for _ in range(2):
        options = TrainOptions(output=tmp_path, device="cpu")
        model = small()
        outcome = train_model(model, archdsl.compile(model), Recipe("fake:8", 8, 1), options)
        folders.append(outcome.run.folder.name)
    assert folders == ["small", "small-2"]


def test_a_name_is_never_that_of_two_runs(tmp_path: Path) -> None:
    first = run(small(), tmp_path, Recipe("fake:8", 8, 1)).run
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    second = run(small(), tmp_path, Recipe("fake:8", 8, 2)).run
    assert [first.folder.name, second.folder.name] == ["run", "run-2"]
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before


def test_processes_refuse_a_name_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would look for another one by itself."""
    run(small(), tmp_path, Recipe("fake:8", 8, 1))
    monkeypatch.setenv("WORLD_SIZE", "2")
    options = TrainOptions(output=tmp_path, device="cpu", name="run")
    with pytest.raises(TrainError, match="run is taken: pass another --name, or --resume auto"):
        choose_folder(small(), options)
    assert choose_folder(small(), replace(options, resume="auto")) == tmp_path / "run"
    monkeypatch.setenv("RANK", "1")
    assert choose_folder(small(), options) == tmp_path / "run"


@pytest.mark.parametrize("name", ["../../escape", "a/b", "..", "", "/tmp", "a\\b"])
def test_a_name_is_that_of_one_folder(tmp_path: Path, name: str) -> None:
    options = TrainOptions(output=tmp_path / "runs", device="cpu", name=name)
    with pytest.raises(TrainError, match="is the name of a folder"):
        train_model(small(), "", Recipe("fake:8", 8, 1), options)
    assert list(tmp_path.iterdir()) == []


def test_processes_of_torchrun_need_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainError, match="pass --name"):
        train_model(
            small(), "", Recipe("fake:8", 8, 1), TrainOptions(output=tmp_path, device="cpu")
        )


def test_a_run_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    late = averages.ExponentialMovingAverage(steps=1000)
    for recipe, flags, said in (
        (Recipe("fake:16", 8, 2, average=late), {}, "the run has 4 steps"),
        (Recipe("fake:16", 8, 1), {"accumulate": 3}, "cannot be split into 3"),
        (Recipe("fake:16", 8, 1), {"resume": tmp_path / "nope"}, "there is no checkpoint"),
    ):
        with pytest.raises(TrainError, match=said):
            run(small(), tmp_path / "runs", recipe, **flags)
    assert not list(tmp_path.rglob("*run*/*"))
    assert not (tmp_path / "nope").exists()


def test_one_run_at_a_time_in_a_folder(tmp_path: Path) -> None:
    recipe = Recipe("fake:16", 8, 1)
    first = run(small(), tmp_path, recipe).run
    with hold(first), pytest.raises(TrainError, match=r"another process trains in .*run$"):
        run(small(), tmp_path, replace(recipe, epochs=2), resume="auto")
    assert run(small(), tmp_path, replace(recipe, epochs=2), resume="auto").epochs == 2


# ── What was tampered with ─────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(small(), tmp_path_factory.mktemp("trained"), Recipe("fake:16", 8, 1)).run.folder


DAMAGES: dict[str, tuple[Any, str]] = {
    "no JSON": (lambda f: (f / "run.json").write_text("{"), "is not the folder of a run"),
    "a list": (lambda f: (f / "run.json").write_text("[]"), "does not describe a run"),
    "no class": (damage_facts("class"), "is damaged: `class` is missing"),
    "no classes": (damage_facts("data", "classes"), "is damaged: `data.classes` is missing"),
    "no data": (damage_facts("data"), "is damaged: `data.name` is missing"),
    "an odd class": (damage_facts("data", "classes", value=[1, 2]), "are not names"),
    "fewer classes": (
        damage_facts("data", "classes", value=["a"]),
        "1 class, .* returns 4 numbers",
    ),
    "an odd input": (damage_facts("input", value=[16, -1, 1]), r"`input` is \[16, -1, 1\]"),
    "another input": (damage_facts("input", value=[8, 9, 1]), "does not run: "),
    "a short mean": (damage_facts("data", "mean", value=[]), r"`data.mean` is \[\]"),
    "no module": (lambda f: (f / "module.py").unlink(), "cannot read .*module.py"),
    "no Python": (lambda f: (f / "module.py").write_text("class"), "cannot be run: SyntaxError"),
    "an error": (lambda f: (f / "module.py").write_text("1 / 0"), "run: ZeroDivisionError"),
    "another class": (lambda f: (f / "module.py").write_text("x = 1"), "has no network Small"),
    "half weights": (
        lambda f: (f / "weights.safetensors").write_bytes(
            (f / "weights.safetensors").read_bytes()[:999]
        ),
        "weights.safetensors is not a file of weights",
    ),
    "no weights at all": (
        lambda f: [p.unlink() for p in (*f.glob("*.safetensors"), *f.glob("checkpoints/*"))],
        "has no weights yet",
    ),
    "a checkpoint that is none": (
        lambda f: (f / "checkpoints" / "last.ckpt").write_bytes(b"\x80\x02c__main__\nx\n."),
        "last.ckpt is not a checkpoint of a run",
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


# ── Weights ────────────────────────────────────────────────────────────────────────────────────


def test_weights_and_checkpoints_are_taken_everywhere(tmp_path: Path, trained: Path) -> None:
    spec = write_spec(tmp_path)
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
