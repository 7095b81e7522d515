"""Nodes and parts with other numbers: further copies of a stretch, or what is left of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import overload

from archdsl.network.graph import CallFrame, Node
from archdsl.network.parts import (
    AuxPart,
    CallArgument,
    CallPart,
    Chain,
    ChoicePart,
    ForkPart,
    GroupPart,
    LayerPart,
    ReferencePart,
    RepeatPart,
    ReusePart,
    SplitPart,
    Written,
)
from archdsl.network.symbols import CopyIndex, Form, Size, Symbolic, TracedName, with_leaves


class LazyCopies(Sequence[Chain]):
    """The copies of a repeat, of which all but the first few are made when they are asked for.

    These follow the last of ``distinct`` and differ from it in numbers alone: those of the nodes
    are ``step`` larger from copy to copy.
    """

    def __init__(
        self, distinct: Sequence[Chain], number: int, step: int, make: Callable[[int], Chain]
    ) -> None:
        """``number`` counts all copies; ``make`` gives those behind the distinct ones, by place."""
        self.distinct = tuple(distinct)
        self.step = step
        self._number = number
        self._make = make

    def __len__(self) -> int:
        return self._number

    @overload
    def __getitem__(self, place: int) -> Chain: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Chain, ...]: ...
    def __getitem__(self, place: int | slice) -> Chain | tuple[Chain, ...]:
        places = range(self._number)[place]
        if isinstance(places, range):
            return tuple([self[at] for at in places])
        return self.distinct[places] if places < len(self.distinct) else self._make(places)

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


def distinct_copies(copies: Sequence[Chain]) -> Sequence[Chain]:
    """The copies of a repeat without those that differ from one of these in numbers alone."""
    return copies.distinct if isinstance(copies, LazyCopies) else copies


class Renumbering(ABC):
    """Gives nodes other numbers wherever parts and expressions refer to them."""

    @abstractmethod
    def move(self, id: int) -> int:
        """The new number of a node."""

    def loop(self, loop: int) -> int:
        """The new number of a ``for`` statement."""
        return loop

    def node(self, node: Node) -> Node:
        move = self.move
        return Node(
            move(node.id),
            node.layer,
            (move(node.inputs[0]),) if len(node.inputs) == 1 else tuple(map(move, node.inputs)),
            node.volume,
            node.span,
            self.frames(node.frames),
            node.head,
            self.forms(node.forms) if node.forms else (),
            None if node.shares is None else move(node.shares),
        )

    def frames(self, frames: tuple[CallFrame, ...]) -> tuple[CallFrame, ...]:
        """The calls around a node."""
        return frames

    def chain(self, chain: Chain) -> Chain:
        written = tuple([self.part(part) for part in chain.written])
        return Chain(written, self.move(chain.input), self.move(chain.output))

    def part(self, part: Written) -> Written:
        move = self.move
        match part:
            case LayerPart():
                return LayerPart(self.name(part.name), move(part.node), part.comment)
            case ReferencePart():
                return ReferencePart(part.target, move(part.node))
            case CallPart():
                return CallPart(
                    self.name(part.name),
                    part.block,
                    self.arguments(part.arguments),
                    self.chain(part.body),
                    tuple(map(move, part.reads)),
                    part.comment,
                )
            case RepeatPart():
                return RepeatPart(
                    self.name(part.name),
                    self.copies(part.copies),
                    self.symbolic(part.count),
                    part.span,
                    move(part.output),
                    None if part.loop is None else self.loop(part.loop),
                    part.comment,
                )
            case ForkPart():
                branches = tuple(map(self.chain, part.branches))
                return ForkPart(move(part.node), branches, part.comment)
            case ChoicePart():
                tests = tuple(map(self.symbolic, part.tests))
                return replace(part, tests=tests, body=self.chain(part.body))
            case SplitPart():
                return SplitPart(move(part.node), tuple(map(move, part.pieces)))
            case GroupPart() | AuxPart():
                return replace(part, name=self.name(part.name), body=self.chain(part.body))  # type: ignore[arg-type]
            case ReusePart():
                return replace(part, body=self.chain(part.body))

    def copies(self, copies: Sequence[Chain]) -> Sequence[Chain]:
        return tuple(map(self.chain, copies))

    def name(self, name: str | None) -> str | None:
        """A name of a part, with its values in other terms."""
        if not isinstance(name, TracedName):
            return name
        return TracedName(name, name.texts, tuple(map(self.symbolic, name.values)))

    def arguments(self, arguments: tuple[CallArgument, ...]) -> tuple[CallArgument, ...]:
        return tuple(
            [
                CallArgument(argument.name, argument.value, form, argument.default)
                if (form := self.form(argument.form)) is not argument.form
                else argument
                for argument in arguments
            ]
        )

    def forms(self, forms: tuple[tuple[str, Symbolic], ...]) -> tuple[tuple[str, Symbolic], ...]:
        return tuple([(name, self.symbolic(symbolic)) for name, symbolic in forms])

    def symbolic(self, symbolic: Symbolic) -> Symbolic:
        form = self.form(symbolic.form)
        return symbolic if form is symbolic.form else Symbolic(symbolic.value, form)

    def form(self, form: Form) -> Form:
        return with_leaves(form, self._leaf)

    def _leaf(self, leaf: Form) -> Form:
        match leaf:
            case Size(node=node, axis=axis):
                return Size(self.move(node), axis)
            case CopyIndex(loop=loop, number=number):
                return CopyIndex(self.loop(loop), number)
            case _:
                return leaf
