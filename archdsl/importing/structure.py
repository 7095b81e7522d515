"""From operations to statements: parts that follow one another, and branches that are joined.

A part of the source is one statement where a single result flows in and a single one leaves. The
operations between two places are found backwards, from the end of a part to its start: a merge
brings its branches along, each from where they parted (the merge's immediate dominator).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from operator import attrgetter

import networkx as nx

from archdsl.elaborate.names import can_refer_to
from archdsl.importing.errors import OTHERWISE, NotInTheLanguage
from archdsl.importing.graph import INPUT, SourceGraph, SourceLayer, SourcePart
from archdsl.importing.naming import free_names, name_what_runs_again
from archdsl.importing.runs import behind, marked
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
    layers_in,
)
from archdsl.layers import MergeLayer
from archdsl.layers.merge import Add, Concat, Multiply
from archdsl.layers.norm import BatchNorm
from archdsl.layers.plumbing import Identity


def structure(graph: SourceGraph) -> Body:
    """The statements of a network."""
    operations = _hoisted(_continued(marked(graph)))
    readers: dict[int, set[int]] = {}
    live = behind(operations, *graph.results, *graph.heads)
    for operation in operations:
        for source in operation.inputs if operation.id in live else ():
            readers.setdefault(source, set()).add(operation.id)
    trunk = behind(operations, *graph.results)
    if any(o.is_of_training for o in operations if o.id in trunk):
        raise NotInTheLanguage(graph.name, [OTHERWISE])
    whole = _Whole(graph, readers, {_numbers_of(o) for o in operations if o.is_again})
    region = _Region(whole, [o for o in operations if o.id in trunk])
    # What begins at another input discards the first, as a statement with its name does.
    others = range(1, len(graph.inputs))
    region.items |= {INPUT - number: (InputStatement(number), (INPUT,)) for number in others}
    body = region.body(INPUT, *sorted(graph.results))
    _name_results(graph, region)
    for number, head in enumerate(graph.heads):
        own = [o for o in operations if o.id in behind(operations, head) - trunk]
        entries = {i for o in own for i in o.inputs} - {o.id for o in own}
        places = [i for i, s in enumerate(body) if entries == {region.result_of(s)}]
        if not own or not places:
            reason = "a head that training returns does not begin between two parts of the trunk"
            raise NotInTheLanguage(graph.name, [reason])
        inner = _Region(whole, own).body(entries.pop(), head)
        label = None
        if len(inner) == 1 and isinstance(inner[0], PartStatement):
            label, inner[0].label = inner[0].label, None
        place = places[0] + 1
        while place < len(body) and isinstance(body[place], HeadStatement):
            place += 1
        weight = graph.head_weights[number] if graph.head_weights else None
        body.insert(place, HeadStatement(number, inner, label, weight))
    free_names(body)
    name_what_runs_again(graph, body)
    return body


def _name_results(graph: SourceGraph, region: _Region) -> None:
    """Give the statements of several results the names of these.

    Errors:
        NotInTheLanguage: where one is two results.
    """
    for name, result in graph.outputs.items():
        statement = region.told[result]
        if isinstance(statement, ReferenceStatement | InputStatement):
            raise NotInTheLanguage(graph.name, [f"its result {name!r} is no layer of its own"])
        if list(graph.outputs.values()).count(result) > 1:
            raise NotInTheLanguage(graph.name, [f"its result {name!r} is another one as well"])
        statement.label = name


def _continued(operations: Sequence[SourceLayer]) -> list[SourceLayer]:
    """A concatenation that begins like an earlier one continues it, as those of DenseNet do."""
    known: dict[tuple[int, ...], int] = {}
    done = []
    for operation in operations:
        inputs = operation.inputs
        shorter = inputs
        if isinstance(operation.layer, Concat):
            lengths = range(len(inputs) - 1, 1, -1)
            begun = next((n for n in lengths if inputs[:n] in known), None)
            if begun is not None:
                shorter = (known[inputs[:begun]], *inputs[begun:])
            known.setdefault(inputs, operation.id)
        done.append(replace(operation, inputs=shorter))
    return done


def _hoisted(operations: Sequence[SourceLayer]) -> list[SourceLayer]:
    """Merges that join nothing but what flows into a part stand before it."""
    scopes: dict[int, tuple[SourcePart, ...]] = {}
    done = []
    for operation in operations:
        own = operation.scopes
        if isinstance(operation.layer, MergeLayer):
            while own and not any(scopes.get(i, ())[: len(own)] == own for i in operation.inputs):
                own = own[:-1]
        scopes[operation.id] = own
        done.append(replace(operation, scopes=own))
    return done


@dataclass(frozen=True)
class _Whole:
    """What all parts of a network share."""

    graph: SourceGraph
    #: By result, the operations that read it.
    readers: Mapping[int, set[int]]
    #: What run more than once, by their numbers.
    shared: Set[str]
    #: What ran first, by its path.
    firsts: dict[str, LayerStatement | PartStatement] = field(default_factory=dict)


class _Region:
    """The statements of one part, at a depth of the source, and of the parts in it."""

    def __init__(
        self, whole: _Whole, operations: Sequence[SourceLayer], depth: int = 0, path: str = ""
    ) -> None:
        self.whole = whole
        self.operations = operations
        self.depth = depth
        self.path = path
        #: What gives each result, an operation or a part, and what flows into it.
        self.items: dict[int, tuple[Statement, tuple[int, ...]]] = {}
        self.told: dict[int, Statement] = {}

    def body(self, entry: int, *exits: int) -> Body:
        """The statements from what flows in to all that leaves."""
        for item, inputs, result in self._items(exits):
            self.items[result] = item, inputs
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_node(entry)
        for result, (_, inputs) in self.items.items():
            graph.add_edges_from((source, result) for source in inputs)
        self.dominators = nx.immediate_dominators(graph, entry)
        body: Body = []
        for exit in exits:
            if exit in self.told:
                continue
            more = self._between(entry, exit)
            first = more[0]
            if body and not isinstance(first, ReferenceStatement):
                body.append(ReferenceStatement(InputStatement()))
            body += _behind_last(body, more)
        return body

    def result_of(self, statement: Statement) -> int | None:
        """The result that a statement of this part gives."""
        return next((i for i, told in self.told.items() if told is statement), None)

    def _items(self, exits: Sequence[int]) -> Iterator[tuple[Statement, tuple[int, ...], int]]:
        """The operations of this part, those of inner parts as one where that can be."""
        inner: dict[SourcePart, list[SourceLayer]] = {}
        for operation in self.operations:
            if len(operation.scopes) > self.depth:
                inner.setdefault(operation.scopes[self.depth], []).append(operation)
        ends = {
            scope: found
            for scope, operations in inner.items()
            if (found := self._entry_and_exit(operations, exits)) is not None
        }
        for operation in self.operations:
            scope = operation.scopes[self.depth] if len(operation.scopes) > self.depth else None
            if scope in ends and scope in inner:
                entry, end = ends[scope]
                region = _Region(self.whole, inner.pop(scope), self.depth + 1, scope.path)
                part = PartStatement(scope, region.body(entry, end), self._label(scope.path))
                yield self._first_or_again(part, scope.path), (entry,), end
            elif scope in ends:
                continue
            elif isinstance(operation.layer, MergeLayer):
                yield MergeStatement(operation), operation.inputs, operation.id
            else:
                label = self._label(operation.path) if operation.state else None
                layer = LayerStatement(operation, label)
                name = _numbers_of(operation)
                yield self._first_or_again(layer, name), operation.inputs, operation.id

    def _first_or_again(self, statement: LayerStatement | PartStatement, path: str) -> Statement:
        """A statement, or that an earlier one runs again where that is what it does."""
        path = path.partition("@")[0]
        first = self.whole.firsts.setdefault(path, statement)
        is_again = any(layer.is_again for layer in layers_in([statement]))
        if first is statement or not is_again or not _is_same([first], [statement]):
            return statement  # what is in it may run again by itself
        return ReuseStatement(first, [statement])

    def _entry_and_exit(
        self, operations: Sequence[SourceLayer], outputs: Sequence[int]
    ) -> tuple[int, int] | None:
        """What flows into a part and what leaves it, where each is one result."""
        own = {operation.id for operation in operations}
        entries = {i for operation in operations for i in operation.inputs} - own
        exits = {i for i in own if i in outputs or self.whole.readers.get(i, set()) - own}
        if len(entries) != 1 or len(exits) != 1:
            return None
        return entries.pop(), exits.pop()

    def _label(self, path: str) -> str | None:
        """What a part is called here; nothing where that is a number.

        Of what is in a part that is no statement, the name of that is before its own.
        """
        if path in ("", self.path):
            return None
        name = path.removeprefix(f"{self.path}." if self.path else "")
        # What runs again is `name@1`, and the name is that of the first time.
        if name.isdecimal() or "@" in name:
            return None
        return re.sub(r"[^\w-]", "_", name, flags=re.ASCII).lstrip("_") or None

    def _between(self, entry: int, exit: int) -> Body:
        """The statements from one result to another, in the order of the text."""
        trail = self._trail(entry, exit)
        body: Body = []
        known = [index for index, result in enumerate(trail) if result in self.told]
        if known:
            target = self.told[trail[known[-1]]]
            self._name(target)
            body.append(ReferenceStatement(target))
            trail = trail[known[-1] + 1 :]
        for result in trail:
            statement, inputs = self.items[result]
            if isinstance(statement, MergeStatement):
                start = self.dominators[result]
                sources = self._as_they_ran(statement, start, inputs)
                body += self._before(start, sources)
                statement.branches = [self._between(start, source) for source in sources]
            self.told[result] = statement
            is_given = isinstance(statement, InputStatement)
            body.append(ReferenceStatement(statement) if is_given else statement)
        return body

    def _as_they_ran(
        self, merge: MergeStatement, start: int, inputs: tuple[int, ...]
    ) -> tuple[int, ...]:
        """The two branches of a sum or a product in the order in which they ran.

        The result is the same, and the gradients of what they read are added in the same order.
        """
        if len(inputs) != 2 or not isinstance(merge.operation.layer, Add | Multiply):
            return inputs
        one, other = (self._first_behind(start, source) for source in inputs)
        return inputs[::-1] if one is not None and other is not None and other < one else inputs

    def _before(self, start: int, sources: Sequence[int]) -> Body:
        """What stands before a merge: runs of shared layers whose order its branches would turn.

        With each the way back to where the branches begin.
        """
        runs = [result for source in sources for result in sorted(self._shared(start, source))]
        runs = [*dict.fromkeys(runs)]
        if not self._is_turned(runs):
            return []
        origin: Statement | None = self.told.get(start)
        found: Body = []
        if start == INPUT and self.depth == 0:
            origin = InputStatement()
        elif origin is None:  # what flows into a part has no name
            flow = SourceLayer(start, Identity(), (start,), self.whole.graph.volume(start))
            origin = LayerStatement(flow)
            found.append(origin)
        self._name(origin)
        while self._is_turned(runs):
            runs.remove(run := min(runs))
            if run in self.told:
                continue
            more = self._between(start, run)
            if isinstance(more[0], ReferenceStatement) and len(found) > 1:
                found.pop()  # it begins elsewhere
            found += [*_behind_last(found, more), ReferenceStatement(origin)]
        return found

    def _shared(self, start: int, end: int) -> set[int]:
        """The results between two that are of layers which run more than once."""
        return {
            result
            for result, statement in self._behind(start, end).items()
            if any(_numbers_of(layer) in self.whole.shared for layer in layers_in([statement]))
        }

    def _is_turned(self, runs: Sequence[int]) -> bool:
        """Whether layers in this order run again before they run, or update averages otherwise."""
        first: dict[str, SourceLayer] = {}
        for layer in (one for run in runs for one in layers_in([self.items[run][0]])):
            before = first.setdefault(_numbers_of(layer), layer)
            is_averaged = isinstance(layer.layer, BatchNorm)
            if layer.state and layer.id < before.id and (before.is_again > layer.is_again):
                return True
            if is_averaged and layer.id < before.id:
                return True
            first[_numbers_of(layer)] = max(before, layer, key=attrgetter("id"))
        return False

    def _first_behind(self, start: int, end: int) -> int | None:
        """The first layer that runs between two results and is in no statement yet."""
        statements = self._behind(start, end).values()
        return min((layer.id for layer in layers_in([*statements])), default=None)

    def _behind(self, start: int, end: int) -> dict[int, Statement]:
        """The statements that run between two results and stand nowhere yet, by result."""
        found: dict[int, Statement] = {}
        pending = [end]
        while pending:
            at = pending.pop()
            if at == start or at in found or at in self.told:
                continue
            found[at], inputs = self.items[at]
            pending += inputs
        return found

    def _name(self, statement: Statement) -> None:
        """Give a statement a name that can be referred to."""
        if isinstance(statement, ReferenceStatement | InputStatement):
            return
        label = statement.label
        if label is not None and can_refer_to(label):
            return
        taken = {item.label for item, _ in self.items.values() if hasattr(item, "label")}
        stem = "part" if label is None else re.sub(r"\W", "_", label) + "_"
        number = 1
        while f"{stem}{number}" in taken:
            number += 1
        statement.label = f"{stem}{number}"

    def _trail(self, entry: int, exit: int) -> list[int]:
        """The results on the way, each behind a single one or joining branches that part there."""
        trail = []
        at = exit
        while at != entry:
            trail.append(at)
            statement, inputs = self.items[at]
            is_merge = isinstance(statement, MergeStatement)
            at = self.dominators[at] if is_merge else inputs[0]
        return trail[::-1]


def _behind_last(before: Body, more: Body) -> Body:
    """Statements behind others, without a way to where these end."""
    first = more[0]
    is_there = bool(before) and isinstance(first, ReferenceStatement) and first.of is before[-1]
    return more[1:] if is_there else more


# ── What runs again ──────────────────────────────────────────────────────────────────────────


def _numbers_of(operation: SourceLayer) -> str:
    """Which numbers an operation has: those of a module at its path, or those with these names."""
    return ", ".join(operation.keys) or operation.path


def _is_same(one: Body, other: Body) -> bool:
    """Whether statements run what others ran, with the same weights, joined in the same way."""
    return _Likeness().of(one, other)


class _Likeness:
    """Compares statements with others, and what they refer to inside with what those refer to."""

    def __init__(self) -> None:
        #: By the identity of a statement, the other one that it is like.
        self.found: dict[int, Statement] = {}

    def of(self, one: Body, other: Body) -> bool:
        return len(one) == len(other) and all(map(self._of_statement, one, other))

    def _of_statement(self, one: Statement, other: Statement) -> bool:
        self.found[id(other)] = one
        match one, other:
            case LayerStatement(operation=first), LayerStatement(operation=second):
                if second.is_again:
                    return _numbers_of(first) == _numbers_of(second)
                return first.layer == second.layer and not first.state and not second.state
            case LayerStatement() | PartStatement(), ReuseStatement(of=of):
                return of is one
            case ReuseStatement(of=first_of), ReuseStatement(of=second_of):
                return first_of is second_of
            case ReferenceStatement(of=first_of), ReferenceStatement(of=second_of):
                return self.found.get(id(second_of)) is first_of
            case PartStatement(body=first_body), PartStatement(body=second_body):
                return self.of(first_body, second_body)
            case MergeStatement(branches=first_branches), MergeStatement(branches=second_branches):
                is_same = len(first_branches) == len(second_branches)
                is_same = is_same and one.operation.layer == other.operation.layer
                return is_same and all(map(self.of, first_branches, second_branches))
            case _:
                return False
