"""Parts in a network whose source has none: statements that recur, as a block each.

Files such as ONNX's are flat. Branches and merges are statements already, so that equal subgraphs
are equal rows of statements: the rows are found that make the text shortest, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from archdsl.importing.blocks import key_of
from archdsl.importing.graph import SourceGraph, SourcePart
from archdsl.importing.statements import (
    Body,
    HeadStatement,
    LayerStatement,
    MergeStatement,
    PartStatement,
    ReferenceStatement,
    Statement,
)
from archdsl.importing.text import FIRST, WORTH, write_spec
from archdsl.layers import Family
from archdsl.layers.merge import Add, Concat

#: A block has no more statements in a row than these.
_LONGEST = 40


@dataclass(eq=False)
class _Lists:
    """Statements in a row, wherever the same stand: a block has them once, whatever calls it."""

    statements: Body
    twins: list[Body]


@dataclass(frozen=True, slots=True)
class _Repeat:
    """Statements that recur: how many, and where each time: among which, and the first."""

    length: int
    places: tuple[tuple[_Lists, int], ...]
    saved: int

    @property
    def key(self) -> tuple[int, ...]:
        """What tells it from all others."""
        lists, start = self.places[0]
        return tuple(map(id, lists.statements[start : start + self.length]))


def fold(graph: SourceGraph, body: Body) -> int:
    """Put rows of statements that recur into parts; those of one kind become one block later.

    The number of lines that the text has then.

    What a block holds has no name from outside, so results that others refer to stay where they
    are.
    """
    lists = [_Lists(inner, []) for inner in _bodies(body)]
    fixed = {
        id(statement.of)
        for inner in lists
        for statement in inner.statements
        if isinstance(statement, ReferenceStatement)
    }
    tried: set[tuple[int, ...]] = set()
    lines = _count_lines(graph, body)
    while (best := _best(lists, fixed, tried)) is not None:
        tried.add(best.key)
        undone = _put_into_parts(best)
        now = _count_lines(graph, body)
        if now > lines - WORTH:
            for statements, start, row, labels in reversed(undone):
                statements[start : start + 1] = row
                for statement, label in labels:
                    statement.label = label
            continue
        lines = now
        lists = _without_copies(lists, best, [row for _, _, row, _ in undone])
    return lines


_Named: TypeAlias = LayerStatement | MergeStatement
_Done: TypeAlias = tuple[Body, int, Body, list[tuple[_Named, str | None]]]


def _put_into_parts(best: _Repeat) -> list[_Done]:
    """Make a part of each row; with what is needed to undo that."""
    done: list[_Done] = []
    # From the end, so that places before stay what they are.
    for lists, start in reversed(best.places):
        for statements in (lists.statements, *lists.twins):
            row = statements[start : start + best.length]
            inner = [s for s in _all(row) if isinstance(s, LayerStatement | MergeStatement)]
            labels = [(statement, statement.label) for statement in inner]
            for statement, _ in labels:
                statement.label = None
            part = PartStatement(SourcePart("", _kind(row)), row)
            statements[start : start + best.length] = [part]
            done.append((statements, start, row, labels))
    return done


def _without_copies(lists: Sequence[_Lists], best: _Repeat, rows: Sequence[Body]) -> list[_Lists]:
    """All lists, those inside of rows that became the same block once."""
    of = {id(found.statements): found for found in lists}
    inner = [[of[id(body)] for body in _branches(row) if id(body) in of] for row in rows]
    gone: set[int] = set()
    first, *others = [found for found in inner if found] or [[]]
    for other in others:
        for one, copy in zip(first, other, strict=True):
            one.twins += [copy.statements, *copy.twins]
            gone.add(id(copy))
    return [found for found in lists if id(found) not in gone]


def _branches(row: Body) -> Iterator[Body]:
    """The bodies of the branches in a row."""
    return islice(_bodies(row), 1, None)


def _count_lines(graph: SourceGraph, body: Body) -> int:
    return write_spec(graph, body).count("\n")


def _bodies(body: Body) -> Iterator[Body]:
    """A body, and those of the branches in it."""
    yield body
    for statement in body:
        if isinstance(statement, MergeStatement):
            for branch in statement.branches:
                yield from _bodies(branch)
        elif isinstance(statement, HeadStatement):
            yield from _bodies(statement.body)


def _all(statements: Sequence[Statement]) -> Iterator[Statement]:
    for statement in statements:
        yield statement
        if isinstance(statement, MergeStatement):
            for branch in statement.branches:
                yield from _all(branch)


def _best(lists: Sequence[_Lists], fixed: set[int], tried: set[tuple[int, ...]]) -> _Repeat | None:
    """The row that saves most lines, if any does and was not tried; of equal ones the longest."""
    numbers: dict[object, int] = {}
    best: _Repeat | None = None
    keys = [
        [
            numbers.setdefault(_key(statement), len(numbers)) if _can_move(statement, fixed) else -1
            for statement in found.statements
        ]
        for found in lists
    ]
    for length in range(1, _LONGEST + 1):
        rows: dict[tuple[int, ...], list[tuple[_Lists, int]]] = {}
        seen: set[tuple[int, ...]] = set()
        recurs = False
        for found, row in zip(lists, keys, strict=True):
            for start in range(len(row) - length + 1):
                key = tuple(row[start : start + length])
                if -1 in key:
                    continue
                recurs |= key in seen
                seen.add(key)
                if _is_repeated(key) or not _is_whole(found.statements, start, length):
                    continue
                places = rows.setdefault(key, [])
                if not places or places[-1][0] is not found or places[-1][1] + length <= start:
                    places.append((found, start))
        if not recurs:
            break
        for places in rows.values():
            found, start = places[0]
            lines = _lines(found.statements[start : start + length])
            # All of them in full, against the block, its two braces, and a call for each.
            saved = len(places) * lines - (lines + 2 + len(places))
            made = _Repeat(length, tuple(places), saved)
            if saved > 0 and saved >= (best.saved if best else 0) and made.key not in tried:
                best = made
    return best


def _can_move(statement: Statement, fixed: set[int]) -> bool:
    """Whether a statement, with all in its branches, can stand in a block."""
    return all(
        isinstance(inner, LayerStatement | MergeStatement) and id(inner) not in fixed
        for inner in _all([statement])
    )


def _is_whole(statements: Sequence[Statement], start: int, length: int) -> bool:
    """Whether a person would make a block of these: nothing is cut off, no stages are joined.

    Normalization and activation belong to what is before them, and pooling ends what is before it.
    """
    end = start + length
    families = [_family(statement) for statement in statements]
    if families[start] not in FIRST | {Family.NORMALIZATION}:
        return False
    if any(_belongs(families, place) for place in (start, end)):
        return False
    return Family.POOLING not in families[start + 1 : end - 1]


def _belongs(families: Sequence[Family | None], place: int) -> bool:
    """Whether a statement belongs to the one before it: a branch's sum is activated, not normed."""
    if not 0 < place < len(families):
        return False
    before, family = families[place - 1], families[place]
    if family is Family.NORMALIZATION:
        return before in FIRST - {Family.MERGE}
    return family is Family.ACTIVATION and before in FIRST | {Family.NORMALIZATION}


def _family(statement: Statement) -> Family | None:
    if isinstance(statement, LayerStatement | MergeStatement):
        return statement.operation.layer.family
    return None


def _is_repeated(key: tuple[int, ...]) -> bool:
    """Whether a row is a shorter one several times."""
    count = len(key)
    return any(
        count % part == 0 and key == key[:part] * (count // part) for part in range(1, count)
    )


def _key(statement: Statement) -> object:
    """What a statement is, apart from numbers and names."""
    match statement:
        case LayerStatement(operation=operation):
            return key_of(operation.layer)
        case MergeStatement(operation=operation, branches=branches):
            inner = tuple(tuple(map(_key, branch)) for branch in branches)
            return key_of(operation.layer), inner
        case _:
            return id(statement)


def _lines(statements: Sequence[Statement]) -> int:
    """About how many lines statements take."""
    lines = 0
    for statement in statements:
        if isinstance(statement, MergeStatement):
            inner = [max(1, _lines(branch)) for branch in statement.branches]
            layers = sum(1 for _ in _all([statement]))
            lines += 1 if max(inner) == 1 and layers < 7 else 2 + sum(inner)
        elif isinstance(statement, LayerStatement):
            lines += statement.operation.layer.family in FIRST
    return lines


def _kind(row: Sequence[Statement]) -> str:
    """What a block is called, by what joins its branches."""
    for statement in row:
        if isinstance(statement, MergeStatement):
            layer = statement.operation.layer
            if isinstance(layer, Add):
                return "residual"
            if isinstance(layer, Concat):
                return "module" if all(statement.branches) else "dense_layer"
    return "unit"
