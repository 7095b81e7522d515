"""``--loader dali``: the images of the other loader, but for rounding; skipped without DALI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import fault_of
from PIL import Image
from runs import run

import archdsl
from archdsl.layers.volume import Volume
from archdsl.recipe import Recipe, augmentations, optimizers
from archdsl.train.data import open_data
from archdsl.train.loading import Loader

# DALI leaves a socket open.
pytestmark = pytest.mark.filterwarnings("ignore")

INPUT = Volume.image(48, 40, 3)
CROPS = (augmentations.RandomResizedCrop(0.2), augmentations.HorizontalFlip())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Smooth images of odd sizes, one of them on its side."""
    numbers = np.random.default_rng(0)
    for part, count in (("train", 7), ("val", 3)):
        for name in "ab":
            (tmp_path / "set" / part / name).mkdir(parents=True)
            for index in range(count):
                colours = Image.fromarray(numbers.integers(0, 256, (4, 5, 3), np.uint8))
                image = colours.resize((90 + 7 * index, 110 - 5 * index))
                exif = image.getexif()
                exif[0x0112] = 6 if index == 1 else 1
                path = tmp_path / "set" / part / name / f"{index}.jpg"
                image.save(path, exif=exif, quality=98, subsampling=0)
    return tmp_path / "set"


def loading_of(kind: Any, folder: Path, augment: Any, **more: Any) -> Loader:
    data = open_data(f"folder:{folder}", input=INPUT, augment=augment)
    made: Loader = kind(
        data.train,
        len(data.train),  # type: ignore[arg-type]
        augment=augment,
        batch=4,
        workers=more.pop("workers", 0),
        seed=3,
        shuffle=True,
        rank=0,
        world=1,
        **more,
    )
    return made


@pytest.mark.parametrize("augment", [(), CROPS, CROPS[::-1]], ids=["none", "crop", "flip"])
def test_dali_gives_the_windows_of_the_other_loader(folder: Path, augment: Any) -> None:
    pytest.importorskip("nvidia.dali")
    from archdsl.train.dali import DaliLoading

    ours = loading_of(DaliLoading, folder, augment, workers=1, device=torch.device("cpu"))
    theirs = loading_of(Loader, folder, augment)
    # Amid an epoch, and two on.
    for epoch, step in ((2, 1), (3, 0), (4, 0)):
        found, expected = list(ours.batches(epoch, step)), list(theirs.batches(epoch, step))
        assert [len(labels) for _, labels in found] == [len(labels) for _, labels in expected]
        for (images, labels), (wanted, wanted_labels) in zip(found, expected, strict=True):
            assert torch.equal(labels, wanted_labels)
            assert images.dtype == torch.uint8
            apart = (images.float() - wanted.float()).abs()
            assert apart.mean() < 1.5
            assert apart.max() < 16


def test_a_run_with_dali(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("nvidia.dali")
    text = "network Two: 48x40x3 → 2 { conv 3x3 4 relu; gap; fc 2 }"
    recipe = Recipe(f"folder:{folder}", 4, 2, CROPS, optimizers.SGD(lr=0.05))
    losses = [
        run(archdsl.parse(text), tmp_path / loader, recipe, loader=loader, workers=1).metrics
        for loader in ("torch", "dali")
    ]
    assert losses[1]["val_loss"] == pytest.approx(losses[0]["val_loss"], abs=0.01)


def test_what_dali_does_not_do_is_refused(folder: Path, tmp_path: Path) -> None:
    text = "network Two: 48x40x3 → 2 { conv 3x3 4 relu; gap; fc 2 }"

    def fault(data: str, *augment: Any, **flags: Any) -> str:
        recipe = Recipe(data, 4, 1, augment)
        return fault_of(
            lambda: run(archdsl.parse(text), tmp_path / "runs", recipe, loader="dali", **flags)
        )

    files = f"folder:{folder}"
    assert "reads images that are files" in fault("fake:16")
    assert "without --skip-broken" in fault(files, skip_broken=True)
    message = fault(files, augmentations.Rotate())
    assert message == "`--loader dali` has no `augment rotate`"
