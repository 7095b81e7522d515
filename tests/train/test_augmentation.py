"""Augmentations: what they do to images, and that their randomness is torch's."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
import torch
from images import LENET, SMALL, Ramp, fault_of, folder, open_photos, pixels_of
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2

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
from archdsl.train.data import ImageData, open_data
from archdsl.train.data.augmentation import plan_mixing

__all__ = ["folder"]

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
    photos = open_photos(folder, augment=augment)
    for data in (photos, open_data("digits", input=SMALL, augment=augment)):
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


@pytest.mark.parametrize("workers", [0, 2])
def test_augmentation_in_workers_is_reproducible(folder: Path, workers: int) -> None:
    data = open_photos(folder, augment=(RandomResizedCrop(), Rotate()))

    def draw() -> Tensor:
        torch.manual_seed(5)
        return torch.cat([x for x, _ in DataLoader(data.train, 4, num_workers=workers)])

    assert torch.equal(draw(), draw())
