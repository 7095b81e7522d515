"""From a file to the pixels of an image."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from archdsl.train.errors import TrainError

#: Pillow's modes, by the number of channels.
_MODES = {1: "L", 3: "RGB"}


#: What a JPEG file begins with.
_JPEG = b"\xff\xd8"


class BrokenImageError(Exception):
    """A file was read, but its bytes are not an image. The message names the file."""


def decode_image(path: Path, channels: int, background: Sequence[int] | None = None) -> Tensor:
    """The pixels of a file, uint8 C×h×w with 1 or 3 channels, upright as its EXIF data says.

    What is transparent shows the ``background``, a colour of 1 or 3 numbers from 0 to 255; without
    one, transparency is left out, and pixels have the colour that is stored for them.

    Errors: ``TrainError`` where the file cannot be read, ``BrokenImageError`` where it does not
    decode.
    """
    return decode_content(read_content(path), str(path), channels, background)


def read_content(path: Path) -> bytes:
    """The bytes of a file. Raises ``TrainError`` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrainError(f"{path}: cannot be read: {error.strerror or error}") from error


def decode_quickly(content: bytes, name: str, channels: int) -> Tensor:
    """What ``decode_content`` gives, in less time for each of many images.

    For one image it would take longer: importing torchvision costs seconds.
    """
    pixels = _decode_jpeg(content, channels)
    return decode_content(content, name, channels) if pixels is None else pixels


def decode_content(
    content: bytes, name: str, channels: int, background: Sequence[int] | None = None
) -> Tensor:
    """The pixels in the bytes of a file, whose name is for the message if they do not decode.

    Raises ``BrokenImageError``.
    """
    try:
        with Image.open(BytesIO(content)) as image:
            upright = ImageOps.exif_transpose(image)
            return pixels_of(_on_background(upright, background), channels)
    except MemoryError:
        raise
    # Pillow's readers let through whatever the parser of their format happens to raise.
    except Exception as error:
        # The default text names a buffer the user knows nothing about.
        why = "no known image format" if "BytesIO" in str(error) else str(error)
        raise BrokenImageError(f"{name}: broken image: {why or type(error).__name__}") from error


def _decode_jpeg(content: bytes, channels: int) -> Tensor | None:
    """The same pixels by torchvision, which is quicker; None where it is left to Pillow."""
    if not content.startswith(_JPEG):
        return None
    from torchvision.io import decode_jpeg  # type: ignore[import-untyped]

    try:
        # A copy that can be written to, since a tensor can.
        data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        pixels: Tensor = decode_jpeg(data, apply_exif_orientation=True)
    except RuntimeError:
        return None
    if pixels.shape[0] == channels:
        return pixels
    # Pillow rounds differently when it makes colours grey, and converts CMYK differently.
    return pixels.expand(channels, -1, -1) if pixels.shape[0] == 1 else None


def _on_background(image: Image.Image, background: Sequence[int] | None) -> Image.Image:
    """An image with nothing transparent in it."""
    if background is None or not image.has_transparency_data:
        return image
    red, green, blue = tuple(background) * (3 // len(background))
    flat = Image.new("RGBA", image.size, (red, green, blue, 255))
    flat.alpha_composite(image.convert("RGBA"))
    return flat


def pixels_of(image: Image.Image, channels: int) -> Tensor:
    """A Pillow image as uint8 C×h×w with 1 or 3 channels.

    Raises ``ValueError`` for pixels of 32 bits, since their value for white is not known.
    """
    if image.mode.startswith("I;16"):
        # Pillow would clip values above 255.
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"has pixels of 32 bits (mode {image.mode}), without a largest value")
    rows = np.array(image.convert(_MODES[channels]))
    return torch.from_numpy(rows.reshape(image.height, image.width, channels)).permute(2, 0, 1)


def with_channels(pixels: Tensor, channels: int) -> Tensor:
    """The same images, …×C×h×w, in grey (1 channel) or in colour (3)."""
    if pixels.shape[-3] == channels:
        return pixels
    if channels == 3:
        return pixels.expand(*pixels.shape[:-3], 3, -1, -1)
    from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]

    grey: Tensor = functional.rgb_to_grayscale(pixels)
    return grey
