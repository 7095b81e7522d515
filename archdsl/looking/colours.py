"""From numbers to colours: blue below zero, white at zero, red above.

The map is a straight line on either side of zero in Oklab, a space in which equal distances look
equal (Ottosson 2020, "A perceptual color space for image processing"). So equal steps of the
numbers look equal, both sides are equally dark at equal distance from zero, and printed in grey the
size of a number can still be read. Blue and orange-red differ for all common kinds of colour
blindness.
"""

from __future__ import annotations

from functools import cache
from math import cos, radians, sin

import torch
from torch import Tensor

#: Steps of the map on either side of zero.
STEPS = 255

#: Lightness, chroma and hue in degrees of zero and of the two ends.
_ZERO = (0.975, 0.0, 0.0)
_BELOW = (0.42, 0.125, 258.0)
_ABOVE = (0.42, 0.145, 32.0)


@cache
def colour_map() -> Tensor:
    """The colours from −1 to 1, uint8 (2·STEPS + 1)×3; the one in the middle is that of zero."""
    rows = []
    for step in range(-STEPS, STEPS + 1):
        end = _oklab(*(_BELOW if step < 0 else _ABOVE))
        zero = _oklab(*_ZERO)
        share = abs(step) / STEPS
        mixed = (z + (e - z) * share for z, e in zip(zero, end, strict=True))
        rows.append(_srgb(*mixed))
    return torch.tensor(rows, dtype=torch.uint8)


def colours_of(values: Tensor, largest: float) -> Tensor:
    """The colours of numbers, uint8 …×3; those of ±``largest`` are the ends of the map."""
    scaled = values.double() / largest if largest else torch.zeros_like(values)
    index = (scaled.clamp(-1, 1) * STEPS).round().long() + STEPS
    return colour_map()[index]


def hex_of(share: float) -> str:
    """The colour of a number from −1 to 1 as ``#rrggbb``."""
    red, green, blue = colours_of(torch.tensor(share), 1.0).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def _oklab(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    return lightness, chroma * cos(radians(hue)), chroma * sin(radians(hue))


def _srgb(lightness: float, a: float, b: float) -> tuple[int, int, int]:
    """Bytes of sRGB from Oklab, by Ottosson's matrices."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (round(255 * _encoded(min(max(value, 0.0), 1.0))) for value in linear)
    return red, green, blue


def _encoded(value: float) -> float:
    """The transfer curve of sRGB (IEC 61966-2-1)."""
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
