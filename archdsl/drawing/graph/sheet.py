"""Marks from a layout: boxes, frames, wires and labels, turned in the direction of the flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archdsl.drawing.canvas.marks import Group, Mark, Point, Text, moved, rectangle
from archdsl.drawing.canvas.typeface import text_width
from archdsl.drawing.figure.figure import Figure, cards_of, is_head
from archdsl.drawing.figure.heat import HeatScale
from archdsl.drawing.graph.boxes import Type, marks_of
from archdsl.drawing.graph.elements import (
    LABEL_ABOVE,
    LABEL_BESIDE,
    TITLE_LEADING,
    ClusterFrame,
    EdgeLabel,
    Element,
    PlacedBox,
    Wire,
    elements_in,
)
from archdsl.drawing.graph.layout import CARD
from archdsl.drawing.graph.wires import wire_marks

DASH = (3.5, 2.5)


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the picture, from (0, 0)."""

    marks: tuple[Mark, ...]
    width: float
    height: float


class Sheet:
    """Draws elements, turned so that the flow goes down or to the right."""

    def __init__(
        self, figure: Figure, type: Type, goes_down: bool, scale: HeatScale | None = None
    ) -> None:
        self.figure = figure
        self.scale = scale
        self.type = type
        self.goes_down = goes_down
        self.marks: list[Mark] = []
        self.corners: list[Point] = []
        self.faulty: list[PlacedBox] = []

    def at(self, u: float, v: float) -> Point:
        point = (v, u) if self.goes_down else (u, v)
        self.corners.append(point)
        return point

    def add(self, elements: Sequence[Element]) -> None:
        inside = elements_in(elements)
        self.faulty += [e for e in inside if isinstance(e, PlacedBox) and e.box.fault]
        self.marks += self._all(elements)

    def _all(self, elements: Sequence[Element]) -> list[Mark]:
        """The marks in reading order, the wires last, so that no frame hides them."""
        lines = [e for e in elements if isinstance(e, Wire)]
        others = [e for e in elements if not isinstance(e, Wire)]
        marks: list[Mark] = []
        for element in others:
            match element:
                case PlacedBox():
                    marks.append(self.placed(element))
                case EdgeLabel():
                    marks.append(self.label(element))
                case ClusterFrame():
                    marks.append(self._frame(element))
        return marks + [self._wire(wire) for wire in lines]

    def placed(self, placed: PlacedBox) -> Group:
        """A box in place."""
        box = placed.box
        x, y = self.at(placed.u, placed.v - placed.across / 2)
        self.at(placed.u + placed.along, placed.v + placed.across / 2)
        heat = self.figure.heats.get(box.id)
        paints = self.scale.paints(heat.value) if heat and self.scale else None
        note = heat.short if heat and heat.value else ""
        marks = marks_of(box, x, y, self.type, note, paints, self.goes_down)
        return Group(marks, self.figure.tooltips[box.id], ("node", box.look))

    def label(self, label: EdgeLabel) -> Text:
        """A volume in place."""
        x, y = self.at(label.u, label.v)
        width = text_width(label.text, self.type.edge)
        down = 0.36 * self.type.edge
        if not self.goes_down:
            self.corners += [(x - width / 2, y - self.type.edge), (x + width / 2, y)]
            return Text((x, y - LABEL_ABOVE), label.text, self.type.edge, "muted")
        if label.is_before:
            self.at(label.u, label.v - LABEL_BESIDE - width)
            place = (x - LABEL_BESIDE, y + down)
            return Text(place, label.text, self.type.edge, "muted", anchor="end")
        self.at(label.u, label.v + LABEL_BESIDE + width)
        place = (x + LABEL_BESIDE, y + down)
        return Text(place, label.text, self.type.edge, "muted", anchor="start")

    def _frame(self, frame: ClusterFrame) -> Group:
        x, y = self.at(frame.u[0], frame.v[0])
        right, bottom = self.at(frame.u[1], frame.v[1])
        width, height = right - x, bottom - y
        fill, border = "cluster", "cluster-border"
        cluster = frame.cluster
        dash = (4.0, 3.0) if is_head(cluster) else ()
        marks: list[Mark] = []
        shifts = [number * CARD for number in range(cards_of(cluster.count), -1, -1)]
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

    def title(self, frame: ClusterFrame) -> list[Mark]:
        """The title of a frame in place."""
        size = self.type.cluster
        left, y = self.at(*frame.title_at)
        marks: list[Mark] = []
        for number, (bold, plain, times) in enumerate(frame.title):
            x, baseline = left, y + (0.86 + TITLE_LEADING * number) * size
            pieces = ((bold, size, "ink", True), (plain, size, "muted", False))
            for text, points, fill, is_bold in (*pieces, (times, size + 1, "accent", True)):
                if text:
                    marks.append(Text((x, baseline), text, points, fill, is_bold, "start"))
                    x += text_width(text, points, is_bold) + text_width("  ", size)
        return marks

    def _wire(self, wire: Wire) -> Group:
        dash = DASH if wire.is_dashed else ()
        is_faulty = any(_fails(placed, wire) for placed in self.faulty)
        points = [self.at(*point) for point in wire.points]
        return wire_marks(points, wire.has_arrow, dash, is_faulty)

    def panel(self) -> Panel:
        left, top = (min(corner[axis] for corner in self.corners) for axis in (0, 1))
        right, bottom = (max(corner[axis] for corner in self.corners) for axis in (0, 1))
        marks = tuple(moved(mark, -left, -top) for mark in self.marks)
        return Panel(marks, right - left, bottom - top)


def _fails(placed: PlacedBox, wire: Wire) -> bool:
    """Whether a wire carries the fault of a box: into it, or out of it."""
    u, v = wire.points[0 if placed.box.fails_after else -1]
    along = placed.u - 0.5 <= u <= placed.u + placed.along + 0.5
    return along and abs(v - placed.v) <= placed.across / 2 + 0.5
