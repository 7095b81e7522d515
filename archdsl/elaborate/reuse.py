"""``reuse NAME``: the layers of an earlier part once more, as nodes that share its modules."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace

from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.placing import Placer, check_source
from archdsl.elaborate.scope import Cursor, Scope
from archdsl.layers import LayerError, MergeLayer, UnaryLayer
from archdsl.layers.volume import Volume
from archdsl.network.graph import Node
from archdsl.network.parts import (
    CallPart,
    Chain,
    ChoicePart,
    ForkPart,
    GroupPart,
    LayerPart,
    ReferencePart,
    RepeatPart,
    ReusePart,
    Written,
    chains_in,
)
from archdsl.text import syntax
from archdsl.text.diagnostics import Fix, Label, replaced, respell
from archdsl.text.source import Span


def reused_name(step: syntax.Step) -> syntax.Name:
    """The name behind `reuse`, which is all that the statement has. Errors: ElaborationError."""
    first, *rest = step.atoms
    if not rest or not isinstance(rest[0], syntax.Name):
        place = rest[0].span if rest else first.span
        raise ElaborationError(
            "missing-argument",
            "`reuse` needs the name of an earlier part",
            place,
            help="for example `f: conv 3x3 same; reuse f`",
        )
    if len(rest) > 1:
        more = rest[1].span.text.split()[0]
        raise ElaborationError(
            "misplaced-argument",
            f"`{more}` follows `reuse {rest[0].id}`, which takes nothing more",
            rest[1].span,
            help="write what follows as a statement of its own, behind `;`",
        )
    return rest[0]


def find_reused(name: syntax.Name, scope: Scope) -> Written:
    """The part that a name stands for, if it can run again. Errors: ElaborationError."""
    found = scope.parts.own.get(name.id)
    if found is None:
        raise _out_of_reach(name, scope)
    result, span = found
    part = scope.parts.reusable.get(name.id)
    if part is None:
        is_head = result is None
        what = "is an auxiliary head" if is_head else "names a result and no layers of its own"
        message = f"`{name.id}` {what}: there is nothing to run again"
        raise _not_reusable(name, message, span)
    again = _last_reuse(part)
    if again is not None:
        message = f"`{name.id}` runs `{again.target}` again and has no layers of its own"
        fix = replaced(name.span, again.target, f"write `reuse {again.target}`")
        raise _not_reusable(name, message, span, fixes=(fix,))
    return part


def _not_reusable(
    name: syntax.Name,
    message: str,
    span: Span,
    help: str | None = None,
    fixes: tuple[Fix, ...] = (),
) -> ElaborationError:
    related = (Label(span, "named here"),)
    return ElaborationError(
        "not-reusable", message, name.span, "", help, related=related, fixes=fixes
    )


def _out_of_reach(name: syntax.Name, scope: Scope) -> ElaborationError:
    """What to say about a name that is not one of this scope's own parts."""
    outside = scope.parts.find(name.id)
    if outside is not None:
        message = f"`{name.id}` is named outside these braces, which its module does not belong to"
        help = "a module runs again in the braces that it is named in: move one of the two"
        return _not_reusable(name, message, outside[1], help)
    hidden = scope.parts.all_hidden()
    if name.id in hidden:
        around, span = hidden[name.id]
        message = f"`{name.id}` is inside `{around}`, and its name ends there"
        return _not_reusable(name, message, span, f"write `reuse {around}` for all of it")
    return no_such_part(name, set(scope.parts.reusable))


def no_such_part(name: syntax.Name, parts: Set[str]) -> ElaborationError:
    """What to say about a name that no part has."""
    return ElaborationError(
        "undefined-name",
        f"no part named `{name.id}` exists here yet",
        name.span,
        fixes=respell(name.id, name.span, parts),
    )


def named_reuse(parts: list[Written], name: str) -> list[Written]:
    """The parts of a `reuse` statement; the last run has the statement's name."""
    *rest, last = parts
    match last:
        case ReusePart():
            return [*rest, replace(last, name=name)]
        case RepeatPart(copies=(*others, copy)):
            named = replace(copy, written=tuple(named_reuse([*copy.written], name)))
            return [*rest, replace(last, copies=(*others, named))]
    raise AssertionError(last)


def _last_reuse(part: Written) -> ReusePart | None:
    """The last run of a `reuse` statement, where the part is one."""
    match part:
        case ReusePart():
            return part
        case RepeatPart(name=None, copies=(*_, Chain(written=(_, *_)) as copy)):
            return _last_reuse(copy.written[-1])
        case _:
            return None


class Replay:
    """Places the layers of a part once more, behind another node.

    What the part reads of parts outside it reads again; what flows into it is new.
    """

    def __init__(self, placer: Placer, name: syntax.Name, scope: Scope, span: Span) -> None:
        self.placer = placer
        self.name = name
        self.scope = scope
        self.span = span
        #: The nodes of the part that are placed so far, as nodes of this run.
        self.placed: dict[int, int] = {}

    def run(self, part: Written, cursor: Cursor) -> ReusePart:
        """The part behind a node. Errors: ElaborationError; UnknownVolume after earlier ones."""
        known = self.placer.unknown | self.placer.poisoned
        if cursor.volume is None or cursor.node in known or known.intersection(_nodes_in(part)):
            raise UnknownVolume
        copy, end = self._part(part, cursor.node)
        return ReusePart(None, self.name.id, Chain((copy,), cursor.node, end), self.span)

    def _chain(self, chain: Chain, current: int) -> Chain:
        start = current
        parts = []
        for part in chain.written:
            copy, current = self._part(part, current)
            parts.append(copy)
        return Chain(tuple(parts), start, current)

    def _part(self, part: Written, current: int) -> tuple[Written, int]:
        """A copy of a part behind a node, and the node that it gives."""
        match part:
            case LayerPart(node=node):
                placed = self._place(node, [current])
                return replace(part, node=placed), placed
            case ForkPart(node=node, branches=branches):
                copies = tuple(self._chain(branch, current) for branch in branches)
                placed = self._place(node, [copy.output for copy in copies])
                return ForkPart(placed, copies, part.comment), placed
            case ReferencePart(node=node):
                found = self.placed.get(node, node)
                return replace(part, node=found), found
            case RepeatPart(copies=copies):
                self._check_names(part, copies[0].input if copies else -1)
                done = []
                for copy in copies:
                    done.append(self._chain(copy, current))
                    current = done[-1].output
                return replace(part, copies=tuple(done), output=current), current
            case CallPart(body=body, reads=reads):
                if body.input in reads and body.input not in self.placed:
                    message = (
                        f"`{self.name.id}` was given what flows into it as an argument as well, so "
                        "it cannot run again on something else"
                    )
                    raise ElaborationError("not-reusable", message, self.span)
                reads = tuple(self.placed.get(node, node) for node in reads)
                # In a block, what flows in is the result of a part without layers, and no other;
                # around the block it may be that of a part outside, which stays what it was.
                around = self.placed.get(body.input, body.input)
                self.placed[body.input] = current
                copied = self._chain(body, current)
                self.placed[body.input] = around
                return replace(part, body=copied, reads=reads), copied.output
            case GroupPart(body=body):
                self._check_names(part, body.input)
                copied = self._chain(body, current)
                return replace(part, body=copied), copied.output
            case ReusePart(body=body) | ChoicePart(body=body):
                copied = self._chain(body, current)
                return replace(part, body=copied), copied.output
        raise AssertionError(part)

    def _check_names(self, part: GroupPart | RepeatPart, input: int) -> None:
        """Refuse a name inside a part that stands for what flows into it."""
        inside = list(_written_in(part))
        references = {p.target for p in inside if isinstance(p, ReferencePart) and p.node == input}
        own = {inner.name for inner in inside if inner.name}
        if references & own:
            message = (
                f"`{self.name.id}` refers to its own input by the name "
                f"`{sorted(references & own)[0]}`, so it cannot run again on another"
            )
            raise ElaborationError("not-reusable", message, self.span)

    def _place(self, id: int, inputs: list[int]) -> int:
        """One layer again, with the module that it already has."""
        placer = self.placer
        node = placer.nodes[id]
        placer.use_budget(self.span)
        volumes = tuple(placer.nodes[input].volume for input in inputs)
        before = tuple(placer.nodes[input].volume for input in node.inputs)
        try:
            check_source(node.layer, placer.nodes[inputs[0]])
            volume = node.layer.infer(volumes)
        except LayerError as error:
            raise self._misfit(node, volumes, error.message, error.help) from None
        if isinstance(node.layer, UnaryLayer):
            why = _difference(node.layer, before[0], volumes[0])
            if why:
                raise self._misfit(node, volumes, why)
        placed = placer.place_again(node, tuple(inputs), volume, self.span, self.scope)
        self.placed[id] = placed
        return placed

    def _misfit(
        self, node: Node, volumes: tuple[Volume, ...], why: str, help: str | None = None
    ) -> ElaborationError:
        text = " ".join(node.span.text.split())
        kind = "merge" if isinstance(node.layer, MergeLayer) else "layer"
        behind = " and ".join(map(str, volumes))
        return ElaborationError(
            "reuse-mismatch",
            f"`{self.name.id}` does not fit: its {kind} `{text}` would get {behind}, but {why}",
            self.span,
            "here",
            help or "the same module must fit all the volumes that it runs on",
            related=(Label(node.span, "this layer"),),
        )


def _difference(layer: UnaryLayer, before: Volume, now: Volume) -> str:
    """Why a layer's module for one volume is not its module for another; empty where it is."""
    if layer.flattens and before.elements == now.elements and before.is_vector != now.is_vector:
        return f"it was made for {before}, and only one of the two is flattened before it"
    if layer.emit(before) == layer.emit(now):
        return ""
    if layer.flattens:
        return f"its weights are for the {before.elements:,} numbers of {before}"
    if before.channels != now.channels and before.is_vector == now.is_vector:
        return f"its module is for {before.channels} channels, not {now.channels}"
    return f"its module depends on the volume, which was {before}"


def _nodes_in(part: Written) -> Iterator[int]:
    for inner in (part, *_written_in(part)):
        if isinstance(inner, (LayerPart, ForkPart)):
            yield inner.node


def _written_in(part: Written) -> Iterator[Written]:
    """All that is inside a part, those parts included that hold no layer."""
    for chain in chains_in(part):
        for inner in chain.written:
            yield inner
            yield from _written_in(inner)
