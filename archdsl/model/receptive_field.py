"""Receptive fields: which part of the input each position of a network depends on.

The axes are followed separately. What a position sees along an axis is an interval of the
input. A layer's definition says which positions it reads (``Layer.reads``), so a position of its
result sees the hull of what those see. Patterns repeat: a period of positions sees what the period
before it sees, moved on, so a few intervals describe all positions (``_Part.period``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from math import gcd, lcm
from typing import TypeAlias

from archdsl.layers.reach import SAME_PLACE, Interval, Reach, Reads, reads_here
from archdsl.network.graph import Node, inputs_of
from archdsl.records import dataclass

#: Intervals kept for a repeating pattern, if the positions themselves are not fewer. Few networks
#: need more than 32; `{ upsample 3; maxpool 2 } ×40` would need 3⁴⁰.
MAX_PERIOD = 1024
#: Patterns of different steps kept apart, such as a map and a global pool beside it.
MAX_PARTS = 8


#: The first, or the last, position of the input that each of some positions sees; None if none.
_Ends: TypeAlias = Sequence[int | None]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What the positions of a map see, given by the ends.

    Position ``n·period + r`` sees from ``firsts[r]`` to ``lasts[r]``, moved on by ``n·advance``.
    Where ``start`` is given nothing repeats: the ends are those of the positions from there on, and
    no others. ``is_monotone`` says that each position sees something, and that the ends never go
    back.
    """

    firsts: _Ends
    lasts: _Ends
    advance: int
    is_monotone: bool
    start: int | None = None

    @property
    def period(self) -> int:
        return len(self.firsts)

    def at(self, position: int) -> Interval | None:
        (first,), (last,) = self.see([position], [position])
        return None if first is None or last is None else (first, last)

    def see(self, firsts: Sequence[int], lasts: Sequence[int]) -> tuple[_Ends, _Ends]:
        """From where ``firsts`` see, and up to where ``lasts`` see."""
        return self._pick(self.firsts, firsts), self._pick(self.lasts, lasts)

    def _pick(self, ends: _Ends, positions: Sequence[int]) -> _Ends:
        if self.start is not None:
            if min(positions) < self.start:
                raise IndexError(min(positions))
            return [ends[i - self.start] for i in positions]
        period, advance = len(ends), self.advance
        if self.is_monotone:
            return [ends[i % period] + i // period * advance for i in positions]  # type: ignore[operator]
        return [
            None if (end := ends[i % period]) is None else end + i // period * advance
            for i in positions
        ]

    def over(self, first: int, last: int, step: int) -> Interval | None:
        """What the positions from first to last see together, if the part is not monotone."""
        positions = range(first, last + 1, step)
        if self.start is not None:
            return _hull(map(self.at, positions))
        # Of each phase the first position sees the least far and the last the farthest.
        turn = self.period // gcd(self.period, step)
        return _hull(map(self.at, (*positions[:turn], *positions[-turn:])))


_Field: TypeAlias = tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class ReceptiveFields:
    """The receptive field of each node by its id: a size along each axis of the input."""

    axes: tuple[list[int], ...]

    def __getitem__(self, node: int) -> tuple[int, ...]:
        return tuple([sizes[node] for sizes in self.axes])


def count_fields(nodes: Sequence[Node], unknown: Collection[int] = ()) -> ReceptiveFields:
    """The receptive field of each node, in pixels of the input, along each of its axes.

    Of several inputs it is the largest: the field of a node in each of them alone.

    It is the largest over the positions of the node's result: the rows from the first to the last
    one that the position depends on. Borders are not cut: padding sees what would be there if the
    map went on, so a field can exceed the input. Nodes of unknown volume see what their input
    does. Linear in the nodes, except for networks whose patterns do not repeat.
    """
    reaches = _reaches(nodes, unknown)
    inputs = [node.id for node in inputs_of(nodes)]
    fields = [_fields_in(input, nodes, reaches) for input in inputs]
    if len(fields) == 1:
        return ReceptiveFields(fields[0])
    # Of several inputs, each is looked at alone: pixels of two have no common count.
    return ReceptiveFields(tuple([list(map(max, *along)) for along in zip(*fields, strict=True)]))


def _reaches(nodes: Sequence[Node], unknown: Collection[int]) -> list[tuple[Reach, ...]]:
    """What each node reads."""
    known: dict[tuple[int, ...], tuple[Reach, ...]] = {}
    reaches = []
    for node in nodes:
        if node.id in unknown:
            reaches.append(reads_here(min(1, len(node.inputs))))
            continue
        volumes = [nodes[i].volume for i in node.inputs]
        place = (id(node.layer), *map(id, volumes))
        if place not in known:
            known[place] = node.layer.reads(tuple(volumes)) if volumes else ()
        reaches.append(known[place])
    return reaches


def _fields_in(
    input: int, nodes: Sequence[Node], reaches: Sequence[tuple[Reach, ...]]
) -> tuple[list[int], ...]:
    """The receptive fields in one of the inputs, by axis."""
    axes = max(node.volume.rank for node in inputs_of(nodes)) or 2  # a vector's is an image's
    # Copies have volumes and reaches in common: each is looked at once.
    volumes = {id(node.volume): node.volume for node in nodes}
    distinct = {id(of_node): of_node for of_node in reaches}
    if all(_are_alike(volume.spatial) for volume in volumes.values()) and all(
        _are_alike(reach.axes) for of_node in distinct.values() for reach in of_node
    ):
        return (_along(0, nodes, reaches, input).count_fields(),) * axes
    along = [_along(axis, nodes, reaches, input).count_fields() for axis in range(axes)]
    # Where no row sees anything, no column does.
    for node, field in enumerate(zip(*along, strict=True)):
        if not all(field):
            for sizes in along:
                sizes[node] = 0
    return tuple(along)


def _are_alike(values: Sequence[object]) -> bool:
    """Whether the axes of a volume, or what is read along them, are the same."""
    return all(value is values[0] or value == values[0] for value in values[1:])


def _along(
    axis: int, nodes: Sequence[Node], reaches: Sequence[tuple[Reach, ...]], input: int
) -> _Axis:
    """One axis of a network. A volume that does not have it is of size 1 along it."""
    #: By what a node reads along all axes, which copies have in common.
    known: dict[int, tuple[tuple[int, Reads], ...]] = {}
    reads = []
    for of_node in reaches:
        if id(of_node) not in known:
            known[id(of_node)] = tuple([(reach.input, reach.along(axis)) for reach in of_node])
        reads.append(known[id(of_node)])
    return _Axis(nodes, reads, axis, input)


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of a network, with what each node reads of which of its inputs.

    What is seen are pixels of ``input``.
    """

    nodes: Sequence[Node]
    reads: list[tuple[tuple[int, Reads], ...]]
    axis: int
    input: int

    def read(self, node: Node) -> list[tuple[int, Reads]]:
        """What a node reads of which other nodes."""
        return [(node.inputs[place], reads) for place, reads in self.reads[node.id]]

    def size(self, node: Node) -> int:
        return (*node.volume.spatial, 1, 1, 1)[self.axis]

    def count_fields(self) -> list[int]:
        last_reader = [0] * len(self.nodes)
        for node in self.nodes:
            for source, _ in self.read(node):
                last_reader[source] = node.id
        fields: dict[int, _Field] = {}
        extents: list[int] = []
        for node in self.nodes:
            id, read = node.id, self.read(node)
            field = self._see(id, read, fields)
            fields[id] = field
            is_passed_on = len(read) == 1 and field is fields[read[0][0]]
            extents.append(extents[read[0][0]] if is_passed_on else _extent(field, self.size(node)))
            for source, _ in read:
                if last_reader[source] == id:
                    fields.pop(source, None)
        return extents

    def _see(self, id: int, read: list[tuple[int, Reads]], fields: dict[int, _Field]) -> _Field:
        if not read:
            return (_INPUT if id == self.input else _NOTHING,)
        if len(read) == 1:
            ((source, reads),) = read
            if reads is SAME_PLACE:
                return fields[source]
            if len(fields[source]) == 1:
                return (self._through(id, reads, fields[source][0]),)
        parts = [
            part if reads is SAME_PLACE else self._through(id, reads, part)
            for source, reads in read
            for part in fields[source]
        ]
        return self._unite(id, parts)

    def _through(self, id: int, reads: Reads, part: _Part) -> _Part:
        """What the positions of a node see through a part of a node that it reads."""
        if len(reads.rows) == len(part.firsts) == 1 and part.start is None:
            # Nearly always: both advance evenly.
            (read,), (first,), (last,) = reads.rows, part.firsts, part.lasts
            if read is None or first is None or last is None:
                return _NOTHING
            first, last = first + part.advance * read[0], last + part.advance * read[1]
            return _Part((first,), (last,), part.advance * reads.advance, True)
        if part.start is None:
            turns = part.period // gcd(part.period, reads.advance)
            period = len(reads.rows) * turns
            if self._repeats(id, period):
                advance = part.advance * (reads.advance * turns // part.period)
                return _repeated(_read(reads, part, range(period)), advance)
        needed = self.needed[id]
        return replace(_read(reads, part, needed), start=needed.start)

    def _repeats(self, id: int, period: int) -> bool:
        """Whether to keep a pattern instead of each position of a node."""
        return period <= MAX_PERIOD or period <= len(self.needed[id])

    def _unite(self, id: int, parts: list[_Part]) -> _Field:
        """The parts, with those of the same step joined into one."""
        groups: dict[tuple[int, int], list[_Part]] = {}
        for part in parts:
            common = gcd(part.advance, part.period)
            step = (part.advance // common, part.period // common)
            if part not in groups.setdefault(step, []):
                groups[step].append(part)
        periods = {step: lcm(*(part.period for part in group)) for step, group in groups.items()}
        if (
            len(groups) > MAX_PARTS
            or any(part.start is not None for part in parts)
            or not all(self._repeats(id, period) for period in periods.values())
        ):
            needed = self.needed[id]
            return (replace(_join(parts, needed), start=needed.start),)
        return tuple(
            group[0]
            if len(group) == 1
            else _repeated(
                _join(group, range(periods[step])),
                group[0].advance * periods[step] // group[0].period,
            )
            for step, group in groups.items()
        )

    @cached_property
    def needed(self) -> list[range]:
        """For each node the positions, padding included, that the nodes after it read."""
        ends = [(0, self.size(node) - 1) for node in self.nodes]
        for node in reversed(self.nodes):
            for source, reads in self.read(node):
                read = reads.hull(*ends[node.id])
                if read is not None:
                    first, last = ends[source]
                    ends[source] = (min(first, read[0]), max(last, read[1]))
        return [range(first, last + 1) for first, last in ends]


#: Each position of the input sees itself.
_INPUT = _Part((0,), (0,), 1, is_monotone=True)
_NOTHING = _Part((None,), (None,), 0, is_monotone=False)


def _hull(seen: Iterable[Interval | None]) -> Interval | None:
    known = [interval for interval in seen if interval is not None]
    if not known:
        return None
    return min(first for first, _ in known), max(last for _, last in known)


def _read(reads: Reads, part: _Part, positions: range) -> _Part:
    """What these positions see through a part."""
    rows = [reads.row(i) for i in positions]
    if reads.is_monotone and part.is_monotone:
        firsts, lasts = zip(*rows, strict=True)
        return _Part(*part.see(firsts, lasts), 0, is_monotone=True)
    # Positions between the ends may see farther than the ends, which may see nothing.
    return _listed([row and part.over(*row, reads.step) for row in rows])


def _join(parts: Sequence[_Part], positions: range) -> _Part:
    """What these positions see in all parts together."""
    if not all(part.is_monotone for part in parts):
        return _listed([_hull(part.at(i) for part in parts) for i in positions])
    firsts, lasts = zip(*(part.see(positions, positions) for part in parts), strict=True)
    if len(parts) == 1:
        return _Part(firsts[0], lasts[0], 0, is_monotone=True)
    return _Part(list(map(min, *firsts)), list(map(max, *lasts)), 0, is_monotone=True)


def _listed(rows: list[Interval | None]) -> _Part:
    firsts, lasts = [row and row[0] for row in rows], [row and row[1] for row in rows]
    return _Part(firsts, lasts, 0, is_monotone=False)


def _repeated(part: _Part, advance: int) -> _Part:
    """A pattern; one interval where all positions see the same."""
    if advance == 0 and len(set(part.firsts)) == len(set(part.lasts)) == 1:
        return replace(part, firsts=part.firsts[:1], lasts=part.lasts[:1])
    return replace(part, advance=advance)


def _extent(field: _Field, size: int) -> int:
    """The longest interval that a position of a map sees; 0 if none sees anything."""
    if len(field) == 1 and len(field[0].firsts) == 1 and field[0].start is None:
        (first,), (last,) = field[0].firsts, field[0].lasts
        return 0 if first is None or last is None else last - first + 1
    positions = [range(size)]
    if all(part.start is None for part in field):
        # Parts drift apart evenly from turn to turn: the longest is in the first or the last.
        turn = lcm(*(part.period for part in field))
        positions = [range(size)[:turn], range(size)[-turn:]][: len(field)]
    seen = (_join(field, some) for some in positions)
    return max(
        (
            last - first + 1
            for part in seen
            for first, last in zip(part.firsts, part.lasts, strict=True)
            if first is not None and last is not None
        ),
        default=0,
    )
