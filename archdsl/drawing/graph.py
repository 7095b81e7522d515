"""The graph style: boxes of layers, blocks as frames, wires for data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from archdsl.drawing.boxes import COMPACT, SPACIOUS, Type, marks_of, size_of
from archdsl.drawing.closing import depth_of
from archdsl.drawing.columns import Trunk
from archdsl.drawing.composition import compose_figure
from archdsl.drawing.figure import Box, Figure, Kind, boxes_in
from archdsl.drawing.flow import (
    CARD,
    Element,
    Flow,
    Frame,
    Label,
    Spot,
    Wire,
)
from archdsl.drawing.heat import BAR_HEIGHT, BAR_WIDTH, MEASURES, Scale, scale_of
from archdsl.drawing.marks import (
    Command,
    Group,
    Line,
    Mark,
    Picture,
    Point,
    Text,
    moved,
    polygon,
    rectangle,
)
from archdsl.drawing.options import PAGES, SMALLEST_TEXT, Options, Page
from archdsl.drawing.typeface import text_width
from archdsl.layers import Family
from archdsl.model import Model

#: Around the picture; between columns, beside the wires that pass there.
MARGIN = 6.0
GUTTER = 14.0
#: Between the network and the closed blocks that are shown from the inside.
KEY_GAP = 18.0
KeyPlace: TypeAlias = Literal["right", "below", "none"]
#: How round the corners of wires are.
_ROUND = 5.0
_ARROW = 5.5


def graph_picture(model: Model, options: Options) -> Picture:
    """The graph of a network, fitted to the page that the options name.

    Errors:
        DrawingError: the options name a part that is none.
    """
    if options.fit == "none":
        goes_down = options.direction != "right"
        draft = _Draft(compose_figure(model, options), SPACIOUS, options)
        columns = Trunk(draft.figure, SPACIOUS, goes_down).columns(1)
        return draft.picture(columns, goes_down, "right" if goes_down else "below")
    return _fitted(model, options, PAGES[options.fit])


def _fitted(model: Model, options: Options, page: Page) -> Picture:
    """The most open picture whose text stays legible on the page, else the most legible one."""
    best: Picture | None = None
    for wish, type in _wishes(model, options):
        figure = compose_figure(model, wish, is_terse=type is COMPACT)
        picture = _largest(_Draft(figure, type, wish), page)
        if best is None or picture.smallest_text > best.smallest_text + 0.05:
            best = picture
            if wish.depth != options.depth:
                note = f"blocks are closed below depth {wish.depth}, so that the text is legible"
                best = replace(best, notes=(f"{note} on {page.name}",))
        if picture.smallest_text >= SMALLEST_TEXT - 0.005:
            return best
    assert best is not None
    lack = SMALLEST_TEXT - best.smallest_text
    note = (
        f"the smallest text is {best.smallest_text:.1f} pt on {page.name}, "
        f"{lack:.1f} pt less than is legible"
    )
    return replace(best, notes=(*best.notes, note))


def _wishes(model: Model, options: Options) -> list[tuple[Options, Type]]:
    """What is tried for a page, from the most open to the most closed."""
    wishes = [(options, SPACIOUS), (options, COMPACT)]
    if options.depth is None and not options.flat:
        deepest = depth_of(compose_figure(model, options).items)
        wishes += [(replace(options, depth=depth), COMPACT) for depth in range(deepest - 1, -1, -1)]
    return wishes


def _largest(draft: _Draft, page: Page) -> Picture:
    """The picture with the largest text; without a key that it has no room for."""
    places: tuple[KeyPlace, ...] = ("right", "below") if draft.figure.keys else ("none",)
    pictures = [_in_columns(draft, page, place) for place in places]
    best = max(pictures, key=lambda picture: picture.scale)
    if len(places) > 1 and draft.options.legend == "auto" and best.smallest_text < SMALLEST_TEXT:
        return _in_columns(draft, page, "none")
    return best


def _in_columns(draft: _Draft, page: Page, place: KeyPlace) -> Picture:
    """The picture in the number of columns and the direction that leave the text largest."""
    best: tuple[float, list[Flow], bool, Page] | None = None
    for goes_down in _directions(draft.options, page):
        sheet = page
        if not goes_down and draft.options.direction == "right" and page.height > page.width:
            sheet = replace(page, width=page.height, height=page.width)
        trunk = Trunk(draft.figure, draft.type, goes_down)
        worse = 0
        for count in range(1, trunk.most + 1):
            flows = trunk.columns(count)
            scale = _scale_on(sheet, draft.size(flows, goes_down, place))
            # More columns must be worth it, where the text is legible without.
            is_legible = best is not None and best[0] * draft.type.edge >= SMALLEST_TEXT
            if best is None or scale > best[0] * (1.12 if is_legible else 1.01):
                best, worse = (scale, flows, goes_down, sheet), 0
            else:
                worse += 1
            if best[0] >= page.growth or worse > 1:
                break
    assert best is not None
    _, flows, goes_down, sheet = best
    picture = draft.picture(flows, goes_down, place)
    return replace(picture, scale=_scale_on(sheet, picture))


def _directions(options: Options, page: Page) -> tuple[bool, ...]:
    if options.direction != "auto":
        return (options.direction == "down",)
    return (True, False) if page.width > page.height else (True,)


def _scale_on(page: Page, picture: Picture) -> float:
    return min(page.width / picture.width, page.height / picture.height, page.growth)


# ── From layout to marks ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the picture, from (0, 0)."""

    marks: tuple[Mark, ...]
    width: float
    height: float


class _Draft:
    """A figure with its type and its keys, to be drawn in one layout or another."""

    def __init__(self, figure: Figure, type: Type, options: Options) -> None:
        self.figure = figure
        self.type = type
        self.options = options
        measure = MEASURES.get(options.color_by)
        self.scale = scale_of(measure, [*figure.heats.values()]) if measure else None
        self.keys = [self._panel(k, Trunk(k, type, True).columns(1), True) for k in figure.keys]

    def picture(self, columns: Sequence[Flow], goes_down: bool, place: KeyPlace) -> Picture:
        return self._around(self._panel(self.figure, columns, goes_down), place)

    def size(self, columns: Sequence[Flow], goes_down: bool, place: KeyPlace) -> Picture:
        """The picture without its marks: about as large as it will be."""
        across = sum(flow.left + flow.right for flow in columns) + GUTTER * (len(columns) - 1)
        along = max(flow.length for flow in columns) + (20.0 if len(columns) > 1 else 0.0)
        main = Panel((), across, along) if goes_down else Panel((), along, across)
        return self._around(main, place)

    def _panel(self, figure: Figure, flows: Sequence[Flow], goes_down: bool) -> Panel:
        columns, wires = _side_by_side(flows)
        sheet = _Sheet(figure, self.type, goes_down, self.scale)
        for column in columns:
            sheet.add(column)
        sheet.add(wires)
        return sheet.panel()

    def _around(self, main: Panel, place: KeyPlace) -> Picture:
        """The main panel with its keys, scale and families."""
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
    """A row, or more, with a box for each family that occurs: its colour, shape and word."""
    looks: dict[str, Box] = {}
    items = [item for shown in (figure, *figure.keys) for item in shown.items]
    for box in (box for item in items for box in boxes_in(item)):
        if box.family is not Family.INPUT:
            word = "closed block" if box.block else box.family.value
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


def _side_by_side(flows: Sequence[Flow]) -> tuple[list[list[Element]], list[Element]]:
    """The columns' elements in place, and the wires from each column to the next."""
    columns: list[list[Element]] = []
    wires: list[Element] = []
    at = 0.0
    exit: tuple[float, float, float] | None = None
    for flow in flows:
        axis = at + flow.left
        if exit is not None and flow.is_fed:
            u, v, edge = exit
            lane = edge + GUTTER / 2
            top, under = -9.0, u + (14.0 if flow.label else 9.0)
            way = ((u, v), (under, v), (under, lane), (top, lane), (top, axis))
            wires.append(Wire((*way, (flow.first, axis)), flow.has_arrow))
            if flow.label:
                wires.append(Label(flow.label, u + 6.5, v))
        columns.append([element.moved(0.0, axis) for element in flow.elements])
        exit = (max(flow.last, flow.length), axis, axis + flow.right)
        if flow.length > flow.last:
            columns[-1].append(Wire(((flow.last, axis), (flow.length, axis)), has_arrow=False))
        at = axis + flow.right + GUTTER
    if flows and flows[-1].length > flows[-1].last:
        columns[-1].pop()  # nothing follows the last one
    return columns, wires


class _Sheet:
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
                    marks.append(self._spot(element))
                case Label():
                    marks.append(self._label(element))
                case Frame():
                    marks.append(self._frame(element))
        return marks + [self._wire(wire) for wire in lines]

    def _spot(self, spot: Spot) -> Group:
        box = spot.box
        x, y = self.at(spot.u, spot.v - spot.across / 2)
        self.at(spot.u + spot.along, spot.v + spot.across / 2)
        heat = self.figure.heats.get(box.id)
        paints = self.scale.paints(heat.value) if heat and self.scale else None
        note = heat.short if heat and heat.value else ""
        marks = marks_of(box, x, y, self.type, note, paints)
        return Group(marks, self.figure.tooltips[box.id], ("node", box.look))

    def _label(self, label: Label) -> Text:
        x, y = self.at(label.u, label.v)
        width = text_width(label.text, self.type.edge)
        down = 0.36 * self.type.edge
        if not self.goes_down:
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
        marks += self._title(frame)
        marks += self._all(frame.elements)
        title = " · ".join(filter(None, (piece for line in frame.title for piece in line)))
        return Group(tuple(marks), title, ("cluster", cluster.kind.value))

    def _title(self, frame: Frame) -> list[Mark]:
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
