"""Folding: equal neighbours on a straight line become one box or cluster ``×N``.

Neighbours are equal if they would be drawn alike: the same layers with the same wiring, and the
same volumes from the first result on. So a folded picture hides no volume. Where it shows a number
of each box as well, they are equal in that, too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

from archdsl.drawing.figure.figure import (
    Box,
    Cluster,
    ClusterKind,
    FigureItem,
    Fork,
    boxes_in,
    output_of,
)
from archdsl.network.graph import Node

#: The longest run of different neighbours whose repetitions are looked for.
MAX_PERIOD = 12


#: The number that a picture shows of some nodes.
NumberOf: TypeAlias = Callable[[Sequence[int]], float]


def no_number(nodes: Sequence[int]) -> float:
    """The picture shows none."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Placed:
    """An item of a chain, with the node whose result flows into it."""

    item: FigureItem
    input: int


def fold(
    placed: Sequence[Placed],
    nodes: Sequence[Node],
    consumers: Sequence[int],
    open: Sequence[str] = (),
    number_of: NumberOf = no_number,
) -> list[FigureItem]:
    """Fold the items of one chain, except those named in ``open``.

    ``consumers`` counts, by node, the uses of its result.
    """
    equals: dict[Hashable, int] = {}
    signs = [
        equals.setdefault(_signature(p.item, p.input, nodes, number_of), len(equals))
        for p in placed
    ]
    for number, p in enumerate(placed):
        if _name_of(p.item) in open or (isinstance(p.item, Cluster) and p.item.title in open):
            signs[number] = -1 - number  # equal to nothing
    named = [(sign, _name_of(p.item)) for sign, p in zip(signs, placed, strict=True)]
    # in_line[i]: nothing but item i + 1 uses what item i computes, so that the two are in line.
    in_line = [
        output_of(here.item) == after.input and _feeds_only(here.item, after.item, nodes, consumers)
        for here, after in pairwise(placed)
    ]
    result: list[FigureItem] = []
    start = 0
    while start < len(placed):
        period, count = _best_run(signs, named, in_line, start)
        copies = [
            [p.item for p in placed[start + period * copy : start + period * (copy + 1)]]
            for copy in range(count)
        ]
        result += _one_for(copies) if count > 1 else copies[0]
        start += period * count
    return result


def _best_run(
    signs: list[int], named: list[tuple[int, str | None]], in_line: list[bool], start: int
) -> tuple[int, int]:
    """The period that starts here, and how often it repeats in line; the shortest such period.

    Neighbours that fold one by one may differ in name. In a longer period names would be lost, so
    they must be equal.
    """
    for period in range(1, min(MAX_PERIOD, (len(signs) - start) // 2) + 1):
        row: Sequence[Hashable] = signs if period == 1 else named
        pattern = row[start : start + period]
        end = start + period
        while row[end : end + period] == pattern and all(in_line[end - period : end + period - 1]):
            end += period
        if end > start + period:
            return period, (end - start) // period
    return 1, 1


def _signature(
    item: FigureItem, input: int, nodes: Sequence[Node], number_of: NumberOf
) -> Hashable:
    """Equal for items that are drawn alike and wired alike."""
    base = min(node for box in boxes_in(item) for node in box.members)

    def wire(source: int) -> Hashable:
        if source >= base:
            return source - base
        return "input" if source == input else ("outside", source)

    def own(node: int) -> Hashable:
        shares = nodes[node].shares
        return shares if shares is None or shares < base else ("inside", shares - base)

    def sign(part: FigureItem) -> Hashable:
        match part:
            case Box():
                inner = tuple(
                    (nodes[n].layer, nodes[n].volume, own(n), tuple(map(wire, nodes[n].inputs)))
                    for n in part.nodes
                )
                return (part.name, inner, part.count, part.fault, number_of(part.nodes))
            case Cluster(kind=ClusterKind.HEAD):
                return ("head", base)  # each head is drawn
            case Cluster():
                return (part.title, part.name, part.count, tuple(map(sign, part.items)))
            case Fork():
                branches = tuple(tuple(map(sign, branch)) for branch in part.branches)
                return (branches, sign(part.merge))

    # Names may differ from one item to the next, but not inside.
    return sign(item if isinstance(item, Fork) else replace(item, name=None))


def _feeds_only(
    item: FigureItem, after: FigureItem, nodes: Sequence[Node], consumers: Sequence[int]
) -> bool:
    """Whether all uses of an item's results are inside it and in the item after it."""
    own = {node for box in boxes_in(item) for node in box.members}
    uses = 0
    for part in (item, after):
        for box in boxes_in(part):
            uses += sum(source in own for node in box.members for source in nodes[node].inputs)
    return uses == sum(consumers[node] for node in own)


def _one_for(copies: list[list[FigureItem]]) -> list[FigureItem]:
    """Equal copies as one item: a single box or cluster as itself, more of them in a cluster."""
    merged = [_absorb(list(same)) for same in zip(*copies, strict=True)]
    output = output_of(copies[-1][-1])
    match merged:
        case [Box() as box]:
            return [replace(box, count=box.count * len(copies), name=_names(copies))]
        case [Cluster(count=1) as cluster]:
            named = replace(cluster, name=_names(copies), output=output)
            return [replace(named, count=len(copies))]
        case _:
            return [Cluster("", None, tuple(merged), output, count=len(copies))]


def _names(copies: list[list[FigureItem]]) -> str | None:
    """The name of one copy, or of the first and last: ``i4b–i4d``."""
    names = [_name_of(copy[0]) for copy in copies]
    first, last = names[0], names[-1]
    if first == last or not last:
        return first
    return f"{first}–{last}" if first else last


def _name_of(item: FigureItem) -> str | None:
    return None if isinstance(item, Fork) else item.name


def _absorb(same: list[FigureItem]) -> FigureItem:
    """The first of equal items, with the members of all of them."""
    match same[0]:
        case Box() as box:
            members = [member for copy in same for b in boxes_in(copy) for member in b.members]
            return replace(box, members=tuple(members))
        case Cluster() as cluster:
            rows = zip(*(copy.items for copy in same if isinstance(copy, Cluster)), strict=True)
            return replace(cluster, items=tuple(_absorb(list(row)) for row in rows))
        case Fork() as fork:
            forks = [copy for copy in same if isinstance(copy, Fork)]
            branches = tuple(
                tuple(
                    _absorb(list(row))
                    for row in zip(*(f.branches[number] for f in forks), strict=True)
                )
                for number in range(len(fork.branches))
            )
            merge = _absorb([f.merge for f in forks])
            assert isinstance(merge, Box)
            return replace(fork, branches=branches, merge=merge)
