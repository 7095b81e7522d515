"""Evaluation and prediction of networks that tell masks, images again, or numbers."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from runs import run
from torch import Tensor
from torch.nn import functional as F

import archdsl
from archdsl.cli.commands import commands
from archdsl.layers.volume import Volume
from archdsl.recipe import Recipe, optimizers
from archdsl.recipe.losses import MeanSquaredError
from archdsl.train.data import open_data
from archdsl.train.errors import TrainError
from archdsl.train.evaluation import evaluate_run, open_evaluated
from archdsl.train.finished import Finished, open_run
from archdsl.train.masks import coloured, mask_colours, overlaid
from archdsl.train.other_evaluation import (
    evaluate_reconstruction,
    evaluate_regression,
    evaluate_segmentation,
)

pytestmark = pytest.mark.filterwarnings("ignore")

ADAM = optimizers.Adam(lr=0.01)
#: Dark, middle and bright pixels, and some without a class; told by their brightness.
OWN = """
import torch

class Bands(torch.utils.data.Dataset):
    def __init__(self, count, seed):
        self.count, self.seed = count, seed

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        draw = torch.Generator().manual_seed(1000 * self.seed + index)
        mask = torch.randint(0, 3, (4, 5), generator=draw).repeat_interleave(4, 0)
        mask = mask.repeat_interleave(4, 1)
        image = (20 + 100 * mask).to(torch.uint8)[None]
        mask = mask.clone()
        mask[:2] = 255
        return image, mask

class Sums(Bands):
    def __getitem__(self, index):
        image, _ = super().__getitem__(index)
        mean = image.float().mean() / 255
        return image, torch.stack([mean, 10 - 5 * mean, torch.tensor(3.0)])

class Unknown(Bands):
    def __getitem__(self, index):
        image, mask = super().__getitem__(index)
        return image, torch.full_like(mask, 255)

def unknown(): return Bands(32, 0), Unknown(9, 1), ["dark", "middle", "bright", "never"]
def bands(): return Bands(32, 0), Bands(9, 1), ["dark", "middle", "bright", "never"]
def sums(): return Sums(32, 0), Sums(9, 1), ["mean", "rest", "same"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own")
    (path / "own_pixels.py").write_text(OWN, "utf-8")
    return path


@pytest.fixture(autouse=True)
def _importable(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(place))


def trained(place: Path, spec: str, recipe: Recipe) -> Finished:
    folder = place / spec.split()[1].rstrip(":")
    if not folder.exists():
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(place))
            run(archdsl.parse(spec), folder, recipe)
    return open_run(folder / "run")


def segmenting(place: Path, spec: str = "16x20x4 { conv 3x3 8 same relu; conv 1x1 4 }") -> Finished:
    recipe = Recipe("own_pixels:bands", 8, 6, optimizer=ADAM)
    return trained(place, f"network Masks: 16x20x1 → {spec}", recipe)


def reproducing(place: Path, ending: str = "sigmoid") -> Finished:
    name = f"Coder{ending.title()}"
    spec = f"network {name}: 16x20x1 → 16x20x1 {{ conv 3x3 4 same relu; conv 1x1 1; {ending} }}"
    recipe = Recipe("own_pixels:bands", 8, 2, optimizer=ADAM, loss=MeanSquaredError())
    return trained(place, spec, recipe)


def telling(place: Path) -> Finished:
    recipe = Recipe("own_pixels:sums", 8, 8, optimizer=ADAM, loss=MeanSquaredError())
    return trained(place, "network Tells: 16x20x1 → 3 { avgpool 4; fc 3 }", recipe)


def held_out(finished: Finished) -> tuple[Tensor, Tensor, Tensor]:
    """The images for validation, their labels, and what the network returns."""
    data = open_data(finished.facts["data"]["name"], input=finished.input)
    pairs = [data.validation[i] for i in range(9)]
    images = torch.stack([x for x, _ in pairs])
    with torch.no_grad():
        output = finished.network(data.normalize(images))
    return images, torch.stack([y for _, y in pairs]), output


def command(*words: object) -> Result:
    return CliRunner().invoke(commands, [str(word) for word in words])


def write_image(path: Path, index: int = 0) -> Path:
    data = open_data("own_pixels:bands", input=Volume.image(16, 20, 1))
    Image.fromarray(data.validation[index][0][0].numpy()).save(path)
    return path


# ── Masks ────────────────────────────────────────────────────────────────────────────────────


def test_masks_are_compared_pixel_by_pixel(place: Path) -> None:
    finished = segmenting(place)
    data = open_evaluated(finished, None, root=place, download=False)
    found = evaluate_segmentation(finished, data, workers=0, device="cpu")
    _, labels, output = held_out(finished)
    guesses = output.argmax(dim=1)
    known = labels != 255
    assert (found.images, known.sum()) == (9, 9 * 14 * 20)
    assert found.accuracy == pytest.approx(float((guesses == labels)[known].double().mean()))
    ious = []
    for number, score in enumerate(found.classes):
        ours, theirs = (labels == number) & known, (guesses == number) & known
        assert score.support == int(ours.sum())
        if not (ours | theirs).any():
            assert (score.name, score.iou, score.recall) == ("never", None, None)
            continue
        ious.append(float((ours & theirs).sum() / (ours | theirs).sum()))
        assert score.iou == pytest.approx(ious[-1])
        assert score.recall == pytest.approx(float((ours & theirs).sum() / ours.sum()))
    assert found.miou == pytest.approx(sum(ious) / len(ious))
    assert found.miou > 0.6
    assert sum(map(sum, found.confusion)) == 9 * 14 * 20


def test_masks_without_a_class_are_no_success(place: Path) -> None:
    finished = segmenting(place)
    data = open_evaluated(finished, "own_pixels:unknown", root=place, download=False)
    with pytest.raises(TrainError, match="no pixel of the masks of own_pixels:unknown has a class"):
        evaluate_segmentation(finished, data, workers=0, device="cpu")


def test_the_worst_masks_come_first(place: Path) -> None:
    finished = segmenting(place)
    data = open_evaluated(finished, None, root=place, download=False)
    found = evaluate_segmentation(finished, data, workers=0, device="cpu")
    images, labels, output = held_out(finished)
    mious = [image.numbers["miou"] for image in found.worst]
    assert mious == sorted(mious)
    assert len(mious) == 8
    for image in found.worst:
        assert torch.equal(image.pixels, images[image.index])
        assert torch.equal(image.target, labels[image.index].long())
        assert torch.equal(image.output, output[image.index].argmax(dim=0))


def test_an_evaluation_of_masks_is_written_and_printed(place: Path) -> None:
    finished = segmenting(place)
    done = command("evaluate", finished.run.folder)
    assert done.exit_code == 0, done.output
    facts = json.loads((finished.run.folder / "evaluation.json").read_text("utf-8"))
    lines = done.stdout.splitlines()
    assert lines[0] == f"mIoU {facts['miou']:.2%}  pixels {facts['accuracy']:.2%}  of 9 images"
    assert lines[2].split() == ["class", "IoU", "recall", "pixels"]
    assert lines[6].split() == ["never", "–", "–", "0"]
    for name in ("confusion", "worst"):
        assert (finished.run.folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "mIoU" in (finished.run.folder / "worst.svg").read_text("utf-8")
    refused = command("evaluate", finished.run.folder, "--top", "3")
    assert refused.exit_code == 2
    assert "is a run of segmentation" in refused.stderr


def test_a_mask_is_written_beside_its_image(place: Path, tmp_path: Path) -> None:
    finished = segmenting(place)
    path = write_image(tmp_path / "bands.png")
    done = command("predict", finished.run.folder, path)
    assert done.exit_code == 0, done.output
    written = tmp_path / "bands-mask.png"
    lines = done.stdout.splitlines()
    assert lines[0] == f"{path} → {written}"
    expected = held_out(finished)[2][0].argmax(dim=0)
    with Image.open(written) as mask:
        assert mask.mode == "P"
        assert np.array_equal(np.asarray(mask), expected.numpy())
        colours = torch.from_numpy(np.array(mask.convert("RGB"))).permute(2, 0, 1)
    assert torch.equal(colours, coloured(expected))
    shares = {line.split()[1]: line.split()[0] for line in lines[1:]}
    for number, name in enumerate(finished.classes):
        count = int((expected == number).sum())
        assert shares.get(name) == (f"{count / expected.numel():.2%}" if count else None)
    again = command("predict", finished.run.folder, path)
    assert again.exit_code == 2
    assert "already exists; use --force" in again.stderr
    facts = json.loads(
        command("predict", finished.run.folder, path, "--force", "--format", "json").stdout
    )
    assert facts[0]["mask"] == str(written)
    assert sum(each["pixels"] for each in facts[0]["classes"]) == pytest.approx(1, abs=1e-5)
    text = command("predict", finished.run.folder, path, "--force", "--format", "csv").stdout
    assert next(csv.reader(io.StringIO(text))) == ["image", "mask", "class", "pixels"]


def test_an_overlay_is_colours_on_the_image(place: Path, tmp_path: Path) -> None:
    finished = segmenting(place)
    path, target = write_image(tmp_path / "bands.png"), tmp_path / "seen.png"
    done = command(
        "predict", finished.run.folder, path, "--overlay", "--save-output", target, "--save-input",
        tmp_path / "input.png",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bands.png", "input.png", "seen.png"]
    images, _, output = held_out(finished)
    mask = output[0].argmax(dim=0)
    with Image.open(target) as shown:
        found = torch.from_numpy(np.array(shown)).permute(2, 0, 1)
    assert torch.equal(found, overlaid(images[0] / 255, mask))
    ground = mask == 0
    assert torch.equal(found[:, ground], images[0].expand(3, -1, -1)[:, ground])
    mixed = 0.4 * images[0].float() + 0.6 * coloured(mask).float()
    torch.testing.assert_close(found[:, ~ground].float(), mixed[:, ~ground], atol=1, rtol=0)


def test_a_mask_of_fewer_pixels_lies_on_the_centre(place: Path, tmp_path: Path) -> None:
    recipe = Recipe("own_pixels:bands", 8, 1, optimizer=ADAM)
    finished = trained(place, "network Valid: 16x20x1 → 12x16x4 { conv 5x5 4 }", recipe)
    path = write_image(tmp_path / "bands.png")
    done = command("predict", finished.run.folder, path, "--overlay")
    assert done.exit_code == 0, done.output
    images, _, output = held_out(finished)
    expected = overlaid(images[0][:, 2:14, 2:18] / 255, output[0].argmax(dim=0))
    with Image.open(tmp_path / "bands-mask.png") as shown:
        assert torch.equal(torch.from_numpy(np.array(shown)).permute(2, 0, 1), expected)
    data = open_evaluated(finished, None, root=place, download=False)
    found = evaluate_segmentation(finished, data, workers=0, device="cpu")
    assert sum(score.support for score in found.classes) == 9 * 12 * 16


def test_colours_of_masks_are_those_of_pascal_voc() -> None:
    colours = mask_colours().tolist()
    assert colours[:5] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert colours[20] == [0, 64, 128]  # its last class, `tv/monitor`
    assert colours[255] == [224, 224, 192]  # its border
    assert len({tuple(colour) for colour in colours}) == 256


# ── Images again ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["sigmoid", "id"])
def test_reproductions_are_compared_in_pixels(place: Path, ending: str) -> None:
    """From 0 to 1, also where the network learned normalized ones."""
    finished = reproducing(place, ending)
    data = open_evaluated(finished, None, root=place, download=False)
    found = evaluate_reconstruction(finished, data, workers=0, device="cpu")
    images, _, output = held_out(finished)
    if ending == "id":
        output = output * data.std[0] + data.mean[0]
    mse = F.mse_loss(output.double(), images.double() / 255).item()
    assert found.mse == pytest.approx(mse, rel=1e-4)
    assert found.mae == pytest.approx((output - images / 255).abs().mean().item(), rel=1e-4)
    assert found.psnr == pytest.approx(10 * math.log10(1 / mse), rel=1e-4)
    assert [image.numbers["mse"] for image in found.worst] == sorted(
        (image.numbers["mse"] for image in found.worst), reverse=True
    )
    if ending == "sigmoid":  # whose loss is the same number
        rows = (finished.run.folder / "metrics.csv").read_text("utf-8").splitlines()
        best = min(float(row["val_loss"]) for row in csv.DictReader(rows))
        assert found.mse == pytest.approx(best, rel=1e-3)


def test_a_reproduction_is_written_and_printed(place: Path, tmp_path: Path) -> None:
    finished = reproducing(place)
    done = command("evaluate", finished.run.folder)
    assert done.exit_code == 0, done.output
    facts = json.loads((finished.run.folder / "evaluation.json").read_text("utf-8"))
    assert done.stdout.splitlines()[0] == (
        f"MSE {facts['mse']:.4g}  MAE {facts['mae']:.4g}  PSNR {facts['psnr']:.2f} dB  of 9 images"
    )
    path = write_image(tmp_path / "bands.png")
    done = command("predict", finished.run.folder, path, "--format", "json")
    assert done.exit_code == 0, done.output
    images, _, output = held_out(finished)
    with Image.open(tmp_path / "bands-reconstruction.png") as written:
        assert np.array_equal(np.asarray(written), (output[0, 0] * 255).round().byte().numpy())
    (said,) = json.loads(done.stdout)
    assert said["reconstruction"] == str(tmp_path / "bands-reconstruction.png")
    assert said["mse"] == pytest.approx(F.mse_loss(output[0], images[0] / 255).item(), rel=1e-4)


def test_an_older_autoencoder_is_refused(place: Path, tmp_path: Path) -> None:
    """Its run does not say what the numbers of its output mean."""
    import shutil

    folder = tmp_path / "old"
    shutil.copytree(reproducing(place).run.folder, folder)
    facts = json.loads((folder / "run.json").read_text("utf-8"))
    del facts["gives_pixels"]
    (folder / "run.json").write_text(json.dumps(facts), "utf-8")
    with pytest.raises(TrainError, match="is of an older archdsl"):
        open_run(folder)


# ── Numbers ──────────────────────────────────────────────────────────────────────────────────


def test_numbers_are_compared_with_their_targets(place: Path) -> None:
    finished = telling(place)
    data = open_evaluated(finished, None, root=place, download=False)
    found = evaluate_regression(finished, data, workers=0, device="cpu")
    _, targets, output = held_out(finished)
    errors = (output - targets).double()
    assert found.mse == pytest.approx(float(errors.square().mean()))
    assert found.mae == pytest.approx(float(errors.abs().mean()))
    for index, score in enumerate(found.targets):
        y = targets[:, index].double()
        assert score.mae == pytest.approx(float(errors[:, index].abs().mean()))
        assert score.rmse == pytest.approx(float(errors[:, index].square().mean().sqrt()))
        spread = float((y - y.mean()).square().sum())
        if score.name == "same":
            assert score.r2 is None
        else:
            assert score.r2 == pytest.approx(1 - float(errors[:, index].square().sum()) / spread)
    worst = found.worst[0]
    assert worst.index == int(errors.square().mean(dim=1).argmax())
    assert torch.equal(worst.target, targets[worst.index])


def test_numbers_are_written_and_printed(place: Path, tmp_path: Path) -> None:
    finished = telling(place)
    done = command("evaluate", finished.run.folder)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[2].split() == ["target", "MAE", "RMSE", "R²"]
    assert lines[5].split()[::3] == ["same", "–"]
    facts = json.loads((finished.run.folder / "evaluation.json").read_text("utf-8"))
    assert facts["worst"][0]["prediction"].keys() == {"mean", "rest", "same"}
    path = write_image(tmp_path / "bands.png")
    told = dict(zip(("mean", "rest", "same"), held_out(finished)[2][0].tolist(), strict=True))
    (said,) = json.loads(command("predict", finished.run.folder, path, "--format", "json").stdout)
    assert said["targets"] == pytest.approx(told, rel=1e-5)
    text = command("predict", finished.run.folder, path, "--format", "csv").stdout
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["image", "target", "value"]
    assert float(rows[2][2]) == pytest.approx(told["rest"], rel=1e-5)
    plain = command("predict", finished.run.folder, path).stdout.splitlines()
    assert plain[1].split() == [f"{told['mean']:.6g}", "mean"]
    assert [p.name for p in tmp_path.iterdir()] == ["bands.png"]
    for words in (["--top", "2"], ["--overlay"], ["--save-output", "x.png"]):
        refused = command("predict", finished.run.folder, path, *words)
        assert refused.exit_code == 2
        assert f"{words[0]} says nothing about" in refused.stderr


# ── What does not fit ────────────────────────────────────────────────────────────────────────


def test_data_with_other_labels_is_refused(place: Path) -> None:
    for finished, name, said in (
        (segmenting(place), "digits", "digits has classes, and the run is one of segmentation"),
        (telling(place), "own_pixels:bands", "has masks, and the run is one of regression"),
        (segmenting(place), "own_pixels:sums", "has numbers to be told, and the run is one of se"),
    ):
        with pytest.raises(TrainError, match=said):
            open_evaluated(finished, name, root=place, download=False)
    spec = "network Digit: 16x20x1 → 10 { maxpool 4; fc 10 }"
    classes = trained(place, spec, Recipe("digits", 500, 1))
    with pytest.raises(TrainError, match="has masks, and the run is one of classification"):
        evaluate_run(
            classes, "own_pixels:bands", root=place, download=False, workers=0, device="cpu"
        )


def test_an_image_is_not_overwritten(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = segmenting(place)
    path = write_image(tmp_path / "bands.png")
    before = path.read_bytes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.png").symlink_to(path)
    for words, said in (
        (["--save-output", "bands.png", "--force"], "is one of the images"),
        (["--save-input", "link.png", "--force"], "is one of the images"),
        (["--save-input", tmp_path / "x.png", "--save-output", "x.png"], "both input and output"),
        (["--save-output", path, "--force"], "is one of the images, and would be overwritten"),
        (["--save-input", path, "--force"], "is one of the images, and would be overwritten"),
        (
            ["--save-input", tmp_path / "x.png", "--save-output", tmp_path / "x.png"],
            "would be both input and output",
        ),
    ):
        done = command("predict", finished.run.folder, path, *words)
        assert done.exit_code == 2
        assert said in done.stderr
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bands.png", "link.png"]
