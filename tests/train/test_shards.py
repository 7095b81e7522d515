"""Images in tar files: the same as in a folder, near and far, and what is wrong with them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import SMALL, fault_of
from PIL import Image
from runs import run
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from webdataset import ShardWriter

import archdsl
from archdsl.recipe import Recipe, augmentations, optimizers
from archdsl.train.data import ImageData, open_data
from archdsl.train.run import Outcome

TEXT = """
network Two: 24x24x3 → 2 { conv 3x3 4 relu; maxpool 4; fc 8 relu dropout 0.3; fc 2 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of noise, one brighter, as files; and in three and two shards beside."""
    numbers = np.random.default_rng(0)
    path = tmp_path / "files"
    for part, count, most in (("train", 10, 4), ("val", 4, 3)):
        pattern = str(tmp_path / f"{part}-%02d.tar")
        (path / part).mkdir(parents=True)
        with ShardWriter(pattern, maxcount=2 * most, verbose=0) as shards:
            for label, name in enumerate(("dark", "light")):
                (path / part / name).mkdir()
                for index in range(count):
                    file = path / part / name / f"{index}.jpg"
                    pixels = numbers.integers(100 * label, 100 * label + 150, (30, 28, 3), np.uint8)
                    Image.fromarray(pixels).save(file)
                    sample = {"__key__": f"{name}/{index}", "jpg": file.read_bytes(), "cls": label}
                    shards.write(sample)
    return path


def shards_of(folder: Path, part: str = "{part}") -> str:
    return str(folder.parent / f"{part}-{{00..02}}.tar").replace("val-{00..02}", "val-*")


def opened(folder: Path, **options: Any) -> ImageData:
    name = f"webdataset:{shards_of(folder, 'train')},{shards_of(folder, 'val')}"
    return open_data(name, input=SMALL, classes=2, **options)


def test_shards_have_the_images_of_the_folder(folder: Path) -> None:
    found, expected = opened(folder), open_data(f"folder:{folder}", input=SMALL)
    assert found.classes == ("0", "1")
    assert (found.mean, found.std) == (expected.mean, expected.std)
    for ours, theirs in ((found.train, expected.train), (found.validation, expected.validation)):
        assert len(ours) == len(theirs)  # type: ignore[arg-type]
        for index in range(len(ours)):  # type: ignore[arg-type]
            assert torch.equal(ours[index][0], theirs[index][0])
            assert ours[index][1] == theirs[index][1]
    batches = DataLoader(found.train, 20, num_workers=2)
    images, labels = next(iter(batches))
    assert images.shape == (20, 3, 24, 24)
    assert labels.sum() == 10


def train_on(folder: Path, name: str, data: str, **flags: Any) -> Outcome:
    augment = (augmentations.RandomCrop(), augmentations.HorizontalFlip())
    recipe = Recipe(data, 4, 2, augment, optimizers.SGD(lr=0.05, momentum=0.9))
    return run(archdsl.parse(TEXT), folder.parent / name, recipe, **flags)


@pytest.mark.filterwarnings("ignore")
def test_a_run_on_shards_is_that_on_the_folder_and_goes_on_amid_an_epoch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = f"webdataset:{shards_of(folder, 'train')},{shards_of(folder, 'val')}"
    expected = load_file(train_on(folder, "files_run", f"folder:{folder}").run.last_weights)
    found = load_file(train_on(folder, "shards_run", shards, workers=1).run.last_weights)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    with monkeypatch.context() as patch:
        patch.setattr("archdsl.train.stopping.Stopping.signal", 15, raising=False)
        patch.setattr("archdsl.train.stopping.Stopping.__init__", lambda self: None)
        assert str(train_on(folder, "cut", shards).progress) == "step 1"
    found = load_file(train_on(folder, "cut", shards, resume="auto").run.last_weights)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_what_is_far_is_fetched_only_when_asked_for(folder: Path, tmp_path: Path) -> None:
    """WebDataset's own way to open what is not a file; here, a program that writes it."""
    root = tmp_path / "data"
    far = [f"pipe:cat {folder.parent}/{part}-{{00..01}}.tar" for part in ("train", "val")]
    name = f"webdataset:{','.join(far)}"

    def opened_far(**options: Any) -> ImageData:
        return open_data(name, input=SMALL, classes=2, root=root, **options)

    assert fault_of(opened_far).endswith("shards: fetch it with `--download`")
    assert not root.exists()
    data = opened_far(download=True)
    assert torch.equal(data.train[3][0], opened(folder).train[3][0])
    assert len(list((root / "shards").iterdir())) == 4
    assert opened_far().train[3][1] == 0  # it is there now
    gone = f"webdataset:pipe:cat {tmp_path}/none.tar,{far[1]}"
    message = fault_of(lambda: open_data(gone, input=SMALL, classes=2, root=root, download=True))
    assert "none.tar could not be fetched" in message
    assert len(list((root / "shards").iterdir())) == 4


def _write(path: Path, members: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as shard:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))


PNG = io.BytesIO()
Image.new("RGB", (24, 24)).save(PNG, "PNG")
GOOD = {"a.png": PNG.getvalue(), "a.cls": b"1"}

FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no shard": (lambda path: path.unlink(), "train-00.tar: there is no such shard"),
    "no tar": (lambda path: path.write_bytes(b"no tar"), "cannot be read as tar, uncompressed"),
    "compressed": (lambda path: _write(path, GOOD, "w:gz"), "cannot be read as tar, uncompressed"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:700]), "cannot be read as tar"),
    "no image": (lambda path: _write(path, {"a.cls": b"1"}), "a has no image"),
    "no class": (lambda path: _write(path, {"a.png": b""}), "a has no number in a.cls"),
    "a word": (lambda path: _write(path, {**GOOD, "a.cls": b"one"}), "a has no number in a.cls"),
    "a high class": (lambda path: _write(path, {**GOOD, "a.cls": b"2"}), "a has the class 2, with"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_shards_at_fault(folder: Path, fault: str) -> None:
    path = folder.parent / "train-00.tar"
    harm, said = FAULTS[fault]
    harm(path)
    message = fault_of(lambda: opened(folder))
    assert str(path) in message
    assert said in message


def test_a_broken_image_of_a_shard_is_named_or_left_out(folder: Path) -> None:
    _write(folder.parent / "train-00.tar", {**GOOD, "b.png": b"no image", "b.cls": b"0"})
    assert "train-00.tar/b: broken image" in fault_of(lambda: opened(folder).train[1])
    data = opened(folder, skip_broken=True)
    assert torch.equal(data.train[1][0], data.train[2][0])
    assert [path.name for path in data.broken] == ["b"]


def test_two_patterns_are_wanted(folder: Path) -> None:
    def opened_as(patterns: str) -> str:
        return fault_of(lambda: open_data(f"webdataset:{patterns}", input=SMALL))

    for patterns in (shards_of(folder, "train"), "a,b,c"):
        assert "write two patterns with a comma between" in opened_as(patterns)
    assert "write `webdataset:TRAIN,VALIDATION`" in opened_as("")
