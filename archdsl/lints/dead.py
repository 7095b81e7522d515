"""The lint about layers that are computed for nothing."""

from __future__ import annotations

from collections.abc import Iterator

from archdsl.lints.subject import LintedNetwork
from archdsl.model.consistency import find_dead
from archdsl.network.graph import CallFrame, Node, label_of
from archdsl.network.parts import (
    Chain,
    ForkPart,
    GroupPart,
    LayerPart,
    Part,
    RepeatPart,
    chains_in,
    walk,
)
from archdsl.text.diagnostics import Diagnostic
from archdsl.text.source import Span


def dead_layer(network: LintedNetwork) -> Iterator[Diagnostic]:
    """Parts whose results reach no output, because a name continued the chain elsewhere.

    There is one warning for each outermost part that is not needed; consecutive layers on one
    line share a warning.
    """
    dead = find_dead(network.model.graph, {end.id for end in network.ends})
    if not dead:
        return
    nodes = network.model.nodes
    for node in network.model.inputs:
        if node.id in dead:
            yield network.warn(
                "dead-layer",
                f"no output needs the input `{label_of(node)}`",
                node,
                help="refer to it by its name, or leave it out",
            )
    #: By identity: two calls with the same text are two frames.
    alive = {id(frame) for node in nodes if node.id not in dead for frame in node.frames}
    for run in _runs(network.model.chain, dead, nodes):
        places = [
            _place(nodes[number], alive)
            for part in run
            for number in ([part.node] if isinstance(part, ForkPart) else _nodes_in(part))
        ]
        frames = places[0][1]
        start = min((span for span, _ in places), key=lambda span: span.start)
        end = max((span for span, _ in places), key=lambda span: span.end)
        span = start.to(end)
        name = run[0].name if isinstance(run[0], (GroupPart, RepeatPart)) else None
        yield network.warn_at(
            "dead-layer",
            f"`{name or ' '.join(span.text.split())}` is computed for nothing: no output needs it",
            span,
            frames,
            help="the chain continues from an earlier part; leave it out, or use its name",
        )


def _runs(chain: Chain, dead: frozenset[int], nodes: tuple[Node, ...]) -> Iterator[list[Part]]:
    """The outermost parts that are dead as a whole; layers without a name are grouped by line."""
    run: list[Part] = []
    for part in chain.parts:
        inside = _nodes_in(part)
        is_dead = bool(inside) and dead.issuperset(inside)
        if run and not (is_dead and _is_plain(part) and _is_beside(part, run[-1], nodes)):
            yield run
            run = []
        if is_dead:
            run.append(part)
        else:
            for inner in chains_in(part):
                yield from _runs(inner, dead, nodes)
    if run:
        yield run


def _is_plain(part: Part) -> bool:
    return isinstance(part, (LayerPart, ForkPart)) and part.name is None


def _is_beside(part: Part, before: Part, nodes: tuple[Node, ...]) -> bool:
    """Whether a layer is on the line of the layer before it."""
    if not isinstance(before, (LayerPart, ForkPart)):
        return False
    assert isinstance(part, (LayerPart, ForkPart))
    return nodes[part.node].span.line == nodes[before.node].span.line


def _nodes_in(part: Part) -> list[int]:
    """The nodes that a part places; a reference to an earlier part places none."""
    parts = [part, *(inner for chain in chains_in(part) for inner in walk(chain))]
    return [item.node for item in parts if isinstance(item, (LayerPart, ForkPart))]


def _place(node: Node, alive: set[int]) -> tuple[Span, tuple[CallFrame, ...]]:
    """The place of a dead layer, or of the outermost dead call around it, with its frames."""
    for depth, frame in enumerate(node.frames):
        if id(frame) not in alive:
            return frame.span, node.frames[:depth]
    return node.span, node.frames
