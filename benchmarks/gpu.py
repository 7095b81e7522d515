"""How fast one GPU trains, and whether it waits: GoogLeNet, VGG-16 and ResNet-50.

    python benchmarks/gpu.py [--only ResNet50] [--batch 256] [--images 12800] [--epochs 4]

Needs the extra ``train`` and a CUDA device. Each network is trained as ``archdsl train --precision
bf16 --compile`` trains it, on images made up in memory, and on JPEGs of the size that ImageNet's
mostly have: decoded, cut out at random and mirrored, as the recipe of a paper asks for. The first
epoch, with the compilation in it, is left out. It prints images a second, the share of time in
which the process waited for images, and how busy the GPU was, as NVML samples it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any
from unittest import mock

import torch
from data import make_image
from torch import Tensor

import archdsl
from archdsl.model import Model
from archdsl.recipe import Recipe, augmentations, optimizers
from archdsl.train.data import ImageData
from archdsl.train.data.augmentation import plan_preparations
from archdsl.train.data.images import MemoryImages
from archdsl.train.data.preparation import IMAGENET
from archdsl.train.loop import TrainingLoop, Watcher
from archdsl.train.options import TrainOptions
from archdsl.train.run import train_model

SPECS = Path(__file__).resolve().parent.parent / "specs"
NETWORKS = {
    "GoogLeNet": SPECS / "googlenet.arch",
    "VGG16": SPECS / "vgg16.arch",
    "ResNet50": SPECS / "torchvision" / "resnet.arch",
}
CLASSES = 1000
DISTINCT = 1000
SGD = optimizers.SGD(lr=0.01, momentum=0.9, weight_decay=1e-4)


class Busy:
    """The share of time in which the GPU worked, sampled while it is asked for."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int]] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Busy:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def _sample(self) -> None:
        while not self.ended.wait(0.2):
            with contextlib.suppress(Exception):  # NVML may not be there
                self.samples.append((time.monotonic(), torch.cuda.utilization()))


def made_up() -> ImageData:
    """What ``--data gpu:made_up`` opens: noise, each image once in memory."""
    count = int(os.environ["IMAGES"])
    model_input = archdsl.parse("network N: 224x224x3 → 1000 { gap; fc 1000 }").input
    prepare, _ = plan_preparations(model_input, ())
    pixels = torch.randint(256, (2048, 3, 224, 224), dtype=torch.uint8)
    labels = torch.arange(2048) % CLASSES
    images = MemoryImages(pixels, labels, prepare)
    repeated: Any = Repeated(images, count)
    held_out: Any = Repeated(images, 256)
    names = tuple(map(str, range(CLASSES)))
    return ImageData(
        "made up", repeated, held_out, names, IMAGENET.mean, IMAGENET.std, finished=False
    )


class Repeated:
    """A set of another length, its images again and again."""

    def __init__(self, images: MemoryImages, count: int) -> None:
        self.images = images
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index % len(self.images)]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        return self.images.__getitems__([index % len(self.images) for index in indices])


def write_folder(folder: Path, count: int) -> None:
    """JPEGs in the layout of ImageNet: ``DISTINCT`` of them, under as many names as asked for."""
    with ProcessPoolExecutor() as pool:
        contents = list(pool.map(make_image, range(DISTINCT), chunksize=16))
    for index in range(max(count, CLASSES)):
        for part in ("train", "val") if index < CLASSES else ("train",):
            path = folder / part / f"{index % CLASSES:04}" / f"{index:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[index % DISTINCT])


@dataclass(frozen=True)
class Speed:
    """Behind the first epoch: images a second, and shares of time."""

    images: float
    waiting: float
    busy: float


class Marks(Watcher):
    """When the first and the last step of each epoch was over."""

    def __init__(self) -> None:
        self.epochs: list[tuple[float, float]] = []

    def on_step(self, loop: TrainingLoop) -> None:
        now = time.monotonic()
        if loop.progress.step == 1:
            self.epochs.append((now, now))
        self.epochs[-1] = self.epochs[-1][0], now


def measure(model: Model, recipe: Recipe, options: TrainOptions) -> Speed:
    marks = Marks()
    with Busy() as busy, mock.patch("archdsl.train.run.progress_watchers", return_value=[marks]):
        outcome = train_model(model, archdsl.compile(model), recipe, options)
    rows = outcome.progress.history[1:]
    samples = [
        share
        for when, share in busy.samples
        # NVML tells of the time before: up to a second.
        if any(start + 1 <= when <= end for start, end in marks.epochs[1:])
    ]
    return Speed(
        mean(row["images_per_second"] for row in rows),
        mean(row["waiting"] for row in rows),
        mean(samples) / 100 if samples else float("nan"),
    )


def sets(folder: Path) -> Iterator[tuple[str, str, tuple[augmentations.Augmentation, ...]]]:
    crops = (augmentations.RandomResizedCrop(), augmentations.HorizontalFlip())
    yield "made up, in memory", "gpu:made_up", ()
    yield "JPEGs of 500×375", f"folder:{folder}", crops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(NETWORKS))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--images", type=int, default=12_800)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--no-compile", action="store_true")
    arguments = parser.parse_args()
    os.environ["IMAGES"] = str(arguments.images)
    os.chdir(Path(__file__).parent)  # where `gpu:made_up` is found
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} cores")
    print(f"batches of {arguments.batch}, bf16, channels last", flush=True)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "images")
        write_folder(folder, arguments.images)
        for name in arguments.only.split(","):
            model = next(m for m in archdsl.load_all(NETWORKS[name]) if m.name == name)
            for title, data, augment in sets(folder):
                recipe = Recipe(data, arguments.batch, arguments.epochs, augment, SGD)
                options = TrainOptions(
                    device="cuda",
                    devices=1,
                    precision="bf16",
                    compile=not arguments.no_compile,
                    workers=None if augment else 8,
                    log=(),
                    output=Path(work, "runs"),
                    download=False,
                )
                began = time.monotonic()
                found = measure(model, recipe, options)
                print(
                    f"  {name:<10} {title:<20} {found.images:7,.0f} images/s  "
                    f"waiting {found.waiting:4.0%}  GPU busy {found.busy:4.0%}  "
                    f"({time.monotonic() - began:.0f} s)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
