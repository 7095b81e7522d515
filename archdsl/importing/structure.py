"""From operations to statements: parts that follow one another, and branches that are joined.

A part of the source is one statement where a single result flows in and a single one leaves. The
operations between two places are found backwards, from the end of a part to its start: a merge
brings its branches along, each from where they parted (the merge's immediate dominator).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import networkx as nx

from archdsl.elaborate.names import can_refer_to
from archdsl.importing.errors import OTHERWISE, NotInTheLanguage
from archdsl.importing.graph import INPUT, SourceGraph, SourceLayer, SourcePart
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
    labels_in,
    layers_in,
    walk,
)
from archdsl.layers import MergeLayer
from archdsl.layers.merge import Add, Concat, Multiply
from archdsl.layers.plumbing import Identity


def structure(graph: SourceGraph) -> Body:
    """The statements of a network."""
    operations = _hoisted(_continued(marked(graph)))
    readers: dict[int, set[int]] = {}
    for operation in operations:
        for source in operation.inputs:
            readers.setdefault(source, set()).add(operation.id)
    trunk = behind(operations, *graph.results)
    if any(o.is_of_training for o in operations if o.id in trunk):
        raise NotInTheLanguage(graph.name, [OTHERWISE])
    whole = _Whole(graph.name, readers)
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
    _free_names(body)
    _name_what_runs_again(graph, body)
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

    name: str
    #: By result, the operations that read it.
    readers: Mapping[int, set[int]]
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
            is_next = bool(body) and isinstance(first, ReferenceStatement) and first.of is body[-1]
            body += more[1:] if is_next else more
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
        if not any(layer.is_again for layer in layers_in([statement])):
            self.whole.firsts.setdefault(path, statement)
            return statement
        first = self.whole.firsts.get(path)
        if first is None or not _is_same([first], [statement]):
            return statement  # what is in it runs again by itself
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
        """What stands before a merge: branches whose layers an earlier branch runs again.

        With them the way back to where the branches begin, if that has a name.
        """
        origin = InputStatement() if start == INPUT else self.told.get(start)
        ran = [self._behind(start, source) for source in sources]
        found: Body = []
        for number in sorted(range(1, len(sources)), key=lambda one: min(ran[one], default=0)):
            numbers = {_numbers_of(layer) for layer in ran[number].values() if layer.state}
            earlier = [layer for before in ran[:number] for layer in before.values()]
            if origin is None or not any(
                layer.is_again and _numbers_of(layer) in numbers for layer in earlier
            ):
                continue
            self._name(origin)
            found += [*self._between(start, sources[number]), ReferenceStatement(origin)]
        return found

    def _first_behind(self, start: int, end: int) -> int | None:
        """The first layer that runs between two results and is in no statement yet."""
        return min(self._behind(start, end), default=None)

    def _behind(self, start: int, end: int) -> dict[int, SourceLayer]:
        """The layers that run between two results and are in no statement yet, by number."""
        found: dict[int, SourceLayer] = {}
        pending, seen = [end], {start}
        while pending:
            at = pending.pop()
            if at in seen or at in self.told:
                continue
            seen.add(at)
            statement, inputs = self.items[at]
            found |= {layer.id: layer for layer in layers_in([statement])}
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


def _free_names(body: Body) -> None:
    """Where parts in the branches of a merge are needed outside, name an `id` behind it instead.

    A merge with a name keeps the names in it for itself.
    """
    uses = [s for s in walk(body) if isinstance(s, ReferenceStatement | ReuseStatement)]
    for statements in [*_bodies(body)]:
        for place, merge in [*enumerate(statements)][::-1]:
            if not isinstance(merge, MergeStatement) or merge.label is None:
                continue
            inner = {id(s) for branch in merge.branches for s in walk(branch)}
            if not any(id(use.of) in inner for use in uses if id(use) not in inner):
                continue
            of = merge.operation
            same = SourceLayer(of.id, Identity(), (of.id,), of.volume)
            named = LayerStatement(same, merge.label)
            merge.label = None
            statements.insert(place + 1, named)
            for use in uses:
                if isinstance(use, ReferenceStatement) and use.of is merge:
                    use.of = named


def _bodies(body: Body) -> Iterator[Body]:
    """All rows of statements, at all depths."""
    yield body
    for statement in body:
        match statement:
            case PartStatement(body=inner) | HeadStatement(body=inner):
                yield from _bodies(inner)
            case MergeStatement(branches=branches):
                for branch in branches:
                    yield from _bodies(branch)


# ── What runs again ──────────────────────────────────────────────────────────────────────────


def _numbers_of(operation: SourceLayer) -> str:
    """Which numbers an operation has: those of a module at its path, or those with these names."""
    return ", ".join(operation.keys) or operation.path


def _is_same(one: Sequence[Statement], other: Sequence[Statement]) -> bool:
    """Whether statements run what others ran, with the same weights, joined in the same way."""
    return len(one) == len(other) and all(map(_is_same_statement, one, other))


def _is_same_statement(one: Statement, other: Statement) -> bool:
    match one, other:
        case LayerStatement(operation=first), LayerStatement(operation=second):
            if second.is_again:
                return _numbers_of(first) == _numbers_of(second)
            return first.layer == second.layer and not first.state and not second.state
        case LayerStatement() | PartStatement(), ReuseStatement(of=of):
            return of is one
        case ReuseStatement(of=first_of), ReuseStatement(of=second_of):
            return first_of is second_of
        case PartStatement(body=first_body), PartStatement(body=second_body):
            return _is_same(first_body, second_body)
        case MergeStatement(branches=first_branches), MergeStatement(branches=second_branches):
            is_same = len(first_branches) == len(second_branches)
            is_same = is_same and one.operation.layer == other.operation.layer
            return is_same and all(map(_is_same, first_branches, second_branches))
        case _:
            return False


def _name_what_runs_again(graph: SourceGraph, body: Body) -> None:
    """Give names to what `reuse` says.

    Errors:
        NotInTheLanguage: where it stands in the braces of another part.
    """
    found = [s for s in walk(body) if isinstance(s, ReuseStatement)]
    taken = labels_in(body)
    for statement in found:
        first = statement.of
        if first.label is not None and can_refer_to(first.label):
            continue
        stem = "shared" if first.label is None else re.sub(r"\W", "_", first.label)
        number = 1
        while f"{stem}_{number}" in taken:
            number += 1
        first.label = f"{stem}_{number}"
        taken.add(first.label)
    braces: dict[int, int] = {}
    _find_braces(body, id(body), braces)
    reasons = [
        f"{layer.path}: a layer with weights that runs again outside of the part that it is in is "
        "not imported yet"
        for statement in found
        if braces[id(statement)] != braces.get(id(statement.of))
        for layer in layers_in([statement])
        if layer.state
    ]
    if reasons:
        raise NotInTheLanguage(graph.name, [*dict.fromkeys(reasons)])


def _find_braces(body: Body, own: int, found: dict[int, int]) -> None:
    """In which braces with a name of their own each statement stands."""
    for statement in body:
        found[id(statement)] = own
        match statement:
            case PartStatement(body=inner):
                is_open = statement.is_row and statement.label is None
                _find_braces(inner, own if is_open else id(inner), found)
            case HeadStatement(body=inner):
                _find_braces(inner, id(inner), found)
            case MergeStatement(branches=branches):
                for branch in branches:
                    _find_braces(branch, own if statement.label is None else id(statement), found)
