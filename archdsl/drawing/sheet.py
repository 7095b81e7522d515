"""Marks from a layout: boxes, frames, wires and labels, turned as the flow goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archdsl.drawing.boxes import Type, marks_of
from archdsl.drawing.elements import Element, Frame, Label, Spot, Wire
from archdsl.drawing.figure import Figure, Kind
from archdsl.drawing.flow import CARD
from archdsl.drawing.heat import Scale
from archdsl.drawing.marks import (
    Command,
    Group,
    Line,
    Mark,
    Point,
    Text,
    moved,
    polygon,
    rectangle,
)
from archdsl.drawing.typeface import text_width

#: How round the corners of wires are, and how long their heads.
_ROUND = 5.0
_ARROW = 5.5


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the picture, from (0, 0)."""

    marks: tuple[Mark, ...]
    width: float
    height: float


class Sheet:
    """Draws elements, turned so that the flow goes down or to the right."""

    def __init__(
        self, figure: Figure, type: Type, goes_down: bool, scale: Scale | None = None
    ) -> None:
        self.figure = figure
        self.scale = scale
        self.type = type
        self.goes_down = goes_down
        self.marks: list[Mark] = []
        self.corners: list[Point] = []

    def at(self, u: float, v: float) -> Point:
        point = (v, u) if self.goes_down else (u, v)
        self.corners.append(point)
        return point

    def add(self, elements: Sequence[Element]) -> None:
        self.marks += self._all(elements)

    def _all(self, elements: Sequence[Element]) -> list[Mark]:
        """In reading order, the wires last, so that no frame hides them."""
        lines = [e for e in elements if isinstance(e, Wire)]
        others = [e for e in elements if not isinstance(e, Wire)]
        marks: list[Mark] = []
        for element in others:
            match element:
                case Spot():
                    marks.append(self.spot(element))
                case Label():
                    marks.append(self.label(element))
                case Frame():
                    marks.append(self._frame(element))
        return marks + [self._wire(wire) for wire in lines]

    def spot(self, spot: Spot) -> Group:
        """A box in place."""
        box = spot.box
        x, y = self.at(spot.u, spot.v - spot.across / 2)
        self.at(spot.u + spot.along, spot.v + spot.across / 2)
        heat = self.figure.heats.get(box.id)
        paints = self.scale.paints(heat.value) if heat and self.scale else None
        note = heat.short if heat and heat.value else ""
        marks = marks_of(box, x, y, self.type, note, paints, self.goes_down)
        return Group(marks, self.figure.tooltips[box.id], ("node", box.look))

    def label(self, label: Label) -> Text:
        """A volume in place."""
        x, y = self.at(label.u, label.v)
        width = text_width(label.text, self.type.edge)
        down = 0.36 * self.type.edge
        if not self.goes_down:
            self.corners += [(x - width / 2, y - self.type.edge), (x + width / 2, y)]
            above = -3.0 if not label.is_before else self.type.edge + 1.0
            return Text((x, y + above), label.text, self.type.edge, "muted")
        if label.is_before:
            self.at(label.u, label.v - 4 - width)
            return Text((x - 4, y + down), label.text, self.type.edge, "muted", anchor="end")
        self.at(label.u, label.v + 4 + width)
        return Text((x + 4, y + down), label.text, self.type.edge, "muted", anchor="start")

    def _frame(self, frame: Frame) -> Group:
        x, y = self.at(frame.u[0], frame.v[0])
        right, bottom = self.at(frame.u[1], frame.v[1])
        width, height = right - x, bottom - y
        fill, border = "cluster", "cluster-border"
        cluster = frame.cluster
        dash = (4.0, 3.0) if cluster.kind is Kind.HEAD else ()
        marks: list[Mark] = []
        shifts = (2 * CARD, CARD, 0.0) if cluster.count > 1 else (0.0,)
        self.corners.append((right + max(shifts), y - max(shifts)))
        for shift in shifts:
            marks.append(
                rectangle(
                    x + shift,
                    y - shift,
                    width,
                    height,
                    radius=6,
                    fill=fill,
                    stroke=border,
                    dash=dash,
                )
            )
        marks += self.title(frame)
        marks += self._all(frame.elements)
        title = " · ".join(filter(None, (piece for line in frame.title for piece in line)))
        return Group(tuple(marks), title, ("cluster", cluster.kind.value))

    def title(self, frame: Frame) -> list[Mark]:
        """The title of a frame in place."""
        size = self.type.cluster
        left, y = self.at(*frame.title_at)
        marks: list[Mark] = []
        for number, (bold, plain, times) in enumerate(frame.title):
            x, baseline = left, y + (0.86 + 1.25 * number) * size
            pieces = ((bold, size, "ink", True), (plain, size, "muted", False))
            for text, points, fill, is_bold in (*pieces, (times, size + 1, "accent", True)):
                if text:
                    marks.append(Text((x, baseline), text, points, fill, is_bold, "start"))
                    x += text_width(text, points, is_bold) + text_width("  ", size)
        return marks

    def _wire(self, wire: Wire) -> Group:
        points = _distinct([self.at(*point) for point in wire.points])
        dash = (3.5, 2.5) if wire.is_dashed else ()
        if len(points) < 2:
            return Group(())
        end = points[-1]
        if wire.has_arrow:
            points[-1] = _toward(end, points[-2], _ARROW - 1.0)
        line = Line(_rounded(points), None, "line", 1.1, dash)
        if not wire.has_arrow:
            return Group((line,), "", ("edge",))
        return Group((line, _arrowhead(points[-2], end)), "", ("edge",))

    def panel(self) -> Panel:
        left, top = (min(corner[axis] for corner in self.corners) for axis in (0, 1))
        right, bottom = (max(corner[axis] for corner in self.corners) for axis in (0, 1))
        marks = tuple(moved(mark, -left, -top) for mark in self.marks)
        return Panel(marks, right - left, bottom - top)


def _distinct(points: Sequence[Point]) -> list[Point]:
    """Points without those on the spot or on the straight way between their neighbours."""
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
    """A line through points, its corners round."""
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


def _arrowhead(before: Point, tip: Point) -> Line:
    base = _toward(tip, before, _ARROW)
    length = _distance(base, tip) or 1.0
    across = ((tip[1] - base[1]) / length * 2.3, -(tip[0] - base[0]) / length * 2.3)
    wings = (
        (base[0] + across[0], base[1] + across[1]),
        (base[0] - across[0], base[1] - across[1]),
    )
    return polygon((tip, *wings), fill="line")
