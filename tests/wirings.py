"""Where the wires of a picture are, told from its marks alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archdsl.drawing.canvas.marks import Group, Line, Mark, Picture, Point, Text
from archdsl.drawing.canvas.typeface import text_width

#: (left, top, right, bottom)
Area = tuple[float, float, float, float]


@dataclass(frozen=True)
class Wiring:
    """The fronts of boxes with their titles, the texts beside wires, and the wires' straights."""

    boxes: list[tuple[Area, str]]
    texts: list[tuple[Area, str]]
    heads: list[Area]
    straights: list[tuple[Point, Point]]


def wiring_of(picture: Picture) -> Wiring:
    wiring = Wiring([], [], [], [])
    for mark in picture.marks:
        _collect(mark, wiring)
    return wiring


def _collect(mark: Mark, wiring: Wiring) -> None:
    match mark:
        case Text():
            wiring.texts.append((area_of_text(mark), mark.text))
        case Group(classes=("edge",), marks=marks):
            for line in marks:
                assert isinstance(line, Line)
                points = [point for _, points in line.commands for point in points]
                if line.stroke is None:
                    wiring.heads.append(hull(points))
                else:
                    wiring.straights.extend(_straights(line))
        case Group(classes=("node", *_), marks=marks, title=title) if _fronts(marks):
            points = [point for _, points in _fronts(marks)[-1].commands for point in points]
            wiring.boxes.append((hull(points), title))
        case Group(marks=marks):
            for inner in marks:
                _collect(inner, wiring)
        case _:
            pass


def _fronts(marks: Iterable[Mark]) -> list[Line]:
    return [mark for mark in marks if isinstance(mark, Line) and mark.fill]


def _straights(line: Line) -> Iterator[tuple[Point, Point]]:
    at: Point | None = None
    for letter, points in line.commands:
        if letter == "L" and at is not None:
            yield at, points[0]
        at = points[-1] if points else at


def hull(points: Iterable[Point]) -> Area:
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def area_of_text(text: Text) -> Area:
    width = text_width(text.text, text.size, text.bold)
    left = text.at[0] - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    return left, text.at[1] - 0.73 * text.size, left + width, text.at[1]


def faults_of(wiring: Wiring) -> Iterator[str]:
    """What a wire runs through: a box, a text or the arrowhead of another wire."""
    for begin, end in wiring.straights:
        way = hull((begin, end))
        for area, title in wiring.boxes:
            if _meets(way, area, 1.0):
                yield f"through {title}"
        for area, text in wiring.texts:
            if _meets(way, area, 0.3):
                yield f"through the text {text!r}"
        for head in wiring.heads:
            # Its own head begins where the line ends.
            if _meets(way, head, 0.4) and not _touches(end, head) and not _touches(begin, head):
                yield "through an arrowhead"


def _meets(way: Area, area: Area, inset: float) -> bool:
    return (
        way[0] < area[2] - inset
        and way[2] > area[0] + inset
        and way[1] < area[3] - inset
        and way[3] > area[1] + inset
    )


def _touches(point: Point, area: Area) -> bool:
    return area[0] - 1 <= point[0] <= area[2] + 1 and area[1] - 1 <= point[1] <= area[3] + 1
