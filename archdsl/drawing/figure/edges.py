"""The edges of a figure, in the order of the spec, and the volumes shown at them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from archdsl.drawing.figure.figure import (
    Box,
    Cluster,
    ClusterKind,
    Edge,
    EdgeRole,
    FigureItem,
    Fork,
    boxes_in,
)
from archdsl.drawing.figure.ports import OUTPUT, shown_ends, volume_text
from archdsl.drawing.options import Shapes
from archdsl.layers import Family
from archdsl.model import Model, PartialModel


class Edges:
    """Collects the edges in the order of the spec, each from box to box."""

    def __init__(
        self, model: Model, items: tuple[FigureItem, ...], shapes: Shapes, is_part: bool = False
    ) -> None:
        self.model = model
        self.shapes = shapes
        self.nodes = model.nodes
        self.unknown = model.unknown if isinstance(model, PartialModel) else frozenset()
        self.box_of = {
            member: box for item in items for box in boxes_in(item) for member in box.members
        }
        self.labelled: set[int] = set()
        self.merges: dict[int, int] = {}
        self.heads: list[Cluster] = []
        #: The ids of the boxes that refer to results outside a part shown alone.
        self.references: dict[int, None] = {}
        self._find_merges(items)
        edges: list[Edge] = []
        for item in items[1:] if is_part else items[1:-1]:
            edges += self._into(item)
        if not is_part:
            ends = shown_ends(model)
            edges += [
                Edge(self.box_of[node].id, OUTPUT - number, "", EdgeRole.TRUNK)
                for number, (node, _) in enumerate(ends)
            ]
        # After the trunk's edges, so that the heads are to the right of the trunk in DOT.
        for head in self.heads:
            first, *rest = [edge for item in head.items for edge in self._into(item)]
            edges += [replace(first, role=EdgeRole.HEAD), *rest]
        self.edges = tuple(edges)

    def _find_merges(self, items: tuple[FigureItem, ...]) -> None:
        """Record the input of each fork, by the id of its merge's box."""
        for item in items:
            match item:
                case Cluster():
                    self._find_merges(item.items)
                case Fork():
                    self.merges[item.merge.id] = item.input
                    for branch in item.branches:
                        self._find_merges(branch)

    def _into(self, item: FigureItem, role: EdgeRole = EdgeRole.TRUNK) -> list[Edge]:
        match item:
            case Box(block=None):
                return self._edges(self.nodes[item.nodes[0]].inputs, item, role)
            case Box():
                own = set(item.members)
                used = [s for node in sorted(item.nodes) for s in self.nodes[node].inputs]
                outer = [s for s in used if s not in own]
                tails = {self.box_of[s].id if s in self.box_of else s: s for s in outer}
                return self._edges(tails.values(), item, role)
            case Cluster(kind=ClusterKind.HEAD):
                self.heads.append(item)
                return []
            case Cluster():
                first, *others = item.items
                edges = self._into(first, role)
                return edges + [edge for inner in others for edge in self._into(inner)]
            case Fork():
                edges = []
                sources = self.nodes[item.merge.nodes[0]].inputs
                for branch, source in zip(item.branches, sources, strict=True):
                    for number, inner in enumerate(branch):
                        edges += self._into(inner, EdgeRole.INNER if number else EdgeRole.BRANCH)
                    edges += self._edges((source,), item.merge, EdgeRole.MERGE)
                return edges

    def _edges(self, sources: Iterable[int], head: Box, role: EdgeRole) -> list[Edge]:
        """An edge from each source; a part shown alone has none from outside it."""
        edges = []
        for source in sources:
            if source in self.box_of:
                edges.append(self._edge(source, head, role))
            else:
                self.references[head.id] = None
        return edges

    def _edge(self, source: int, head: Box, role: EdgeRole) -> Edge:
        tail = self.box_of[source]
        return Edge(tail.id, head.id, self._label(tail, head, role is EdgeRole.INNER), role)

    def _label(self, tail: Box, head: Box, within_branch: bool) -> str:
        """The volume, if the tail changed it and no other edge from there has this label yet.

        Inside a branch the boxes show the channels; there only a change of height or width counts.
        """
        if tail.id in self.unknown:
            return ""
        if self.shapes == "none" or tail.family is Family.INPUT or tail.id in self.labelled:
            return ""
        volume = self.nodes[tail.members[-1]].volume
        if self.shapes == "all":
            self.labelled.add(tail.id)
            return volume_text(volume)
        if head.family is Family.MERGE:
            return ""
        before = self.merges.get(tail.id, self.nodes[min(tail.members)].inputs[0])
        entering = self.nodes[before].volume
        if entering == volume or (within_branch and entering.sizes[:-1] == volume.sizes[:-1]):
            return ""
        self.labelled.add(tail.id)
        return volume_text(volume)
