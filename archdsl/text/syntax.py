"""The syntax tree: what was written, and where. No meaning is given to any word here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, fields
from functools import cache
from typing import Any, TypeAlias, TypeVar

from archdsl.records import dataclass
from archdsl.text.comment import Comment
from archdsl.text.source import Source, Span

# ── Expressions ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Number:
    span: Span
    value: int | float


@dataclass(frozen=True, slots=True)
class Name:
    span: Span
    id: str


@dataclass(frozen=True, slots=True)
class Dims:
    """Sizes joined by ``x``: a kernel ``3x3`` or a volume ``28x28x192``."""

    span: Span
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    span: Span
    operator: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    span: Span
    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Call:
    """A word with parentheses: a block call, ``take(0, 1)``, ``aux(0.3)``, ``min(a, b)``."""

    span: Span
    name: Name
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Paren:
    """An expression in parentheses; as an atom, a bare argument."""

    span: Span
    value: Expr


@dataclass(frozen=True, slots=True)
class ListOf:
    """Values in a row: ``[64, 128, 256]``."""

    span: Span
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """A value of a list by its number, from 0: ``widths[i]``."""

    span: Span
    of: Name
    index: Expr


Expr: TypeAlias = Number | Name | Dims | Unary | Binary | Call | Paren | ListOf | Element


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call: ``64``, ``96→128`` (``pair`` holds 128) or ``s=2``."""

    span: Span
    value: Expr
    pair: Expr | None = None
    keyword: Name | None = None


# ── Statements ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Flag:
    """A letter with its value: ``s2``, ``p1``, ``s2x1``."""

    span: Span
    letter: str
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """An attribute written in full: ``stride=2``."""

    span: Span
    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Body:
    """Braces: one chain, or, where ``forked``, branches separated by ``|``."""

    span: Span
    chains: tuple[Chain, ...]
    forked: bool


@dataclass(frozen=True, slots=True)
class Text:
    """An argument in quotes: ``"timm.layers:BlurPool2d(64)"``."""

    span: Span
    text: str


Atom: TypeAlias = Name | Call | Number | Dims | Flag | Named | Paren | Element | Text | Body


@dataclass(frozen=True, slots=True)
class Quoted:
    """A name in quotes, with values in braces: ``"denselayer{i + 1}"``.

    ``texts`` are what is around the ``values``: one more than these.
    """

    span: Span
    texts: tuple[str, ...]
    values: tuple[Expr, ...]


Label: TypeAlias = Name | Quoted


@dataclass(frozen=True, slots=True)
class Step:
    """``label: atoms ×repeat → claim``."""

    span: Span
    label: Label | None
    atoms: tuple[Atom, ...]
    repeat: Expr | None
    claim: Expr | None
    #: Not part of equality: trees that differ only in comments mean the same.
    comment: Comment | None = field(default=None, compare=False)


class Train(Step):
    """``train { … }``: a recipe."""

    __slots__ = ()


class Init(Step):
    """``init he``: what the weights of a network start as."""

    __slots__ = ()


class Reuse(Step):
    """``reuse NAME``: an earlier part once more, with the same weights."""

    __slots__ = ()


class Aux(Step):
    """``aux(0.3) { … }``: an auxiliary head."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Let:
    span: Span
    name: Name
    value: Expr
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Cond:
    span: Span
    test: Expr
    then: Body
    otherwise: Body | Cond | None
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from one up to, but not including, another: ``0..18``."""

    span: Span
    start: Expr
    stop: Expr


@dataclass(frozen=True, slots=True)
class For:
    """``label: for n in [64, 128] { … } → claim``: the braces once for each value."""

    span: Span
    label: Label | None
    name: Name
    values: Expr | Range
    body: Body
    claim: Expr | None
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Expect:
    """A claim: ``expect params ~ 138M``; ``digits`` is the number as written."""

    span: Span
    metric: Name
    relation: str
    digits: str
    unit: str
    comment: Comment | None = field(default=None, compare=False)


Statement: TypeAlias = Step | Let | Cond | For | Expect


@dataclass(frozen=True, slots=True)
class Chain:
    span: Span
    statements: tuple[Statement, ...]


# ── Items ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Formal:
    """A parameter: ``n``, ``s=1``, the pair ``r3→n3``, or ``unit: block`` with its kind."""

    span: Span
    name: Name
    pair: Name | None
    default: Expr | None
    kind: Name | None = None


@dataclass(frozen=True, slots=True)
class Use:
    span: Span
    path: str


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output with its name: ``left: 105x105x1``."""

    span: Span
    name: Name
    volume: Expr


@dataclass(frozen=True, slots=True)
class Ports:
    """The inputs, or the outputs, of a network by name."""

    span: Span
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """A network, or a family where it has ``formals``."""

    span: Span
    name: Name
    formals: tuple[Formal, ...]
    input: Expr | Ports
    output: Expr | Ports
    body: Body
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Instance:
    """A member of a family: ``network VGG16 = VGG(2, 2, 3, 3, 3) { expect … }``."""

    span: Span
    name: Name
    call: Call
    body: Body | None
    comment: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Block:
    """A block; or a phrase, whose statements stand where it is called."""

    span: Span
    name: Name
    formals: tuple[Formal, ...]
    body: Body
    comment: Comment | None = field(default=None, compare=False)
    is_phrase: bool = False


Item: TypeAlias = Use | Network | Instance | Block | Statement


@dataclass(frozen=True, slots=True)
class Program:
    source: Source
    items: tuple[Item, ...]
    #: The comment at the top of the file; its first item has it, too, where that follows at once.
    comment: Comment | None = field(default=None, compare=False)


# ── Words ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Lexeme:
    """One word, number or sign of a text; ``kind`` is its terminal in the grammar."""

    kind: str
    span: Span
    #: Whether a line break or a ``;`` before it ends a statement.
    is_separated: bool


# ── Walks ────────────────────────────────────────────────────────────────────────────────────

#: What a walk visits. A name that is only declared, called or set is not visited by itself.
SyntaxNode: TypeAlias = (
    Expr
    | Argument
    | Atom
    | Quoted
    | Range
    | Statement
    | Chain
    | Formal
    | Port
    | Ports
    | Item
    | Program
)
_N = TypeVar("_N")
#: Fields that hold no nodes to walk to.
_PLAIN = (
    "Span",
    "Source",
    "Comment | None",
    "Name",
    "Name | None",
    "Label | None",
    "str",
    "tuple[str, ...]",
    "int",
    "bool",
)


def walk(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """The node and all nodes inside it, outer before inner, in the order of the text."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed(children_of(node))


def find(node: SyntaxNode, *kinds: type[_N]) -> Iterator[_N]:
    """All nodes of some kinds: the node itself, and those inside it."""
    return (found for found in walk(node) if isinstance(found, kinds))


def children_of(node: SyntaxNode) -> list[SyntaxNode]:
    """The nodes directly inside a node."""
    children: list[SyntaxNode] = []
    if isinstance(node, (Step, For)) and isinstance(node.label, Quoted):
        children.append(node.label)
    if isinstance(node, Element):
        children.append(node.of)  # a reference, as opposed to the names that nodes declare
    kind: Any = type(node)
    for name in _holders(kind):
        value = getattr(node, name)
        if isinstance(value, tuple):
            children += value
        elif value is not None:
            children.append(value)
    return children


@cache
def _holders(kind: Any) -> tuple[str, ...]:
    """The fields of a kind of node that hold other nodes."""
    names = {item.name: str(item.type) for item in fields(kind)}
    return tuple(n for n, type in names.items() if type not in _PLAIN and "int" not in type)


def bodies_of(statement: Statement) -> Iterator[Body]:
    """The braces directly inside a statement; an ``else if`` belongs to the first ``if``."""
    match statement:
        case Step(atoms=atoms):
            yield from (atom for atom in atoms if isinstance(atom, Body))
        case Cond(then=then, otherwise=otherwise):
            yield then
            if isinstance(otherwise, Body):
                yield otherwise
            elif otherwise is not None:
                yield from bodies_of(otherwise)
        case For(body=body):
            yield body


def chains_of(node: Item) -> Iterator[Chain]:
    """The chains in the braces of an item, outer before inner."""
    if isinstance(node, (Step, Let, Cond, For, Expect)):
        pending = list(bodies_of(node))
    else:
        pending = [child for child in children_of(node) if isinstance(child, Body)]
    while pending:
        for chain in pending.pop().chains:
            yield chain
            for statement in chain.statements:
                pending += bodies_of(statement)


def statements_of(node: Item) -> Iterator[Statement]:
    """All statements of an item, outer before inner; a bare statement is the first of its own."""
    if isinstance(node, (Step, Let, Cond, For, Expect)):
        yield node
    for chain in chains_of(node):
        yield from chain.statements


def named_statements(node: SyntaxNode) -> Iterator[Step | For]:
    """The statements inside a node that may have names."""
    return (found for found in walk(node) if isinstance(found, (Step, For)))


def names_in(node: SyntaxNode) -> Iterator[str]:
    """The names that are referred to, not those that are declared or called."""
    for name in find(node, Name):
        if name.id not in ("true", "false"):
            yield name.id
