"""Where a statement is: the names in scope, and the node that flows into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from archdsl.elaborate.environment import BlockDefinition, Environment
from archdsl.elaborate.errors import ElaborationError
from archdsl.elaborate.names import Context, Values
from archdsl.elaborate.values import evaluate, written
from archdsl.layers import Layer
from archdsl.layers.volume import MOST_AXES, Volume
from archdsl.network.graph import CallFrame
from archdsl.network.parts import Written
from archdsl.network.symbols import ListValue, Symbolic
from archdsl.records import dataclass
from archdsl.text import syntax
from archdsl.text.diagnostics import Label
from archdsl.text.source import Span


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """An input: its name, or none where it is the only one, its volume and its place."""

    label: str
    volume: Volume
    span: Span


@dataclass(frozen=True, slots=True)
class Cursor:
    """The end of a chain so far: the node whose result flows on, and its volume unless unknown."""

    node: int
    volume: Volume | None


@dataclass
class PartNames:
    """Named parts in scope; a block hides what is outside, a named group does not."""

    outer: PartNames | None = None
    #: A part's result and the place of its name; an auxiliary head has no result to refer to.
    own: dict[str, tuple[Cursor | None, Span]] = field(default_factory=dict)
    #: The parts with modules of their own, which `reuse` can run again.
    reusable: dict[str, Written] = field(default_factory=dict)
    #: Names that end with the part they are in: that part, and where they are given.
    hidden: dict[str, tuple[str, Span]] = field(default_factory=dict)

    def find(self, name: str) -> tuple[Cursor | None, Span] | None:
        scope: PartNames | None = self
        while scope is not None:
            if name in scope.own:
                return scope.own[name]
            scope = scope.outer
        return None

    def names(self) -> set[str]:
        return set(self.own) | (self.outer.names() if self.outer else set())

    def all_hidden(self) -> dict[str, tuple[str, Span]]:
        """The names inside the named parts in scope."""
        return {**(self.outer.all_hidden() if self.outer else {}), **self.hidden}


@dataclass(frozen=True)
class LayerArgument:
    """A layer that is given to a block, with its fields set and the forms of these."""

    layer: Layer
    forms: Mapping[str, Symbolic]


#: What a parameter can stand for besides a value and a part.
WordArgument: TypeAlias = BlockDefinition | LayerArgument


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a statement is: its environment, values and parts, and what encloses it."""

    environment: Environment
    values: Values
    parts: PartNames
    frames: tuple[CallFrame, ...] = ()
    blocks: tuple[syntax.Block, ...] = ()
    head: int | None = None
    is_trunk: bool = True
    #: The blocks and layers given for parameters.
    words: Mapping[str, WordArgument] = field(default_factory=dict)

    def find_block(self, name: str) -> BlockDefinition | None:
        """The block of a name: one that was given for a parameter, or one of the environment."""
        given = self.words.get(name)
        return given if isinstance(given, BlockDefinition) else self.environment.find_block(name)

    def context(self, cursor: Cursor) -> Context:
        return Context(self.values, cursor.volume, parts=self.parts.names, node=cursor.node)


def read_volume(expr: syntax.Expr, context: Context) -> Volume:
    """A volume as written: ``28x28x192``, or a number of units."""
    value = evaluate(expr, context)
    sizes = value if isinstance(value, tuple) else (value,)
    if (
        isinstance(value, ListValue)
        or len(sizes) > MOST_AXES + 1
        or any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in sizes)
    ):
        raise ElaborationError(
            "wrong-value",
            f"{written(value)} is not a volume",
            expr.span,
            help="a volume is height x width x channels, such as `224x224x3`, length x channels, "
            "depth x height x width x channels, or a number of units",
        )
    return Volume(sizes)  # type: ignore[arg-type]


def result_of(atom: syntax.Name, found: tuple[Cursor | None, Span]) -> Cursor:
    """The result of a named part."""
    cursor, span = found
    if cursor is None:
        raise ElaborationError(
            "misplaced-aux",
            f"`{atom.id}` is an auxiliary head; its result leaves the network",
            atom.span,
            related=(Label(span, "named here"),),
        )
    return cursor
