"""A network that is being rewritten: nodes by id, in any order, and the tree of parts over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from archdsl.layers.plumbing import Identity
from archdsl.network.graph import Node, Output
from archdsl.network.parts import (
    AuxPart,
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
    chains_in,
    walk,
)
from archdsl.network.renumbering import Renumbering
from archdsl.network.symbols import Symbolic

#: No node.
_NONE = -1


@dataclass(frozen=True, slots=True)
class Fold:
    """A layer of the plain network, and the normalization that went into it."""

    layer: int
    norm: int | None = None


@dataclass(frozen=True, slots=True)
class NetworkDraft:
    """``folds`` maps each node to the layers of the plain network that its numbers come from."""

    nodes: Mapping[int, Node]
    chain: Chain
    folds: Mapping[int, tuple[Fold, ...]]
    outputs: tuple[Output, ...] = ()

    def count_readers(self) -> Counter[int]:
        """How often each node is read; what the network gives is read once more, by the caller."""
        readers = Counter(source for node in self.nodes.values() for source in node.inputs)
        readers[self.chain.output] += 1
        readers.update(output.node for output in self.outputs)
        return readers

    def by_module(self) -> dict[int, list[Node]]:
        """The nodes that run each module, by the node that it belongs to."""
        found: dict[int, list[Node]] = {}
        for node in self.nodes.values():
            found.setdefault(node.module, []).append(node)
        return found


def without(draft: NetworkDraft, gone: set[int]) -> NetworkDraft:
    """The draft without heads and without some layers; what read these reads their input instead.

    Parts that become empty are removed, too. A named part that is referenced stays as ``id``: its
    name stands for a place between two layers. A part that runs again stays where nothing would be
    left of it.
    """
    gone = gone - whole_reuses(draft, gone)
    referenced = {(p.target, p.node) for p in walk(draft.chain) if isinstance(p, ReferencePart)}
    referenced |= {(output.name, output.node) for output in draft.outputs}
    kept = {
        _output_of(part)
        for part in walk(draft.chain)
        if (part.name, _output_of(part)) in referenced
        and _vanishes(part, gone)
        and not _is_empty(part)
    }
    nodes = dict(draft.nodes)
    for id in kept:
        nodes[id] = replace(nodes[id], layer=Identity())
    removal = _Removal(nodes, gone - kept, kept)
    return NetworkDraft(
        removal.nodes_left(),
        removal.chain(draft.chain),
        removal.folds_left(draft.folds),
        tuple(replace(output, node=removal.move(output.node)) for output in draft.outputs),
    )


def whole_reuses(draft: NetworkDraft, gone: set[int]) -> set[int]:
    """The nodes that run the modules of parts that run again and would vanish as a whole."""
    modules = {
        draft.nodes[node].module
        for part in walk(draft.chain)
        if isinstance(part, ReusePart) and _vanishes(part, gone)
        for node in _made_by(part.body)
    }
    return {node.id for node in draft.nodes.values() if node.module in modules}


def _output_of(part: Written) -> int:
    """The node whose result is that of a layer, call, group or repeat; ``_NONE`` for the others."""
    match part:
        case LayerPart(node=node):
            return node
        case CallPart(body=body) | GroupPart(body=body):
            return body.output
        case RepeatPart(output=output):
            return output
        case _:
            return _NONE


def _is_empty(part: Written) -> bool:
    """Whether a part has had no layer from the start, as a block that its arguments make empty."""
    match part:
        case CallPart() | GroupPart() | RepeatPart() | ChoicePart() | ReusePart():
            return all(_is_empty(p) for chain in chains_in(part) for p in chain.written)
        case _:
            return False


def _vanishes(part: Written, gone: set[int]) -> bool:
    match part:
        case LayerPart(node=node):
            return node in gone
        case AuxPart():
            return True
        case CallPart() | GroupPart() | RepeatPart() | ChoicePart() | ReusePart():
            return all(_vanishes(p, gone) for chain in chains_in(part) for p in chain.written)
        case _:
            return False


class _Removal(Renumbering):
    def __init__(self, nodes: Mapping[int, Node], gone: set[int], kept: set[int]) -> None:
        self.nodes = nodes
        self.gone = gone
        self.kept = kept

    def move(self, id: int) -> int:
        """The node that is read in place of this one."""
        while id in self.gone:
            id = self.nodes[id].inputs[0]
        return id

    def nodes_left(self) -> dict[int, Node]:
        return {
            id: replace(self.node(node), shares=node.shares)
            for id, node in self.nodes.items()
            if id not in self.gone and node.head is None
        }

    def folds_left(self, folds: Mapping[int, tuple[Fold, ...]]) -> dict[int, tuple[Fold, ...]]:
        return {id: fold for id, fold in folds.items() if id not in self.gone}

    def chain(self, chain: Chain) -> Chain:
        parts = tuple(new for part in chain.written if (new := self._left(part)) is not None)
        return Chain(parts, self.move(chain.input), self.move(chain.output))

    def _left(self, part: Written) -> Written | None:
        vanishes = _vanishes(part, self.gone | self.kept) and not _is_empty(part)
        # An unnamed group, repeat or choice only says how its parts came about: it is rewritten.
        if vanishes and (part.name or isinstance(part, (LayerPart, CallPart, AuxPart))):
            output = _output_of(part)
            return LayerPart(part.name, output) if output in self.kept else None
        moved = self.part(part)
        if isinstance(moved, RepeatPart):
            left = tuple(copy for copy in moved.copies if copy.written)
            if len(left) < len(moved.copies):
                return replace(moved, copies=left, count=Symbolic.constant(len(left)))
        return moved


class _InOrder(Renumbering):
    def __init__(self, ids: Mapping[int, int]) -> None:
        self.ids = ids

    def move(self, id: int) -> int:
        return self.ids[id]


def renumbered(draft: NetworkDraft) -> NetworkDraft:
    """The draft with ids in the order of execution, beginning with the inputs."""
    ids = {id: id for id, node in draft.nodes.items() if not node.inputs}
    for id in _made_by(draft.chain):
        ids[id] = len(ids)
    renumbering = _InOrder(ids)
    nodes = {ids[id]: renumbering.node(node) for id, node in draft.nodes.items() if id in ids}
    folds = {ids[id]: fold for id, fold in draft.folds.items() if id in ids}
    outputs = tuple(replace(output, node=ids[output.node]) for output in draft.outputs)
    return NetworkDraft(dict(sorted(nodes.items())), renumbering.chain(draft.chain), folds, outputs)


def _made_by(chain: Chain) -> Iterator[int]:
    """The nodes that the parts of a chain make, in the order of execution."""
    for part in chain.written:
        for inner in chains_in(part):
            yield from _made_by(inner)
        match part:
            case LayerPart(node=node) | ForkPart(node=node):
                yield node
            case SplitPart(node=node, pieces=pieces):
                yield from (node, *pieces)
