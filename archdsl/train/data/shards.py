"""``webdataset:TRAIN,VALIDATION``: images in tar files, in the WebDataset format.

A sample is two consecutive members of a shard, whose names differ only after the first dot: the
image, such as ``n01440764_10026.jpg``, and the index of its class as text,
``n01440764_10026.cls``. Each is read when it is asked for, not in the order of the shard. So a run
takes the same steps as with the same images in a folder, and can resume in the middle of an epoch.
"""

from __future__ import annotations

import glob
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import copyfileobj

import numpy as np
import numpy.typing as npt

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import Augmentation
from archdsl.train.checkpoints import write_atomically
from archdsl.train.data.augmentation import is_enlarged, plan_preparations
from archdsl.train.data.folder import EXTENSIONS
from archdsl.train.data.images import EncodedImages, ImageData
from archdsl.train.data.preparation import IMAGENET, Preparation
from archdsl.train.errors import TrainError

_LABEL = "cls"
#: What a place begins with if it is not a path on this machine.
_REMOTE = re.compile(r"[a-z0-9+.-]+://|pipe:")


def open_shards(
    name: str,
    patterns: str,
    classes: int,
    input: Volume,
    augment: Sequence[Augmentation],
    *,
    root: Path,
    download: bool,
    skip_broken: bool,
) -> ImageData:
    """The images of two patterns of shards, the first to train with, the second to validate.

    Patterns may have braces (``train-{0000..0146}.tar``), and, for files, stars. What is not a file
    is fetched into ``root``, but only with ``download``; WebDataset opens it. Classes are named by
    their numbers.

    Raises ``TrainError`` for shards that are missing or damaged, and for samples without an image
    or without a class below ``classes``.
    """
    parts = _split(patterns)
    if len(parts) != 2:
        raise TrainError(
            f"`{name}`: write two patterns with a comma between, to train with and to validate"
        )
    opened = [_open_part(name, part, root, download) for part in parts]
    for part in opened:
        part.check_labels(classes)
    statistics = IMAGENET.for_channels(input.channels)
    training, validation = (
        ShardImages(part, preparation, skip_broken=skip_broken)
        for part, preparation in zip(opened, plan_preparations(input, augment), strict=True)
    )
    return ImageData(
        name,
        training,
        validation,
        tuple(map(str, range(classes))),
        statistics.mean,
        statistics.std,
        is_enlarged(augment),
        finished=False,
    )


def _split(patterns: str) -> list[str]:
    """The parts between commas that are not in braces."""
    parts, depth = [""], 0
    for sign in patterns:
        depth += (sign == "{") - (sign == "}")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


@dataclass(frozen=True, eq=False)
class Index:
    """Where the images of some shards are: shard, first byte, size and class of each."""

    shards: tuple[str, ...]
    keys: tuple[str, ...]
    places: npt.NDArray[np.int64]

    def check_labels(self, classes: int) -> None:
        """Raises ``TrainError`` naming a sample whose class is not below ``classes``."""
        wrong = np.flatnonzero((self.places[:, 3] < 0) | (self.places[:, 3] >= classes))
        if len(wrong):
            shard, _, _, label = self.places[wrong[0]]
            raise TrainError(
                f"{self.shards[shard]}: {self.keys[wrong[0]]} has the class {label}, with "
                f"{classes} classes from 0"
            )


def _open_part(name: str, pattern: str, root: Path, download: bool) -> Index:
    shards = [path for place in _expand(name, pattern) for path in _local(place, root, download)]
    if not shards:
        raise TrainError(f"{pattern}: there is no such shard")
    keys: list[str] = []
    places: list[tuple[int, int, int, int]] = []
    for number, shard in enumerate(shards):
        for key, place in _read_shard(shard):
            keys.append(key)
            places.append((number, *place))
    if not places:
        raise TrainError(f"{pattern}: the shards are empty")
    return Index(tuple(shards), tuple(keys), np.array(places, np.int64))


def _expand(name: str, pattern: str) -> list[str]:
    try:
        from webdataset.shardlists import expand_urls
    except ModuleNotFoundError:
        raise TrainError(
            f"`{name}` needs the package `webdataset`: pip install 'archdsl[shards]'"
        ) from None
    places: list[str] = expand_urls(pattern)
    return places


def _local(place: str, root: Path, download: bool) -> list[str]:
    """The files of a place, which is fetched where it is not on this machine."""
    if not _REMOTE.match(place):
        return sorted(glob.glob(place)) if "*" in place else [place]
    path = root / "shards" / f"{sha256(place.encode()).hexdigest()[:16]}-{_tail(place)}"
    if not path.exists():
        if not download:
            raise TrainError(f"{place} is not in {path.parent}: fetch it with `--download`")
        _fetch(place, path)
    return [str(path)]


def _tail(place: str) -> str:
    """The end of a place, as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", place.rpartition("/")[2])[-60:]


def _fetch(place: str, path: Path) -> None:
    from webdataset.gopen import gopen

    def write(target: str) -> None:
        try:
            with gopen(place, "rb") as source, open(target, "wb") as file:
                copyfileobj(source, file)
        # curl or another program has failed, or the network.
        except Exception as error:
            raise TrainError(f"{place} could not be fetched: {error}") from error
        if not os.path.getsize(target):
            raise TrainError(f"{place} could not be fetched: it is empty")

    write_atomically(path, write)


def _read_shard(path: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """The samples of a shard: key, and first byte, size and class of the image."""
    key, image, label = "", None, None
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                if not member.isfile():
                    continue
                stem, dot, ending = os.path.basename(member.name).partition(".")
                here = os.path.join(os.path.dirname(member.name), stem)
                if here != key:
                    if key:
                        yield key, _place(path, key, image, label)
                    key, image, label = here, None, None
                if ending == _LABEL:
                    content = shard.extractfile(member)
                    label = content.read(32) if content else b""
                elif f"{dot}{ending.lower()}" in EXTENSIONS:
                    image = member.offset_data, member.size
    except FileNotFoundError:
        raise TrainError(f"{path}: there is no such shard") from None
    except (OSError, tarfile.TarError) as error:
        raise TrainError(f"{path}: cannot be read as tar, uncompressed: {error}") from None
    if key:
        yield key, _place(path, key, image, label)


def _place(
    path: str, key: str, image: tuple[int, int] | None, label: bytes | None
) -> tuple[int, int, int]:
    if image is None:
        raise TrainError(f"{path}: {key} has no image ({' '.join(EXTENSIONS)})")
    if label is None or not label.strip().isdigit():
        raise TrainError(f"{path}: {key} has no number in {key}.{_LABEL}")
    return *image, int(label)


class ShardImages(EncodedImages):
    """Images in tar files, read in place."""

    def __init__(self, index: Index, preparation: Preparation, *, skip_broken: bool) -> None:
        super().__init__(index.places[:, 3].tolist(), preparation, skip_broken=skip_broken)
        self.index = index

    def name_of(self, index: int) -> str:
        shard = self.index.shards[self.index.places[index, 0]]
        return os.path.join(shard, self.index.keys[index])

    def read(self, index: int) -> bytes:
        shard, first, size, _ = self.index.places[index].tolist()
        path = self.index.shards[shard]
        try:
            with open(path, "rb", buffering=0) as file:
                return os.pread(file.fileno(), size, first)
        except OSError as error:
            raise TrainError(f"{path}: cannot be read: {error.strerror or error}") from error
