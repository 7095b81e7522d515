"""Ways for wires that leave the order of chains: around boxes, texts and arrowheads.

A way is along the flow or across it, on lines that pass closely by the obstacles; the cheapest one
is found as in Wybrow, Marriott and Stuckey 2009, "Orthogonal connector routing": short, with few
corners and few crossings, and never on top of another wire.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import TypeAlias

from archdsl.drawing.canvas.typeface import text_width
from archdsl.drawing.graph.boxes import Type
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
from archdsl.drawing.graph.layout import title_width

#: A point ``(u, v)``, and an area from its least to its largest ``u`` and ``v``.
Place: TypeAlias = tuple[float, float]
Area: TypeAlias = tuple[float, float, float, float]
Way: TypeAlias = tuple[Place, ...]

#: The room between a wire and a box, and between wires that run side by side.
_CLEAR = 6.0
#: How far obstacles keep wires away at least, and how near wires may run side by side.
_KEEP, _APART = 2.0, 3.5
#: The size of an arrowhead, and its distance from the box where a wire turns before it.
_HEAD = 6.0
#: What a corner and a crossing cost, as a length in points.
_CORNER, _CROSSING = 24.0, 18.0
#: The most places that are looked at: no picture that people read needs more.
_MOST = 200_000


class Router:
    """Knows what is in a layout, and finds ways through it."""

    def __init__(self, elements: Sequence[Element], type: Type, goes_down: bool) -> None:
        self.boxes: dict[int, Area] = {}
        self.others: list[Area] = []
        #: Straight pieces of wires, as areas without a width.
        self.straights: list[Area] = []
        #: Borders of frames, which wires cross, but do not run along.
        self.borders: list[Area] = []
        for element in elements_in(elements):
            match element:
                case PlacedBox(box=box, u=u, v=v, along=along, across=across):
                    self.boxes[box.id] = (u, v - across / 2, u + along, v + across / 2)
                case EdgeLabel():
                    self.others.append(label_area(element, type, goes_down))
                case ClusterFrame():
                    self.others.append(title_area(element, type, goes_down))
                    (u0, u1), (v0, v1) = element.u, element.v
                    corners = ((u0, v0), (u1, v0), (u1, v1), (u0, v1), (u0, v0))
                    self.borders += map(_hull, pairwise(corners))
                case Wire():
                    self.add(element)

    def add(self, wire: Wire) -> None:
        """Have later ways keep clear of a wire."""
        self.straights += map(_hull, pairwise(wire.points))
        if wire.has_arrow:
            (u, v), (before_u, before_v) = wire.points[-1], wire.points[-2]
            back = (u - _sign(u - before_u) * _HEAD, v - _sign(v - before_v) * _HEAD)
            area = _hull(((u, v), back))
            self.others.append(_grown(area, 2.5, across=u != before_u))

    def wire(self, tail: int, head: int, plain: Way) -> Wire:
        """A wire between boxes: the plain way if it is free or no other is, else the cheapest."""
        way = plain
        if not self._is_free(plain, tail, head):
            way = self._cheapest(tail, head) or plain
        wire = Wire(way)
        self.add(wire)
        return wire

    def _is_free(self, way: Way, tail: int, head: int) -> bool:
        for straight in map(_hull, pairwise(way)):
            own = (tail, head)
            boxes = (area for id, area in self.boxes.items() if id not in own)
            if any(_meet(straight, area, _KEEP) for area in (*boxes, *self.others)):
                return False
            if any(_meet(straight, self.boxes[id], -1.0) for id in own):
                return False
        return True

    # ── The cheapest way ─────────────────────────────────────────────────────────────────────

    def _cheapest(self, tail: int, head: int) -> Way | None:
        begin, end = self.boxes[tail], self.boxes[head]
        starts = {stub: border for border, stub in _sides(begin)}
        # The wire that leaves a box behind it can part there.
        middle = (begin[1] + begin[3]) / 2
        leaving = [s for s in self.straights if s[1] == s[3] == middle and s[0] == begin[2]]
        if leaving and leaving[0][2] - begin[2] > _HEAD + 2.0:
            fork = (begin[2] + min(4.0, (leaving[0][2] - begin[2] - _HEAD) / 2), middle)
            starts[fork] = fork
        goals = {stub: border for border, stub in _sides(end)}
        top = (end[1] + end[3]) / 2
        goals[end[0] - _CLEAR - _HEAD, top] = (end[0], top)
        near = (*self.others, *self.borders)
        us, vs = (
            sorted(
                {
                    *_lines(self.boxes.values(), axis, (_CLEAR, 2 * _CLEAR)),
                    *_lines(near, axis, (_CLEAR,)),
                    *(place[axis] for place in (*starts, *goals)),
                }
            )
            for axis in (0, 1)
        )
        closed = [_grown(area, _KEEP) for area in (*self.boxes.values(), *self.others)]
        grid = _Grid(us, vs, closed, self.straights, self.borders)
        way = grid.search(starts, goals)
        if way is None:
            return None
        return tuple(_without_repeats((starts[way[0]], *way, goals[way[-1]])))


class _Grid:
    """The places where lines along and across the flow meet."""

    def __init__(
        self,
        us: Sequence[float],
        vs: Sequence[float],
        areas: Sequence[Area],
        straights: Sequence[Area],
        borders: Sequence[Area],
    ) -> None:
        self.us = us
        self.vs = vs
        lines = (*straights, *borders)
        #: By line of constant ``v`` the stretches that are not free, and likewise for ``u``.
        self.along = [
            [(a[0], a[2]) for a in areas if a[1] < v < a[3]]
            + [(s[0], s[2]) for s in lines if s[0] != s[2] and abs(s[1] - v) < _APART]
            for v in vs
        ]
        self.across = [
            [(a[1], a[3]) for a in areas if a[0] < u < a[2]]
            + [(s[1], s[3]) for s in lines if s[1] != s[3] and abs(s[0] - u) < _APART]
            for u in us
        ]
        #: The wires that a piece of such a line may cross.
        self.crossed_along = [
            [s for s in straights if s[0] == s[2] and s[1] < v < s[3]] for v in vs
        ]
        self.crossed_across = [
            [s for s in straights if s[1] == s[3] and s[0] < u < s[2]] for u in us
        ]

    def search(self, starts: Iterable[Place], goals: Iterable[Place]) -> Way | None:
        """The cheapest way from one of some places to another one (A*)."""
        goals = tuple(goals)
        wanted = {self._index(goal) for goal in goals}

        def left(place: tuple[int, int]) -> float:
            u, v = self.us[place[0]], self.vs[place[1]]
            return min(abs(u - goal[0]) + abs(v - goal[1]) for goal in goals)

        order = count()
        queue: list[tuple[float, int, float, tuple[int, int], int, object]] = []
        for start in map(self._index, starts):
            for axis in (0, 1):
                heappush(queue, (left(start), next(order), 0.0, start, axis, None))
        done: set[tuple[tuple[int, int], int]] = set()
        while queue and len(done) < _MOST:
            _, _, cost, place, axis, trail = heappop(queue)
            if (place, axis) in done:
                continue
            done.add((place, axis))
            trail = (place, trail)
            if place in wanted:
                return self._unrolled(trail)
            for after, way, price in self._steps(place):
                if (after, way) not in done:
                    paid = cost + price + (_CORNER if way != axis and cost else 0.0)
                    heappush(queue, (paid + left(after), next(order), paid, after, way, trail))
        return None

    def _steps(self, place: tuple[int, int]) -> Iterator[tuple[tuple[int, int], int, float]]:
        i, j = place
        for di in (-1, 1):
            if 0 <= i + di < len(self.us):
                low, high = sorted((self.us[i], self.us[i + di]))
                if _is_open(self.along[j], low, high):
                    crossed = sum(low < s[0] <= high for s in self.crossed_along[j])
                    yield (i + di, j), 0, high - low + _CROSSING * crossed
        for dj in (-1, 1):
            if 0 <= j + dj < len(self.vs):
                low, high = sorted((self.vs[j], self.vs[j + dj]))
                if _is_open(self.across[i], low, high):
                    crossed = sum(low < s[1] <= high for s in self.crossed_across[i])
                    yield (i, j + dj), 1, high - low + _CROSSING * crossed

    def _index(self, place: Place) -> tuple[int, int]:
        return bisect_left(self.us, place[0]), bisect_left(self.vs, place[1])

    def _unrolled(self, trail: object) -> Way:
        places: list[Place] = []
        while isinstance(trail, tuple):
            (i, j), trail = trail
            places.append((self.us[i], self.vs[j]))
        return tuple(reversed(places))


def label_area(label: EdgeLabel, type: Type, goes_down: bool) -> Area:
    """What the text of a label covers."""
    width = text_width(label.text, type.edge)
    if not goes_down:
        bottom = label.v - LABEL_ABOVE
        return label.u - width / 2, bottom - type.edge, label.u + width / 2, bottom
    near, far = LABEL_BESIDE, LABEL_BESIDE + width
    low, high = (-far, -near) if label.is_before else (near, far)
    half = 0.4 * type.edge
    return label.u - half, label.v + low, label.u + half, label.v + high


def title_area(frame: ClusterFrame, type: Type, goes_down: bool) -> Area:
    """What the title of a frame covers."""
    u, v = frame.title_at
    width = max((title_width(line, type) for line in frame.title), default=0.0)
    height = TITLE_LEADING * type.cluster * len(frame.title)
    return (u, v, u + height, v + width) if goes_down else (u, v, u + width, v + height)


def _sides(area: Area) -> Iterator[tuple[Place, Place]]:
    """Where wires may touch a box at its sides, and the places before these."""
    u = (area[0] + area[2]) / 2
    yield (u, area[3]), (u, area[3] + _CLEAR + _HEAD)
    yield (u, area[1]), (u, area[1] - _CLEAR - _HEAD)


def _lines(areas: Iterable[Area], axis: int, rooms: Sequence[float]) -> Iterator[float]:
    """Lines that pass by areas, on both sides, with this much room between."""
    for area in areas:
        for room in rooms:
            yield area[axis] - room
            yield area[axis + 2] + room


def _hull(places: Iterable[Place]) -> Area:
    us, vs = zip(*places, strict=True)
    return min(us), min(vs), max(us), max(vs)


def _grown(area: Area, by: float, *, across: bool | None = None) -> Area:
    """An area with room around it, or on two sides alone."""
    du = 0.0 if across is True else by
    dv = 0.0 if across is False else by
    return area[0] - du, area[1] - dv, area[2] + du, area[3] + dv


def _meet(straight: Area, area: Area, room: float) -> bool:
    a = _grown(area, room)
    return straight[0] < a[2] and straight[2] > a[0] and straight[1] < a[3] and straight[3] > a[1]


def _is_open(closed: Sequence[tuple[float, float]], low: float, high: float) -> bool:
    return not any(start < high and end > low for start, end in closed)


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def _without_repeats(way: Iterable[Place]) -> Iterator[Place]:
    """The corners of a way and its ends."""
    kept: list[Place] = []
    for place in way:
        if kept and place == kept[-1]:
            continue
        if len(kept) > 1 and any(
            kept[-2][axis] == kept[-1][axis] == place[axis] for axis in (0, 1)
        ):
            kept[-1] = place
            continue
        kept.append(place)
    return iter(kept)
