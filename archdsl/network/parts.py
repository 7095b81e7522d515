"""The tree of parts over the nodes of a network, as it was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import TypeAlias

from archdsl.network.symbols import Form, Symbolic, Value
from archdsl.records import dataclass
from archdsl.text.comment import Comment
from archdsl.text.source import Span


@dataclass(frozen=True, slots=True)
class CallArgument:
    """What a call gives for a parameter, with the form that the caller wrote.

    ``default`` is the parameter's own, where it is a constant.
    """

    name: str
    value: Value
    form: Form
    default: Value | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """A block or a family as it is declared: its name, its place and its comment."""

    name: str
    span: Span
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LayerPart:
    """A layer with one input."""

    name: str | None
    node: int
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CallPart:
    """A block call, expanded; ``reads`` are the nodes of the parts that are given to it."""

    name: str | None
    block: Declaration
    arguments: tuple[CallArgument, ...]
    body: Chain
    reads: tuple[int, ...] = ()
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class GroupPart:
    """A named statement of several layers, or named braces; ``span`` is the statement's."""

    name: str
    body: Chain
    span: Span
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RepeatPart:
    """A repeated statement with its copies. Named, it is one part with a child for each copy.

    ``loop`` is the number of the ``for`` that it comes from.
    """

    name: str | None
    copies: Sequence[Chain]
    count: Symbolic
    span: Span
    output: int
    loop: int | None = None
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ChoicePart:
    """An ``if``: the conditions that were decided, in order, and the body it led to.

    ``taken`` is the number of that body, from 0, the ``else`` included. ``count`` is how many
    conditions were written. ``word`` names the module that holds what the ``if`` leads to, the same
    for all bodies; None where that cannot be a single module.
    """

    tests: tuple[Symbolic, ...]
    taken: int
    body: Chain
    count: int
    word: str | None
    comment: Comment | None = field(default=None, compare=False)

    name: None = None


@dataclass(frozen=True, slots=True)
class ForkPart:
    """Branches and the merge that joins them; ``node`` is the merge's."""

    node: int
    branches: tuple[Chain, ...]
    comment: Comment | None = field(default=None, compare=False)

    name: None = None


@dataclass(frozen=True, slots=True)
class ReferencePart:
    """A reference to the result of a named part."""

    target: str
    node: int

    name: None = None


@dataclass(frozen=True, slots=True)
class ReusePart:
    """An earlier part once more, with the same weights; ``body`` holds a copy of it.

    ``name`` is that of this result. The nodes of the copy share the modules of the part's.
    """

    name: str | None
    target: str
    body: Chain
    span: Span


@dataclass(frozen=True, slots=True)
class SplitPart:
    """A layer with a result for each of several branches; the chain goes on with its own input.

    Nobody writes it: deployment makes it from parallel convolutions. A branch refers to its piece
    by a reference without a name.
    """

    node: int
    pieces: tuple[int, ...]

    name: None = None


@dataclass(frozen=True, slots=True)
class AuxPart:
    """An auxiliary head; the trunk goes on with its own input. ``span`` is the statement's."""

    name: str | None
    weight: float
    body: Chain
    span: Span
    comment: Comment | None = field(default=None, compare=False)


Part: TypeAlias = (
    LayerPart
    | CallPart
    | GroupPart
    | RepeatPart
    | ForkPart
    | ReferencePart
    | ReusePart
    | SplitPart
    | AuxPart
)


#: A part, or what only says how parts came there: an ``if``, a repeat without a name.
Written: TypeAlias = Part | ChoicePart


@dataclass(frozen=True)
class Chain:
    """Parts in execution order, from the node ``input`` to the node ``output``.

    ``written`` has them as they are in the text. In ``parts`` each ``if`` is replaced by what it
    led to, and each repeat without a name by its copies. What holds no layer, such as a call of a
    block that is empty for its arguments, is left out.
    """

    written: tuple[Written, ...]
    input: int
    output: int

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the chain, without what says how they came there."""
        parts: list[Part] = []
        for part in self.written:
            match part:
                case ChoicePart(body=body):
                    parts += body.parts
                case RepeatPart(name=None, copies=copies):
                    parts += (inner for copy in copies for inner in copy.parts)
                case CallPart() | GroupPart() | RepeatPart() if not _holds_parts(part):
                    pass
                case _:
                    parts.append(part)
        return tuple(parts)


@dataclass(frozen=True, slots=True)
class Member:
    """What makes a network a member of a family: the family, and the arguments given for it."""

    family: Declaration
    arguments: tuple[CallArgument, ...]


def _holds_parts(part: Written) -> bool:
    return any(chain.parts for chain in chains_in(part))


def with_comment(parts: list[Written], comment: Comment | None) -> list[Written]:
    """The parts of a statement, the first with the statement's comment."""
    if comment is None or not parts:
        return parts
    first, *rest = parts
    match first:
        case ChoicePart() | ReferencePart() | ReusePart() | SplitPart():
            return [first, *with_comment(rest, comment)]
        case _ if first.comment is None:
            return [replace(first, comment=comment), *rest]
        case _:
            return parts


def output_of(part: Written) -> int:
    """The node whose result leaves a part."""
    match part:
        case LayerPart() | ForkPart() | ReferencePart() | SplitPart():
            return part.node
        case RepeatPart():
            return part.output
        case CallPart() | GroupPart() | AuxPart() | ChoicePart() | ReusePart():
            return part.body.output


def chains_in(part: Written) -> Sequence[Chain]:
    """The chains directly inside a part."""
    match part:
        case CallPart() | GroupPart() | AuxPart() | ChoicePart() | ReusePart():
            return (part.body,)
        case RepeatPart():
            return part.copies
        case ForkPart():
            return part.branches
        case _:
            return ()


def rewritten(part: Written, rewrite: Callable[[Chain], Chain]) -> Written:
    """A part with each chain directly inside it rewritten."""
    match part:
        case CallPart() | GroupPart() | AuxPart() | ChoicePart() | ReusePart():
            return replace(part, body=rewrite(part.body))
        case RepeatPart():
            return replace(part, copies=tuple(map(rewrite, part.copies)))
        case ForkPart():
            return replace(part, branches=tuple(map(rewrite, part.branches)))
        case _:
            return part


def without_empty(chain: Chain) -> Chain:
    """The chain without parts that hold no node, as after a fault."""
    parts: list[Written] = []
    for part in chain.written:
        match rewritten(part, without_empty):
            case RepeatPart(copies=copies) as repeat:
                left = tuple(copy for copy in copies if copy.written)
                parts += [replace(repeat, copies=left)] if left else []
            case CallPart() | GroupPart() | AuxPart() | ChoicePart() | ReusePart() as around:
                parts += [around] if around.body.written else []
            case whole:
                parts.append(whole)
    return replace(chain, written=tuple(parts))


def walk(chain: Chain) -> Iterator[Part]:
    """All parts of a chain, outer before inner, in execution order."""
    for part in chain.parts:
        yield part
        for inner in chains_in(part):
            yield from walk(inner)
