"""What ``archdsl predict`` says of an image, and whether it is like those of the training."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from runs import damage_facts, run

import archdsl
from archdsl.cli.commands import commands
from archdsl.layers.volume import Volume
from archdsl.recipe import Recipe, augmentations
from archdsl.train.data import Appearance, measure_appearance, open_data

pytestmark = pytest.mark.filterwarnings("ignore")

DIGITS = "network Digits: 32x32x1 → 10 { maxpool 4; fc 10 }"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single layer that reads about nine digits of ten."""
    recipe = Recipe("digits", 50, 4)
    return run(archdsl.parse(DIGITS), tmp_path_factory.mktemp("digits"), recipe).run.folder


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    """A seven of those held out, white on black."""
    path = tmp_path / "seven.png"
    held_out = open_data("digits", input=Volume.image(28, 28, 1)).validation
    image = next(x for x, label in (held_out[i] for i in range(1000)) if label == 7)
    Image.fromarray(image[0].numpy()).save(path)
    return path


def invert(path: Path) -> Path:
    target = path.with_name("inverted.png")
    Image.fromarray(255 - np.asarray(Image.open(path))).save(target)
    return target


def predict(*words: str | Path) -> Result:
    return CliRunner().invoke(commands, ["predict", *map(str, words)])


def test_an_image_like_the_others_is_taken_without_a_word(trained: Path, digit: Path) -> None:
    done = predict(trained, digit, "--top", "1")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].endswith("%  7")


def test_black_on_white_is_pointed_out_and_can_be_inverted(trained: Path, digit: Path) -> None:
    path = invert(digit)
    done = predict(trained, path)
    assert done.exit_code == 0
    assert done.stderr.startswith(f"warning: {path}: its mean brightness is 6")
    assert "that of the images of digits 10% ± 3%" in done.stderr
    assert done.stderr.endswith("dark and bright seem to be reversed: try --invert\n")
    inverted = predict(trained, path, "--invert")
    assert inverted.stderr == ""
    assert inverted.stdout.splitlines()[1:] == predict(trained, digit).stdout.splitlines()[1:]
    twice = predict(trained, digit, "--invert")
    assert twice.stderr.endswith("try without --invert\n")


def test_an_image_of_one_colour_is_pointed_out(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "blank.png"
    Image.new("L", (28, 28), 0).save(path)
    assert predict(trained, path).stderr == f"warning: {path}: all its pixels are equal\n"


def test_a_run_of_before_says_nothing(tmp_path: Path, trained: Path, digit: Path) -> None:
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", trained, folder], check=True)
    damage_facts("data", "appearance")(folder)
    done = predict(folder, invert(digit))
    assert (done.exit_code, done.stderr) == (0, "")


def test_a_damaged_appearance_is_one_line(tmp_path: Path, trained: Path, digit: Path) -> None:
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", trained, folder], check=True)
    damage_facts("data", "appearance", "background", value=[0, 0, 0])(folder)
    done = predict(folder, digit)
    assert done.exit_code == 2
    assert "run.json is damaged: `data.appearance` is" in done.stderr


@pytest.mark.parametrize(("ink", "flags"), [(255, ()), (0, ("--invert",))])
def test_what_is_transparent_has_the_background_of_the_data(
    trained: Path, digit: Path, tmp_path: Path, ink: int, flags: tuple[str, ...]
) -> None:
    """Strokes of one colour whose shape is in the alpha channel alone, as drawing programs do."""
    alpha = np.asarray(Image.open(digit))
    path = tmp_path / "strokes.png"
    Image.fromarray(np.stack([np.full_like(alpha, ink), alpha], axis=-1), "LA").save(path)
    found = predict(trained, path, *flags)
    assert found.stderr == ""
    assert found.stdout.splitlines()[1:] == predict(trained, digit).stdout.splitlines()[1:]


def test_programs_get_json_and_csv(trained: Path, digit: Path) -> None:
    other = invert(digit)
    done = predict(trained, digit, other, "--format", "json", "--top", "3")
    first, second = json.loads(done.stdout)
    assert (first["image"], first["warning"]) == (str(digit), None)
    assert "try --invert" in second["warning"]
    assert first["classes"][0]["class"] == "7"
    shares = [row["probability"] for row in first["classes"]]
    assert len(shares) == 3
    assert shares == sorted(shares, reverse=True)
    done = predict(trained, digit, other, "--format", "csv", "--top", "3")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["image"], row["rank"]) for row in rows] == [
        (str(path), rank) for path in (digit, other) for rank in "123"
    ]
    assert [float(row["probability"]) for row in rows[:3]] == shares


def test_the_input_is_saved_as_the_network_saw_it(
    trained: Path, digit: Path, tmp_path: Path
) -> None:
    """28×28 pixels in the middle of 32×32, and inverted where that was asked for."""
    seen = tmp_path / "seen.png"
    assert predict(trained, invert(digit), "--invert", "--save-input", seen).exit_code == 0
    pixels = np.asarray(Image.open(seen))
    expected = np.pad(np.asarray(Image.open(digit)), 2)
    assert np.array_equal(pixels, expected)
    before = seen.read_bytes()
    refused = predict(trained, digit, "--invert", "--save-input", seen)
    assert refused.exit_code == 2
    assert "already exists; use --force" in refused.stderr
    assert seen.read_bytes() == before
    assert predict(trained, digit, "--invert", "--save-input", seen, "--force").exit_code == 0
    assert seen.read_bytes() != before


def test_the_inputs_of_several_images_go_to_a_folder(
    trained: Path, digit: Path, tmp_path: Path
) -> None:
    images = [digit, invert(digit)]
    folder = tmp_path / "seen"
    assert predict(trained, *images, "--save-input", folder).exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["inverted.png", "seven.png"]
    for words, said in (
        ([*images, "--save-input", tmp_path / "one.png"], "name a folder for several images"),
        ([digit, tmp_path / "a" / digit.name, "--save-input", folder], "of the same name"),
    ):
        refused = predict(trained, *words)
        assert refused.exit_code == 2
        assert said in refused.stderr


# ── The numbers ────────────────────────────────────────────────────────────────────────────────


def test_the_appearance_of_images() -> None:
    """Two of four pixels: one with a bright pixel in three dark ones, one at half the contrast."""
    images = torch.tensor([[[[0, 0], [0, 255]]], [[[51, 51], [51, 102]]]], dtype=torch.uint8)
    found = Appearance.of(images)
    assert found.brightness.mean == pytest.approx((0.25 + 0.25) / 2)
    assert found.brightness.std == pytest.approx(0)
    assert (found.polarity.mean, found.polarity.std) == (0.25, 0)
    assert found.background == (0,)
    assert Appearance.read(found.facts()) == found


def test_no_held_out_digit_is_unlike_and_each_inverted_one_is() -> None:
    data = open_data("digits", input=Volume.image(32, 32, 1))
    appearance = measure_appearance(data)
    assert appearance is not None
    assert appearance.background == (0,)
    for index in range(0, 1000, 5):
        image, _ = data.validation[index]
        assert appearance.remark(image, "digits", inverted=False) is None
        assert "--invert" in (appearance.remark(255 - image, "digits", inverted=False) or "")


def test_augmentation_is_no_part_of_the_appearance() -> None:
    """A shift by half the image would leave it dark."""
    volume = Volume.image(28, 28, 1)
    plain = open_data("digits", input=volume)
    shifted = open_data("digits", input=volume, augment=(augmentations.Shift(0.9),))
    assert measure_appearance(shifted) == measure_appearance(plain)
    few = replace(plain, train=torch.utils.data.Subset(plain.train, [3]))
    only = Appearance.of(plain.train[3][0][None])
    assert measure_appearance(few) == only
