"""Bringing images to a network's input volume."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from archdsl.layers.volume import Volume
from archdsl.train.data.decoding import BrokenImageError, decode_image
from archdsl.train.errors import TrainError

#: An image this many pixels smaller than the input, or less, is padded instead of enlarged, like
#: the 28×28 digits in the 32×32 field of LeNet-5 (LeCun et al. 1998, section II.B).
MOST_PADDING = 8

#: The class of pixels that have none, as in PASCAL VOC and Cityscapes.
VOID = 255

#: Changes one image, C×h×w with pixels from 0 to 255; uint8, or float32 after a change of colour.
Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class RandomChange:
    """A random change of an image, and the same of its mask, uint8 1×h×w, where pixels are moved.

    Both draw the same random numbers.
    """

    image: Step
    mask: Step | None = None

    def together(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """An image and its mask, changed alike."""
        before = torch.default_generator.get_state()
        image = self.image(image)
        if self.mask is not None:
            after = torch.default_generator.get_state()
            torch.default_generator.set_state(before)
            mask = self.mask(mask)
            torch.default_generator.set_state(after)
        return image, mask


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the pixels, from 0 to 1, one number per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def for_channels(self, channels: int) -> Statistics:
        """The same for the images in grey or in colour.

        The mean of the grey is exact. Its deviation is what it would be with channels that rise
        and fall together, as those of photographs nearly do.
        """
        if len(self.mean) == channels:
            return self
        if channels == 1:
            return Statistics((_grey(self.mean),), (_grey(self.std),))
        return Statistics(self.mean * channels, self.std * channels)


def _grey(colour: tuple[float, ...]) -> float:
    """ITU-R BT.601, as Pillow and torchvision turn colours into grey."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


#: Of ILSVRC 2012, as torchvision's models and references use them.
IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, eq=False)
class Normalization:
    """Turns pixels from 0 to 255, …×C×H×W on any device, into what the network takes, float32."""

    statistics: Statistics

    def __call__(self, pixels: Tensor) -> Tensor:
        scale, offset = (values.to(pixels.device) for values in self.line)
        # Into a new tensor: pixels that are already floats must not be changed.
        return (pixels.to(torch.float32) * scale).add_(offset)

    def undo(self, images: Tensor) -> Tensor:
        """The pixels of normalized images, …×C×H×W, from 0 to 1."""
        mean, std = (
            torch.tensor(values, device=images.device).reshape(-1, 1, 1)
            for values in (self.statistics.mean, self.statistics.std)
        )
        return images * std + mean

    @cached_property
    def line(self) -> tuple[Tensor, Tensor]:
        """Scale and offset, float32 C×1×1: (x/255 − mean)/std in one step."""
        mean, std = (
            torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)
            for values in (self.statistics.mean, self.statistics.std)
        )
        return (1 / (255 * std)).float(), (-mean / std).float()


@dataclass(frozen=True, eq=False)
class Preparation:
    """Turns decoded images, uint8 N×C×h×w, into pixels of the network's input, N×C×H×W.

    Images a little smaller than the input are padded with zeros. All others are resized and cut to
    ``frame``, height × width; None leaves that to the changes. Then each image goes through the
    ``changes``, and the centre is cut out where the frame is larger than the input. Only the
    changes are random, and they only use torch's generator. The pixels stay bytes, unless a change
    makes floats of them, and are normalized on the device that trains.
    """

    input: Volume
    frame: tuple[int, int] | None
    changes: tuple[RandomChange, ...] = ()

    def __call__(self, images: Tensor) -> Tensor:
        images = pad_small(images, self.size)
        if self.frame:
            images = cover(images, self.frame)
        if self.changes:
            images = torch.stack([self._change(image) for image in images.unbind()])
        return cut_centre(images, self.size)

    def with_mask(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """An image, C×h×w, and the classes of its pixels, uint8 h×w, brought to the same place.

        What is padded, or moves in from outside, has no class.
        """
        image = pad_small(image, self.size)
        mask = pad_small(mask[None], self.size, VOID)
        if self.frame:
            image, mask = cover(image, self.frame), cover(mask, self.frame, of_classes=True)
        for change in self.changes:
            image, mask = change.together(image, mask)
        return cut_centre(image, self.size), cut_centre(mask, self.size)[0]

    @property
    def size(self) -> tuple[int, int]:
        return self.input.height, self.input.width

    def _change(self, image: Tensor) -> Tensor:
        for change in self.changes:
            image = change.image(image)
        return image


def centre_preparation(input: Volume, *, enlarged: bool) -> Preparation:
    """What validation and prediction do: the centre of an image, enlarged where training crops."""
    size = input.height, input.width
    return Preparation(input, enlarge(size) if enlarged else size)


def enlarge(size: tuple[int, int]) -> tuple[int, int]:
    """The frame a random crop is cut out of: 256 for 224 (Krizhevsky et al. 2012, section 4.1)."""
    height, width = size
    return round(height * 8 / 7), round(width * 8 / 7)


def check_input(input: Volume) -> None:
    """Raises ``TrainError`` for an input that is not a grey or coloured image."""
    if not input.is_image:
        kind = "a vector" if input.is_vector else f"a {input.rank}-D volume"
        raise TrainError(f"the network takes {input}, {kind}: images need a height and a width")
    if input.channels not in (1, 3):
        raise TrainError(
            f"the network takes {input}: images have 1 channel or 3, not {input.channels}"
        )


def pad_small(images: Tensor, size: tuple[int, int], value: int = 0) -> Tensor:
    """Images, …×h×w, framed by ``value`` where ``MOST_PADDING`` or less is missing to ``size``."""
    down, right = size[0] - images.shape[-2], size[1] - images.shape[-1]
    if not is_padded(images.shape[-2], images.shape[-1], size):
        return images
    top, left = down // 2, right // 2
    return nn.functional.pad(images, (left, right - left, top, down - top), value=value)


def is_padded(height: int, width: int, size: tuple[int, int]) -> bool:
    """Whether an image is only a little smaller than ``size``, so that it is padded."""
    down, right = size[0] - height, size[1] - width
    return 0 <= down <= MOST_PADDING and 0 <= right <= MOST_PADDING and down + right > 0


def covering_window(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the centre of an image that covers ``size`` when it is resized."""
    scale = max(size[0] / height, size[1] / width)
    return max(1, round(size[0] / scale)), max(1, round(size[1] / scale))


def cover(images: Tensor, size: tuple[int, int], *, of_classes: bool = False) -> Tensor:
    """The centre of images, …×h×w, resized to cover ``size``.

    The same as resizing the shorter side and cutting out the centre, but cut first: a panorama
    costs no more than a square. ``of_classes`` are masks, whose numbers are not blended.
    """
    height, width = images.shape[-2:]
    if (height, width) == size:
        return images
    centre = covering_window(height, width, size)
    return resize(cut_centre(images, centre), size, of_classes=of_classes)


def resize(images: Tensor, size: tuple[int, int], *, of_classes: bool = False) -> Tensor:
    """Images, …×C×h×w, with bilinear interpolation and antialiasing; of masks, the nearest pixels.

    What torchvision's ``resize`` makes of them, bit for bit, without the seconds that importing
    torchvision takes.
    """
    if tuple(images.shape[-2:]) == size:
        return images
    flat = images.reshape(-1, *images.shape[-3:])
    if of_classes:
        # Exact: the middle one of those that the image's pixel is made of, not the upper left one.
        nearest = nn.functional.interpolate(flat, size=list(size), mode="nearest-exact")
        return nearest.reshape(*images.shape[:-2], *size)
    if len(flat) == 1 and flat.is_contiguous(memory_format=torch.channels_last):
        # PyTorch would pack the pixels of a decoded image anew, if this stride did not say better.
        flat = flat.as_strided(flat.shape, (flat.numel(), *flat.stride()[1:]))
    is_cast = flat.dtype == torch.uint8 and not _resizes_bytes()
    resized = nn.functional.interpolate(
        flat.float() if is_cast else flat,
        size=list(size),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    if is_cast:
        resized = resized.round_().to(torch.uint8)
    return resized.reshape(*images.shape[:-2], *size)


@cache
def _resizes_bytes() -> bool:
    """Whether PyTorch is quicker, and a little less exact, at bytes than at floats here."""
    vectors = torch.backends.cpu.get_cpu_capability()
    return vectors in ("AVX2", "AVX512") or platform.machine() in ("aarch64", "arm64")


def cut_centre(images: Tensor, size: tuple[int, int]) -> Tensor:
    """The central window of images, …×h×w, that are at least that large."""
    top, left = (images.shape[-2] - size[0]) // 2, (images.shape[-1] - size[1]) // 2
    return images[..., top : top + size[0], left : left + size[1]]


def prepare_pixels(
    path: Path,
    *,
    input: Volume,
    enlarged: bool = False,
    invert: bool = False,
    background: Sequence[int] | None = None,
) -> Tensor:
    """One file as the network sees it, before it is normalized: uint8 C×H×W.

    With ``invert``, dark and bright are exchanged. ``background``, from 0 to 255, is the colour
    that shows through what is transparent, also in an image that is inverted. Raises
    ``TrainError`` naming the file where it cannot be read or decoded.
    """
    check_input(input)
    prepare = centre_preparation(input, enlarged=enlarged)
    if invert and background is not None:
        background = [255 - value for value in background]
    try:
        pixels = decode_image(path, input.channels, background)
    except BrokenImageError as error:
        raise TrainError(str(error)) from error
    if invert:
        pixels = 255 - pixels
    return prepare(pixels.unsqueeze(0)).squeeze(0)
