"""An attribution next to its image, and on it."""

from __future__ import annotations

import torch
from torch import Tensor

from archdsl.drawing.canvas.marks import Mark, Picture, Text
from archdsl.looking.answers import percentage
from archdsl.looking.attribution import Attribution
from archdsl.looking.colours import colours_of
from archdsl.looking.page import Plate, headed_picture
from archdsl.looking.panels import (
    HEADING,
    LEADING,
    SMALL,
    Area,
    image_marks,
    map_marks,
    scale_marks,
)
from archdsl.looking.specimen import Specimen

#: The side of each of the three panels, and their distance.
_SIDE, _GAP = 250.0, 24.0
_SCALE_HEIGHT = 18.0
#: How much of the image is left under its attribution.
_FADED = 0.4
#: How much the strongest colour covers of it.
_COVER = 0.75


def draw_attribution(
    specimen: Specimen, image: Tensor, attribution: Attribution, *, image_name: str
) -> Picture:
    """The image as the network sees it, the attribution, and the attribution on the faded image."""
    pixels = specimen.finished.pixels_of(image).clamp(0, 1)
    values = attribution.values
    shown = attribution.map
    low, high = shown.min().item(), shown.max().item()
    largest = max(-low, high)
    size = f"{values.shape[0]}x{values.shape[1]}"
    where = f" at {attribution.place}, {shown.shape[0]}x{shown.shape[1]}"
    captions = (
        ("input", f"{image_name}, as the network sees it: {size}"),
        (attribution.method, (where if attribution.place else f" {size}").strip()),
        ("on the image", "interpolated" if attribution.place else "the same numbers"),
    )
    top = HEADING * LEADING + SMALL * LEADING + 4
    areas = [Area(n * (_SIDE + _GAP), top, _SIDE, _SIDE) for n in range(3)]
    marks: list[Mark] = []
    for area, (heading, line) in zip(areas, captions, strict=True):
        marks.append(Text((area.x, HEADING), heading, HEADING, bold=True, anchor="start"))
        below = HEADING + SMALL * LEADING + 1
        marks.append(Text((area.x, below), line, SMALL, "muted", anchor="start"))
    marks += image_marks(pixels, areas[0])
    marks += map_marks(shown, largest, areas[1])
    marks += image_marks(_blended(pixels, values, largest), areas[2])
    bottom = top + areas[0].fitting(*values.shape).height
    marks += scale_marks(low, high, largest, (areas[1].x, bottom + 8), _SIDE)
    target = specimen.classes[attribution.target]
    probability = specimen.finished.probabilities(image[None])[0]
    top_class = int(probability.argmax())
    answer = f"{target} has {percentage(probability[attribution.target].item())}"
    if top_class != attribution.target:
        other = percentage(probability[top_class].item())
        answer += f"; the network says {specimen.classes[top_class]}, {other}"
    return headed_picture(
        f"{attribution.method} of {target}: {specimen.name} on {image_name}",
        (f"{answer}. {attribution.lines[0]}", *attribution.lines[1:]),
        Plate((*marks,), 3 * _SIDE + 2 * _GAP, bottom + 8 + _SCALE_HEIGHT),
        summary=f"{attribution.method} of {target}",
        description=f"What the score of {target} depends on in {image_name}.",
    )


def _blended(pixels: Tensor, values: Tensor, largest: float) -> Tensor:
    """The image in pale grey, under the colours of the attribution where that is large."""
    grey = pixels.mean(dim=0, keepdim=True).expand(3, -1, -1)
    pale = 1 - _FADED + _FADED * grey
    if not largest:
        return pale
    colours = colours_of(values, largest).permute(2, 0, 1) / 255
    share = _COVER * (values.abs() / largest).clamp(0, 1)
    return torch.lerp(pale, colours.float(), share.float())
