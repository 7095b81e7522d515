"""Folders of images, broken ones among them, and what training and prediction make of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from images import COLOURS, LENET, SMALL, fault_of, folder, open_photos, pixels_of
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchvision.transforms.v2 import functional

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import Augmentation, RandomCrop
from archdsl.train.data import ImageData, open_data, preparation, prepare_pixels
from archdsl.train.data.decoding import BrokenImageError, decode_image, decode_quickly
from archdsl.train.data.preparation import resize

__all__ = ["folder"]

# ── folder: ──────────────────────────────────────────────────────────────────────────────────────


def test_a_folder(folder: Path) -> None:
    (folder / "train" / "red" / ".hidden.png").write_bytes(b"")
    (folder / "train" / "red" / "notes.txt").write_text("no image")
    (folder / "train" / ".cache").mkdir()
    data = open_photos(folder)
    assert data.classes == ("blue", "green", "red")
    assert (len(data.train), len(data.validation)) == (12, 12)
    assert data.mean == (0.485, 0.456, 0.406)
    for index in range(12):
        image, label = data.train[index]
        assert image.shape == (3, 24, 24)
        colour = torch.tensor(COLOURS[data.classes[label]]).float()
        torch.testing.assert_close(pixels_of(data, image).mean((1, 2)), colour)


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
    message = fault_of(lambda: open_photos(folder))
    assert words in message
    assert str(folder) in message


def test_a_file_or_an_empty_layout_is_no_folder_of_images(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.touch()
    assert fault_of(lambda: open_photos(file)) == f"{file} is not a folder"
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
    assert "has no folder" in fault_of(lambda: open_photos(tmp_path))


def test_an_image_is_turned_upright(folder: Path) -> None:
    image = Image.new("RGB", (24, 24), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 24, 12))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter: what is stored on top belongs to the right
    path = folder / "turned.png"
    image.save(path, exif=exif)
    prepared = prepare_pixels(path, input=LENET)
    assert prepared[0, 16, 8] == 0
    assert prepared[0, 16, 24] == 255


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
    data = open_photos(folder)
    message = fault_of(lambda: list(DataLoader(data.train, 4, num_workers=workers)))
    assert message.startswith(f"{broken[0]}: broken image: ")
    assert message.endswith("; `--skip-broken` continues without it")
    assert data.broken == ()


@WORKERS
def test_broken_images_are_replaced_and_counted(
    folder: Path, broken: tuple[Path, ...], workers: int
) -> None:
    data = open_photos(folder, skip_broken=True)
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
    data = open_photos(folder, skip_broken=True)
    assert fault_of(lambda: data.train[0]) == f"{folder / 'train'}: no image can be decoded"


def test_a_file_that_vanishes_is_never_skipped(folder: Path) -> None:
    data = open_photos(folder, skip_broken=True)
    path = folder / "train" / "blue" / "0.png"
    path.unlink()
    assert fault_of(lambda: data.train[0]) == f"{path}: cannot be read: No such file or directory"


def test_broken_images_of_a_subset_are_counted(folder: Path, broken: tuple[Path, ...]) -> None:
    opened = open_photos(folder, skip_broken=True)
    few = Subset(opened.train, range(4, 6))
    data = ImageData("few", few, few, opened.classes, opened.mean, opened.std)
    assert len(list(few)) == 2
    assert data.broken == broken[:2]


# ── predict ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("augment", [(), (RandomCrop(),)])
def test_one_file_is_prepared_as_for_validation(
    folder: Path, augment: tuple[Augmentation, ...]
) -> None:
    path = folder / "val" / "blue" / "0.png"
    gradient = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8)
    Image.fromarray(gradient).save(path)
    data = open_photos(folder, augment=augment)
    image = prepare_pixels(path, input=SMALL, enlarged=data.enlarged)
    assert torch.equal(data.normalize(image), data.normalize(data.validation[0][0]))


def test_files_that_cannot_be_predicted(tmp_path: Path) -> None:
    def prepare(path: Path) -> Callable[[], Tensor]:
        return lambda: prepare_pixels(path, input=LENET)

    assert fault_of(prepare(tmp_path / "none.png")).endswith(
        "none.png: cannot be read: No such file or directory"
    )
    assert fault_of(prepare(tmp_path)) == f"{tmp_path}: cannot be read: Is a directory"
    text = tmp_path / "text.png"
    text.write_text("no image")
    assert fault_of(prepare(text)) == f"{text}: broken image: no known image format"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_of_image_is_converted(mode: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    Image.new(mode, (20, 20)).save(path)
    volume = Volume.image(20, 20, channels)
    image = prepare_pixels(path, input=volume)
    assert image.shape == (channels, 20, 20)
    assert image.dtype == torch.uint8


def test_pixels_of_16_bits_are_scaled_and_those_of_32_refused(tmp_path: Path) -> None:
    values = np.arange(0, 65536, 64, np.uint16).reshape(32, 32)
    for name in ("a.png", "a.tiff"):
        path = tmp_path / name
        Image.fromarray(values).save(path)
        assert np.array_equal(decode_image(path, 1)[0].numpy(), values // 256)
        assert np.array_equal(decode_image(path, 3)[2].numpy(), values // 256)
    path = tmp_path / "a.tiff"
    for dtype, mode in ((np.float32, "F"), (np.int32, "I")):
        Image.fromarray(values.astype(dtype)).save(path)
        with pytest.raises(BrokenImageError, match=rf"has pixels of 32 bits \(mode {mode}\)"):
            decode_image(path, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_has_the_pixels_that_pillow_gives_it(
    tmp_path: Path, mode: str, orientation: int, channels: int
) -> None:
    path = tmp_path / "a.jpg"
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.resize((61, 40)).convert(mode).save(path, exif=exif, progressive=orientation % 2 == 0)
    with Image.open(path) as stored:
        upright = ImageOps.exif_transpose(stored).convert({1: "L", 3: "RGB"}[channels])
    expected = np.asarray(upright).reshape(upright.height, upright.width, channels)
    for decode in (decode_image, lambda path, n: decode_quickly(path.read_bytes(), str(path), n)):
        assert np.array_equal(decode(path, channels).permute(1, 2, 0).numpy(), expected)
    path.write_bytes(path.read_bytes()[:-40])
    broken = r"a\.jpg: broken image: image file is truncated"
    with pytest.raises(BrokenImageError, match=broken):
        decode_image(path, channels)
    with pytest.raises(BrokenImageError, match=broken):
        decode_quickly(path.read_bytes(), str(path), channels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("size", [(24, 24), (7, 31), (61, 40), (9, 14)])
@pytest.mark.parametrize("is_cast", [False, True])
def test_resizing_is_torchvisions(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], dtype: torch.dtype, is_cast: bool
) -> None:
    """Bit for bit, on processors with fast bytes and on others, whatever the order in memory."""
    if is_cast:
        monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "DEFAULT")
        monkeypatch.setattr("platform.machine", lambda: "other")
    preparation._resizes_bytes.cache_clear()
    try:
        for shape in ((3, 40, 61), (1, 40, 61), (2, 3, 40, 61)):
            image = (256 * torch.rand(shape)).to(dtype)
            for x in (image, image.movedim(-3, -1).contiguous().movedim(-1, -3)):
                assert torch.equal(resize(x, size), functional.resize(x, list(size)))
    finally:
        preparation._resizes_bytes.cache_clear()
