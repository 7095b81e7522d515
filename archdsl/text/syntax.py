"""The syntax tree: what was written, and where. No meaning is given to any word here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import TypeAlias

from archdsl.records import dataclass
from archdsl.text.source import Source, Span

# ── Comments ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Comment:
    """What is said of a statement, an item or a file, without ``#`` and the space behind it.

    ``above`` are the lines right above it, ``behind`` the remarks in and behind its own lines: in
    parentheses, behind its ``{``, at its end.
    """

    above: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()


def said_in(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a comment without what they say to the tool: ``archdsl: ignore[…]``."""
    for line in lines:
        if not line.lstrip().startswith("archdsl:"):
            yield line
        elif rest := line.partition("]")[2].strip():
            yield rest


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


Expr: TypeAlias = Number | Name | Dims | Unary | Binary | Call | Paren


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


Atom: TypeAlias = Name | Call | Number | Dims | Flag | Named | Paren | Body


@dataclass(frozen=True, slots=True)
class Step:
    """``label: atoms ×repeat → claim``."""

    span: Span
    label: Name | None
    atoms: tuple[Atom, ...]
    repeat: Expr | None
    claim: Expr | None
    #: Two trees with other comments mean the same, so it is no part of equality.
    comment: Comment | None = field(default=None, compare=False)


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
class Expect:
    """A claim: ``expect params ~ 138M``; ``digits`` is the number as written."""

    span: Span
    metric: Name
    relation: str
    digits: str
    unit: str
    comment: Comment | None = field(default=None, compare=False)


Statement: TypeAlias = Step | Let | Cond | Expect


@dataclass(frozen=True, slots=True)
class Chain:
    span: Span
    statements: tuple[Statement, ...]


# ── Items ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Formal:
    """A parameter: ``n``, ``s=1`` or the pair ``r3→n3``."""

    span: Span
    name: Name
    pair: Name | None
    default: Expr | None


@dataclass(frozen=True, slots=True)
class Use:
    span: Span
    path: str


@dataclass(frozen=True, slots=True)
class Network:
    """A network, or a family where it has ``formals``."""

    span: Span
    name: Name
    formals: tuple[Formal, ...]
    input: Expr
    output: Expr
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
    span: Span
    name: Name
    formals: tuple[Formal, ...]
    body: Body
    comment: Comment | None = field(default=None, compare=False)


Item: TypeAlias = Use | Network | Instance | Block | Statement


@dataclass(frozen=True, slots=True)
class Program:
    source: Source
    items: tuple[Item, ...]
    #: What stands at the top of the file; of its first item, too, where that follows at once.
    comment: Comment | None = field(default=None, compare=False)


# ── Words ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Lexeme:
    """One word, number or sign of a text; ``kind`` is its terminal in the grammar."""

    kind: str
    span: Span
    #: Whether a line break or a ``;`` that ends a statement stands before it.
    is_separated: bool


def branches_in(body: Body) -> Iterator[Chain]:
    """The branches in a body, those within branches too."""
    for chain in body.chains:
        if body.forked:
            yield chain
        for statement in chain.statements:
            if isinstance(statement, Step):
                for atom in statement.atoms:
                    if isinstance(atom, Body):
                        yield from branches_in(atom)
