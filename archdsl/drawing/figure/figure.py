"""The picture as data: boxes of fused layers, forks, clusters and the edges between boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from archdsl.drawing.figure.heat import Heat
from archdsl.layers import Family
from archdsl.layers.volume import Volume
from archdsl.network.graph import Node


@dataclass(frozen=True, slots=True)
class Box:
    """A drawn node: a layer with those fused to it. It stands for ``count`` equal ones.

    ``nodes`` are the network's nodes in the one drawn, ``members`` those of all the equal ones.
    """

    nodes: tuple[int, ...]
    members: tuple[int, ...]
    title: str
    detail: str
    family: Family
    name: str | None = None
    count: int = 1
    #: The block that the box stands for, if it is a block drawn collapsed.
    block: Cluster | None = None
    #: The collapsed neighbours that it stands for, if they differ.
    run: tuple[Cluster, ...] = ()
    #: What is wrong here, in a network that is drawn up to its faults.
    fault: str | None = None
    #: Whether the volume that leaves the box is wrong, and not one that enters it.
    fails_after: bool = False
    #: Whether its volume is unknown because it comes after a fault.
    is_waiting: bool = False
    #: Boxes side by side with it: the further inputs, or outputs, of a network.
    beside: tuple[Box, ...] = ()

    @property
    def id(self) -> int:
        """The number of the node whose result leaves the box."""
        return self.nodes[-1]

    @property
    def look(self) -> str:
        """The family of the layer, or ``block``: colour and shape depend on it."""
        return self.family.value if self.block is None else "block"


class ClusterKind(Enum):
    """What a cluster encloses."""

    PART = "part"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A block call, a named group, an auxiliary head or a folded run, around its items."""

    title: str
    name: str | None
    items: tuple[FigureItem, ...]
    output: int
    kind: ClusterKind = ClusterKind.PART
    count: int = 1


@dataclass(frozen=True, slots=True)
class Fork:
    """Branches over one input, and the box of the merge that joins them.

    ``input`` is the node whose result flows into the fork. ``starts`` has the node from which each
    branch starts; it is another one if the branch refers to a part.
    """

    input: int
    branches: tuple[tuple[FigureItem, ...], ...]
    starts: tuple[int, ...]
    merge: Box


FigureItem: TypeAlias = Box | Cluster | Fork


class EdgeRole(Enum):
    """The role of an edge in the layout. Edges of all roles carry data."""

    TRUNK = "trunk"
    BRANCH = "into a branch"
    INNER = "inside a branch"
    MERGE = "out of a branch"
    HEAD = "into a head"


@dataclass(frozen=True, slots=True)
class Edge:
    """Data from one box to another, by their ids; ``label`` is the volume where it changes."""

    tail: int
    head: int
    label: str
    role: EdgeRole


@dataclass(frozen=True, slots=True)
class Figure:
    """A whole picture, in the order of the spec; ``tooltips`` are by the ids of the boxes."""

    title: str
    description: str
    items: tuple[FigureItem, ...]
    edges: tuple[Edge, ...]
    tooltips: dict[int, str]
    #: By node, the id of the box that stands for it.
    box_of: dict[int, int]
    #: By the id of a box, the volume of its result.
    volumes: dict[int, Volume]
    #: By the id of a box, the number that colours it.
    heats: dict[int, Heat] = field(default_factory=dict)
    #: The insides of collapsed blocks, each once.
    keys: tuple[Figure, ...] = ()
    #: In a block shown alone, the ids of the boxes that refer to results outside it.
    references: tuple[int, ...] = ()
    #: By the id of a collapsed box, the inside of its block.
    insides: dict[int, Figure] = field(default_factory=dict)


def boxes_in(item: FigureItem) -> Iterator[Box]:
    """The boxes of an item, in the order of the spec."""
    match item:
        case Box():
            yield item
            yield from item.beside
        case Cluster():
            for inner in item.items:
                yield from boxes_in(inner)
        case Fork():
            for branch in item.branches:
                for inner in branch:
                    yield from boxes_in(inner)
            yield item.merge


def input_of(item: FigureItem, nodes: Sequence[Node]) -> int:
    """The node whose result flows into an item."""
    match item:
        case Box(block=Cluster() as block):
            return input_of(block, nodes)
        case Box():
            return nodes[min(item.members)].inputs[0]
        case Cluster():
            return input_of(item.items[0], nodes)
        case Fork():
            return item.input


def output_of(item: FigureItem) -> int:
    """The node whose result leaves an item."""
    match item:
        case Box():
            return item.members[-1]
        case Cluster():
            return item.output
        case Fork():
            return item.merge.members[-1]


def cards_of(count: int) -> int:
    """How many cards are behind a box or a frame that stands for so many: two at most."""
    return min(count - 1, 2)


def is_head(item: FigureItem) -> bool:
    """Whether an item is an auxiliary head."""
    return isinstance(item, Cluster) and item.kind is ClusterKind.HEAD
