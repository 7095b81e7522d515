"""What pictures of results are made of: maps, images, bars, scales and short texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archdsl.drawing.canvas.marks import (
    Command,
    Line,
    Mark,
    Point,
    Raster,
    Text,
    polyline,
    rectangle,
)
from archdsl.drawing.canvas.typeface import shortened, text_width
from archdsl.looking.colours import colours_of, hex_of

#: Sizes of text in points.
TITLE, HEADING, SMALL, TINY = 14.0, 9.0, 7.5, 6.5
#: Distance of baselines, as a multiple of the size.
LEADING = 1.3
#: Pixels of a point: a map with more is averaged down to that.
_DENSITY = 4
_SCALE_HEIGHT = 5.0


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle on the page, in points; y goes down."""

    x: float
    y: float
    width: float
    height: float

    def fitting(self, rows: int, columns: int) -> Area:
        """The largest rectangle with square pixels inside it, in its upper middle."""
        side = min(self.width / columns, self.height / rows)
        width, height = side * columns, side * rows
        return Area(self.x + (self.width - width) / 2, self.y, width, height)


def short(value: float) -> str:
    """A number in three digits, with a true minus sign."""
    shown = f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    shown = "0" if shown in ("-0", "0") else shown
    return shown.replace("-", "−")


def map_marks(values: Tensor, largest: float, area: Area, *, fills: bool = False) -> list[Mark]:
    """A map, H×W, in the colours of its numbers with a thin border.

    The colours of ±``largest`` are the strongest. Pixels are square, unless the map ``fills`` the
    area.
    """
    inside = area if fills else area.fitting(*values.shape)
    return _bordered(colours_of(_reduced(values, inside), largest), inside)


def image_marks(pixels: Tensor, area: Area) -> list[Mark]:
    """An image, C×H×W from 0 to 1 with one channel or three, as it is looked at."""
    inside = area.fitting(*pixels.shape[1:])
    shown = torch.stack([_reduced(channel, inside) for channel in pixels])
    return _bordered(colours_of_image(shown), inside)


def colours_of_image(pixels: Tensor) -> Tensor:
    """An image, C×H×W from 0 to 1 with one channel or three, as bytes: uint8 H×W×3."""
    colours = (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    return colours.expand(3, -1, -1).permute(1, 2, 0)


def _reduced(values: Tensor, area: Area) -> Tensor:
    """A map that has at most four pixels a point, averaged where it has more."""
    return reduced(
        values, max(1, round(area.height * _DENSITY)), max(1, round(area.width * _DENSITY))
    )


def reduced(values: Tensor, most_rows: int, most_columns: int) -> Tensor:
    """A map, H×W, averaged where it has more rows or columns."""
    size = min(values.shape[0], most_rows), min(values.shape[1], most_columns)
    if size == tuple(values.shape):
        return values
    smaller: Tensor = nn.functional.adaptive_avg_pool2d(values[None], size)
    return smaller[0]


def _bordered(colours: Tensor, area: Area) -> list[Mark]:
    rows, columns, _ = colours.shape
    pixels = colours.contiguous().numpy().tobytes()
    raster = Raster((area.x, area.y), area.width, area.height, columns, rows, pixels)
    border = rectangle(area.x, area.y, area.width, area.height, stroke="line", line=0.4)
    return [raster, border]


def scale_marks(low: float, high: float, largest: float, at: Point, width: float) -> list[Mark]:
    """A scale of the colours from ``low`` to ``high``, with zero marked where it is in between."""
    x, y = at
    low, high = min(low, 0.0), max(high, 0.0)
    span = high - low
    if not span:
        return [Text((x, y + TINY), "0 everywhere", TINY, "muted", anchor="start")]
    # Zero has a place between two pixels or at an end, whatever the range.
    steps = low + span * (torch.arange(128) + 0.5) / 128
    marks = _bordered(colours_of(steps[None], largest), Area(x, y, width, _SCALE_HEIGHT))
    zero = x + width * -low / span
    line = y + _SCALE_HEIGHT
    marks.append(polyline([(zero, y - 1.5), (zero, line + 1.5)], stroke="ink", line=0.8))
    return [*marks, *_scale_labels(low, high, zero, Area(x, line + 2 + TINY, width, 0))]


def _scale_labels(low: float, high: float, zero: float, line: Area) -> list[Mark]:
    ends = [(low, line.x, "start"), (high, line.x + line.width, "end")]
    marks: list[Mark] = []
    taken: list[tuple[float, float]] = []
    for value, x, anchor in ends:
        text = short(value)
        across = text_width(text, TINY)
        left = x if anchor == "start" else x - across
        marks.append(Text((x, line.y), text, TINY, "muted", anchor=anchor))  # type: ignore[arg-type]
        taken.append((left, left + across))
    half = text_width("0", TINY) / 2
    if all(zero - half > right + 2 or zero + half < left - 2 for left, right in taken):
        marks.append(Text((zero, line.y), "0", TINY, "muted"))
    return marks


def bar_marks(
    values: Sequence[float],
    area: Area,
    labels: Sequence[str] = (),
    span: tuple[float, float] | None = None,
    thickest: float = 16.0,
) -> list[Mark]:
    """A bar for each number, from the line of zero to the left or right, the first one on top.

    ``labels`` are written before the bars. ``span`` is from the lowest to the highest number that
    the area has room for, by default that of these. No bar is thicker than ``thickest`` with its
    gap. All bars of a sign are one mark.
    """
    names = [shortened(label, SMALL, area.width * 0.4) for label in labels]
    left = area.x
    if names:
        left += max(text_width(name, SMALL) for name in names) + 4
    width = area.x + area.width - left
    low, high = span or (min(*values, 0.0), max(*values, 0.0))
    unit = width / (high - low) if high > low else 0.0
    zero = left - low * unit
    pitch = min(area.height / len(values), thickest)
    thick = pitch * (0.7 if pitch > 3 else 0.85)
    marks: list[Mark] = []
    for sign, colour in ((-1, hex_of(-0.75)), (1, hex_of(0.75))):
        commands: list[Command] = []
        for index, value in enumerate(values):
            if value * sign > 0:
                top = area.y + index * pitch + (pitch - thick) / 2
                bar = rectangle(min(zero, zero + value * unit), top, abs(value) * unit, thick)
                commands += bar.commands
        if commands:
            marks.append(Line(tuple(commands), fill=colour))
    bottom = area.y + pitch * len(values)
    marks.append(polyline([(zero, area.y), (zero, bottom)], stroke="ink", line=0.6))
    for index, name in enumerate(names):
        middle = area.y + (index + 0.5) * pitch + SMALL * 0.36
        marks.append(Text((area.x, middle), name, SMALL, anchor="start"))
    return marks


def axis_marks(values: Sequence[float], at: Point, width: float, left: float = 0.0) -> list[Mark]:
    """The ends of the axis of bars."""
    low, high = min(*values, 0.0), max(*values, 0.0)
    span = high - low
    x = at[0] + left
    zero = x + (width - left) * (-low / span if span else 0.0)
    return _scale_labels(low, high, zero, Area(x, at[1] + TINY, width - left, 0))


def wrapped(text: str, size: float, width: float, most: int, bold: bool = False) -> list[str]:
    """A text in at most so many lines of this width, the last one shortened where need be."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        fits = not lines[-1] or text_width(longer, size, bold) <= width
        if fits or len(lines) == most:
            lines[-1] = longer
        else:
            lines.append(word)
    return [shortened(line, size, width, bold) for line in lines]
