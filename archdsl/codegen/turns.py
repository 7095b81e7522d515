"""An ``if`` that changes how things are wired: one step of ``forward`` with all its ways.

A lane goes one way only. It takes the other ways from lanes that go there, with their nodes put in
terms of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from archdsl.classplan import (
    ApplyStep,
    ChoiceItem,
    ForkStep,
    InstanceItem,
    PlanItem,
    PlanStep,
    ReferenceStep,
    RepeatItem,
    ReuseStep,
    SequentialItem,
)
from archdsl.codegen.lanes import DisagreementError, Lane
from archdsl.layers import MergeLayer
from archdsl.network.parts import ReferencePart


@dataclass(frozen=True, slots=True)
class Turn:
    """The ways of an ``if``; each but the last has a condition, an attribute of the module."""

    conditions: tuple[str, ...]
    ways: tuple[tuple[Way, ...], ...]
    output: int


#: A step, or an ``if`` of the spec that is an ``if`` of the class as well.
Way: TypeAlias = PlanStep | Turn


class Guest:
    """Steps of one lane, put in terms of another lane that goes another way."""

    def __init__(self, guest: Lane, host: Lane) -> None:
        self._places: dict[int, int] = {}
        self._unclear: set[int] = set()
        #: The places of nodes that the steps make themselves.
        self._made: dict[int, int] = {}
        self._host = host
        for node, place in zip(guest.trail, host.trail, strict=True):
            if self._places.setdefault(node, place) != place:
                self._unclear.add(node)

    def steps(
        self, steps: Sequence[Way], merges: Mapping[int, MergeLayer]
    ) -> tuple[tuple[Way, ...], dict[int, MergeLayer]]:
        """The steps with the host's nodes, and the merges among them.

        Errors: ``DisagreementError``.
        """
        moved = tuple(map(self._moved, steps))
        return moved, {place: merges[node] for node, place in self._made.items() if node in merges}

    def _moved(self, step: Way) -> Way:
        match step:
            case ApplyStep():
                return replace(
                    step,
                    item=self._item(step.item),
                    references=self._references(step.references),
                    output=self._make(step.output),
                    pieces=tuple(map(self._make, step.pieces)),
                )
            case ForkStep(branches=branches):
                moved: Any = tuple(tuple(map(self._moved, branch)) for branch in branches)
                return replace(step, node=self._make(step.node), branches=moved)
            case ReuseStep(apply=apply):
                moved_apply = self._moved(apply)
                assert isinstance(moved_apply, ApplyStep)
                return ReuseStep(moved_apply)
            case ReferenceStep(part=part):
                return ReferenceStep(replace(part, node=self._find(part.node)))
            case Turn(ways=ways):
                gone = tuple(tuple(map(self._moved, way)) for way in ways)
                return replace(step, ways=gone, output=self._make(step.output))
            case _:
                raise DisagreementError  # a head: what the network gives would depend on the way

    def _item(self, item: PlanItem) -> PlanItem:
        """An item as far as ``forward`` is concerned: what it refers to."""
        match item:
            case InstanceItem(plan=plan) if plan.references:
                return replace(
                    item, plan=replace(plan, references=self._references(plan.references))
                )
            case SequentialItem(items=items):
                return SequentialItem(self._items(items))
            case ChoiceItem(items=items):
                return replace(item, items=self._items(items))
            case RepeatItem(copies=copies):
                return replace(item, copies=tuple(map(self._items, copies)))
            case _:
                return item

    def _items(self, items: Sequence[PlanItem]) -> tuple[PlanItem, ...]:
        return tuple(map(self._item, items))

    def _references(self, references: Sequence[ReferencePart]) -> tuple[ReferencePart, ...]:
        return tuple(
            replace(reference, node=self._find(reference.node)) for reference in references
        )

    def _make(self, node: int) -> int:
        """What a step gives; where it holds no layer, that is the node before it."""
        if node in self._places:
            return self._find(node)
        if node not in self._made:
            self._made[node] = self._host.give_node()
        return self._made[node]

    def _find(self, node: int) -> int:
        """What a step refers to."""
        found = self._places.get(node, self._made.get(node))
        if found is None or node in self._unclear:
            # It is under an earlier `if`, or corresponds to two nodes of the host.
            raise DisagreementError
        return found
