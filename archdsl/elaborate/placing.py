"""Placing layers: nodes with their volumes, and wrong volumes reported at their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.findings import Findings
from archdsl.elaborate.scope import Cursor, NetworkInput, Scope, read_volume
from archdsl.elaborate.values import MAX_VALUE
from archdsl.layers import Input, Layer, LayerError
from archdsl.layers.volume import Volume
from archdsl.network.graph import Node, trail_of
from archdsl.network.symbols import Symbolic
from archdsl.text import syntax
from archdsl.text.diagnostics import ArchError, Diagnostic, Fix, Label, help_of, replaced
from archdsl.text.source import Span

#: Layers placed plus statements expanded, in one network. Copies of what was elaborated once are
#: neither.
MAX_EXPANSION = 200_000
#: The layers of one network, copies included.
MAX_LAYERS = 200_000


class Placer:
    """The nodes of one network as they grow, and the faults found on the way."""

    def __init__(self, inputs: Sequence[NetworkInput], findings: Findings) -> None:
        self.nodes: list[Node] = []
        self.findings = findings
        #: Nodes that depend on a volume which is not the claimed one: misfits are not reported.
        self.poisoned: set[int] = set()
        self._expansion = 0
        #: By node, the fault there. Only a network that is refused has any.
        self.faults: dict[int, Diagnostic] = {}
        #: Nodes whose volume is unknown; they carry that of their first input.
        self.unknown: set[int] = set()
        #: Volumes with other axes than expected: reported once, not for each branch from there.
        self._misfits: set[int] = set()
        #: What flows in from outside: the chain begins with the first.
        self.inputs = [
            self._add_node(Input(given.label), (), given.volume, given.span, None)
            for given in inputs
        ]
        self.start = self.inputs[0]

    def _add_node(
        self,
        layer: Layer,
        inputs: tuple[int, ...],
        volume: Volume,
        span: Span,
        scope: Scope | None,
        forms: Mapping[str, Symbolic] | None = None,
    ) -> Cursor:
        id = len(self.nodes)
        frames, head = (scope.frames, scope.head) if scope else ((), None)
        written = tuple(forms.items()) if forms else ()
        self.nodes.append(Node(id, layer, inputs, volume, span, frames, head, written))
        return Cursor(id, volume)

    def place_again(
        self, node: Node, inputs: tuple[int, ...], volume: Volume, span: Span, scope: Scope
    ) -> int:
        """A node once more, on other inputs, with the module that it has."""
        id = len(self.nodes)
        self.nodes.append(
            replace(
                node,
                id=id,
                inputs=inputs,
                volume=volume,
                span=span,
                frames=scope.frames,
                head=scope.head,
                shares=node.module,
            )
        )
        return id

    def add_unknown(self, layer: Layer, inputs: list[Cursor], span: Span, scope: Scope) -> Cursor:
        """A node of unknown volume, for those who want to see a network up to its fault."""
        node = self.nodes[inputs[0].node]
        ids = tuple(cursor.node for cursor in inputs)
        cursor = self._add_node(layer, ids, node.volume, span, scope)
        self.unknown.add(cursor.node)
        return Cursor(cursor.node, None)

    def use_budget(self, span: Span) -> None:
        self._expansion += 1
        if self._expansion > MAX_EXPANSION:
            message = f"the network expands beyond the bound of {MAX_EXPANSION:,} statements"
            self.findings.add(Diagnostic("too-many-layers", message, span))
            raise ArchError(self.findings)

    def use_layers(self, count: int, span: Span) -> None:
        """Have room for some more layers."""
        if len(self.nodes) + count > MAX_LAYERS:
            message = f"the network has more than {MAX_LAYERS:,} layers"
            self.findings.add(Diagnostic("too-many-layers", message, span))
            raise ArchError(self.findings)

    def report(self, fault: ElaborationError, scope: Scope) -> Diagnostic:
        diagnostic = replace(fault.diagnostic, context=trail_of(scope.frames))
        self.findings.add(diagnostic)
        return diagnostic

    @contextmanager
    def collecting(self, scope: Scope, span: Span) -> Iterator[list[Diagnostic]]:
        """Report the faults of the code inside; what follows is elaborated all the same.

        The list that this gives has the fault that ended the code inside, if one did.
        """
        ended: list[Diagnostic] = []
        try:
            yield ended
        except ElaborationError as fault:
            ended.append(self.report(fault, scope))
        except UnknownVolume:
            pass
        except RecursionError:
            deep = ElaborationError("nested-too-deeply", "this is nested too deeply to read", span)
            ended.append(self.report(deep, scope))

    def place(
        self,
        layer: Layer,
        inputs: list[Cursor],
        span: Span,
        scope: Scope,
        forms: Mapping[str, Symbolic] | None = None,
    ) -> Cursor:
        """Place a layer and infer its volume: unknown where an input's is, or a rule is broken.

        ``forms`` says by field how a number of the layer was written.
        """
        self.use_budget(span)
        volumes = [cursor.volume for cursor in inputs if cursor.volume is not None]
        if len(volumes) < len(inputs):
            return Cursor(inputs[0].node, None)
        try:
            check_source(layer, self.nodes[inputs[0].node])
            layer = layer.fitted(tuple(volumes))
            volume = layer.infer(tuple(volumes))
            if volume.elements > MAX_VALUE:
                raise LayerError("number-too-large", f"the volume {volume} is beyond the bound")
        except LayerError as error:
            is_known = self._is_known(error, inputs)
            fault = self._shape_fault(error, layer, inputs, span)
            cursor = self.add_unknown(layer, inputs, span, scope)
            if not is_known:
                self.faults[cursor.node] = self.report(fault, scope)
            return cursor
        placed = self._add_node(layer, tuple(c.node for c in inputs), volume, span, scope, forms)
        if any(cursor.node in self.poisoned for cursor in inputs):
            self.poisoned.add(placed.node)
        return placed

    def _is_known(self, error: LayerError, inputs: list[Cursor]) -> bool:
        """Whether what is wrong with the inputs has already been reported."""
        if any(cursor.node in self.poisoned for cursor in inputs):
            return True
        if error.code not in ("needs-image", "wrong-axes"):
            return False
        node = inputs[0].node
        is_known = node in self._misfits
        self._misfits.add(node)
        return is_known

    def _shape_fault(
        self, error: LayerError, layer: Layer, inputs: list[Cursor], span: Span
    ) -> ElaborationError:
        """The fault at its place, with the places where the offending sizes came from."""
        fixes = self._fixes(error, layer, inputs, span)
        help = error.help or help_of(fixes)
        if len(inputs) == 1:
            node = self.nodes[inputs[0].node]
            origin = self._origin_of_axes(node) if error.code == "wrong-axes" else None
            related = (origin or self.origin(node),)
            return ElaborationError(error.code, error.message, span, "here", help, related, fixes)
        sizes = [cursor.volume for cursor in inputs if cursor.volume is not None]
        axes = _differing(sizes)
        labels = [self.origin(self.nodes[cursor.node], axes) for cursor in inputs]
        return ElaborationError(
            error.code, error.message, span, "joined here", help, tuple(labels), fixes
        )

    def _fixes(
        self, error: LayerError, layer: Layer, inputs: list[Cursor], span: Span
    ) -> tuple[Fix, ...]:
        from archdsl.elaborate.volume_fixes import (  # after a fault only
            change_setting,
            pad_branches,
        )

        if error.code == "branch-size-mismatch":
            fix = pad_branches(layer, [cursor.node for cursor in inputs], self.nodes)
            return (fix,) if fix else ()
        if error.change is None:
            return ()
        edit = change_setting(type(layer), span, error.change)
        return (Fix(error.help or "", (edit,), keeps_choices=False),) if edit else ()

    def origin(self, node: Node, axes: Sequence[bool] | None = None) -> Label:
        """Where a volume came from: the layer that made it, not those that passed it on.

        ``axes`` says for each axis of the volume whether the arithmetic is shown.
        """
        while len(node.inputs) == 1 and self.nodes[node.inputs[0]].volume == node.volume:
            node = self.nodes[node.inputs[0]]
        if isinstance(node.layer, Input):
            label = f" `{node.layer.label}`" if node.layer.label else ""
            return Label(node.span, f"the input{label} is {node.volume}")
        arithmetic = None
        if len(node.inputs) == 1:
            arithmetic = node.layer.explain_axes(self.nodes[node.inputs[0]].volume, axes)
        because = f": {arithmetic}" if arithmetic else ""
        return Label(node.span, f"{node.volume} here{because}")

    def _origin_of_axes(self, node: Node) -> Label:
        """Where a volume got its axes: the input, or the layer that made a volume of others."""
        while node.inputs and self.nodes[node.inputs[0]].volume.rank == node.volume.rank:
            node = self.nodes[node.inputs[0]]
        return self.origin(node)

    def check_volume(
        self, claim: syntax.Expr, span: Span, scope: Scope, start: Cursor, cursor: Cursor
    ) -> None:
        written = read_volume(claim, scope.context(cursor))
        if cursor.volume is None:
            return
        if written == cursor.volume:
            self.poisoned.discard(cursor.node)
            return
        if cursor.node in self.poisoned:
            return
        self.poisoned.add(cursor.node)
        from archdsl.elaborate.volume_fixes import pad_statement  # after a fault only

        node = self.nodes[cursor.node]
        origin = self.origin(node, _differing([written, cursor.volume]))
        related = [Label(span, origin.message)]
        if cursor.volume.rank not in (0, written.rank):
            related.append(self._origin_of_axes(node))
        padded = pad_statement(span, start.node, cursor.node, written, self.nodes)
        corrected = _corrected(claim, cursor.volume)
        help = f"{padded.message}, or {corrected.message}" if padded else corrected.message
        self.faults[cursor.node] = self.report(
            ElaborationError(
                "wrong-volume",
                f"the volume here is {cursor.volume}, not {written}",
                claim.span,
                f"{written} is written",
                help=help,
                fixes=(padded, corrected) if padded else (corrected,),
                related=tuple(related),
            ),
            scope,
        )


def check_source(layer: Layer, source: Node) -> None:
    """Refuse results of layers where the numbers of words are read.

    Errors: ``LayerError``.
    """
    if layer.reads_words and source.inputs:
        raise LayerError(
            "misplaced-statement",
            f"`{layer.name}` reads the numbers of words, which only an input of the network gives",
            help="make it the first layer, or the first behind the name of an input",
        )


def _differing(volumes: Sequence[Volume]) -> tuple[bool, ...] | None:
    """Along which axes volumes differ; None for all, where they differ in none or have others."""
    if len({volume.rank for volume in volumes}) > 1:
        return None
    axes = zip(*(volume.spatial for volume in volumes), strict=True)
    differing = tuple([len(set(sizes)) > 1 for sizes in axes])
    return differing if any(differing) else None


def _corrected(claim: syntax.Expr, volume: Volume) -> Fix:
    message = f"write `→ {volume}` if that is what you mean"
    return replaced(claim.span, str(volume), message, keeps_choices=False)
