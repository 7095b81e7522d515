"""Folders of images, broken ones among them, and what training and prediction make of images."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import LENET, SMALL, Ramp, fault_of, pixels_of
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import (
    Augmentation,
    ColorPCA,
    CutMix,
    HorizontalFlip,
    Mixing,
    MixUp,
    RandAugment,
    RandomCrop,
    RandomResizedCrop,
    Rotate,
    Shift,
)
from archdsl.recipe.definition import OPTIONS, RecipeRole
from archdsl.train.data import ImageData, open_data, preparation, prepare_pixels
from archdsl.train.data.augmentation import plan_mixing
from archdsl.train.data.decoding import BrokenImageError, decode_image, decode_quickly
from archdsl.train.data.preparation import resize

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
    message = fault_of(lambda: _open(folder))
    assert words in message
    assert str(folder) in message


def test_a_file_or_an_empty_layout_is_no_folder_of_images(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.touch()
    assert fault_of(lambda: _open(file)) == f"{file} is not a folder"
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
    assert "has no folder" in fault_of(lambda: _open(tmp_path))


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
    data = _open(folder)
    message = fault_of(lambda: list(DataLoader(data.train, 4, num_workers=workers)))
    assert message.startswith(f"{broken[0]}: broken image: ")
    assert message.endswith("; `--skip-broken` continues without it")
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
    assert fault_of(lambda: data.train[0]) == f"{folder / 'train'}: no image can be decoded"


def test_a_file_that_vanishes_is_never_skipped(folder: Path) -> None:
    data = _open(folder, skip_broken=True)
    path = folder / "train" / "blue" / "0.png"
    path.unlink()
    assert fault_of(lambda: data.train[0]) == f"{path}: cannot be read: No such file or directory"


def test_broken_images_of_a_subset_are_counted(folder: Path, broken: tuple[Path, ...]) -> None:
    opened = _open(folder, skip_broken=True)
    few = Subset(opened.train, range(4, 6))
    data = ImageData("few", few, few, opened.classes, opened.mean, opened.std)
    assert len(list(few)) == 2
    assert data.broken == broken[:2]


# ── Augmentations ────────────────────────────────────────────────────────────────────────────────


PAGES: list[Augmentation] = [
    page()  # type: ignore[misc]
    for page in OPTIONS[RecipeRole.AUGMENTATION].values()
    if not issubclass(page, Mixing)
]


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
        (RandomResizedCrop(), HorizontalFlip(), RandAugment(), MixUp(), CutMix()),
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


def _ramp(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    *augment: Augmentation,
    input: tuple[int, int] = (56, 56),
) -> ImageData:
    module = type(sys)("ramp_data")
    made = (Ramp(*size), Ramp(*size), ("ramp",))
    module.make = lambda: made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ramp_data", module)
    return open_data("ramp_data:make", input=Volume.image(*input, 3), augment=augment)


def _corners(data: ImageData, image: Tensor) -> tuple[int, int]:
    row, column, _ = pixels_of(data, image)[:, 0, 0].round().int().tolist()
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
        tuple(pixels_of(data, data.train[0][0])[:2, 28, 28].round().int().tolist())
        for _ in range(300)
    }
    assert centres == {(row, column) for row in range(26, 31) for column in range(26, 31)}


def test_shift_moves_zeros_in(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _ramp(monkeypatch, (56, 28), Shift(share=0.1), input=(56, 28))
    torch.manual_seed(0)
    seen = set()
    for _ in range(300):
        pixels = pixels_of(data, data.train[0][0]).round()
        row, column = pixels[:2, 28, 14].int().tolist()
        move = [14 - column, 28 - row]
        expected = v2.functional.affine(
            Ramp(56, 28).image, angle=0, translate=move, scale=1, shear=[0]
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
    columns = torch.stack([pixels_of(data, data.train[0][0])[1] for _ in range(100)])
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
    shifts = torch.stack([pixels_of(data, data.train[0][0]) for _ in range(4000)])
    shifts = (shifts - pixels_of(data, plain)) / 255
    assert (shifts - shifts.mean((2, 3), keepdim=True)).abs().max() < 1e-5
    variances, axes = torch.linalg.eigh(torch.cov(shifts.mean((2, 3)).T))
    # Most of what varies is the brightness.
    torch.testing.assert_close(axes[:, -1].abs(), torch.full((3,), 3**-0.5), rtol=0, atol=0.02)
    torch.testing.assert_close(
        variances.sqrt().flip(0), 0.5 * torch.tensor([0.2175, 0.0188, 0.0045]), rtol=0.05, atol=1e-4
    )


def test_randaugment_is_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _ramp(monkeypatch, (56, 56), RandAugment(3, 12))
    expected = v2.RandAugment(3, 12)
    for seed in range(20):
        torch.manual_seed(seed)
        found = data.train[0][0]
        torch.manual_seed(seed)
        assert found.dtype == torch.uint8
        assert torch.equal(found, expected(data.validation[0][0]))


def test_randaugment_wants_bytes() -> None:
    open_data("fake:16", input=SMALL, augment=(RandAugment(), ColorPCA()))
    late = (ColorPCA(), RandAugment())
    message = fault_of(lambda: open_data("fake:16", input=SMALL, augment=late))
    assert message == "`augment randaugment` works on bytes: write it before `color_pca`"


@pytest.mark.parametrize("augment", [(MixUp(0.3),), (CutMix(0.7),), (MixUp(0.3), CutMix(0.7))])
def test_mixing_is_torchvisions(augment: tuple[Mixing, ...]) -> None:
    """Of several one is drawn for each batch."""
    mixing = plan_mixing(augment, 5)
    assert mixing is not None
    ways = [
        (v2.MixUp if isinstance(page, MixUp) else v2.CutMix)(alpha=page.alpha, num_classes=5)
        for page in augment
    ]
    expected = v2.RandomChoice(ways) if len(ways) > 1 else ways[0]
    images, labels = torch.randn(6, 3, 8, 8), torch.arange(6) % 5
    drawn = set()
    for seed in range(12):
        torch.manual_seed(seed)
        mixed, shares = mixing(images, labels)
        torch.manual_seed(seed)
        wanted, wanted_shares = expected(images, labels)
        assert torch.equal(mixed, wanted)
        assert torch.equal(shares, wanted_shares)
        torch.testing.assert_close(shares.sum(1), torch.ones(6))
        drawn.add(MixUp if ((mixed != images) & (mixed != images.roll(1, 0))).any() else CutMix)
    assert drawn == {type(page) for page in augment}
    assert plan_mixing((HorizontalFlip(),), 5) is None


def test_color_pca_needs_colours() -> None:
    message = fault_of(lambda: open_data("digits", input=LENET, augment=(ColorPCA(),)))
    assert message == "`augment color_pca` needs colours; the input is 32x32x1"


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
