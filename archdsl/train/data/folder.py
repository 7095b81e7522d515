"""``folder:PATH``: images as files, in the layout of ImageNet, or with a table of targets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import Augmentation
from archdsl.train.data.augmentation import is_enlarged, plan_preparations
from archdsl.train.data.images import FileImages, ImageData
from archdsl.train.data.preparation import IMAGENET
from archdsl.train.data.targets import has_targets, open_targets
from archdsl.train.errors import TrainError

#: The endings of files that torchvision's ImageFolder takes for images.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

_PARTS = ("train", "val")


def is_image_folder(path: Path) -> bool:
    """Whether a folder has the two parts of the layout."""
    return all((path / part).is_dir() for part in _PARTS)


def open_folder(
    name: str, path: Path, input: Volume, augment: Sequence[Augmentation], skip_broken: bool
) -> ImageData:
    """The images of ``train/CLASS/`` and ``val/CLASS/``, at any depth; classes in sorted order.

    With a table of targets, ``train/targets.csv``, they are the images that it names.

    Raises ``TrainError`` naming the path where a part or the images of a class are missing, a
    class is in only one part, or a folder cannot be read.
    """
    if not path.is_dir():
        raise TrainError(f"{path} is {'not a folder' if path.exists() else 'not there'}")
    if has_targets(path):
        return open_targets(name, path, input, augment, skip_broken)
    for part in _PARTS:
        if not (path / part).is_dir():
            raise TrainError(f"{path} lacks {part}/: images belong in train/CLASS/ and val/CLASS/")
    try:
        classes = _list_classes(path)
        training, validation = (_list_images(path / part, classes) for part in _PARTS)
    except OSError as error:
        raise TrainError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
    statistics = IMAGENET.for_channels(input.channels)
    prepare_training, prepare = plan_preparations(input, augment)
    return ImageData(
        name,
        FileImages(*training, prepare_training, skip_broken=skip_broken),
        FileImages(*validation, prepare, skip_broken=skip_broken),
        classes,
        statistics.mean,
        statistics.std,
        is_enlarged(augment),
        finished=False,
    )


def _list_classes(path: Path) -> tuple[str, ...]:
    training, validation = (set(_list_folders(path / part)) for part in _PARTS)
    if not training | validation:
        raise TrainError(f"{path / 'train'} has no folder: each class has one with its images")
    for here, there, missing in (
        ("train", "val", training - validation),
        ("val", "train", validation - training),
    ):
        if missing:
            first = min(missing)
            others = f", nor {len(missing) - 1} further classes" if len(missing) > 1 else ""
            raise TrainError(
                f"{path / here / first} is there, {path / there / first} is not{others}: "
                "both parts need the same classes"
            )
    return tuple(sorted(training))


def _list_folders(path: Path) -> Iterator[str]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir() and not entry.name.startswith("."):
                yield entry.name


def _list_images(part: Path, classes: Iterable[str]) -> tuple[list[str], list[int]]:
    """The paths of all images of a part, and the index of the class of each."""
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(_walk(part / name))
        if not found:
            raise TrainError(f"{part / name} has no image ({' '.join(EXTENSIONS)})")
        paths += found
        labels += [label] * len(found)
    return paths, labels


def _walk(folder: Path) -> Iterator[str]:
    for here, folders, names in os.walk(folder, onerror=_pass_on, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                yield os.path.join(here, name)


def _pass_on(error: OSError) -> None:
    raise error
