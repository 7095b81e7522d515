"""One part of a network in full: all its maps, or all its units, for one image."""

from __future__ import annotations

from math import ceil

from torch import Tensor

from archdsl.drawing.canvas.marks import Mark, Picture, Text
from archdsl.looking.activations import Activations
from archdsl.looking.page import WIDTH, Plate, headed_picture, lay_grid, with_below
from archdsl.looking.panels import TINY, Area, axis_marks, bar_marks, map_marks, scale_marks
from archdsl.looking.pipeline import strongest
from archdsl.looking.specimen import Specimen, check_finite
from archdsl.looking.stages import Stage

_SCALE, _SCALE_HEIGHT = 240.0, 16.0
#: The height of the bars of a vector, and how many of them are on top of each other.
_BARS, _UNITS = 380.0, 40
_GUTTER = 18.0


def draw_part(
    specimen: Specimen,
    activations: Activations,
    stage: Stage,
    *,
    image_name: str,
    channels: int | None = None,
) -> Picture:
    """The result of a part for one image: its maps in a grid, the largest activation first.

    Without ``channels`` all of them are drawn. A vector is drawn as bars, one for each unit.

    Errors:
        LookingError: where the result is not finite.
    """
    values = activations.values[stage.node].float()
    check_finite(values, f"the result of `{stage.name}`")
    volume = stage.volume
    lines = [f"{specimen.name} on {image_name} · {volume}"]
    if volume.positions == 1:
        block = _units(specimen, stage, values.flatten())
    elif volume.rank == 1:
        lines.append("Positions from top to bottom, channels from left to right.")
        block = _table(values)
    else:
        picked = strongest(values, channels or volume.channels)
        lines.append(f"{len(picked)} of {volume.channels} maps, the largest activation first.")
        block = _maps(values, picked)
    return headed_picture(
        f"{stage.name}: {stage.statement}",
        lines,
        block,
        summary=f"{stage.name} of {specimen.name}",
        description=f"The result of {stage.name}, {volume}, for {image_name}.",
    )


def _maps(values: Tensor, picked: list[int]) -> Plate:
    shown = values[picked]
    low, high = shown.min().item(), shown.max().item()
    largest = max(-low, high)

    def draw(place: int, area: Area) -> list[Mark]:
        return map_marks(shown[place], largest, area)

    shape = values.shape[1] / values.shape[2]
    grid = lay_grid([str(channel) for channel in picked], shape, draw, kind="channel")
    width = min(_SCALE, grid.width)
    return with_below(grid, scale_marks(low, high, largest, (0, 0), width), _SCALE_HEIGHT)


def _table(values: Tensor) -> Plate:
    low, high = values.min().item(), values.max().item()
    largest = max(-low, high)
    table = Plate(
        (*map_marks(values.T, largest, Area(0, 0, WIDTH, _BARS), fills=True),), WIDTH, _BARS
    )
    return with_below(table, scale_marks(low, high, largest, (0, 0), _SCALE), _SCALE_HEIGHT)


def _units(specimen: Specimen, stage: Stage, values: Tensor) -> Plate:
    """The bars of a vector in columns next to each other, all with the same axis."""
    numbers: list[float] = values.tolist()
    if specimen.is_answer(stage.node) and len(numbers) <= _UNITS:
        height = min(_BARS, 16.0 * len(numbers))
        bars = bar_marks(numbers, Area(0, 0, WIDTH / 2, height), specimen.told)
        return Plate((*bars,), WIDTH / 2, height)
    columns = min(ceil(len(numbers) / _UNITS), 16)
    each = ceil(len(numbers) / columns)
    width = (WIDTH - _GUTTER * (columns - 1)) / columns
    span = min(*numbers, 0.0), max(*numbers, 0.0)
    marks: list[Mark] = []
    for first in range(0, len(numbers), each):
        x = first // each * (width + _GUTTER)
        part = numbers[first : first + each]
        label = f"{first}–{first + len(part) - 1}" if len(part) > 1 else str(first)
        area = Area(x, TINY + 5, width, _BARS * len(part) / each)
        marks += [Text((x, TINY), label, TINY, "muted", anchor="start")]
        marks += bar_marks(part, area, span=span, thickest=_BARS)
        marks += axis_marks(span, (x, TINY + _BARS + 9), width)
    return Plate((*marks,), WIDTH, _BARS + 2 * TINY + 12)
