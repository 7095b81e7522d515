"""An ``if`` that changes how things are wired: one step of ``forward`` with all its ways.

A lane goes one way only. The others it takes from lanes that go there, with the nodes of these
put in terms of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from archdsl.codegen.lanes import Disagreement, Lane
from archdsl.graph import RecallPart
from archdsl.layers import MergeLayer
from archdsl.modules import Apply, Fork, Instance, Item, Recall, Step
from archdsl.modules import Sequence as Row


@dataclass(frozen=True, slots=True)
class Turn:
    """The ways of an ``if``; each but the last has a condition, an attribute of the module."""

    conditions: tuple[str, ...]
    ways: tuple[tuple[Way, ...], ...]
    output: int


#: A step, and what the spec's ``if`` becomes where it is the class's as well.
Way: TypeAlias = Step | Turn

#: By a node, what it is elsewhere.
_Place: TypeAlias = Callable[[int], int]


class Guest:
    """Steps of one lane in the class of another, which goes another way."""

    def __init__(self, guest: Lane, host: Lane) -> None:
        self._places: dict[int, int] = {}
        self._unclear: set[int] = set()
        #: Those of nodes that the steps make themselves.
        self._own_places: dict[int, int] = {}
        self._host = host
        for node, place in zip(guest.trail, host.trail, strict=True):
            if self._places.setdefault(node, place) != place:
                self._unclear.add(node)

    def steps(
        self, steps: Sequence[Way], merges: Mapping[int, MergeLayer]
    ) -> tuple[tuple[Way, ...], dict[int, MergeLayer]]:
        """The steps with the host's nodes, and the merges among them. Errors: ``Disagreement``."""
        moved = tuple(_moved(step, self._place) for step in steps)
        return moved, {
            place: merges[node] for node, place in self._own_places.items() if node in merges
        }

    def _place(self, node: int) -> int:
        if node in self._unclear:
            raise Disagreement  # it stands for two of the host's
        if node in self._places:
            return self._places[node]
        if node not in self._own_places:
            self._own_places[node] = self._host.give_node()
        return self._own_places[node]


def _moved(step: Way, place: _Place) -> Way:
    match step:
        case Apply():
            return replace(
                step,
                item=_moved_item(step.item, place),
                output=place(step.output),
                recalls=_moved_recalls(step.recalls, place),
                pieces=tuple(map(place, step.pieces)),
            )
        case Fork(branches=branches):
            moved: Any = tuple(tuple(_moved(s, place) for s in branch) for branch in branches)
            return replace(step, node=place(step.node), branches=moved)
        case Recall(part=part):
            return Recall(replace(part, node=place(part.node)))
        case Turn(ways=ways):
            moved_ways = tuple(tuple(_moved(s, place) for s in way) for way in ways)
            return replace(step, ways=moved_ways, output=place(step.output))
        case _:
            raise Disagreement  # a head: what the network gives would hang on the way


def _moved_item(item: Item, place: _Place) -> Item:
    """An item as far as ``forward`` is concerned: what it takes up."""
    match item:
        case Instance(plan=plan) if plan.recalls:
            return replace(item, plan=replace(plan, recalls=_moved_recalls(plan.recalls, place)))
        case Row(items=items):
            return Row(tuple(_moved_item(inner, place) for inner in items))
        case _:
            return item


def _moved_recalls(recalls: Sequence[RecallPart], place: _Place) -> tuple[RecallPart, ...]:
    return tuple(replace(recall, node=place(recall.node)) for recall in recalls)
