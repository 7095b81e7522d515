"""A figure on its sheet: columns side by side, the insides of collapsed blocks, and scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from archdsl.drawing.canvas.marks import Group, Mark, Picture, moved
from archdsl.drawing.canvas.typeface import text_width
from archdsl.drawing.figure.figure import Box, Figure, boxes_in
from archdsl.drawing.figure.heat import BAR_HEIGHT, BAR_WIDTH, MEASURES, scale_of
from archdsl.drawing.graph.boxes import SPACIOUS, Type, marks_of, size_of
from archdsl.drawing.graph.columns import Columns, Trunk
from archdsl.drawing.graph.elements import EdgeLabel, Element, PlacedBox, Wire, elements_in
from archdsl.drawing.graph.layout import LANE
from archdsl.drawing.graph.routing import Router
from archdsl.drawing.graph.sheet import Panel, Sheet
from archdsl.drawing.options import Options
from archdsl.layers import Family

#: The room around the picture, and that between columns, without the wires that pass there.
MARGIN = 6.0
GUTTER = 14.0
#: Between the network and the keys, which show the insides of collapsed blocks.
KEY_GAP = 18.0
KeyPlace: TypeAlias = Literal["right", "below", "none"]


class FigureDraft:
    """A figure with its type and its keys, to be drawn in one layout or another."""

    def __init__(self, figure: Figure, type: Type, options: Options) -> None:
        self.figure = figure
        self.type = type
        self.options = options
        measure = MEASURES.get(options.color_by)
        self.scale = (
            scale_of(measure, [*figure.heats.values()], figure.volumes[0]) if measure else None
        )
        self.keys = [self._panel(k, Trunk(k, type, True).columns(1), True) for k in figure.keys]

    def picture(self, columns: Columns, goes_down: bool, place: KeyPlace) -> Picture:
        return self._around(self._panel(self.figure, columns, goes_down), place)

    def size(self, columns: Columns, goes_down: bool, place: KeyPlace) -> Picture:
        """The picture without its marks, roughly as large as it will be."""
        flows = columns.flows
        across = sum(flow.left + flow.right for flow in flows) + sum(_gutters(columns)[:-1])
        along = max(flow.length for flow in flows) + (20.0 if len(flows) > 1 else 0.0)
        main = Panel((), across, along) if goes_down else Panel((), along, across)
        return self._around(main, place)

    def _panel(self, figure: Figure, columns: Columns, goes_down: bool) -> Panel:
        placed, wires = _side_by_side(columns, self.type, goes_down)
        sheet = Sheet(figure, self.type, goes_down, self.scale)
        for column in placed:
            sheet.add(column)
        sheet.add(wires)
        return sheet.panel()

    def _around(self, main: Panel, place: KeyPlace) -> Picture:
        """The main panel with the keys, and the scale or the families."""
        panel = _with_keys(main, [] if place == "none" else self.keys, place)
        foot: Panel | None = None
        if self.scale is not None and self.options.legend != "off":
            foot = Panel(tuple(self.scale.bar(self.type.edge)), BAR_WIDTH, BAR_HEIGHT)
        elif self.options.legend == "on":
            foot = _families(self.figure, self.type, panel.width)
        if foot is not None:
            top = panel.height + 10.0
            marks = tuple(moved(mark, 0.0, top) for mark in foot.marks)
            width = max(panel.width, foot.width)
            panel = Panel((*panel.marks, *marks), width, top + foot.height)
        margin = MARGIN if self.type is SPACIOUS else 1.0
        return Picture(
            self.figure.title,
            self.figure.description,
            tuple(moved(mark, margin, margin) for mark in panel.marks),
            panel.width + 2 * margin,
            panel.height + 2 * margin,
        )


def _with_keys(main: Panel, keys: Sequence[Panel], place: KeyPlace) -> Panel:
    """The keys to the right of the main panel, or below it, side by side."""
    if not keys:
        return main
    marks = list(main.marks)
    if place == "below":
        at, top = 0.0, main.height + KEY_GAP
        for key in keys:
            marks += [moved(mark, at, top) for mark in key.marks]
            at += key.width + KEY_GAP
        height = top + max(key.height for key in keys)
        return Panel(tuple(marks), max(main.width, at - KEY_GAP), height)
    left, at = main.width + KEY_GAP, 0.0
    for key in keys:
        marks += [moved(mark, left, at) for mark in key.marks]
        at += key.height + KEY_GAP
    width = left + max(key.width for key in keys)
    return Panel(tuple(marks), width, max(main.height, at - KEY_GAP))


def _families(figure: Figure, type: Type, width: float) -> Panel:
    """Rows with a box for each family that occurs: its colour, shape and name."""
    looks: dict[str, Box] = {}
    items = [item for shown in (figure, *figure.keys) for item in shown.items]
    for box in (box for item in items for box in boxes_in(item)):
        if box.family is not Family.INPUT:
            word = "collapsed block" if box.block else box.family.value
            looks.setdefault(box.look, replace(box, title=word, detail="", name=None, count=1))
    marks: list[Mark] = []
    x = y = row = right = 0.0
    for box in looks.values():
        across, down = size_of(box, type)
        if x and x + across > max(width, 120.0):
            x, y = 0.0, y + row + 4.0
        marks.append(Group(marks_of(box, x, y, type), "", ("key", box.look)))
        x, row = x + across + type.gap, max(row, down)
        right = max(right, x - type.gap)
    return Panel(tuple(marks), right, y + row)


def _gutters(columns: Columns) -> list[float]:
    """The room after each column: for the trunk's wire, and for skips to later columns."""
    homes = _homes(columns)
    gutters = [GUTTER] * len(columns.flows)
    for tail, head in columns.skips:
        # One lane after the skip's first column, and one before its last.
        for number in {homes[tail][0], homes[head][0] - 1}:
            gutters[number] += LANE
    return gutters


def _homes(columns: Columns) -> dict[int, tuple[int, PlacedBox]]:
    """The column of each box and its place there, by its id."""
    return {
        element.box.id: (number, element)
        for number, flow in enumerate(columns.flows)
        for element in elements_in(flow.elements)
        if isinstance(element, PlacedBox)
    }


def _side_by_side(
    columns: Columns, type: Type, goes_down: bool
) -> tuple[list[list[Element]], list[Element]]:
    """The columns' elements in place, and the wires between columns."""
    placed: list[list[Element]] = []
    wires: list[Element] = []
    axes: list[float] = []
    at = 0.0
    exit: tuple[float, float, float] | None = None
    for flow, gutter in zip(columns.flows, _gutters(columns), strict=True):
        axis = at + flow.left
        axes.append(axis)
        if exit is not None and flow.is_fed:
            u, v, edge = exit
            lane = edge + GUTTER / 2
            top, under = -9.0, u + 9.0
            if flow.label:
                room = 5.0 if goes_down else text_width(flow.label, type.edge) - 2.0
                under += room
            way = ((u, v), (under, v), (under, lane), (top, lane), (top, axis))
            wires.append(Wire((*way, (flow.first, axis)), flow.has_arrow))
            if flow.label:
                wires.append(EdgeLabel(flow.label, u + (6.5 if goes_down else room / 2 + 3.0), v))
        placed.append([element.moved(0.0, axis) for element in flow.elements])
        exit = (max(flow.last, flow.length), axis, axis + flow.right)
        if flow.length > flow.last and flow is not columns.flows[-1]:
            placed[-1].append(Wire(((flow.last, axis), (flow.length, axis)), has_arrow=False))
        at = axis + flow.right + gutter
    router = Router([e for column in (*placed, wires) for e in column], type, goes_down)
    return placed, wires + _skips(columns, axes, router)


def _skips(columns: Columns, axes: Sequence[float], router: Router) -> list[Element]:
    """The wires between columns other than the trunk's, each in a lane after its first column."""
    homes = _homes(columns)
    wires: list[Element] = []
    lanes = [axis + flow.right + GUTTER for axis, flow in zip(axes, columns.flows, strict=True)]
    for number, (tail_id, head_id) in enumerate(
        sorted(columns.skips, key=lambda skip: -homes[skip[0]][1].u)
    ):
        (first, tail), (last, head) = homes[tail_id], homes[head_id]
        begin, end = tail.u + tail.along / 2, head.u + head.along / 2
        right = axes[first] + tail.v + tail.across / 2
        left = axes[last] + head.v - head.across / 2
        lane = lanes[first]
        lanes[first] += LANE
        way = [(begin, right), (begin, lane)]
        if last > first + 1:  # above the columns between
            top = -16.0 - LANE * number
            beside = lanes[last - 1]
            lanes[last - 1] += LANE
            way += [(top, lane), (top, beside), (end, beside)]
        else:
            way.append((end, lane))
        wires.append(router.wire(tail_id, head_id, (*way, (end, left))))
    return wires
