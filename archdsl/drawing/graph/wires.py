"""Wires: lines through points, with rounded corners, and an arrow where data arrives."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.drawing.canvas.marks import Command, Group, Line, Point, polygon

#: The radius of a wire's corners, and the length of its arrowhead.
_ROUND = 5.0
_ARROW = 5.5


def wire_marks(
    way: Sequence[Point],
    has_arrow: bool = True,
    dash: tuple[float, ...] = (),
    is_faulty: bool = False,
) -> Group:
    """A wire through points, with its arrowhead at the last; a faulty one is highlighted."""
    points = _distinct(way)
    if len(points) < 2:
        return Group(())
    end = points[-1]
    if has_arrow:
        points[-1] = _toward(end, points[-2], _ARROW - 1.0)
    paint, width = ("fault", 2.0) if is_faulty else ("line", 1.1)
    line = Line(_rounded(points), None, paint, width, dash)
    if not has_arrow:
        return Group((line,), "", ("edge",))
    return Group((line, _arrowhead(points[-2], end, paint)), "", ("edge",))


def _distinct(points: Sequence[Point]) -> list[Point]:
    """Points without duplicates and those on the straight way between their neighbours."""
    result: list[Point] = []
    for point in points:
        if result and abs(point[0] - result[-1][0]) + abs(point[1] - result[-1][1]) < 0.05:
            continue
        if len(result) > 1 and _is_between(result[-2], result[-1], point):
            result[-1] = point
            continue
        result.append(point)
    return result


def _is_between(a: Point, b: Point, c: Point) -> bool:
    return (a[0] == b[0] == c[0] and (b[1] - a[1]) * (c[1] - b[1]) > 0) or (
        a[1] == b[1] == c[1] and (b[0] - a[0]) * (c[0] - b[0]) > 0
    )


def _toward(start: Point, goal: Point, distance: float) -> Point:
    """The point at a distance from the start on the way to the goal."""
    dx, dy = goal[0] - start[0], goal[1] - start[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1e-6)
    share = min(1.0, distance / length)
    return start[0] + dx * share, start[1] + dy * share


def _rounded(points: Sequence[Point]) -> tuple[Command, ...]:
    """A line through points, with rounded corners."""
    commands: list[Command] = [("M", (points[0],))]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_ROUND, _distance(before, corner) / 2, _distance(corner, after) / 2)
        start, end = _toward(corner, before, radius), _toward(corner, after, radius)
        handles = (_toward(corner, before, radius * 0.45), _toward(corner, after, radius * 0.45))
        commands += [("L", (start,)), ("C", (*handles, end))]
    commands.append(("L", (points[-1],)))
    return tuple(commands)


def _distance(a: Point, b: Point) -> float:
    return float(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5)


def _arrowhead(before: Point, tip: Point, paint: str) -> Line:
    base = _toward(tip, before, _ARROW)
    length = _distance(base, tip) or 1.0
    across = ((tip[1] - base[1]) / length * 2.3, -(tip[0] - base[0]) / length * 2.3)
    wings = (
        (base[0] + across[0], base[1] + across[1]),
        (base[0] - across[0], base[1] - across[1]),
    )
    return polygon((tip, *wings), fill=paint)
