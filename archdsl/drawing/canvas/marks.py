"""A picture as data: lines, areas, texts and rasters, from which SVG, PDF and PNG are written.

All lengths are points of 1/72 inch, y goes down. A paint is the name of a role in the palette, so
that one picture serves all themes, or a colour ``#rrggbb`` that is the same in each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Point: TypeAlias = tuple[float, float]
#: ``M`` and ``L`` with one point, ``C`` (Bézier) with three, ``Z`` with none.
Command: TypeAlias = tuple[Literal["M", "L", "C", "Z"], tuple[Point, ...]]
Anchor: TypeAlias = Literal["start", "middle", "end"]

#: The distance of a quarter circle's Bézier handles from its ends, as a share of its radius.
_ARC = 0.5523


@dataclass(frozen=True, slots=True)
class Line:
    """An open or closed line, filled where ``fill`` is set."""

    commands: tuple[Command, ...]
    fill: str | None = None
    stroke: str | None = None
    width: float = 1.0
    dash: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; ``at`` is on its baseline, ``size`` in points."""

    at: Point
    text: str
    size: float
    fill: str = "ink"
    bold: bool = False
    anchor: Anchor = "middle"


@dataclass(frozen=True, slots=True)
class Raster:
    """Pixels in a rectangle with its upper left corner at ``at``; they are shown as squares.

    ``pixels`` has the rows from the top, each pixel as three bytes: red, green and blue. These
    colours are data, and the same in all themes.
    """

    at: Point
    width: float
    height: float
    columns: int
    rows: int
    pixels: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.pixels) != 3 * self.columns * self.rows or not self.pixels:
            raise ValueError(
                f"{len(self.pixels)} bytes are not {self.columns}×{self.rows} pixels of 3 bytes"
            )


@dataclass(frozen=True, slots=True)
class Group:
    """Marks that belong together; the title is their tooltip, which screen readers say.

    ``classes`` are for styles and scripts of pages that hold the picture.
    """

    marks: tuple[Mark, ...]
    title: str = ""
    classes: tuple[str, ...] = ()


Mark: TypeAlias = Line | Text | Raster | Group


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole picture, its marks in reading order.

    ``width`` and ``height`` are without ``scale``, by which the picture is scaled in print: a text
    of 8 points is ``8 · scale`` points high on paper.
    """

    title: str
    description: str
    marks: tuple[Mark, ...]
    width: float
    height: float
    scale: float = 1.0
    #: What the user should know about how it was made, such as that a text is too small.
    notes: tuple[str, ...] = field(default=())

    @property
    def smallest_text(self) -> float:
        """The size of the smallest text on paper, in points; 0 without any."""
        return min((text.size for text in texts_in(self.marks)), default=0.0) * self.scale


def texts_in(marks: Iterable[Mark]) -> Iterator[Text]:
    """All texts, in reading order."""
    for mark in marks:
        match mark:
            case Text():
                yield mark
            case Group():
                yield from texts_in(mark.marks)


def rectangle(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    radius: float = 0.0,
    fill: str | None = None,
    stroke: str | None = None,
    line: float = 1.0,
    dash: tuple[float, ...] = (),
) -> Line:
    """A rectangle with its upper left corner at (x, y), with rounded corners given a ``radius``."""
    right, bottom, r = x + width, y + height, min(radius, width / 2, height / 2)
    if not r:
        corners = ((x, y), (right, y), (right, bottom), (x, bottom))
        return polygon(corners, fill=fill, stroke=stroke, line=line, dash=dash)
    h = r * (1 - _ARC)
    commands: tuple[Command, ...] = (
        ("M", ((x + r, y),)),
        ("L", ((right - r, y),)),
        ("C", ((right - h, y), (right, y + h), (right, y + r))),
        ("L", ((right, bottom - r),)),
        ("C", ((right, bottom - h), (right - h, bottom), (right - r, bottom))),
        ("L", ((x + r, bottom),)),
        ("C", ((x + h, bottom), (x, bottom - h), (x, bottom - r))),
        ("L", ((x, y + r),)),
        ("C", ((x, y + h), (x + h, y), (x + r, y))),
        ("Z", ()),
    )
    return Line(commands, fill, stroke, line, dash)


def polygon(
    corners: Iterable[Point],
    *,
    fill: str | None = None,
    stroke: str | None = None,
    line: float = 1.0,
    dash: tuple[float, ...] = (),
) -> Line:
    """A closed line through corners."""
    first, *others = corners
    commands: tuple[Command, ...] = (
        ("M", (first,)),
        *(("L", (corner,)) for corner in others),
        ("Z", ()),
    )
    return Line(commands, fill, stroke, line, dash)


def polyline(
    points: Iterable[Point], *, stroke: str, line: float = 1.0, dash: tuple[float, ...] = ()
) -> Line:
    """An open line through points."""
    first, *others = points
    commands: tuple[Command, ...] = (("M", (first,)), *(("L", (point,)) for point in others))
    return Line(commands, None, stroke, line, dash)


def moved(mark: Mark, dx: float, dy: float) -> Mark:
    """The same mark, moved to the right and down."""
    match mark:
        case Text(at=(x, y)) | Raster(at=(x, y)):
            return replace(mark, at=(x + dx, y + dy))
        case Line():
            return replace(
                mark,
                commands=tuple(
                    (letter, tuple((x + dx, y + dy) for x, y in points))
                    for letter, points in mark.commands
                ),
            )
        case Group():
            return replace(mark, marks=tuple(moved(inner, dx, dy) for inner in mark.marks))
