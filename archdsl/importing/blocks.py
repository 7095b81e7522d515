"""Parts of one class that differ in numbers alone become one block, whose parameters these are."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archdsl.elaborate.names import can_refer_to, is_word
from archdsl.importing.statements import (
    Body,
    HeadStatement,
    InputStatement,
    LayerStatement,
    MergeStatement,
    PartStatement,
    ReferenceStatement,
    ReuseStatement,
    Statement,
    label_of,
    labels_in,
)
from archdsl.layers import Layer
from archdsl.layers.definition import fields_of, per_axis_fields
from archdsl.layers.extern import Extern
from archdsl.layers.merge import Add, Multiply

#: The parameter that says whether a branch is there.
OPTION = "projects"
#: What parameters are called, by the field that they give a value.
_LETTERS = {
    "out_channels": "n",
    "out_features": "n",
    "kernel_size": "k",
    "stride": "s",
    "padding": "p",
    "dilation": "d",
    "groups": "g",
    "stop": "n",
}


@dataclass(eq=False)
class Block:
    """A block: its parts, the numbers of each, and how these are written."""

    name: str
    parts: list[PartStatement]
    #: By part, the numbers in it, in the order of the text.
    values: list[list[Value | None]]
    #: The branches of the first part that some of the others lack, by identity: then the last
    #: parameter says whether they are there.
    options: frozenset[int] = frozenset()
    #: How many of the parts have those branches; they come first.
    full: int = 0
    #: By number: the text that stands for it, where it is no literal.
    texts: list[str | None] = field(default_factory=list)
    #: The parameters with their defaults, and where a part has the number.
    parameters: list[tuple[str, Any]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    @property
    def option(self) -> str:
        """The name of the parameter that says whether the optional branches are there."""
        return self.parameters[-1][0]

    def arguments(self, part: PartStatement) -> list[Any]:
        """What a call gives for the parameters."""
        number = self.parts.index(part)
        values = self.values[number]
        # Where a part lacks the branch that a number is in, any number will do.
        rows = (values, *self.values)
        given = [next(v.value for row in rows if (v := row[place])) for place in self.places]
        if not self.options:
            return given
        return [*given, number < self.full]


@dataclass(frozen=True)
class Value:
    """A number of a layer or of a call, and what it is for."""

    field: str
    value: Any
    default: Any = None


class Blocks:
    """The blocks of a network, found from the innermost parts outwards."""

    def __init__(self, body: Body, rows: Mapping[int, str] | None = None) -> None:
        """``rows`` are rows that become blocks as well, by identity, with what they are called."""
        self.of: dict[int, Block] = {}
        self.blocks: list[Block] = []
        self.rows = rows or {}
        self._names: set[str] = set()
        levels: dict[int, list[PartStatement]] = {}
        _height(body, levels, self.rows)
        for height in sorted(levels):
            self._find(levels[height])

    def _find(self, parts: Sequence[PartStatement]) -> None:
        groups: dict[tuple[str, object], list[PartStatement]] = {}
        for part in parts:
            kind = self.rows.get(id(part), None if part.is_row else part.scope.kind)
            if kind is not None:
                groups.setdefault((kind, self.key(part.body)), []).append(part)
        for members, options, full in self._with_options(groups):
            if len(members) == 1 and members[0].label is not None:
                continue  # braces with its name
            values = [[*self.numbers(part.body, members[0].body)] for part in members]
            kind = self.rows.get(id(members[0]), members[0].scope.kind)
            block = Block(self._name(kind), members, values, options, full)
            _find_parameters(block)
            self.blocks.append(block)
            for part in members:
                self.of[id(part)] = block

    def _with_options(
        self, groups: dict[tuple[str, object], list[PartStatement]]
    ) -> Iterator[tuple[list[PartStatement], frozenset[int], int]]:
        """Groups, two that differ in empty branches as one, the full one first.

        With each the branches of its first part that others lack, by identity, and how many parts
        have them.
        """
        left = [*groups.items()]
        while left:
            (kind, _), members = left.pop(0)
            for index, ((other_kind, _), others) in enumerate(left):
                if other_kind != kind:
                    continue
                for full, bare in ((members, others), (others, members)):
                    options, turned = self._options(full[0].body, bare[0].body)
                    if options:
                        left.pop(index)
                        for part in bare:
                            _turn(part, turned)
                        yield [*full, *bare], frozenset(options), len(full)
                        break
                else:
                    continue
                break
            else:
                yield members, frozenset(), 0

    def _options(self, full: Body, bare: Body) -> tuple[list[int], list[int]]:
        """The branches that one of two bodies lacks, by identity; none where they differ in more.

        With them the statements whose branches must be turned around for that.
        """
        nothing: tuple[list[int], list[int]] = [], []
        if len(full) != len(bare):
            return nothing
        found: list[int] = []
        turned: list[int] = []
        for index, (one, other) in enumerate(zip(full, bare, strict=True)):
            if self._key(one) == self._key(other):
                continue
            if not isinstance(one, MergeStatement) or not isinstance(other, MergeStatement):
                return nothing
            if key_of(one.operation.layer) != key_of(other.operation.layer):
                return nothing
            if one.label != other.label:
                return nothing
            lacking = self._lacking(one.branches, other.branches)
            if lacking is None and can_turn(other):
                turned.append(index)
                lacking = self._lacking(one.branches, other.branches[::-1])
            if lacking is None:
                return nothing
            found += lacking
        return found, turned

    def _lacking(self, full: Sequence[Body], bare: Sequence[Body]) -> list[int] | None:
        """The branches that are empty in the second; None where others differ."""
        if len(full) != len(bare):
            return None
        found = []
        for branch, other in zip(full, bare, strict=True):
            if branch and not other:
                found.append(id(branch))
            elif self.key(branch) != self.key(other):
                return None
        return found

    def _name(self, kind: str) -> str:
        name = snake_case(kind)
        if is_word(name) or not can_refer_to(name):
            name += "_block"
        number = 1
        while (found := name if number == 1 else f"{name}{number}") in self._names:
            number += 1
        self._names.add(found)
        return found

    # ── What parts have in common, and what not ──────────────────────────────────────────────

    def key(self, body: Sequence[Statement]) -> object:
        """What statements are, apart from their numbers."""
        return tuple(map(self._key, body))

    def _key(self, statement: Statement) -> object:
        match statement:
            case LayerStatement(operation=operation, label=label):
                return label, key_of(operation.layer)
            case MergeStatement(operation=operation, branches=branches, label=label):
                return label, key_of(operation.layer), tuple(map(self.key, branches))
            case HeadStatement(body=body, label=label):
                return label, "head", self.key(body)
            case InputStatement(number=number):
                return number, "input"
            case ReferenceStatement(of=InputStatement() as of):
                return "reference", self._key(of)
            case ReferenceStatement(of=of):
                return "reference", label_of(of)
            case ReuseStatement(of=of):
                return label_of(statement), "reuse", label_of(of)
            case PartStatement(body=body, label=label):
                block = self.of.get(id(statement))
                return label, "call" if block else "group", block.name if block else self.key(body)

    def numbers(
        self, body: Sequence[Statement], like: Sequence[Statement]
    ) -> Iterator[Value | None]:
        """The numbers of statements, in the order of the text.

        ``like`` are the same statements elsewhere; where they have a branch that is empty here,
        its numbers are None.
        """
        for statement, other in zip(body, like, strict=True):
            match statement, other:
                case LayerStatement(operation=operation), _:
                    yield from numbers_of(operation.layer)
                case MergeStatement(operation=operation), MergeStatement():
                    yield from numbers_of(operation.layer)
                    for branch, full in zip(statement.branches, other.branches, strict=True):
                        if not branch and full:
                            yield from [None for _ in self.numbers(full, full)]
                        else:
                            yield from self.numbers(branch, full)
                case PartStatement(body=inner), PartStatement(body=full):
                    block = self.of.get(id(statement))
                    if block is None:
                        yield from self.numbers(inner, full)
                        continue
                    given = block.arguments(statement)
                    for (name, default), value in zip(block.parameters, given, strict=True):
                        yield Value(name, value, default)
                case _:
                    pass


def can_turn(merge: MergeStatement) -> bool:
    """Whether the order of its branches changes nothing, not even that of what runs."""
    is_commutative = isinstance(merge.operation.layer, Add | Multiply)
    return is_commutative and len(merge.branches) == 2 and not all(merge.branches)


def _turn(part: PartStatement, places: Sequence[int]) -> None:
    for place in places:
        merge = part.body[place]
        assert isinstance(merge, MergeStatement)
        merge.branches.reverse()


def _height(
    body: Sequence[Statement], levels: dict[int, list[PartStatement]], rows: Container[int]
) -> int:
    """How deep parts are nested in statements; the parts by their own depth.

    Rows are left out, but for those that may become blocks.
    """
    deepest = 0
    for statement in body:
        match statement:
            case PartStatement(body=inner):
                height = _height(inner, levels, rows)
                levels.setdefault(height, []).append(statement)
                deepest = max(deepest, height + (not statement.is_row or id(statement) in rows))
            case HeadStatement(body=inner):
                deepest = max(deepest, _height(inner, levels, rows))
            case MergeStatement(branches=branches):
                deepest = max([deepest, *(_height(branch, levels, rows) for branch in branches)])
    return deepest


def rows_in(body: Sequence[Statement], around: str = "") -> Iterator[tuple[PartStatement, str]]:
    """The rows of several statements with a name, and what a block of each would be called."""
    for statement in body:
        match statement:
            case PartStatement(body=inner, scope=scope, label=label):
                if statement.is_row and label is not None and len(inner) > 1:
                    yield statement, f"{around}_{label}"
                yield from rows_in(inner, around if statement.is_row else scope.kind)
            case HeadStatement(body=inner):
                yield from rows_in(inner, around)
            case MergeStatement(branches=branches):
                for branch in branches:
                    yield from rows_in(branch, around)


def _number(value: Any) -> Any:
    """A value as a number that a parameter can stand for; None where it is none.

    A size with other numbers along its axes, as 1x7, is one as a whole.
    """
    if isinstance(value, tuple):
        if len(set(value)) != 1:
            return value if value and all(type(one) is int for one in value) else None
        value = value[0]
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number_of(layer: Layer, name: str) -> Any:
    """The number of a field; of a size, the one for all axes or the size. Other lists are none."""
    if isinstance(layer, Extern):
        return None  # all that is said of a module of others belongs together
    value = getattr(layer, name)
    axes = {item.name: item.role.kind.per_axis for item in per_axis_fields(type(layer))}
    is_list = isinstance(value, tuple) and axes.get(name, 0) != 1
    if is_list and (name not in axes or len(set(value)) > 1):
        return None
    return _number(value)


def key_of(layer: Layer) -> object:
    """What a layer is, apart from its numbers; of a size, for how many axes it is."""
    fixed = []
    for item in fields_of(type(layer)):
        value = getattr(layer, item.name)
        if _number_of(layer, item.name) is None:
            fixed.append((item.name, value))
        elif isinstance(value, tuple):
            fixed.append((item.name, len(value)))
    return type(layer), tuple(fixed)


def numbers_of(layer: Layer) -> Iterator[Value]:
    for item in fields_of(type(layer)):
        number = _number_of(layer, item.name)
        if number is not None:
            yield Value(item.name, number, _number(item.default))


def _find_parameters(block: Block) -> None:
    """Give the numbers that differ among the parts of a block to its parameters."""
    count = len(block.values[0])
    columns = [
        tuple(None if (value := row[index]) is None else value.value for row in block.values)
        for index in range(count)
    ]
    block.texts = [None] * count
    wanted = [i for i, column in enumerate(columns) if len({*map(repr, column)} - {"None"}) > 1]
    whole = [index for index in wanted if None not in columns[index]]
    # Of what belongs together, the smallest number is the parameter.
    base: dict[int, tuple[int, int]] = {}
    for index in wanted:
        candidates = [
            (factor, -other)
            for other in whole
            if (factor := _factor(columns[index], columns[other])) > 0
        ]
        factor, other = max(candidates, default=(1, -index))
        base[index] = -other, factor
    found: dict[tuple[Any, ...], tuple[str, Any, int]] = {}
    # What is in a block is not called like its parameters.
    labels = labels_in(block.parts[0].body)
    halves = _halves(block, columns, wanted)
    for index in wanted:
        if index in halves:
            continue
        place, factor = base[index]
        column = columns[place]
        if column not in found:
            value = next(value for row in block.values if (value := row[place]))
            # An inner block's `n_2` is one more `n`.
            stem = re.sub(r"_\d+$", "", _LETTERS.get(value.field, value.field))
            name = _fresh(stem, labels | {name for name, _, _ in found.values()})
            found[column] = name, value.default if value.default in column else None, place
        name = found[column][0]
        block.texts[index] = name if factor == 1 else f"({factor}*{name})"
    for index, kernel in halves.items():
        block.texts[index] = f"({block.texts[kernel]}//2)"
    parameters = sorted(found.values(), key=lambda parameter: parameter[1] is not None)
    block.parameters = [(name, default) for name, default, _ in parameters]
    block.places = [place for _, _, place in parameters]
    if block.options:
        taken = labels | {name for name, _ in block.parameters}
        block.parameters.append((_fresh(OPTION, taken), False))


def _halves(
    block: Block, columns: Sequence[tuple[Any, ...]], wanted: Sequence[int]
) -> dict[int, int]:
    """The paddings that are half of the window before them, with the window's number."""
    found: dict[int, int] = {}
    kernel: int | None = None
    for index, value in enumerate(block.values[0]):
        if value is None:
            continue
        if value.field == "kernel_size":
            kernel = index if index in wanted else None
        elif value.field == "padding" and index in wanted and kernel is not None:
            pairs = zip(columns[index], columns[kernel], strict=True)
            if all(isinstance(k, int) and padding == k // 2 for padding, k in pairs):
                found[index] = kernel
    return found


def _factor(column: Sequence[Any], base: Sequence[Any]) -> int:
    """The whole number that all of a column are times another; 0 where there is none."""
    factors = set()
    for one, other in zip(column, base, strict=True):
        if one is None:
            continue
        if not isinstance(one, int) or not isinstance(other, int) or other < 1 or one % other:
            return 0
        factors.add(one // other)
    return factors.pop() if len(factors) == 1 else 0


def _fresh(name: str, taken: set[str]) -> str:
    if is_word(name):
        name += "_"
    number = 1
    while (found := name if number == 1 else f"{name}_{number}") in taken:
        number += 1
    return found


def snake_case(kind: str) -> str:
    """A class's name as that of a block: ``_DenseLayer`` is ``dense_layer``."""
    name = kind.rpartition(".")[2].strip("_")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return name.lower()
