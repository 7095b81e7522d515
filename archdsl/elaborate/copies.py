"""What was elaborated once, a second time without elaborating it: copies of its nodes and parts.

Elaboration of a statement depends on its scope, on the volume that flows in, and on nothing else:
the same statement behind the same volume makes the same nodes, with other numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.elaborate.scope import Cursor
from archdsl.layers.volume import Volume
from archdsl.network.graph import CallFrame, Node
from archdsl.network.parts import Chain, Written
from archdsl.network.renumbering import LazyCopies, Renumbering
from archdsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Reached:
    """How far elaboration is: how many nodes, loops and heads there are, where the chain ends."""

    nodes: int
    loops: int
    cursor: Cursor
    #: What must not change in what is copied: heads, faults, names.
    others: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a statement has made, from one place to another."""

    begin: Reached
    end: Reached
    parts: tuple[Written, ...]

    @property
    def is_clean(self) -> bool:
        """Whether elaborating it again would make the same again, and tell nothing."""
        return self.begin.others == self.end.others and self.end.cursor.volume is not None

    @property
    def volume(self) -> Volume | None:
        return self.begin.cursor.volume

    @property
    def size(self) -> int:
        return self.end.nodes - self.begin.nodes

    @property
    def loops(self) -> int:
        return self.end.loops - self.begin.loops

    @property
    def is_empty(self) -> bool:
        """Whether it has made nothing, and would make nothing again."""
        is_nothing = not self.size and not self.loops
        return self.is_clean and is_nothing and self.begin.cursor == self.end.cursor

    def follows_itself(self, before: Reached) -> bool:
        """Whether a copy behind this one is like this one; one that began at ``before`` precedes.

        Both must read the result of a node of the copy before, which no name stands for.
        """
        begin, end = self.begin, self.end
        return (
            self.is_clean
            and self.size > 0
            and begin.cursor.volume == end.cursor.volume
            and begin.cursor.node >= before.nodes
            and end.cursor.node - begin.cursor.node == self.size
        )


class StretchMove(Renumbering):
    """Moves a stretch behind the nodes and the loops that there are."""

    def __init__(
        self,
        made: Sequence[Node],
        stretch: Stretch,
        inner: int,
        *,
        nodes: int,
        loops: int,
        source: int | None = None,
    ) -> None:
        """``made`` are all nodes, and ``inner`` is the first that a copy has of its own.

        ``nodes`` and ``loops`` are how far the numbers of the copy are from those of the stretch;
        ``source`` is the node that flows into it, if that is not moved like the others.
        """
        self.made = made
        self.stretch = stretch
        self._inner = inner
        self._nodes = nodes
        self._loops = loops
        self._entry = stretch.begin.cursor.node
        self._source = self._entry if source is None else source

    def body(self) -> Chain:
        """The parts of the copy."""
        begin, end = self.stretch.begin.cursor, self.stretch.end.cursor
        return self.chain(Chain(self.stretch.parts, begin.node, end.node))

    def copies(self, copies: Sequence[Chain]) -> Sequence[Chain]:
        if not isinstance(copies, LazyCopies):
            return super().copies(copies)
        distinct = tuple(map(self.chain, copies.distinct))
        return LazyCopies(
            distinct, len(copies), copies.step, lambda place: self.chain(copies[place])
        )

    def move(self, id: int) -> int:
        if id >= self._inner:
            id += self._nodes
            # The number itself where there is one: a hundred thousand more would take megabytes.
            return self.made[id].id if id < len(self.made) else id
        return self._source if id == self._entry else id

    def loop(self, loop: int) -> int:
        return loop + self._loops if loop > self.stretch.begin.loops else loop


def follow(
    nodes: list[Node], copies: Sequence[Chain], stretch: Stretch, inner: int, number: int
) -> LazyCopies:
    """More copies of a repeat, which follow those that there are as the last one, a stretch, does.

    Their nodes are made, and their parts when they are asked for.
    """
    last, size, loops = len(copies) - 1, stretch.size, stretch.loops

    def move_to(place: int) -> StretchMove:
        by = place - last
        return StretchMove(nodes, stretch, inner, nodes=by * size, loops=by * loops)

    of_stretch = nodes[stretch.begin.nodes : stretch.end.nodes]
    for place in range(len(copies), len(copies) + number):
        move = move_to(place)
        for node in of_stretch:
            nodes.append(move.node(node))
    return LazyCopies(copies, len(copies) + number, size, lambda place: move_to(place).body())


class CalledMove(StretchMove):
    """Moves the body of a block to another call of it."""

    def __init__(
        self,
        made: Sequence[Node],
        stretch: Stretch,
        reached: Reached,
        around: tuple[CallFrame, ...],
    ) -> None:
        """``around`` has the call itself and those around it."""
        begin = stretch.begin
        super().__init__(
            made,
            stretch,
            begin.nodes,
            nodes=reached.nodes - begin.nodes,
            loops=reached.loops - begin.loops,
            source=reached.cursor.node,
        )
        self._around = around
        self._frames: dict[int, tuple[CallFrame, ...]] = {}

    def frames(self, frames: tuple[CallFrame, ...]) -> tuple[CallFrame, ...]:
        known = self._frames.get(id(frames))
        if known is None:
            known = self._frames[id(frames)] = (*self._around, *frames[len(self._around) :])
        return known
