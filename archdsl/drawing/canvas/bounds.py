"""How far marks reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archdsl.drawing.canvas.marks import Group, Line, Mark, Raster, Text
from archdsl.drawing.canvas.typeface import CAP_HEIGHT, DESCENT, text_width


@dataclass(frozen=True, slots=True)
class Bounds:
    """A rectangle around a mark."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Bounds) -> bool:
        """Whether the insides have a point in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def bounds_of(mark: Text | Line | Raster) -> Bounds:
    """The rectangle around a text, from its capitals to its descenders, a line or a raster."""
    match mark:
        case Raster(at=(x, y)):
            return Bounds(x, y, x + mark.width, y + mark.height)
        case Text(at=(x, y)):
            width = text_width(mark.text, mark.size, mark.bold)
            left = x - {"start": 0.0, "middle": width / 2, "end": width}[mark.anchor]
            return Bounds(left, y - CAP_HEIGHT * mark.size, left + width, y + DESCENT * mark.size)
        case Line():
            points = [point for _, points in mark.commands for point in points]
            xs, ys = [x for x, _ in points], [y for _, y in points]
            half = mark.width / 2 if mark.stroke else 0.0
            return Bounds(min(xs) - half, min(ys) - half, max(xs) + half, max(ys) + half)


def single_marks(marks: Iterable[Mark]) -> Iterator[Text | Line | Raster]:
    """All texts, lines and rasters, in reading order."""
    for mark in marks:
        match mark:
            case Group():
                yield from single_marks(mark.marks)
            case _:
                yield mark
