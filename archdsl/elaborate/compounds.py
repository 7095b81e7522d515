"""What holds chains inside: merges with their branches, auxiliary heads, block calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from archdsl import syntax
from archdsl.diagnostics import ArchError, Label
from archdsl.elaborate.binding import Application, bind_formals, bind_with_forms
from archdsl.elaborate.scope import Cursor, PartNames, Scope
from archdsl.elaborate.values import Fault, Unknown, Values, evaluate
from archdsl.elaborate.words import misplaced_aux, unknown_block
from archdsl.graph import AuxPart, CallPart, Chain, ForkPart, Frame, Part, Written
from archdsl.layers import Layer

if TYPE_CHECKING:
    from archdsl.elaborate.builder import Builder

#: How deep block calls may stand inside one another.
MAX_CALL_DEPTH = 40


def place_fork(
    builder: Builder, application: Application, body: syntax.Body, scope: Scope, cursor: Cursor
) -> tuple[list[Written], Cursor]:
    """Elaborate branches and the merge that joins them."""
    layer, forms = bind_with_forms(application, scope.context(cursor))
    assert isinstance(layer, Layer)
    if not body.forked:
        raise Fault(
            "missing-branches",
            f"`{layer.name}` needs at least two branches, separated by `|`",
            body.span,
        )
    branches: list[Chain] = []
    ends: list[Cursor] = []
    for chain in body.chains:
        inner = replace(scope, values=Values(scope.values), is_trunk=False)
        parts, end = builder.chain(chain.statements, inner, cursor)
        branches.append(Chain(tuple(parts), cursor.node, end.node))
        ends.append(end)
    if len(ends) < 2:
        raise Fault(
            "missing-branches",
            f"`{layer.name}` needs at least two branches, separated by `|`",
            body.span,
        )
    before = len(builder.nodes)
    result = builder.place(layer, ends, application.span, scope, forms)
    if len(builder.nodes) == before:
        if cursor.volume is None:
            return [], result
        result = builder.add_unknown(layer, ends, application.span, scope)
    return [ForkPart(result.node, tuple(branches))], result


def place_head(
    builder: Builder, step: syntax.Step, body: syntax.Body, scope: Scope, cursor: Cursor
) -> AuxPart:
    """Elaborate an auxiliary head; the trunk goes on with its own input."""
    call = step.atoms[0]
    assert isinstance(call, syntax.Call)
    if not scope.is_trunk:
        raise misplaced_aux(call)
    if len(call.arguments) != 1 or call.arguments[0].pair or call.arguments[0].keyword:
        raise Fault(
            "missing-argument",
            "`aux` needs one argument, the weight of its loss",
            call.span,
            help="for example `aux(0.3) { … }`",
        )
    weight = evaluate(call.arguments[0].value, scope.context(cursor))
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight <= 0:
        raise Fault("wrong-value", "the weight of a loss is a number above 0", call.span)
    head, builder.heads = builder.heads, builder.heads + 1
    inner = replace(scope, head=head, is_trunk=False, parts=PartNames(scope.parts))
    parts, end = builder.body(body, inner, cursor, "this auxiliary head")
    if end.volume is not None and end.node == cursor.node:
        raise Fault("empty-branch", "this auxiliary head has no layer", body.span)
    return AuxPart(None, float(weight), Chain(tuple(parts), cursor.node, end.node), step.span)


def expand_call(
    builder: Builder, call: syntax.Call, step: syntax.Step, scope: Scope, cursor: Cursor
) -> tuple[Part, Cursor]:
    """Expand a block call. Recursion is refused."""
    definition = scope.definitions.find_block(call.name.id)
    if definition is None:
        if scope.definitions.is_partial:
            raise Unknown
        raise unknown_block(call, scope.definitions)
    block = definition.block
    if any(block is outer for outer in scope.blocks):
        names = " → ".join([*(b.name.id for b in scope.blocks), block.name.id])
        raise Fault(
            "recursive-block",
            f"block `{block.name.id}` contains itself: {names}",
            call.name.span,
            related=(Label(block.name.span, "defined here"),),
        )
    if len(scope.blocks) >= MAX_CALL_DEPTH:
        message = f"blocks are nested more than {MAX_CALL_DEPTH} deep"
        builder.report(Fault("nested-too-deeply", message, call.span), scope)
        raise ArchError(builder.findings)  # two calls in each block would be 2⁴⁰ such faults
    home = definition.home
    values, arguments = bind_formals(
        "block", block.formals, call, scope.context(cursor), home.values
    )
    label = step.label.id if step.label else None
    inner = Scope(
        home,
        values,
        PartNames(),
        (*scope.frames, Frame(" ".join(call.span.text.split()), call.span, label)),
        (*scope.blocks, block),
        scope.head,
        is_trunk=False,
    )
    parts, end = builder.body(block.body, inner, cursor, f"block `{block.name.id}`")
    body = Chain(tuple(parts), cursor.node, end.node)
    return CallPart(None, block, arguments, body), end
