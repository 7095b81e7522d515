"""What each stage of a network makes of an image: from the input to the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log

import torch
from torch import Tensor

from archdsl.drawing.canvas.marks import (
    Group,
    Mark,
    Picture,
    Text,
    moved,
    polygon,
    polyline,
    rectangle,
)
from archdsl.drawing.canvas.palette import BLOCK, border_of, fill_of, label_of
from archdsl.drawing.canvas.typeface import shortened, text_width
from archdsl.layers import REGISTRY, Family
from archdsl.looking.activations import Activations
from archdsl.looking.answers import lay_answer, tell_answer
from archdsl.looking.panels import (
    HEADING,
    LEADING,
    SMALL,
    TINY,
    TITLE,
    Area,
    axis_marks,
    bar_marks,
    image_marks,
    map_marks,
    scale_marks,
    wrapped,
)
from archdsl.looking.specimen import Specimen, check_finite
from archdsl.looking.stages import Stage, keeps_channels

#: Feature maps of a stage, where the call does not say.
CHANNELS = 8
#: The side of a map, and the place below it for the number of its channel.
_CELL, _BELOW = 37.0, 10.0
_GAP, _BETWEEN, _MARGIN = 4.0, 20.0, 20.0
_FOOT = 20.0
#: The width to the height of a slide.
_SLIDE = 16 / 9
#: The least width of the answer.
_ANSWER = 92.0
#: Bars thinner than this are joined.
_THINNEST = 1.4


@dataclass(frozen=True, slots=True)
class _Column:
    """A stage on the page: texts above, its volume, and below its scale. Marks start at (0, 0)."""

    look: str
    heading: str
    lines: tuple[str, ...]
    body: tuple[Mark, ...]
    foot: tuple[Mark, ...]
    width: float
    tooltip: str
    #: Whether it reads the column before it.
    follows: bool = True


def draw_pipeline(
    specimen: Specimen,
    activations: Activations,
    stages: Sequence[Stage],
    *,
    image_name: str,
    channels: int = CHANNELS,
) -> Picture:
    """The results of the stages for one image, left to right and in rows below each other.

    Of each volume it has ``channels`` maps, those with the largest activation first; what works on
    each channel by itself, as pooling, has the same maps as what it reads. All maps of a stage
    share a scale, with zero in white. Vectors are bars.

    Errors:
        LookingError: where a result is not finite.
    """
    frame = _Frame.of(channels)
    columns = [_input_column(specimen, activations, frame, image_name)]
    chosen: dict[int, list[int]] = {}
    before = specimen.model.inputs[0].id
    names = {before: "input", **{stage.node: stage.name for stage in stages}}
    for stage in stages:
        columns.append(_stage_column(specimen, activations, frame, stage, before, chosen, names))
        before = stage.node
    columns.append(_answer_column(specimen, activations, frame))
    bands = _bands(columns, frame)
    return _page(specimen, activations, bands, frame, image_name)


def columns_of(channels: int) -> int:
    """How many of the maps of a stage are beside each other."""
    return 1 if channels == 1 else max(2, round((channels / 2) ** 0.5))


@dataclass(frozen=True, slots=True)
class _Frame:
    """The grid of a stage: how many maps, and in how many columns."""

    channels: int
    across: int

    @classmethod
    def of(cls, channels: int) -> _Frame:
        return cls(channels, columns_of(channels))

    @property
    def down(self) -> int:
        return max(ceil(self.channels / self.across), 3)

    @property
    def width(self) -> float:
        return max(self.across * (_CELL + _GAP) - _GAP, 2 * _CELL + _GAP)

    @property
    def height(self) -> float:
        return self.down * (_CELL + _BELOW)

    @property
    def area(self) -> Area:
        return Area(0.0, 0.0, self.width, self.height - _BELOW)

    def cell(self, index: int) -> Area:
        row, column = divmod(index, self.across)
        return Area(column * (_CELL + _GAP), row * (_CELL + _BELOW), _CELL, _CELL)


# ── Columns ──────────────────────────────────────────────────────────────────────────────────


def _input_column(
    specimen: Specimen, activations: Activations, frame: _Frame, image_name: str
) -> _Column:
    image = activations.image
    side = frame.width
    body = image_marks(specimen.finished.pixels_of(image), Area(0, 0, side, side))
    low, high = image.min().item(), image.max().item()
    largest = max(-low, high)
    names = ("red", "green", "blue") if len(image) == 3 else ("normalized",)
    width = min(_CELL, (side - (len(names) - 1) * _GAP) / len(names))
    top = side + 6
    for index, name in enumerate(names):
        area = Area(index * (width + _GAP), top, width, frame.height - top - _BELOW)
        inside = area.fitting(*image.shape[1:])
        body += map_marks(image[index], largest, replace(area, height=inside.height))
        middle = area.x + width / 2
        at = (max(middle, text_width(name, TINY) / 2), top + inside.height + TINY + 1)
        body.append(Text(at, name, TINY, "muted"))
    foot = scale_marks(low, high, largest, (0, 0), side)
    lines = (image_name, "as the network sees it", str(specimen.model.input))
    tooltip = f"input {specimen.model.input}: {image_name}"
    return _Column(
        Family.INPUT.value, "input", lines, (*body,), (*foot,), side, tooltip, follows=False
    )


def _stage_column(
    specimen: Specimen,
    activations: Activations,
    frame: _Frame,
    stage: Stage,
    before: int,
    chosen: dict[int, list[int]],
    names: Mapping[int, str],
) -> _Column:
    model = specimen.model
    node = model.nodes[stage.node]
    values = activations.values[stage.node].float()
    check_finite(values, f"the result of `{stage.name}`")
    volume = stage.volume
    lines = wrapped(stage.statement, SMALL, frame.width, 2)
    read = what_it_reads(stage, before, names)
    follows = not read
    if read:
        lines += wrapped(read, SMALL, frame.width, 2)
    shown = ""
    if volume.positions == 1:
        body, foot, shown = _bars(specimen, node.id, values.flatten(), frame)
    elif volume.rank == 1:
        body, foot = _table(values, frame)
        shown = "a row: a position"
    else:
        source = node.inputs[0]
        kept = chosen.get(source) if keeps_channels(model, node) else None
        picked = kept or strongest(values, frame.channels)
        chosen[stage.node] = picked
        body, foot = _maps(values, picked, frame)
        if len(picked) < volume.channels:
            shown = f"{len(picked)} of {volume.channels} maps"
    lines.append(str(volume))
    lines += [shown] if shown else []
    look = look_of(stage, node.layer.family)
    tooltip = f"{stage.name}: {stage.statement} {volume}"
    return _Column(look, stage.name, (*lines,), (*body,), (*foot,), frame.width, tooltip, follows)


def what_it_reads(stage: Stage, before: int, names: Mapping[int, str]) -> str:
    """The stages that a stage reads, in words; nothing where that is the one before it."""
    if stage.sources == (before,):
        return ""
    word = "of" if len(stage.sources) > 1 else "from"
    return f"{word} {', '.join(names[id] for id in stage.sources)}"


def look_of(stage: Stage, family: Family) -> str:
    """The colours that the part has in drawings: those of its first layer, or of a block."""
    word, *_ = stage.statement.split()
    if "(" in word or ";" in stage.statement:
        return BLOCK
    layer = REGISTRY.get(word)
    return (layer.family if layer else family).value


def strongest(values: Tensor, count: int) -> list[int]:
    """The channels of C×H×W with the largest activation anywhere, the largest first."""
    largest = values.flatten(1).amax(dim=1)
    order: list[int] = torch.sort(largest, descending=True, stable=True).indices.tolist()
    return order[:count]


def _maps(values: Tensor, picked: Sequence[int], frame: _Frame) -> tuple[list[Mark], list[Mark]]:
    shown = values[list(picked)]
    low, high = shown.min().item(), shown.max().item()
    largest = max(-low, high)
    body: list[Mark] = []
    for place, channel in enumerate(picked):
        area = frame.cell(place)
        marks = map_marks(values[channel], largest, area)
        bottom = area.y + area.fitting(*values.shape[1:]).height
        label = Text((area.x + area.width / 2, bottom + TINY + 0.5), str(channel), TINY, "muted")
        body.append(Group((*marks, label), f"channel {channel}"))
    return body, scale_marks(low, high, largest, (0, 0), frame.width)


def _table(values: Tensor, frame: _Frame) -> tuple[list[Mark], list[Mark]]:
    """A volume of one axis, C×L, as a table of its numbers: positions by channels."""
    low, high = values.min().item(), values.max().item()
    largest = max(-low, high)
    body = map_marks(values.T, largest, frame.area, fills=True)
    return body, scale_marks(low, high, largest, (0, 0), frame.width)


def _bars(
    specimen: Specimen, node: int, values: Tensor, frame: _Frame
) -> tuple[list[Mark], list[Mark], str]:
    count = len(values)
    most = int(frame.area.height / _THINNEST)
    each = ceil(count / most)
    numbers = [furthest(part) for part in torch.split(values, each)]
    labels: Sequence[str] = ()
    if specimen.is_answer(node) and count * SMALL <= frame.area.height:
        labels = specimen.told
    names = [shortened(label, SMALL, frame.width * 0.4) for label in labels]
    left = max((text_width(name, SMALL) for name in names), default=-4.0) + 4
    foot = axis_marks(numbers, (0, -_BELOW), frame.width, left)
    note = f"a bar: largest of {each}" if each > 1 else ""
    return bar_marks(numbers, frame.area, labels), foot, note


def furthest(values: Tensor) -> float:
    """The number that is furthest from zero, with its sign."""
    return values[values.abs().argmax()].item()


def _answer_column(specimen: Specimen, activations: Activations, frame: _Frame) -> _Column:
    width = max(frame.width, _ANSWER)
    panel = lay_answer(specimen, activations, width, frame.height - _BELOW)
    look = Family.ACTIVATION.value
    return _Column(look, panel.heading, panel.lines, panel.marks, (), width, panel.heading)


# ── The page ─────────────────────────────────────────────────────────────────────────────────


def _header_height(columns: Sequence[_Column]) -> float:
    lines = max(len(column.lines) for column in columns)
    return 6 + HEADING * LEADING + lines * SMALL * LEADING + 5


def _band_size(columns: Sequence[_Column], frame: _Frame) -> tuple[float, float]:
    width = sum(column.width for column in columns) + _BETWEEN * (len(columns) - 1)
    return width, _header_height(columns) + frame.height + _FOOT


def _bands(columns: Sequence[_Column], frame: _Frame) -> list[list[_Column]]:
    """The columns in rows, in as many as make the page most like a slide."""
    choices = []
    for count in range(1, len(columns) + 1):
        each = ceil(len(columns) / count)
        bands = [list(columns[i : i + each]) for i in range(0, len(columns), each)]
        sizes = [_band_size(band, frame) for band in bands]
        width = max(width for width, _ in sizes)
        height = sum(height for _, height in sizes) + 50 + _BETWEEN * (len(bands) - 1)
        choices.append((abs(log(width / height / _SLIDE)), count, bands))
    return min(choices, key=lambda choice: choice[:2])[2]


def _page(
    specimen: Specimen,
    activations: Activations,
    bands: Sequence[Sequence[_Column]],
    frame: _Frame,
    image_name: str,
) -> Picture:
    heading = tell_answer(specimen, activations, image_name)
    width = max(_band_size(band, frame)[0] for band in bands)
    marks: list[Mark] = [
        Text(
            (0, TITLE),
            shortened(heading, TITLE, width, bold=True),
            TITLE,
            bold=True,
            anchor="start",
        ),
    ]
    lines = wrapped(
        "Maps: blue is below zero, white is zero, red is above; each stage has its own scale. "
        "The map with the largest activation comes first.",
        SMALL,
        width,
        3,
    )
    y = TITLE
    for line in lines:
        y += SMALL * LEADING + 2
        marks.append(Text((0, y), line, SMALL, "muted", anchor="start"))
    y += 14
    for number, band in enumerate(bands):
        marks += [moved(mark, 0, y) for mark in _band_marks(band, frame, number > 0)]
        y += _band_size(band, frame)[1] + _BETWEEN
    marks = [moved(mark, _MARGIN, _MARGIN) for mark in marks]
    return Picture(
        heading,
        f"What each stage of {specimen.name} makes of {image_name}, from the input to the answer.",
        (*marks,),
        width + 2 * _MARGIN,
        y - _BETWEEN + 2 * _MARGIN,
    )


def _band_marks(band: Sequence[_Column], frame: _Frame, has_before: bool) -> list[Mark]:
    marks: list[Mark] = []
    header = _header_height(band)
    middle = header + (frame.height - _BELOW) / 2
    x = 0.0
    for number, column in enumerate(band):
        if column.follows and (number or has_before):
            marks += _arrow(x - _BETWEEN, middle)
        marks.append(
            Group(
                (*(moved(mark, x, 0) for mark in _column_marks(column, header, frame)),),
                column.tooltip,
            )
        )
        x += column.width + _BETWEEN
    return marks


def _column_marks(column: _Column, header: float, frame: _Frame) -> list[Mark]:
    heading = shortened(column.heading, HEADING, column.width - 6, bold=True)
    height = HEADING * LEADING + 2
    marks: list[Mark] = [
        rectangle(
            0,
            0,
            column.width,
            height,
            radius=2,
            fill=fill_of(column.look),
            stroke=border_of(column.look),
            line=0.6,
        ),
        Text(
            (4, HEADING + 1.2), heading, HEADING, label_of(column.look), bold=True, anchor="start"
        ),
    ]
    y = height + 1
    for line in column.lines:
        y += SMALL * LEADING
        text = shortened(line, SMALL, column.width)
        marks.append(Text((0, y), text, SMALL, "muted", anchor="start"))
    marks += [moved(mark, 0, header) for mark in column.body]
    return marks + [moved(mark, 0, header + frame.height + 3) for mark in column.foot]


def _arrow(x: float, y: float) -> list[Mark]:
    start, end = x + 5, x + _BETWEEN - 5
    return [
        polyline([(start, y), (end - 3, y)], stroke="line", line=1.0),
        polygon([(end, y), (end - 4, y - 2.5), (end - 4, y + 2.5)], fill="line"),
    ]
