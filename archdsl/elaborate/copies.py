"""What was elaborated once, a second time without elaborating it: copies of its nodes and parts.

Elaboration of a statement depends on its scope, on the volume that flows in, and on nothing else:
the same statement behind the same volume makes the same nodes, with other numbers.
"""

from __future__ import annotations

from archdsl.elaborate.scope import Cursor
from archdsl.layers.volume import Volume
from archdsl.network.graph import CallFrame, Node
from archdsl.network.parts import Chain, Written
from archdsl.network.renumbering import Renumbering
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


class Copier(Renumbering):
    """Puts a stretch behind the nodes that there are, once more."""

    def __init__(self, nodes: list[Node], stretch: Stretch, inner: int) -> None:
        """``inner`` is the first node that a copy does not share with the stretch."""
        super().__init__(self._moved, self._moved_loop)
        self.nodes = nodes
        self.stretch = stretch
        self._inner = inner
        #: How far the nodes and the loops of a copy are from those of the stretch.
        self._by = self._loops = 0
        #: What flows into the stretch, and what flows into a copy where that is not moved alike.
        self._entry = self._source = stretch.begin.cursor.node
        #: How many calls there are around the stretch, and those around the copy.
        self._depth = 0
        self._around: tuple[CallFrame, ...] = ()
        self._frames: dict[int, tuple[CallFrame, ...]] = {}

    def follow(self, loops: int) -> Chain:
        """A copy behind the one before; ``loops`` is how many `for` statements were begun."""
        stretch = self.stretch
        begin, end = stretch.begin, stretch.end
        self._by, self._loops = len(self.nodes) - begin.nodes, loops - begin.loops
        for id in range(begin.nodes, end.nodes):
            self.nodes.append(self.node(self.nodes[id]))
        return self.chain(Chain(stretch.parts, begin.cursor.node, end.cursor.node))

    def call(self, loops: int, source: int, around: tuple[CallFrame, ...]) -> Chain:
        """A copy of a call behind a node; ``around`` has the call itself and those around it."""
        self._source, self._around, self._depth = source, around, len(around)
        return self.follow(loops)

    def frames(self, frames: tuple[CallFrame, ...]) -> tuple[CallFrame, ...]:
        if not self._depth:
            return frames
        known = self._frames.get(id(frames))
        if known is None:
            known = self._frames[id(frames)] = (*self._around, *frames[self._depth :])
        return known

    def _moved(self, id: int) -> int:
        if id >= self._inner:
            id += self._by
            # The number itself where there is one: a hundred thousand more would take megabytes.
            return self.nodes[id].id if id < len(self.nodes) else id
        return self._source if id == self._entry else id

    def _moved_loop(self, loop: int) -> int:
        return loop + self._loops if loop > self.stretch.begin.loops else loop
