"""Nodes and parts with other numbers: further copies of a stretch, or what is left of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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


class Renumbering:
    """Gives nodes other numbers wherever parts and expressions refer to them.

    ``move`` maps the old numbers of nodes to the new ones, ``loop`` those of ``for`` statements.
    """

    def __init__(self, move: Callable[[int], int], loop: Callable[[int], int] = int) -> None:
        self.move = move
        self.loop = loop

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
                    tuple(map(self.chain, part.copies)),
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
