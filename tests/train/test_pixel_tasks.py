"""Networks whose output is an image: segmentation and autoencoders."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from oracle import build
from runs import run, write_spec
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

import archdsl
from archdsl.cli.commands import commands
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.recipe import Recipe, augmentations, optimizers
from archdsl.recipe.losses import CrossEntropy, MeanSquaredError
from archdsl.train.data import open_data
from archdsl.train.data.augmentation import plan_preparations
from archdsl.train.data.preparation import Preparation
from archdsl.train.errors import TrainError
from archdsl.train.finished import open_run
from archdsl.train.logs import read_metrics
from archdsl.train.pixel_tasks import Segmentation

pytestmark = pytest.mark.filterwarnings("ignore")

UNET = """
block double(n) { conv 3x3 n same; bn; relu; conv 3x3 n same; bn; relu }
network Small: 24x24x1 → 24x24x3 {
  enc: double(8); maxpool 2; double(16); deconv 2x2 8 s2; concat { enc | id }; double(8); conv 1x1 3
}
"""
#: Its convolutions take a border of two pixels away.
VALID = "network Valid: 24x24x1 → 20x20x3 { conv 3x3 8 relu; conv 3x3 3 }"
AUTOENCODER = """
network Auto: 28x28x1 → 28x28x1 {
  conv 3x3 8 s2 same relu; conv 3x3 8 s2 same relu; deconv 2x2 8 s2 relu; deconv 2x2 1 s2 END
}
"""
ADAM = optimizers.Adam(lr=0.01)
SHAPES = '''
import torch
from torch.utils.data import Dataset

class Shapes(Dataset):
    """A bright square and a darker disc on noise, with their masks."""

    def __init__(self, count, seed):
        draw = torch.Generator().manual_seed(seed)
        self.items = [self.make(draw) for _ in range(count)]

    def make(self, draw):
        image = 40 * torch.rand(24, 24, generator=draw)
        mask = torch.zeros(24, 24, dtype=torch.long)
        top, left, x, y = torch.randint(2, 14, (4,), generator=draw).tolist()
        mask[top:top + 8, left:left + 8] = 1
        rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
        mask[(rows - x - 4) ** 2 + (columns - y - 4) ** 2 <= 16] = 2
        image += torch.tensor([0.0, 200.0, 110.0])[mask]
        return image.clamp(0, 255).to(torch.uint8)[None], mask

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]

def shapes():
    return Shapes(96, 0), Shapes(24, 1), ["ground", "square", "disc"]

def pillow():
    from torchvision.transforms.functional import to_pil_image
    class Files(Shapes):
        def __getitem__(self, index):
            image, mask = self.items[index]
            return to_pil_image(image), to_pil_image(mask.to(torch.uint8))
    return Files(8, 0), Files(8, 1), ["ground", "square", "disc"]

def wrong():
    class Wrong(Shapes):
        def __getitem__(self, index):
            image, mask = self.items[index]
            return image, mask + 1
    return Wrong(8, 0), Wrong(8, 1), ["ground", "square", "disc"]

def small():
    class Small(Shapes):
        def __getitem__(self, index):
            image, mask = self.items[index]
            return image, mask[1:]
    return Small(8, 0), Small(8, 1), ["ground", "square", "disc"]
'''


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The shapes, in a module of the working directory."""
    name = f"shapes_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(SHAPES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def auto(ending: str = "") -> Model:
    return archdsl.parse(AUTOENCODER.replace("END", ending))


# ── Segmentation ───────────────────────────────────────────────────────────────────────────────


def test_a_small_unet_finds_shapes(tmp_path: Path, data: str) -> None:
    model = archdsl.parse(UNET)
    recipe = Recipe(f"{data}:shapes", 8, 8, optimizer=ADAM)
    outcome = run(model, tmp_path, recipe)
    assert outcome.metrics["val_miou"] > 0.9
    facts = json.loads(outcome.run.facts.read_text("utf-8"))
    assert (facts["task"], facts["output"]) == ("segmentation", [24, 24, 3])
    report = outcome.run.report.read_text("utf-8")
    assert "24x24x1 → 24x24x3" in report
    assert re.search(r"\*\*Best validation mIoU: 9\d\.\d\d%\*\* in epoch \d", report)
    # The numbers of the last epoch, counted pixel by pixel.
    network = build(model)
    network.load_state_dict(load_file(outcome.run.last_weights))
    network.eval()
    opened = open_data(f"{data}:shapes", input=model.input)
    both = [0] * 3
    guessed, labelled = [0] * 3, [0] * 3
    for index in range(24):
        image, mask = opened.validation[index]
        with torch.no_grad():
            found = network(opened.normalize(image[None]))[0].argmax(dim=0)
        for guess, label in zip(found.flatten().tolist(), mask.flatten().tolist(), strict=True):
            both[label] += guess == label
            guessed[guess] += 1
            labelled[label] += 1
    ious = [b / (g + y - b) for b, g, y in zip(both, guessed, labelled, strict=True)]
    last = read_metrics(outcome.run)[-1]
    assert last["val_miou"] == pytest.approx(sum(ious) / 3, abs=1e-3)
    assert last["val_accuracy"] == pytest.approx(sum(both) / sum(labelled), abs=1e-3)
    assert "val_top1" not in last


def test_a_network_without_padding_is_compared_with_the_centre(tmp_path: Path, data: str) -> None:
    model = archdsl.parse(VALID)
    one = Recipe(f"{data}:shapes", 96, 1, optimizer=optimizers.SGD(lr=1e-30))
    outcome = run(model, tmp_path, one)
    network = build(model)
    network.load_state_dict(load_file(outcome.run.last_weights))
    opened = open_data(f"{data}:shapes", input=model.input)
    pairs = [opened.train[i] for i in range(96)]
    images = opened.normalize(torch.stack([x for x, _ in pairs]))
    masks = torch.stack([y for _, y in pairs]).long()[:, 2:22, 2:22]
    loss = F.cross_entropy(network(images), masks)
    assert outcome.metrics["train_loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_pixels_without_a_class_count_nowhere() -> None:
    task = Segmentation(Recipe(loss=CrossEntropy()), 2, (1, 3), gives_probabilities=False)
    output = torch.tensor([[[[2.0, 0.0, 5.0]], [[0.0, 1.0, 0.0]]]])
    labels = torch.tensor([[[0, 0, 255]]])
    loss, right = task.measure(output, labels)
    assert loss == F.cross_entropy(output[..., :2], labels[..., :2])
    assert right == 0.5
    rows = task.rows(task.score(output, labels).tolist(), 1)
    # Class 0: one of two, and nothing else; class 1: none of one.
    assert rows == {"val_loss": pytest.approx(loss.item()), "val_accuracy": 0.5, "val_miou": 0.25}
    void = torch.full((1, 1, 3), 255)
    assert task.measure(output, void)[0] == 0
    assert task.rows(task.score(output, void).tolist(), 1)["val_miou"] == 0


def test_a_class_that_does_not_occur_is_not_in_the_mean() -> None:
    task = Segmentation(Recipe(), 3, (1, 2), gives_probabilities=False)
    output = torch.tensor([[[[2.0, 2.0]], [[0.0, 0.0]], [[0.0, 0.0]]]])
    rows = task.rows(task.score(output, torch.tensor([[[0, 0]]])).tolist(), 1)
    assert rows["val_miou"] == 1


@pytest.mark.parametrize(("height", "width"), [(24, 24), (20, 22), (48, 48), (60, 30), (12, 12)])
def test_a_mask_goes_where_its_image_goes(height: int, width: int) -> None:
    """An image that shows its mask: both are prepared alike, up to the smoothing of edges."""
    mask = torch.zeros(height, width, dtype=torch.uint8)
    mask[height // 3 : height // 2, width // 4 :] = 1
    preparation = Preparation(Volume.image(24, 24, 1), (24, 24))
    (image,), prepared = preparation.with_mask(255 * mask[None], mask)
    assert torch.equal(image, preparation(255 * mask[None, None])[0, 0])
    assert prepared.shape == (24, 24)
    known = prepared != 255
    assert (known.sum() == 24 * 24) == ((height, width) not in [(20, 22)])
    shown = (image > 127).to(torch.uint8)
    assert (shown[known] == prepared[known]).double().mean() > 0.95
    assert not shown[~known].any()


MOVES = (
    augmentations.HorizontalFlip(),
    augmentations.Shift(0.2),
    augmentations.RandomCrop(padding=4),
)
RESAMPLES = (
    augmentations.RandomCrop(),
    augmentations.RandomResizedCrop(scale=0.3),
    augmentations.Rotate(degrees=20),
)


def augmented(augment: tuple[augmentations.Augmentation, ...], seed: int) -> tuple[Tensor, Tensor]:
    """An image whose pixels are the classes of its mask, times 50, after an augmentation."""
    drawn = torch.Generator().manual_seed(7)
    mask = torch.randint(1, 6, (7, 6), generator=drawn, dtype=torch.uint8)
    mask = mask.repeat_interleave(6, 0).repeat_interleave(7, 1)
    preparation, _ = plan_preparations(Volume.image(42, 42, 1), augment)
    torch.manual_seed(seed)
    (image,), found = preparation.with_mask(50 * mask[None], mask)
    torch.manual_seed(seed)
    assert torch.equal(image, preparation(50 * mask[None, None])[0, 0])
    return image, found


@pytest.mark.parametrize("augment", [(move,) for move in MOVES] + [MOVES])
def test_a_mask_is_moved_as_its_image(augment: tuple[augmentations.Augmentation, ...]) -> None:
    """To the pixel; what moves in from outside has no class."""
    found = set()
    for seed in range(8):
        image, mask = augmented(augment, seed)
        known = mask != 255
        assert torch.equal(image[known], 50 * mask[known])
        assert not image[~known].any()
        found.add(tuple(image.flatten().tolist()))
    assert len(found) > 1


@pytest.mark.parametrize("augment", [(one,) for one in RESAMPLES] + [(*MOVES, *RESAMPLES[:2])])
def test_a_mask_is_resampled_as_its_image(augment: tuple[augmentations.Augmentation, ...]) -> None:
    """Up to the edges of the classes, which the image blends and the mask does not."""
    for seed in range(8):
        image, mask = augmented(augment, seed)
        known = mask != 255
        assert set(mask[known].tolist()) <= set(range(1, 6))
        near = (image.float() - 50 * mask).abs() <= 25
        assert near[known].double().mean() > (0.9 if len(augment) == 1 else 0.8)
        # A mask that is a pixel aside is worse.
        aside = (image[:, 1:].float() - 50 * mask[:, :-1]).abs() <= 25
        assert near[known].double().mean() > aside[known[:, :-1]].double().mean()


def test_colours_leave_masks_as_they_are() -> None:
    mask = torch.randint(0, 3, (24, 24), dtype=torch.uint8)
    preparation, _ = plan_preparations(Volume.image(24, 24, 3), (augmentations.ColorPCA(),))
    image, found = preparation.with_mask(torch.zeros(3, 24, 24, dtype=torch.uint8), mask)
    assert torch.equal(found, mask)
    assert image.any()


def test_a_unet_trains_with_augmented_masks(tmp_path: Path, data: str) -> None:
    augment = (augmentations.HorizontalFlip(), augmentations.Shift(0.1))
    recipe = Recipe(f"{data}:shapes", 8, 5, augment, optimizer=ADAM)
    assert run(archdsl.parse(UNET), tmp_path, recipe).metrics["val_miou"] > 0.8


def test_masks_may_be_pillow_images(data: str) -> None:
    model = archdsl.parse(UNET)
    plain = open_data(f"{data}:shapes", input=model.input)
    found = open_data(f"{data}:pillow", input=model.input)
    assert found.has_masks
    for index in range(8):
        for a, b in zip(found.train[index], plain.train[index], strict=True):
            assert isinstance(a, Tensor)
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("wrong", r"image \d+ has the class 3 in its mask, with 3 classes from 0"),
        ("small", r"image \d+ is 24×24, its mask 23×24"),
    ],
)
def test_masks_that_do_not_fit_are_one_line(
    tmp_path: Path, data: str, function: str, said: str
) -> None:
    with pytest.raises(TrainError, match=said):
        run(archdsl.parse(UNET), tmp_path, Recipe(f"{data}:{function}", 8, 1))


def test_what_does_not_go_together_is_one_line(tmp_path: Path, data: str) -> None:
    unet, coder = archdsl.parse(UNET), auto()
    vector = archdsl.parse("network Vector: 24x24x1 → 3 { fc 3 }")
    four = archdsl.parse(UNET.replace("24x24x3", "24x24x4").replace("1x1 3", "1x1 4"))
    shapes, mse = f"{data}:shapes", MeanSquaredError()
    rand, mixup = (augmentations.RandAugment(),), (augmentations.MixUp(),)
    for model, recipe, said in (
        (unet, Recipe("fake:16", 8), "a class for each pixel needs data with masks"),
        (coder, Recipe("digits", 8), "an autoencoder `loss mse` and the volume of the input"),
        (unet, Recipe(shapes, 8, loss=mse), "Small ends in 24x24x3; training needs"),
        (vector, Recipe(shapes, 8), "has a mask for each image, Vector returns a vector"),
        (four, Recipe(shapes, 8), "tells 4 classes apart, .* has 3"),
        (unet, Recipe(shapes, 8, augment=mixup), "`augment mixup` mixes the classes of images"),
        (unet, Recipe(shapes, 8, augment=rand), "moves pixels, and the masks of .* cannot follow"),
        (coder, Recipe("digits", 8, loss=mse, augment=mixup), "an autoencoder has none"),
    ):
        with pytest.raises(TrainError, match=said):
            run(model, tmp_path / "runs", recipe)
    assert not list((tmp_path / "runs").glob("*"))


# ── Autoencoders ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["", "sigmoid"])
def test_an_autoencoder_is_compared_with_its_input(tmp_path: Path, ending: str) -> None:
    """With pixels from 0 to 1 where it ends in a sigmoid, else with what it got."""
    model = auto(ending)
    still = Recipe("digits", 500, 1, optimizer=optimizers.SGD(lr=1e-30), loss=MeanSquaredError())
    outcome = run(model, tmp_path, still)
    network = build(model)
    network.load_state_dict(load_file(outcome.run.last_weights))
    opened = open_data("digits", input=model.input)
    pixels = torch.stack([opened.validation[i][0] for i in range(1000)])
    images = opened.normalize(pixels)
    with torch.no_grad():
        loss = F.mse_loss(network(images), pixels / 255 if ending else images)
    assert outcome.metrics["val_loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert set(outcome.metrics).isdisjoint({"val_top1", "train_top1", "val_miou"})


def test_an_autoencoder_learns_digits(tmp_path: Path) -> None:
    """Better than the mean digit, by far."""
    model = auto("sigmoid")
    recipe = Recipe("digits", 50, 2, optimizer=ADAM, loss=MeanSquaredError())
    outcome = run(model, tmp_path, recipe)
    opened = open_data("digits", input=model.input)
    pixels = torch.stack([opened.validation[i][0] for i in range(1000)]) / 255
    assert outcome.metrics["val_loss"] < 0.3 * float(pixels.var(dim=0, correction=0).mean())
    report = outcome.run.report.read_text("utf-8")
    assert f"**Lowest validation loss: {outcome.metrics['val_loss']:.4f}** in epoch 2" in report
    assert "| epoch | training loss | validation loss |" in report
    facts = json.loads(outcome.run.facts.read_text("utf-8"))
    assert facts["task"] == "reconstruction"


def test_commands_say_what_such_a_run_is(tmp_path: Path, data: str) -> None:
    spec = write_spec(tmp_path, UNET)
    words = ["--data", f"{data}:shapes", "--epochs", "1", "--device", "cpu"]
    done = CliRunner().invoke(commands, ["train", str(spec), *words])
    assert done.exit_code == 0, done.output
    assert re.search(r"Small: validation mIoU \d+\.\d\d% after 1 epoch", done.stdout)
    head = done.stderr.splitlines()[0]
    assert re.split(r"\s{2,}", head)[:6] == [
        "epoch", "loss", "pixels", "val loss", "pixels", "val mIoU"
    ]  # fmt: skip
    assert open_run(Path("runs/small")).task == "segmentation"
    listed = CliRunner().invoke(commands, ["runs"])
    assert listed.stdout.splitlines()[1].split()[-2] == "–"
    assert (
        CliRunner().invoke(commands, ["train", str(spec), *words[:2], "--find-lr"]).exit_code == 0
    )
