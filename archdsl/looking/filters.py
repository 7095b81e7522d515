"""The weights of a convolution as pictures: what each filter looks for."""

from __future__ import annotations

from torch import Tensor, nn

from archdsl.drawing.canvas.marks import Mark, Picture, Text
from archdsl.drawing.canvas.typeface import text_width
from archdsl.layers import Family, UnaryLayer
from archdsl.looking.errors import LookingError
from archdsl.looking.page import WIDTH, Plate, headed_picture, lay_grid, with_below
from archdsl.looking.panels import TINY, Area, image_marks, map_marks, scale_marks
from archdsl.looking.specimen import Specimen, check_finite
from archdsl.looking.stages import Stage, find_stage
from archdsl.network.graph import Node
from archdsl.report.statement import render_layer
from archdsl.report.text import count_of

_SCALE, _SCALE_HEIGHT = 240.0, 16.0
#: Filters, and channels that they read, of a layer that reads many channels.
_ROWS, _COLUMNS = 16, 32


def draw_filters(
    specimen: Specimen, part: str | None = None, channels: int | None = None
) -> Picture:
    """The filters of the first convolution, or of the first one in a part.

    Filters that read red, green and blue are shown in colour, with 0 in grey, as in figure 3 of
    Krizhevsky et al. 2012. Others are maps of their numbers, one for each channel that they read.
    All have one scale. ``channels`` limits them to those of the largest norm.

    Errors:
        LookingError: where there is no such part, or no convolution of images in it.
    """
    node, convolution = find_convolution(specimen, part)
    weights = convolution.weight.detach().float()
    check_finite(weights, f"the weight of `{specimen.model.names[node.id]}`")
    count, inputs, height, width = weights.shape
    is_colour = inputs == 3 and node.inputs[0] == specimen.model.inputs[0].id
    is_table = not is_colour and inputs > 1
    most = channels or (_ROWS if is_table and height * width > 1 else count)
    picked = _largest(weights, most)
    size = f"{count_of(count, 'filter')} of {height}x{width}x{inputs}"
    lines = [f"{specimen.name} · {size}"]
    if len(picked) < count:
        lines.append(f"The {len(picked)} with the largest norm.")
    if is_colour:
        lines.append("Red, green and blue; grey is zero, and all filters have one scale.")
        block = _colours(weights, picked)
    elif not is_table:
        block = _maps(weights[:, 0], picked)
    elif height * width == 1:
        lines.append("Filters from top to bottom, the channels they read from left to right.")
        block = _matrix(weights[picked, :, 0, 0])
    else:
        shown = min(inputs, _COLUMNS)
        rest = f", the first {shown} of {inputs}" if shown < inputs else ""
        # A page is wider than high.
        is_turned = len(picked) > shown
        axes = "column is a filter, a row" if is_turned else "row is a filter, a column"
        lines.append(f"A {axes} a channel that it reads{rest}.")
        block = _table(weights[:, :shown], picked, is_turned)
    name = specimen.model.names[node.id]
    return headed_picture(
        f"Filters of {name}: {render_layer(node.layer)}",
        lines,
        block,
        summary=f"Filters of {specimen.name}",
        description=f"The weights of {name}: {size}.",
    )


def find_convolution(specimen: Specimen, part: str | None = None) -> tuple[Node, nn.Conv2d]:
    """The first convolution of images on the trunk, or in a part.

    Errors:
        LookingError: where there is none.
    """
    stage = find_stage(specimen.model, part) if part is not None else None
    for node in specimen.model.layers:
        if node.head is not None or (stage and not _is_in(specimen, node, part or "", stage)):
            continue
        if node.layer.family is Family.CONVOLUTION and isinstance(node.layer, UnaryLayer):
            # Uneven padding is a module of its own before the convolution.
            for module in specimen.module_of(node).modules():
                if isinstance(module, nn.Conv2d):
                    return node, module
    where = f"`{part}` of {specimen.name}" if part is not None else specimen.name
    raise LookingError(f"{where} has no convolution of images, whose filters could be shown")


def _is_in(specimen: Specimen, node: Node, part: str, stage: Stage) -> bool:
    name = specimen.model.names[node.id]
    return node.id == stage.node or name == part or name.startswith(f"{part}.")


def _largest(weights: Tensor, most: int) -> list[int]:
    """The filters in their order, without those of the smallest norm where there are too many."""
    if len(weights) <= most:
        return list(range(len(weights)))
    norms = weights.flatten(1).norm(dim=1)
    return sorted(norms.topk(most).indices.tolist())


def _colours(weights: Tensor, picked: list[int]) -> Plate:
    largest = weights.abs().max().item() or 1.0

    def draw(place: int, area: Area) -> list[Mark]:
        return image_marks(0.5 + weights[picked[place]] / (2 * largest), area)

    labels = [str(number) for number in picked]
    return lay_grid(labels, weights.shape[2] / weights.shape[3], draw, kind="filter")


def _maps(weights: Tensor, picked: list[int]) -> Plate:
    shown = weights[picked]
    low, high = shown.min().item(), shown.max().item()
    largest = max(-low, high)

    def draw(place: int, area: Area) -> list[Mark]:
        return map_marks(shown[place], largest, area)

    labels = [str(number) for number in picked]
    grid = lay_grid(labels, weights.shape[1] / weights.shape[2], draw, kind="filter")
    scale = scale_marks(low, high, largest, (0, 0), min(_SCALE, grid.width))
    return with_below(grid, scale, _SCALE_HEIGHT)


def _table(weights: Tensor, picked: list[int], is_turned: bool) -> Plate:
    """A row of maps for each filter, a column for each channel that it reads; or the other way."""
    shown = weights[picked]
    low, high = shown.min().item(), shown.max().item()
    largest = max(-low, high)
    rows, columns = picked, list(range(weights.shape[1]))
    if is_turned:
        shown, rows, columns = shown.transpose(0, 1), columns, rows
    left = max(text_width(str(number), TINY) for number in rows) + 5
    side = min(max((WIDTH - left) / len(columns) - 3, 20.0), 42.0)
    tall = side * weights.shape[2] / weights.shape[3]
    top = TINY + 4
    marks: list[Mark] = [
        Text((left + column * (side + 3) + side / 2, TINY), str(number), TINY, "muted")
        for column, number in enumerate(columns)
    ]
    for row, number in enumerate(rows):
        y = top + row * (tall + 3)
        middle = y + tall / 2 + TINY * 0.36
        marks.append(Text((left - 5, middle), str(number), TINY, "muted", anchor="end"))
        for column in range(len(columns)):
            area = Area(left + column * (side + 3), y, side, tall)
            marks += map_marks(shown[row, column], largest, area)
    table = Plate((*marks,), left + len(columns) * (side + 3), top + len(rows) * (tall + 3))
    scale = scale_marks(low, high, largest, (0, 0), min(_SCALE, table.width))
    return with_below(table, scale, _SCALE_HEIGHT)


def _matrix(weights: Tensor) -> Plate:
    low, high = weights.min().item(), weights.max().item()
    largest = max(-low, high)
    side = min(WIDTH / weights.shape[1], 380 / weights.shape[0], 24.0)
    width, height = side * weights.shape[1], side * weights.shape[0]
    block = Plate((*map_marks(weights, largest, Area(0, 0, width, height)),), width, height)
    scale = scale_marks(low, high, largest, (0, 0), _SCALE)
    return with_below(block, scale, _SCALE_HEIGHT)
