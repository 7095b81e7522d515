"""Masks as people see them: a colour for each class."""

from __future__ import annotations

from functools import cache
from io import BytesIO

import torch
from PIL import Image
from torch import Tensor

#: How much of the image is left under the colours of its mask.
_UNDER = 0.4


@cache
def mask_colours() -> Tensor:
    """The colours of the classes 0 to 255, uint8 256×3: those of PASCAL VOC's own masks.

    Class 0 is black, and 255, which means no class, is a pale one. The bits of a number are dealt
    out to red, green and blue from the highest down (`VOClabelcolormap` of the VOC development
    kit), so neighbouring classes have colours far from each other.
    """
    rows = []
    for number in range(256):
        colour, rest = [0, 0, 0], number
        for shift in range(7, -1, -1):
            for channel in range(3):
                colour[channel] |= (rest >> channel & 1) << shift
            rest >>= 3
        rows.append(colour)
    return torch.tensor(rows, dtype=torch.uint8)


def coloured(mask: Tensor) -> Tensor:
    """A mask, integers h×w, in the colours of its classes: uint8 3×h×w."""
    return mask_colours()[mask.long()].permute(2, 0, 1)


def overlaid(pixels: Tensor, mask: Tensor) -> Tensor:
    """A mask over the image that it is of, uint8 3×h×w: class 0 leaves the image as it is.

    ``pixels`` are C×h×w with numbers from 0 to 1.
    """
    shown = pixels.expand(3, -1, -1).clamp(0, 1)
    mixed = torch.lerp(coloured(mask).float() / 255, shown, _UNDER)
    found = torch.where(mask == 0, shown, mixed)
    return (found * 255).round().to(torch.uint8)


def render_mask(mask: Tensor) -> bytes:
    """A mask, integers h×w, as PNG: its numbers are the classes, with a palette to see them by."""
    image = Image.fromarray(mask.to(torch.uint8).numpy())
    image.putpalette(mask_colours().flatten().tolist())
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
