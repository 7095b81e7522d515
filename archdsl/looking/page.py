"""A page with a heading, and grids of small pictures on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from archdsl.drawing.canvas.marks import Group, Mark, Picture, Text, moved
from archdsl.looking.panels import LEADING, SMALL, TINY, TITLE, Area, wrapped

MARGIN = 20.0
#: The width that pages of a single part are laid out for, in points.
WIDTH = 880.0
#: The least width of a page, for its heading.
_LEAST = 400.0
_GAP, _BELOW = 5.0, 10.0
#: Small pictures are no smaller and no larger than this.
_SIDES = (22.0, 130.0)


@dataclass(frozen=True, slots=True)
class Plate:
    """Marks from (0, 0) on, and how much room they take."""

    marks: tuple[Mark, ...]
    width: float
    height: float


def headed_picture(
    title: str, lines: Sequence[str], block: Plate, *, summary: str, description: str
) -> Picture:
    """A page with a title in bold, lines of small text, and a block below them.

    ``summary`` and ``description`` are for those who hear the picture.
    """
    width = max(block.width, _LEAST)
    marks: list[Mark] = []
    y = 0.0
    for line in wrapped(title, TITLE, width, 2, bold=True):
        y += TITLE * LEADING
        marks.append(Text((0, y - 4), line, TITLE, bold=True, anchor="start"))
    for text in lines:
        for line in wrapped(text, SMALL, width, 4):
            y += SMALL * LEADING + 1
            marks.append(Text((0, y - 2), line, SMALL, "muted", anchor="start"))
    y += 12
    marks += [moved(mark, 0, y) for mark in block.marks]
    return Picture(
        summary,
        description,
        tuple(moved(mark, MARGIN, MARGIN) for mark in marks),
        width + 2 * MARGIN,
        y + block.height + 2 * MARGIN,
    )


def lay_grid(
    labels: Sequence[str],
    shape: float,
    draw: Callable[[int, Area], list[Mark]],
    *,
    kind: str,
) -> Plate:
    """Small pictures in rows, each with its label below, about as wide as a slide.

    ``shape`` is the height of one divided by its width; ``draw`` gives the marks of one by its
    place, inside an area. ``kind`` is what one is, for tooltips.
    """
    across = max(1, round((len(labels) * shape * 1.9) ** 0.5))
    side = min(max((WIDTH + _GAP) / across - _GAP, _SIDES[0]), _SIDES[1])
    across = min(max(1, int((WIDTH + _GAP) / (side + _GAP))), len(labels))
    tall = side * shape
    marks: list[Mark] = []
    for place, label in enumerate(labels):
        row, column = divmod(place, across)
        x, y = column * (side + _GAP), row * (tall + _BELOW + _GAP)
        inner = draw(place, Area(x, y, side, tall))
        text = Text((x + side / 2, y + tall + TINY + 1), label, TINY, "muted")
        marks.append(Group((*inner, text), f"{kind} {label}"))
    rows = ceil(len(labels) / across)
    return Plate((*marks,), across * (side + _GAP) - _GAP, rows * (tall + _BELOW + _GAP))


def with_below(block: Plate, marks: Sequence[Mark], height: float, gap: float = 6.0) -> Plate:
    """The block with more marks below it."""
    added = tuple(moved(mark, 0, block.height + gap) for mark in marks)
    return Plate((*block.marks, *added), block.width, block.height + gap + height)
