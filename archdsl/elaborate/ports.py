"""The inputs and outputs that the first line of a network states, with their names."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.elaborate.builder import Builder
from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.names import Context, refuse_word
from archdsl.elaborate.scope import (
    Cursor,
    NetworkInput,
    PartNames,
    Scope,
    read_volume,
    result_of,
)
from archdsl.layers.volume import Volume
from archdsl.network.graph import Output
from archdsl.network.parts import AuxPart, Written
from archdsl.text import syntax
from archdsl.text.diagnostics import Fix, Label, replaced, respell
from archdsl.text.source import Span


def read_inputs(input: syntax.Expr | syntax.Ports, header: Context) -> tuple[NetworkInput, ...]:
    """The inputs of a network, in their order. Errors: ElaborationError."""
    if not isinstance(input, syntax.Ports):
        return (NetworkInput("", read_volume(input, header), input.span),)
    _check_names(input)
    for port in input.ports:
        refuse_word(port.name)
        header.values.refuse_known(port.name)
    return tuple(
        NetworkInput(port.name.id, read_volume(port.volume, header), port.span)
        for port in input.ports
    )


def names_of_inputs(inputs: Sequence[NetworkInput], cursors: Sequence[Cursor]) -> PartNames:
    """The names that a network's statements begin with: those of its inputs."""
    own: dict[str, tuple[Cursor | None, Span]] = {
        given.label: (cursor, given.span)
        for given, cursor in zip(inputs, cursors, strict=True)
        if given.label
    }
    return PartNames(own=own)


def read_outputs(
    output: syntax.Ports,
    header: Context,
    builder: Builder,
    scope: Scope,
    parts: Sequence[Written],
) -> tuple[Output, ...]:
    """The parts that are the outputs of a network; what is wrong with one is reported.

    Errors: ElaborationError, for what is wrong with all of them.
    """
    _check_names(output)
    head = next((part for part in parts if isinstance(part, AuxPart)), None)
    if head is not None:
        raise ElaborationError(
            "misplaced-aux",
            "a network with named outputs has no auxiliary heads",
            head.span,
            related=(Label(output.span, "its outputs"),),
            help="give the part a name, and make it one of the outputs",
        )
    outputs = []
    for port in output.ports:
        with builder.collecting(scope, port.span):
            cursor = _find_output(port, builder, scope)
            _check_volume(port, read_volume(port.volume, header), builder, cursor)
            outputs.append(Output(port.name.id, cursor.node))
    return tuple(outputs)


def _check_names(ports: syntax.Ports) -> None:
    seen: dict[str, Span] = {}
    for port in ports.ports:
        if port.name.id in seen:
            raise ElaborationError(
                "repeated-name",
                f"`{port.name.id}` is there twice",
                port.name.span,
                related=(Label(seen[port.name.id], "first here"),),
            )
        seen[port.name.id] = port.name.span


def _find_output(port: syntax.Port, builder: Builder, scope: Scope) -> Cursor:
    name = port.name
    found = scope.parts.own.get(name.id)
    if found is None:
        hidden = scope.parts.all_hidden().get(name.id)
        if hidden is not None:
            raise ElaborationError(
                "not-an-output",
                f"the part `{name.id}` is inside `{hidden[0]}`, and its name ends there",
                name.span,
                related=(Label(hidden[1], "named here"),),
                help=f"an output is a part of the network's own braces, such as `{hidden[0]}`",
            )
        if builder.lacks_names:
            raise UnknownVolume
        fixes = respell(name.id, name.span, scope.parts.own)
        raise ElaborationError(
            "undefined-name", f"no part is named `{name.id}`", name.span, fixes=fixes
        )
    cursor = result_of(name, found)
    if cursor.volume is None:
        raise UnknownVolume
    if cursor.node < len(builder.inputs):
        raise ElaborationError(
            "not-an-output",
            f"`{name.id}` is the input of the network as it is, and no result",
            name.span,
            related=(Label(found[1], "named here"),),
        )
    return cursor


def _check_volume(port: syntax.Port, written: Volume, builder: Builder, cursor: Cursor) -> None:
    if cursor.volume is None:
        raise UnknownVolume
    if cursor.volume == written or cursor.node in builder.poisoned:
        return
    fixes: tuple[Fix, ...] = ()
    if isinstance(port.volume, (syntax.Dims, syntax.Number)):
        message = f"write `{cursor.volume}` if that is what you mean"
        fixes = (replaced(port.volume.span, str(cursor.volume), message, keeps_choices=False),)
    raise ElaborationError(
        "wrong-volume",
        f"the output `{port.name.id}` is {cursor.volume}, not {written}",
        port.volume.span,
        "written here",
        related=(Label(builder.nodes[cursor.node].span, f"{cursor.volume} here"),),
        fixes=fixes,
    )
