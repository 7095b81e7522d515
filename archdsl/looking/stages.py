"""Which parts of a network a picture shows: its stages, in execution order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from archdsl.layers import Family, Layer
from archdsl.layers.volume import Volume
from archdsl.looking.errors import LookingError
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.network.parts import (
    AuxPart,
    CallPart,
    Chain,
    ForkPart,
    GroupPart,
    LayerPart,
    Part,
    ReferencePart,
    RepeatPart,
    ReusePart,
    SplitPart,
    chains_in,
    output_of,
)
from archdsl.report.statement import render_layer
from archdsl.report.text import count_of
from archdsl.text.diagnostics import suggest

#: With more stages than this the picture shows a network's parts, and not what is inside them.
MOST_STAGES = 24

#: Layers that work on each channel by itself: their maps are those of the layer before.
_BY_CHANNEL = (Family.ACTIVATION, Family.POOLING, Family.NORMALIZATION, Family.REGULARIZATION)


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a network, shown by its result: the volume of a node.

    ``name`` is that of the part, or that of its module as in the table of `archdsl check`;
    ``statement`` is what the spec says there, on one line. ``sources`` are the nodes of the stages
    that it reads.
    """

    node: int
    name: str
    statement: str
    volume: Volume
    sources: tuple[int, ...] = ()


def choose_stages(model: Model) -> tuple[Stage, ...]:
    """Every layer of a small network, and the parts of a large one, as finely as there is room.

    What only passes numbers on, as dropout in evaluation and `flatten`, is not a stage. Auxiliary
    heads run in training alone and are left out.
    """
    candidates = [
        _whole(model, _layers_in(model.chain)),
        _fused(model, _whole(model, _layers_in(model.chain))),
        *(_parts(model, depth) for depth in (2, 1, 0)),
    ]
    found = next((c for c in candidates if len(c) <= MOST_STAGES), candidates[-1])
    return _with_sources(model, found)


def find_stage(model: Model, wanted: str) -> Stage:
    """The part, or the layer, of this name.

    Errors:
        LookingError: where there is none.
    """
    known: dict[str, Stage] = {}
    for node in _trunk(model):
        # What runs once more has the same name again.
        known.setdefault(model.names[node.id], _stage_of(model, node))
    for name, stage in _named_parts(model, model.chain, "", _calls_around(model)):
        known.setdefault(name, stage)
    if wanted in known:
        return known[wanted]
    near = suggest(wanted, known)
    hint = f": did you mean `{near}`?" if near else "; `archdsl check` lists the names"
    raise LookingError(f"{model.name} has no part `{wanted}`{hint}")


def name_of(model: Model, node: Node) -> str:
    """The name of the stage that ends in a node, or else that of its layer."""
    found = (stage.name for stage in choose_stages(model) if stage.node == node.id)
    return next(found, model.names[node.id])


def passes_on(model: Model, node: Node) -> bool:
    """Whether a layer gives the numbers that it gets, perhaps in another shape, in evaluation."""
    if node.layer.family is Family.REGULARIZATION:
        return True
    inputs = tuple(model.nodes[source].volume for source in node.inputs)
    is_view = node.layer.saves(inputs, node.volume).is_view
    return is_view and inputs[0].elements == node.volume.elements


def keeps_channels(model: Model, node: Node) -> bool:
    """Whether channel k of the result is made of channel k of the input alone, as in pooling."""
    if node.layer.family not in _BY_CHANNEL or len(node.inputs) != 1:
        return False
    return model.nodes[node.inputs[0]].volume.channels == node.volume.channels


def _trunk(model: Model) -> Iterator[Node]:
    return (node for node in model.layers if node.head is None)


# ── Layers ───────────────────────────────────────────────────────────────────────────────────


def _layers_in(chain: Chain) -> Iterator[int]:
    """The nodes of the layers and merges of a chain, branches before their merge."""
    for part in chain.parts:
        if isinstance(part, AuxPart | ReferencePart):
            continue
        for inner in chains_in(part):
            yield from _layers_in(inner)
        if isinstance(part, LayerPart | ForkPart | SplitPart):
            yield part.node


def _whole(model: Model, ids: Iterator[int]) -> list[Stage]:
    return [
        _stage_of(model, model.nodes[id]) for id in ids if not passes_on(model, model.nodes[id])
    ]


def _stage_of(model: Model, node: Node) -> Stage:
    return Stage(node.id, model.names[node.id], _statement(node.layer), node.volume)


def _statement(layer: Layer) -> str:
    """The layer as the language writes it, without what its weights were before training."""
    if getattr(layer, "init", None) is not None:
        layer = replace(layer, init=None)  # type: ignore[type-var]
    return render_layer(layer)


def _fused(model: Model, stages: Sequence[Stage]) -> list[Stage]:
    """The stages, each layer with its normalization and its activation as one."""
    fused: list[Stage] = []
    for stage in stages:
        node = model.nodes[stage.node]
        before = fused[-1] if fused else None
        if before and node.inputs == (before.node,) and belongs_to(model, node):
            statement = f"{before.statement} {stage.statement}"
            fused[-1] = replace(stage, name=before.name, statement=statement)
        else:
            fused.append(stage)
    return fused


def belongs_to(model: Model, node: Node) -> bool:
    """Whether a layer is read as belonging to the one before, as the relu of a convolution."""
    before = model.nodes[node.inputs[0]].layer.family
    has_weights = before in (Family.CONVOLUTION, Family.DENSE, Family.MERGE)
    match node.layer.family:
        case Family.ACTIVATION:
            return has_weights or before is Family.NORMALIZATION
        case Family.NORMALIZATION:
            return has_weights
    return False


# ── Parts ────────────────────────────────────────────────────────────────────────────────────


def _parts(model: Model, depth: int) -> list[Stage]:
    """The parts of a network, opened ``depth`` levels deep."""
    found = _parts_in(model, model.chain, depth, "", _calls_around(model))
    # A part may end in what another one has shown, as a group that refers to an earlier part.
    return list({stage.node: stage for stage in found}.values())


def _parts_in(model: Model, chain: Chain, depth: int, prefix: str, calls: int) -> list[Stage]:
    found: list[Stage] = []
    for part in chain.parts:
        if isinstance(part, AuxPart | ReferencePart):
            continue
        node = model.nodes[output_of(part)]
        if isinstance(part, LayerPart | SplitPart):
            found += [] if passes_on(model, node) else [_stage_of(model, node)]
            continue
        inside: list[Stage] = []
        if depth:
            inner = f"{prefix}{part.name}." if part.name else prefix
            deeper = calls + isinstance(part, CallPart)
            for body in chains_in(part):
                inside += _parts_in(model, body, depth - 1, inner, deeper)
            if isinstance(part, ForkPart):
                inside.append(_stage_of(model, node))
        # A block that is a single stage is shown by its own name.
        is_open = len(inside) > 1 and inside[-1].node == node.id
        found += inside if is_open else [_stage_of_part(model, part, prefix, calls)]
    return _fused(model, found)


def _stage_of_part(model: Model, part: Part, prefix: str, calls: int) -> Stage:
    node = model.nodes[output_of(part)]
    if isinstance(part, ForkPart) or not part.name:
        stage = _stage_of(model, node)
        if isinstance(part, CallPart):
            # The block's own module is around that of its last layer.
            name = stage.name.rpartition(".")[0] or stage.name
            return Stage(node.id, name, _call_text(node, part, calls), node.volume)
        return stage
    name = f"{prefix}{part.name}"
    match part:
        case CallPart():
            return Stage(node.id, name, _call_text(node, part, calls), node.volume)
        case ReusePart():
            return Stage(node.id, name, f"reuse {part.target}", node.volume)
        case GroupPart() | RepeatPart():
            ids = [id for inner in chains_in(part) for id in _layers_in(inner)]
            inside = _fused(model, _whole(model, iter(ids)))
            words = [stage.statement for stage in inside[:3]]
            more = [f"… {count_of(len(ids), 'layer')}"] if len(inside) > 3 else []
            return Stage(node.id, name, "; ".join(words + more), node.volume)
    return _stage_of(model, node)


def _calls_around(model: Model) -> int:
    """The calls that all layers are inside of: that of the family, for its members."""
    return 1 if model.member else 0


def _call_text(node: Node, part: CallPart, calls: int) -> str:
    """The call as its text has it, which each layer inside knows."""
    if len(node.frames) > calls:
        return node.frames[calls].text
    return f"{part.block.name}(…)"


def _named_parts(
    model: Model, chain: Chain, prefix: str, calls: int
) -> Iterator[tuple[str, Stage]]:
    """All parts with a name, the inner ones by a path such as ``head.pool``."""
    for part in chain.parts:
        if isinstance(part, AuxPart | ReferencePart):
            continue
        inner = f"{prefix}{part.name}." if part.name else prefix
        if part.name:
            stage = _stage_of_part(model, part, prefix, calls)
            yield inner.removesuffix("."), stage
        for chain_inside in chains_in(part):
            yield from _named_parts(model, chain_inside, inner, calls + isinstance(part, CallPart))


# ── What a stage reads ───────────────────────────────────────────────────────────────────────


def _with_sources(model: Model, stages: Sequence[Stage]) -> tuple[Stage, ...]:
    shown = {stage.node for stage in stages} | {model.inputs[0].id}
    return tuple(replace(stage, sources=_sources(model, stage.node, shown)) for stage in stages)


def _sources(model: Model, id: int, shown: set[int]) -> tuple[int, ...]:
    """The nearest stages before a node, in the order in which it reads them."""
    found: dict[int, None] = {}
    seen: set[int] = set()

    def search(node: int) -> None:
        for source in model.nodes[node].inputs:
            if source in shown:
                found[source] = None
            elif source not in seen:
                seen.add(source)
                search(source)

    search(id)
    return tuple(found)
