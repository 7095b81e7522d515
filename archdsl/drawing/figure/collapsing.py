"""Parts drawn collapsed: a block below the depth is one box, as are neighbours of one kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from archdsl.drawing.figure.figure import Box, Cluster, ClusterKind, FigureItem, Fork, boxes_in
from archdsl.drawing.figure.folding import NumberOf, no_number
from archdsl.drawing.figure.structure import structure_of
from archdsl.layers import Family
from archdsl.network.graph import Node


def depth_of(items: Iterable[FigureItem]) -> int:
    """How deep clusters are nested at most; auxiliary heads do not count."""
    deepest = 0
    for item in items:
        match item:
            case Cluster():
                deepest = max(deepest, (item.kind is ClusterKind.PART) + depth_of(item.items))
            case Fork():
                deepest = max([deepest, *map(depth_of, item.branches)])
    return deepest


def flatten(items: Iterable[FigureItem]) -> tuple[FigureItem, ...]:
    """The items without the clusters around them; auxiliary heads keep theirs."""
    result: list[FigureItem] = []
    for item in items:
        match item:
            case Cluster(kind=ClusterKind.PART):
                result += flatten(item.items)
            case Cluster():
                result.append(replace(item, items=flatten(item.items)))
            case Fork():
                branches = tuple(flatten(branch) for branch in item.branches)
                result.append(replace(item, branches=branches))
            case Box():
                result.append(item)
    return tuple(result)


def marked_inside(item: Box | Cluster, mark: str) -> Box | Cluster:
    """The item with a mark on each box without a name, as its cluster is not drawn."""

    def marked(inner: FigureItem) -> FigureItem:
        match inner:
            case Box():
                return replace(inner, name=inner.name or mark)
            case Cluster():
                return replace(inner, items=tuple(map(marked, inner.items)))
            case Fork(branches=branches):
                done = tuple(tuple(map(marked, branch)) for branch in branches)
                return replace(inner, branches=done)

    found = marked(item)
    assert isinstance(found, (Box, Cluster))
    return found


class Collapser:
    """Collapses clusters deeper than ``depth``.

    Those named in ``open`` stay open, with those around them, and those of which ``may_collapse``
    says no. If it ``joins``, collapsed neighbours of one kind become one box, unless the numbers
    differ that the picture shows of their nodes.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        consumers: Sequence[int],
        depth: int,
        open: tuple[str, ...],
        joins: bool = True,
        may_collapse: Callable[[Cluster], bool] = lambda cluster: True,
        number_of: NumberOf = no_number,
    ) -> None:
        self.number_of = number_of
        self.may_collapse = may_collapse
        self.nodes = nodes
        self.consumers = consumers
        self.depth = depth
        self.open = open
        self.joins = joins

    def collapse(self, items: Iterable[FigureItem], depth: int = 0) -> tuple[FigureItem, ...]:
        collapsed = [self._collapse(item, depth) for item in items]
        return tuple(self._joined(collapsed) if self.joins else collapsed)

    def _collapse(self, item: FigureItem, depth: int) -> FigureItem:
        match item:
            case Cluster(kind=ClusterKind.PART):
                if self.leaves_open(item, depth):
                    return replace(item, items=self.collapse(item.items, depth + 1))
                return self.box_of(item)
            case Cluster():
                return replace(item, items=self.collapse(item.items, depth))
            case Fork():
                branches = tuple(self.collapse(branch, depth) for branch in item.branches)
                return replace(item, branches=branches)
            case Box():
                return item

    def leaves_open(self, cluster: Cluster, depth: int) -> bool:
        """Whether a cluster inside ``depth`` others is drawn open."""
        is_open = depth < self.depth or self._is_open(cluster)
        return is_open or not self.may_collapse(cluster)

    def _is_open(self, item: FigureItem) -> bool:
        match item:
            case Cluster():
                is_named = item.name in self.open or item.title in self.open
                return is_named or any(map(self._is_open, item.items))
            case Fork():
                return any(self._is_open(inner) for branch in item.branches for inner in branch)
            case Box():
                return False

    def box_of(self, cluster: Cluster) -> Box:
        """A cluster as a single box."""
        # The node of the result is last, as in each box.
        nodes, members = (
            (*sorted(own - {cluster.output}), cluster.output)
            for own in (
                {node for box in boxes_in(cluster) for node in box.nodes},
                {node for box in boxes_in(cluster) for node in box.members},
            )
        )
        title = cluster.title or cluster.name or _summary(cluster)
        name = cluster.name if cluster.title and cluster.name != title else None
        if name and cluster.title and name.startswith(cluster.title):
            title, name = name, None
        return Box(
            nodes,
            members,
            title,
            self._detail([cluster]),
            Family.PLUMBING,
            name,
            cluster.count,
            cluster,
        )

    def _detail(self, run: Sequence[Cluster]) -> str:
        """The channels; before them the window of a block that is little more than one layer."""
        boxes = tuple(boxes_in(run[0]))
        window = boxes[0].title.partition(" ")[2] if len(boxes) == 1 else ""
        return " · ".join(filter(None, (window, self._channels(run))))

    def _channels(self, run: Sequence[Cluster]) -> str:
        """``512→512→528``: the channels that flow into the first, and out of each."""
        first = min(node for box in boxes_in(run[0]) for node in box.members)
        numbers = [self.nodes[self.nodes[first].inputs[0]].volume.sizes[-1]]
        numbers += [self.nodes[cluster.output].volume.sizes[-1] for cluster in run]
        if len(numbers) > 6:
            numbers = [*numbers[:3], *numbers[-2:]]
            return "→".join(map(str, numbers[:3])) + "→…→" + "→".join(map(str, numbers[3:]))
        return "→".join(map(str, numbers))

    def _joined(self, items: list[FigureItem]) -> list[FigureItem]:
        """The items, with collapsed neighbours of one kind in line as one box.

        The box shows the channels after each of them.
        """
        result: list[FigureItem] = []
        run: list[Box] = []
        for item, after in pairwise([*items, None]):
            if item is None:
                break
            if isinstance(item, Box) and item.block is not None and item.count == 1:
                run.append(item)
                if after is not None and self._continues(item, after):
                    continue
                result.append(self._one_for(run))
                run = []
            else:
                result.append(item)
        return result

    def _continues(self, box: Box, after: FigureItem) -> bool:
        if not isinstance(after, Box) or after.block is None or box.block is None:
            return False
        if not box.block.title or after.block.title != box.block.title or after.count > 1:
            return False
        if (self.nodes[box.id].shares is None) != (self.nodes[after.id].shares is None):
            return False
        if structure_of(box.block.items, self.nodes) != structure_of(after.block.items, self.nodes):
            return False
        if self.number_of(box.nodes) != self.number_of(after.nodes):
            return False
        own = set(box.members)
        line = (*box.members, *after.members)
        uses = sum(source in own for node in line for source in self.nodes[node].inputs)
        same_place = self.nodes[box.id].volume.sizes[:-1] == self.nodes[after.id].volume.sizes[:-1]
        return same_place and uses == sum(self.consumers[node] for node in own)

    def _one_for(self, run: list[Box]) -> Box:
        if len(run) == 1:
            return run[0]
        clusters = [box.block for box in run if box.block is not None]
        names = [cluster.name for cluster in clusters]
        name = f"{names[0]}–{names[-1]}" if names[0] and names[-1] else names[0] or names[-1]
        return Box(
            tuple(node for box in run for node in box.nodes),
            tuple(node for box in run for node in box.members),
            clusters[0].title,
            self._detail(clusters),
            Family.PLUMBING,
            name,
            len(run),
            clusters[0],
            tuple(clusters),
        )


def _summary(cluster: Cluster) -> str:
    """The contents of a part without a name."""
    titles = list(dict.fromkeys(box.title for box in boxes_in(cluster)))
    return ", ".join(titles[:2]) + (", …" if len(titles) > 2 else "")
