"""A figure as DOT text, for those who lay it out with Graphviz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count

import graphviz

from archdsl.drawing.canvas.palette import LIGHT, border_of, fill_of
from archdsl.drawing.figure.figure import (
    Box,
    Cluster,
    ClusterKind,
    Edge,
    EdgeRole,
    Figure,
    FigureItem,
    Fork,
    is_head,
)
from archdsl.drawing.figure.ports import OUTPUT
from archdsl.layers import Family
from archdsl.text.printing import blank_unprintable

INK, MUTED, LINE, ACCENT = (LIGHT[role] for role in ("ink", "muted", "line", "accent"))
CLUSTER_FILLS = (LIGHT["cluster"], LIGHT["inner-cluster"])
CLUSTER_BORDERS = (LIGHT["cluster-border"], LIGHT["inner-cluster-border"])


@dataclass(frozen=True, slots=True)
class DotShape:
    """Graphviz's names of a shape and a style; the margin in inches.

    Only shapes that fit tightly around two lines of text: an octagon would be half as wide again.
    """

    shape: str = "box"
    style: str = "filled"
    margin: str = "0.1,0.05"


SHAPES: dict[Family, DotShape] = {
    Family.CONVOLUTION: DotShape(style="rounded,filled"),
    Family.POOLING: DotShape(style="filled,diagonals"),
    Family.DENSE: DotShape(),
    Family.NORMALIZATION: DotShape("note"),
    Family.ACTIVATION: DotShape("hexagon", margin="0"),
    Family.REGULARIZATION: DotShape(style="rounded,filled,dashed"),
    Family.MERGE: DotShape("ellipse", margin="0"),
    Family.PLUMBING: DotShape("component", margin="0.16,0.05"),
    Family.INPUT: DotShape(style="rounded,filled,bold"),
}
_BLOCK = DotShape(style="rounded,filled,bold")

#: Measured by Graphviz; Arial and Liberation Sans have the same widths.
FONT = "Helvetica"

#: How strongly the layout keeps an edge short and straight. The trunk's weight exceeds the one that
#: Graphviz gives to narrow clusters, which would otherwise bend the trunk to save a few points.
_WEIGHTS = {
    EdgeRole.TRUNK: "200",
    EdgeRole.BRANCH: "3",
    EdgeRole.INNER: "200",
    EdgeRole.MERGE: "1",
    EdgeRole.HEAD: "1",
}


def dot_of(figure: Figure) -> str:
    """The figure as DOT: nodes and clusters in the order of the spec, then the edges."""
    graph = graphviz.Digraph(
        "network",
        graph_attr={
            "bgcolor": "white",
            "fontcolor": INK,
            "fontname": FONT,
            "nodesep": "0.22",
            "ordering": "out",
            "pad": "0.15",
            "rankdir": "TB",
            "ranksep": "0.26",
            "tooltip": quoted(figure.title),
        },
        # The size of the second line: sizes inside a label are whole points.
        node_attr={
            "fontcolor": INK,
            "fontname": FONT,
            "fontsize": "8.5",
            "height": "0.3",
            "penwidth": "1.2",
            "width": "0.6",
        },
        edge_attr={
            "arrowsize": "0.6",
            "color": LINE,
            "fontcolor": MUTED,
            "fontname": FONT,
            "fontsize": "8",
            "penwidth": "1.0",
        },
    )
    _add_items(graph, figure.items, figure.tooltips, 0, count(1))
    for edge in figure.edges:
        _add_edge(graph, edge)
    return str(graph.source)


def quoted(text: str) -> str:
    """Text for an attribute that is not a label.

    It is not HTML, although Graphviz resolves entities in it.
    """
    escaped: str = graphviz.escape(_plain(text).replace("&", "&amp;"))
    return escaped


def html(text: str) -> str:
    """Text for the inside of an HTML-like label."""
    return escape(_plain(text), quote=True)


def _plain(text: str) -> str:
    """Text without control characters and backslashes.

    Graphviz reads ``\\N`` as the node's id even in HTML, and even if it is escaped. So backslashes
    become a character that only looks like one.
    """
    return blank_unprintable(text).replace("\\", "∖")


def _add_items(
    graph: graphviz.Digraph,
    items: Iterable[FigureItem],
    tooltips: dict[int, str],
    depth: int,
    numbers: Iterator[int],
) -> None:
    # Heads last, so that they stand to the right of the trunk.
    for item in sorted(items, key=is_head):
        match item:
            case Box():
                for box in (item, *item.beside):
                    _add_box(graph, box, tooltips[box.id])
                _put_in_row(graph, [box.id for box in (item, *item.beside)])
            case Cluster():
                name = f"cluster_{next(numbers)}"
                with graph.subgraph(
                    name=name, graph_attr=_cluster_attributes(item, depth)
                ) as inner:
                    _add_items(inner, item.items, tooltips, depth + 1, numbers)
            case Fork():
                for branch in item.branches:
                    _add_items(graph, branch, tooltips, depth, numbers)
                _add_box(graph, item.merge, tooltips[item.merge.id])
                _align(graph, item)


def _align(graph: graphviz.Digraph, fork: Fork) -> None:
    """Put the first boxes of the branches in one row; Graphviz would pull short branches down."""
    firsts = [
        branch[0].id
        for branch, start in zip(fork.branches, fork.starts, strict=True)
        if branch and isinstance(branch[0], Box) and start == fork.input
    ]
    _put_in_row(graph, firsts)


def _put_in_row(graph: graphviz.Digraph, boxes: Sequence[int]) -> None:
    if len(boxes) > 1:
        with graph.subgraph(graph_attr={"rank": "same"}) as row:
            for box in boxes:
                row.node(node_id(box))


def _add_box(graph: graphviz.Digraph, box: Box, tooltip: str) -> None:
    look = SHAPES[box.family] if box.block is None else _BLOCK
    attributes = {
        "class": box.look,
        "color": LIGHT[border_of(box.look)],
        "fillcolor": LIGHT[fill_of(box.look)],
        "margin": look.margin,
        "shape": look.shape,
        "style": look.style,
        "tooltip": quoted(tooltip),
    }
    if box.count > 1:
        attributes["peripheries"] = "2"
    graph.node(node_id(box.id), _box_label(box), **attributes)


def node_id(box: int) -> str:
    """The id of a box in DOT."""
    if box >= 0:
        return f"n{box}"
    return "output" if box == OUTPUT else f"output{-box}"


def _box_label(box: Box) -> str:
    title = f'<FONT POINT-SIZE="11"><B>{html(box.title)}</B></FONT>'
    if box.name:
        title += f' <FONT COLOR="{MUTED}"> {html(box.name)}</FONT>'
    title += _times(box.count)
    if not box.detail:
        return f"<{title}>"
    # A table, because after <BR/> the second line touches the descenders of the first.
    detail = f'<TD HEIGHT="11" VALIGN="BOTTOM">{html(box.detail)}</TD>'
    rows = f"<TR><TD>{title}</TD></TR><TR>{detail}</TR>"
    plain = 'BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"'
    return f"<<TABLE {plain}>{rows}</TABLE>>"


def _times(copies: int) -> str:
    if copies == 1:
        return ""
    return f'  <FONT POINT-SIZE="11" COLOR="{ACCENT}"><B>×{copies}</B></FONT>'


def _cluster_attributes(cluster: Cluster, depth: int) -> dict[str, str]:
    return {
        "class": cluster.kind.value,
        "color": CLUSTER_BORDERS[min(depth, 1)],
        "fillcolor": CLUSTER_FILLS[min(depth, 1)],
        "fontsize": "9",
        "label": _cluster_label(cluster),
        "labeljust": "l",
        "labelloc": "b",
        "margin": "9",
        "penwidth": "1",
        "style": "rounded,filled" + (",dashed" if cluster.kind is ClusterKind.HEAD else ""),
        "tooltip": quoted(" · ".join(_words(cluster))),
    }


def _cluster_label(cluster: Cluster) -> str:
    first, *rest = _words(cluster) or [""]
    first = f"<B>{html(first)}</B>" if first else ""
    if cluster.kind is ClusterKind.HEAD or _is_wide(cluster):
        return f"<{' · '.join((first, *map(html, rest)))}{_times(cluster.count)}>"
    # Short lines leave room for the trunk, which passes to the right of them.
    end = '<BR ALIGN="LEFT"/>'
    lines = filter(None, (first, *map(html, rest), _times(cluster.count).strip()))
    return f"<{''.join(line + end for line in lines)}>"


def _is_wide(cluster: Cluster) -> bool:
    """Whether branches are side by side in the cluster, so that its corner is free."""
    return any(
        isinstance(item, Fork) and sum(map(bool, item.branches)) > 2 for item in cluster.items
    )


def _words(cluster: Cluster) -> list[str]:
    """The names of the block and of this part; only the latter if it begins with the former."""
    if cluster.kind is ClusterKind.HEAD:
        return [cluster.name or "aux", cluster.title]
    if cluster.name and cluster.name.startswith(cluster.title):
        return [cluster.name]
    return [word for word in (cluster.title, cluster.name) if word]


def _add_edge(graph: graphviz.Digraph, edge: Edge) -> None:
    attributes = {"weight": _WEIGHTS[edge.role]}
    if edge.role is EdgeRole.HEAD:
        attributes["style"] = "dashed"
    if edge.label:
        attributes["label"] = quoted(f" {edge.label}")
    graph.edge(node_id(edge.tail), node_id(edge.head), **attributes)
