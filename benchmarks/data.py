"""How fast images are read: ``archdsl train`` beside the ways that PyTorch's references take.

    python benchmarks/data.py [--images 200] [--rounds 5]

Needs the extra ``train``. JPEGs of the size that ImageNet's mostly have are made up; each is
decoded, a random window of it is resized to 224×224 and mirrored or not. One core, no loader: what
a worker does. The ways take turns, and the median counts. The two others are those of torchvision's
reference for classification (``presets.py``), with its ``--backend PIL`` and ``--backend tensor``.
They give normalized floats, and ours bytes, which are normalized where the network is: that is
measured apart.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, read_image
from torchvision.transforms import v2

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import HorizontalFlip, RandomResizedCrop
from archdsl.train.data import open_data

INPUT = Volume.image(224, 224, 3)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Width and height of most images of ImageNet, and about as many bytes as they have.
SIZE, BYTES = (500, 375), 110_000
CLASSES = 10


def write_images(folder: Path, count: int) -> list[Path]:
    """Smooth colours under noise, as JPEGs of ``BYTES`` or so, in the layout of ImageNet."""
    paths = []
    for index in range(count):
        part = "train" if index else "val"
        content = make_image(index)
        for label in range(CLASSES) if part == "val" else (index % CLASSES,):
            path = folder / part / str(label) / f"{index:05}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            paths += [path] if part == "train" else []
    return paths


def make_image(seed: int) -> bytes:
    numbers = np.random.default_rng(seed)
    smooth = Image.fromarray(numbers.integers(0, 256, (15, 20, 3), np.uint8)).resize(SIZE)
    noise = numbers.normal(0, 14, (SIZE[1], SIZE[0], 3))
    image = Image.fromarray((np.asarray(smooth) + noise).clip(0, 255).astype(np.uint8))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def by_pillow(path: Path) -> Any:
    with Image.open(path) as image:
        return _PILLOW(image.convert("RGB"))


def by_tensors(path: Path) -> Any:
    return _TENSORS(read_image(str(path), ImageReadMode.RGB))


_PILLOW = v2.Compose(
    [
        v2.RandomResizedCrop(224, antialias=True),
        v2.RandomHorizontalFlip(),
        v2.PILToTensor(),
        v2.ToDtype(torch.float, scale=True),
        v2.Normalize(MEAN, STD),
        v2.ToPureTensor(),
    ]
)
_TENSORS = v2.Compose(
    [
        v2.RandomResizedCrop(224, antialias=True),
        v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float, scale=True),
        v2.Normalize(MEAN, STD),
        v2.ToPureTensor(),
    ]
)


def rate(work: Callable[[Any], Any], items: list[Any]) -> float:
    """Items a second, by the time the thread was computing."""
    before = time.thread_time()
    for item in items:
        work(item)
    return len(items) / (time.thread_time() - before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), arguments.images + 1)
        augment = (RandomResizedCrop(), HorizontalFlip())
        data = open_data(f"folder:{folder}", input=INPUT, augment=augment)
        batch = torch.stack([data.train[index][0] for index in range(64)])
        indices = list(range(arguments.images))
        ways: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
            "archdsl train": (data.train.__getitem__, indices),
            "torchvision's reference, tensors": (by_tensors, paths),
            "torchvision's reference, Pillow": (by_pillow, paths),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        normalizing = []
        for _ in range(arguments.rounds):
            for name, (work, items) in ways.items():
                found[name].append(rate(work, items))
            normalizing.append(len(batch) * rate(data.normalize, [batch] * 5))
        size = sum(path.stat().st_size for path in paths) / len(paths)
    print(f"JPEGs of {SIZE[0]}×{SIZE[1]}, {size / 1000:,.0f} kB each; images a second on one core")
    own = found["archdsl train"]
    for name, rates in found.items():
        ratio = median(a / b for a, b in zip(own, rates, strict=True))
        beside = "" if rates is own else f"  archdsl train is {ratio:.2f} times as fast"
        print(f"  {name:<34} {median(rates):8,.0f}{beside}")
    print(f"  {'normalization here, not on a GPU':<34} {median(normalizing):8,.0f}")
    slowest = min(median(a / b for a, b in zip(own, found[name], strict=True)) for name in found)
    return 0 if slowest >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
