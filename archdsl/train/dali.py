"""``--loader dali``: NVIDIA DALI decodes, crops, resizes and mirrors, on a GPU where there is one.

The order of the images and their windows are those of the other loader, drawn from the same
numbers; pixels differ by rounding, since the decoder and the resizing are different ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2  # type: ignore[import-untyped]

from archdsl.recipe.augmentations import Augmentation, HorizontalFlip, Mixing, RandomResizedCrop
from archdsl.train.data.images import EncodedImages
from archdsl.train.data.preparation import covering_window, is_padded
from archdsl.train.errors import TrainError
from archdsl.train.loading import Loader, mix

#: The EXIF orientations of images that lie on their side.
_LYING = range(5, 9)
_ORIENTATION = 0x0112


class DaliLoading(Loader):
    """The images of one process, by DALI.

    Errors:
        TrainError: without DALI, for images that are not encoded files, and for augmentations
            other than ``random_resized_crop``, ``hflip`` and those of batches.
    """

    def __init__(
        self,
        dataset: Any,
        size: int,
        *,
        augment: Sequence[Augmentation] = (),
        device: torch.device,
        workers: int,
        **rest: Any,
    ) -> None:
        if not isinstance(dataset, EncodedImages) or dataset.skips_broken:
            raise TrainError(
                "`--loader dali` reads images that are files, of folder: or webdataset:, without "
                "--skip-broken"
            )
        if isinstance(dataset.labels, Tensor):
            raise TrainError("`--loader dali` reads images of classes, not of targets")
        pages = [page for page in augment if not isinstance(page, Mixing)]
        for page in pages:
            if not isinstance(page, RandomResizedCrop | HorizontalFlip):
                raise TrainError(f"`--loader dali` has no `augment {page.name}`")
        super().__init__(dataset, size, workers=0, **rest)
        self.images = dataset
        self.pages = pages
        self.device = device
        self.workers = max(workers, 1)
        self._pipeline: Any = None

    def close(self) -> None:
        self._pipeline = None

    def batches(self, epoch: int, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        self.sampler.epoch, self.sampler.skip = epoch, step * self.batch
        count = len(self.sampler)
        if self._pipeline is None:
            self._pipeline = self._build(epoch)
        else:
            self._end_epoch()
        for start in range(0, count, self.part):
            images, labels = self._run(epoch, start)
            own = min(self.part, count - start)
            yield images[:own], labels[:own]

    def _end_epoch(self) -> None:
        """Run to the end of the epoch: DALI does not begin the next one before."""
        with suppress(StopIteration):
            while True:
                self._pipeline.run()
        self._pipeline.reset()

    def _build(self, epoch: int) -> Any:
        try:
            from nvidia.dali import fn, pipeline_def, types
        except ImportError:
            raise TrainError(
                "`--loader dali` needs NVIDIA DALI: see https://docs.nvidia.com/deeplearning/dali"
            ) from None
        is_on_gpu = self.device.type == "cuda"
        source = DaliSource(self)
        size = self.images.preparation.size
        frame = self.images.preparation.frame or size

        @pipeline_def  # type: ignore[untyped-decorator]
        def pipeline() -> Any:
            content, anchor, shape, mirror, label = fn.external_source(
                source=source, num_outputs=5, batch=False, parallel=True
            )
            images = fn.decoders.image_slice(
                content,
                anchor,
                shape,
                normalized_anchor=False,
                normalized_shape=False,
                axis_names="HW",
                device="mixed" if is_on_gpu else "cpu",
                output_type=types.GRAY if source.channels == 1 else types.RGB,
            )
            images = fn.resize(images, size=frame, interp_type=types.INTERP_LINEAR, antialias=True)
            if frame != size:
                images = fn.crop(images, crop=size)
            images = fn.flip(images, horizontal=mirror)
            return fn.transpose(images, perm=[2, 0, 1]), label

        made = pipeline(
            batch_size=self.part,
            num_threads=self.workers,
            device_id=self.device.index or 0 if is_on_gpu else None,
            py_num_workers=self.workers,
            py_start_method="spawn",
        )
        made.build()
        return made

    def _run(self, epoch: int, start: int) -> tuple[Tensor, Tensor]:
        try:
            images, labels = self._pipeline.run()
        except RuntimeError as error:
            # DALI does not say which image is wrong; decoding without DALI does.
            positions = list(self.sampler)[start : start + self.part]
            for position in positions:
                self._refuse(position % self.sampler.size)
            raise TrainError(f"DALI fails in epoch {epoch + 1}: {error}") from None
        # DALI overwrites this batch with the next one.
        return _tensor_of(images), _tensor_of(labels).flatten().long()

    def _refuse(self, index: int) -> None:
        image, _ = self.images.decode(index)
        height, width = image.shape[1:]
        if is_padded(height, width, self.images.preparation.size):
            raise TrainError(
                f"{self.images.name_of(index)} is {height}×{width}, which is padded to the input: "
                "`--loader dali` does not pad"
            )


def _tensor_of(batch: Any) -> Tensor:
    tensor: Tensor = torch.utils.dlpack.from_dlpack(batch.as_tensor())
    return tensor.clone()


class DaliSource:
    """What DALI's workers ask for an image: bytes, window, mirroring and class.

    Epochs are counted from the one that the loader is at; the window for a position of an epoch
    is drawn as ``SeededDataset`` would draw it.
    """

    def __init__(self, loading: DaliLoading) -> None:
        self.images = loading.images
        self.channels = loading.images.preparation.input.channels
        self.frame = loading.images.preparation.frame
        self.size = loading.images.preparation.size
        self.sampler = loading.sampler
        self.part = loading.part
        self.seed = loading.seed
        self.pages = loading.pages
        self.epoch, self.skip = loading.sampler.epoch, loading.sampler.skip
        self._order: tuple[int, list[int]] = -1, []

    def __call__(self, sample: Any) -> tuple[Any, ...]:
        order = self._positions(sample.epoch_idx)
        if sample.idx_in_epoch >= -(-len(order) // self.part) * self.part:
            raise StopIteration
        # The last batch is filled up: all batches of DALI have the same size.
        position = order[min(sample.idx_in_epoch, len(order) - 1)]
        index = position % self.sampler.size
        content = self.images.read(index)
        top, left, height, width, mirror = self._window(content, position)
        return (
            np.frombuffer(content, np.uint8),
            np.array([top, left], np.float32),
            np.array([height, width], np.float32),
            np.array(mirror, np.int32),
            np.array([self.images.labels[index]], np.int64),
        )

    def _positions(self, epoch: int) -> list[int]:
        if self._order[0] != epoch:
            is_first = epoch == 0
            if self.sampler.shuffle:
                self.sampler.epoch = self.epoch + epoch
            self.sampler.skip = self.skip if is_first else 0
            self._order = epoch, list(self.sampler)
        return self._order[1]

    def _window(self, content: bytes, position: int) -> tuple[int, int, int, int, int]:
        """Top, left, height and width of the window, and whether it is mirrored."""
        width, height = _size_of(content)
        if is_padded(height, width, self.size):
            raise ValueError("an image that is to be padded")
        top, left, high, wide = 0, 0, height, width
        if self.frame is not None:
            high, wide = covering_window(height, width, self.frame)
            top, left = (height - high) // 2, (width - wide) // 2
        mirror = False
        if self.pages:
            torch.default_generator.manual_seed(mix(self.seed, position))
        for page in self.pages:
            if isinstance(page, HorizontalFlip):
                mirror ^= bool(torch.rand(1) < 0.5)
                continue
            assert isinstance(page, RandomResizedCrop)
            crop = v2.RandomResizedCrop(self.size, scale=(page.scale, 1.0))
            drawn = crop.make_params([torch.empty((1, high, wide), device="meta")])
            from_left = wide - drawn["left"] - drawn["width"] if mirror else drawn["left"]
            top, left = top + drawn["top"], left + from_left
            high, wide = drawn["height"], drawn["width"]
        return top, left, high, wide, int(mirror)


def _size_of(content: bytes) -> tuple[int, int]:
    """Width and height of an image when it is upright, from its header."""
    try:
        with Image.open(BytesIO(content)) as image:
            width, height = image.size
            lies = image.getexif().get(_ORIENTATION) in _LYING
    except Exception:  # a broken image is reported when it is decoded
        return 1, 1
    return (height, width) if lies else (width, height)
