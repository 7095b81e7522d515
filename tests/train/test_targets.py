"""Networks that tell numbers: images with a table of targets, and the run that learns them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from images import fault_of
from oracle import build
from PIL import Image
from runs import run
from safetensors.torch import load_file
from torch.nn import functional as F

import archdsl
from archdsl.layers.volume import Volume
from archdsl.recipe import Recipe, augmentations, optimizers
from archdsl.recipe.losses import MeanSquaredError
from archdsl.train.data import open_data
from archdsl.train.data.targets import read_targets
from archdsl.train.errors import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")

INPUT = Volume.image(16, 16, 1)
SPEC = "network Where: 16x16x1 → 2 { avgpool 4; fc 2 }"
MSE = MeanSquaredError()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bright spot on black; its place, from 0 to 1, is to be told."""
    path = tmp_path / "dots"
    drawn = np.random.default_rng(0)
    for part, count in (("train", 96), ("val", 24)):
        (path / part / "images").mkdir(parents=True)
        lines = ["image,across,down"]
        for index in range(count):
            row, column = drawn.integers(0, 13, 2)
            pixels = np.zeros((16, 16), np.uint8)
            pixels[row : row + 4, column : column + 4] = 255
            Image.fromarray(pixels).save(path / part / "images" / f"{index}.png")
            lines.append(f"images/{index}.png,{column / 12},{row / 12}")
        (path / part / "targets.csv").write_text("\n".join(lines) + "\n")
    return path


def test_targets_belong_to_their_images(folder: Path) -> None:
    data = open_data(f"folder:{folder}", input=INPUT)
    assert (data.targets, data.classes, data.has_masks) == (("across", "down"), (), False)
    assert (len(data.train), len(data.validation)) == (96, 24)
    for index in range(24):
        image, targets = data.validation[index]
        rows, columns = (image[0] == 255).nonzero(as_tuple=True)
        expected = torch.tensor([columns.min() / 12, rows.min() / 12])
        torch.testing.assert_close(targets, expected)
        assert targets.dtype == torch.float32


def test_a_network_learns_numbers(folder: Path, tmp_path: Path) -> None:
    adam = optimizers.Adam(lr=0.01)
    recipe = Recipe(f"folder:{folder}", 8, 12, optimizer=adam, loss=MSE)
    model = archdsl.parse(SPEC)
    outcome = run(model, tmp_path, recipe)
    # Always saying the mean would be as bad as the variance of the places.
    data = open_data(f"folder:{folder}", input=INPUT)
    pairs = [data.validation[i] for i in range(24)]
    targets = torch.stack([y for _, y in pairs])
    assert outcome.metrics["val_loss"] < 0.3 * float(targets.var(dim=0, correction=0).mean())
    network = build(model)
    network.load_state_dict(load_file(outcome.run.last_weights))
    network.eval()
    with torch.no_grad():
        told = network(data.normalize(torch.stack([x for x, _ in pairs])))
    expected = F.mse_loss(told, targets), (told - targets).abs().mean()
    assert outcome.metrics["val_loss"] == pytest.approx(expected[0].item(), rel=1e-4)
    assert outcome.metrics["val_mae"] == pytest.approx(expected[1].item(), rel=1e-4)
    facts = json.loads(outcome.run.facts.read_text("utf-8"))
    assert facts["task"] == "regression"
    assert facts["data"]["targets"] == ["across", "down"]
    report = outcome.run.report.read_text("utf-8")
    assert "16x16x1 → across, down" in report
    assert "| mean absolute error |" in report


def test_own_data_may_have_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_dots.py").write_text(
        "import torch\n"
        "def make(width=2, value=0.5):\n"
        "    x = torch.zeros(1, 16, 16, dtype=torch.uint8)\n"
        "    items = [(x, torch.full((width,), value))] * 4\n"
        "    return items, items, ['across', 'down']\n"
        "def few(): return make(1)\n"
        "def lost(): return make(2, float('nan'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    data = open_data("own_dots:make", input=INPUT)
    assert data.targets == ("across", "down")
    assert data.train[0][1].tolist() == [0.5, 0.5]
    for function, said in (
        ("few", "`own_dots:few`: image 0 has 1 targets, with 2 names"),
        ("lost", "`own_dots:lost`: image 0 has a target that is NaN or infinite"),
    ):
        assert fault_of(lambda: open_data(f"own_dots:{function}", input=INPUT).train[0]) == said  # noqa: B023


GOOD = "image,a,b\nx.png,1,2\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: the first line names the columns: the image, and each of its targets"),
        ("image\nx.png\n", ":1: the first line names the columns"),
        ("x.png,1,2\n", ":1: the first line names the columns"),
        ("image,a,a\nx.png,1,2\n", ":1: two targets are called a"),
        ("image,a,\nx.png,1,2\n", ":1: the first line names the columns"),
        ("image,a,b\n", " names no image"),
        ("image,a,b\nx.png,1\n", ":2: 1 numbers, and 2 targets: a, b"),
        ("image,a,b\n\nx.png,1,2,3\n", ":3: 3 numbers, and 2 targets: a, b"),
        ("image,a,b\nx.png,1,two\n", ":2: b is 'two', not a number"),
        ("image,a,b\nx.png,1,\n", ":2: b is '', not a number"),
        ("image,a,b\nx.png,1_0,2\n", ":2: a is '1_0', not a number"),
        ("image,a,b\nx.png,nan,2\n", ":2: a is nan, which no network can learn"),
        ("image,a,b\nx.png,1,-inf\n", ":2: b is -inf, which no network can learn"),
        ("image,a,b\nx.png,1e39,2\n", ":2: a is 1e39, which no network can learn"),
        ("image,a,b\ny.png,1,2\n", ":2: there is no image 'y.png' in"),
        ("image,a,b\nx.png,1,2\nx.png,1,2\n", ":3: x.png has a line already"),
        ('image,a,b\n"x.png,1,2\n', ":2: unexpected end of data"),
    ],
)
def test_a_faulty_table_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    path = tmp_path / "targets.csv"
    path.write_text(GOOD, "utf-8")
    assert read_targets(path).targets.tolist() == [[1, 2]]
    path.write_text(text, "utf-8")
    with pytest.raises(TrainError) as raised:
        read_targets(path)
    assert str(raised.value).startswith(f"{path}{said}")
    assert "\n" not in str(raised.value)


def test_a_table_may_begin_with_a_mark_and_is_utf_8(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "ä.png")
    path = tmp_path / "targets.csv"
    path.write_bytes("\ufeffimage, höhe \r\n ä.png , 1.5e0\r\n".encode())
    found = read_targets(path)
    assert (found.names, found.targets.tolist()) == (("höhe",), [[1.5]])
    path.write_bytes(b"image,a\n\xff,1\n")
    assert fault_of(lambda: read_targets(path)).endswith("it is not UTF-8")


def test_parts_with_other_targets(folder: Path) -> None:
    table = folder / "val" / "targets.csv"
    text = table.read_text("utf-8")
    table.write_text(text.replace("across,down", "down,across"), "utf-8")
    said = fault_of(lambda: open_data(f"folder:{folder}", input=INPUT))
    assert said == f"{table}:1: the targets are down, across; in training they are across, down"
    table.unlink()
    said = fault_of(lambda: open_data(f"folder:{folder}", input=INPUT))
    assert said == f"{table} is not there: both parts need one"


def test_what_does_not_fit_a_network_is_one_line(folder: Path, tmp_path: Path) -> None:
    data = f"folder:{folder}"
    three = archdsl.parse(SPEC.replace("fc 2 }", "fc 3 }").replace("→ 2", "→ 3"))
    image = archdsl.parse("network Image: 16x16x1 → 16x16x1 { conv 3x3 1 same }")
    aux = archdsl.parse("network Aux: 16x16x1 → 2 { conv 3x3 2 s2 same; aux(0.3) { fc 2 }; fc 2 }")
    mixup = (augmentations.MixUp(),)
    for model, recipe, said in (
        (three, Recipe(data, 8, loss=MSE), "Where returns 3 numbers, .* has 2 targets: across, d"),
        (archdsl.parse(SPEC), Recipe(data, 8), "numbers to be told: the recipe needs `loss mse`"),
        (image, Recipe(data, 8, loss=MSE), "Image has to end in one vector of them"),
        (aux, Recipe(data, 8, loss=MSE), "Aux has to end in one vector of them"),
        (archdsl.parse(SPEC), Recipe(data, 8, augment=mixup, loss=MSE), "mixes the classes"),
    ):
        with pytest.raises(TrainError, match=said):
            run(model, tmp_path / "runs", recipe)
    assert not list((tmp_path / "runs").glob("*"))


def test_a_run_resumes_with_the_same_targets_alone(folder: Path, tmp_path: Path) -> None:
    model, recipe = archdsl.parse(SPEC), Recipe(f"folder:{folder}", 8, 1, loss=MSE)
    run(model, tmp_path, recipe)
    for part in ("train", "val"):
        table = folder / part / "targets.csv"
        table.write_text(table.read_text("utf-8").replace("across,down", "x,y"), "utf-8")
    with pytest.raises(TrainError, match=r"its targets of .* were across, down, those of .* x, y"):
        run(model, tmp_path, Recipe(f"folder:{folder}", 8, 2, loss=MSE), resume=tmp_path / "run")
