"""A network while it is rewritten: nodes by id, in any order, and the tree of parts over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from archdsl.graph import (
    AuxPart,
    CallPart,
    Chain,
    ForkPart,
    GroupPart,
    LayerPart,
    Node,
    Part,
    RecallPart,
    RepeatPart,
    SplitPart,
    chains_in,
    walk,
)
from archdsl.layers.plumbing import Identity

#: No node.
_NONE = -1


@dataclass(frozen=True, slots=True)
class Fold:
    """A layer of the plain network, and the normalization that went into it."""

    layer: int
    norm: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """``folds``: by node, what layers of the plain network its numbers come from."""

    nodes: Mapping[int, Node]
    chain: Chain
    folds: Mapping[int, tuple[Fold, ...]]

    def count_readers(self) -> Counter[int]:
        """How often each node is read; the network's result is read once more, by the caller."""
        readers = Counter(source for node in self.nodes.values() for source in node.inputs)
        readers[self.chain.output] += 1
        return readers


def without(draft: Draft, gone: set[int]) -> Draft:
    """The draft without some layers, each the identity to those who read it, and without heads.

    Parts that become empty go, too. A named one that is recalled stays as ``id``: its name stands
    for a place between two layers.
    """
    recalled = {(p.target, p.node) for p in walk(draft.chain) if isinstance(p, RecallPart)}
    kept = {
        _output_of(part)
        for part in walk(draft.chain)
        if (part.name, _output_of(part)) in recalled and _vanishes(part, gone)
    }
    nodes = dict(draft.nodes)
    for id in kept:
        nodes[id] = replace(nodes[id], layer=Identity())
    removal = _Removal(nodes, gone - kept, kept)
    return Draft(removal.nodes_left(), removal.chain(draft.chain), removal.folds_left(draft.folds))


def _output_of(part: Part) -> int:
    """The node whose result a part gives; that of a fork, a split or a head is no part's own."""
    match part:
        case LayerPart(node=node):
            return node
        case CallPart(body=body) | GroupPart(body=body):
            return body.output
        case RepeatPart(copies=copies):
            return copies[-1].output
        case _:
            return _NONE


def _vanishes(part: Part, gone: set[int]) -> bool:
    match part:
        case LayerPart(node=node):
            return node in gone
        case AuxPart():
            return True
        case CallPart() | GroupPart() | RepeatPart():
            return all(_vanishes(p, gone) for chain in chains_in(part) for p in chain.parts)
        case _:
            return False


class _Removal:
    def __init__(self, nodes: Mapping[int, Node], gone: set[int], kept: set[int]) -> None:
        self.nodes = nodes
        self.gone = gone
        self.kept = kept

    def stand_in(self, id: int) -> int:
        """The node that is read in place of this one."""
        while id in self.gone:
            id = self.nodes[id].inputs[0]
        return id

    def nodes_left(self) -> dict[int, Node]:
        return {
            id: replace(node, inputs=tuple(map(self.stand_in, node.inputs)))
            for id, node in self.nodes.items()
            if id not in self.gone and node.head is None
        }

    def folds_left(self, folds: Mapping[int, tuple[Fold, ...]]) -> dict[int, tuple[Fold, ...]]:
        return {id: fold for id, fold in folds.items() if id not in self.gone}

    def chain(self, chain: Chain) -> Chain:
        parts = tuple(new for part in chain.parts if (new := self._part(part)) is not None)
        return Chain(parts, self.stand_in(chain.input), self.stand_in(chain.output))

    def _part(self, part: Part) -> Part | None:
        if _vanishes(part, self.gone | self.kept):
            output = _output_of(part)
            return LayerPart(part.name, output) if output in self.kept else None
        match part:
            case CallPart() | GroupPart():
                return replace(part, body=self.chain(part.body))
            case RepeatPart(copies=copies):
                left = [copy for copy in map(self.chain, copies) if copy.parts]
                return replace(part, copies=tuple(left))
            case ForkPart(branches=branches):
                return replace(part, branches=tuple(map(self.chain, branches)))
            case RecallPart(node=node):
                return replace(part, node=self.stand_in(node))
            case _:
                return part


def renumbered(draft: Draft) -> Draft:
    """Ids in the order of execution, from the input's 0."""
    ids = {0: 0}
    for id in _made_by(draft.chain):
        ids[id] = len(ids)
    nodes = {
        ids[id]: replace(node, id=ids[id], inputs=tuple(ids[i] for i in node.inputs))
        for id, node in draft.nodes.items()
        if id in ids
    }
    folds = {ids[id]: fold for id, fold in draft.folds.items() if id in ids}
    return Draft(dict(sorted(nodes.items())), _with_ids(draft.chain, ids), folds)


def _made_by(chain: Chain) -> Iterator[int]:
    """The nodes that the parts of a chain make, in the order of execution."""
    for part in chain.parts:
        for inner in chains_in(part):
            yield from _made_by(inner)
        match part:
            case LayerPart(node=node) | ForkPart(node=node):
                yield node
            case SplitPart(node=node, pieces=pieces):
                yield from (node, *pieces)


def _with_ids(chain: Chain, ids: Mapping[int, int]) -> Chain:
    def part_with_ids(part: Part) -> Part:
        match part:
            case LayerPart(node=node) | RecallPart(node=node):
                return replace(part, node=ids[node])
            case SplitPart(node=node, pieces=pieces):
                return replace(part, node=ids[node], pieces=tuple(ids[p] for p in pieces))
            case ForkPart(node=node, branches=branches):
                new = tuple(_with_ids(branch, ids) for branch in branches)
                return replace(part, node=ids[node], branches=new)
            case RepeatPart(copies=copies):
                return replace(part, copies=tuple(_with_ids(copy, ids) for copy in copies))
            case CallPart(body=body) | GroupPart(body=body) | AuxPart(body=body):
                return replace(part, body=_with_ids(body, ids))
        raise AssertionError(part)

    return Chain(tuple(map(part_with_ids, chain.parts)), ids[chain.input], ids[chain.output])
