"""From syntax tree to networks: names, arguments, blocks, families, repeats and branches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from archdsl.collector import without_collector
from archdsl.elaborate.builder import Builder
from archdsl.elaborate.calls import bind_formals
from archdsl.elaborate.environment import Environment, Reader, define
from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.findings import Findings
from archdsl.elaborate.names import Context
from archdsl.elaborate.ports import names_of_inputs, read_inputs, read_outputs
from archdsl.elaborate.scope import Cursor, PartNames, Scope, read_volume
from archdsl.elaborate.unvisited import check_words, has_inner_items
from archdsl.layers.volume import Volume
from archdsl.network.elaborated import Elaborated
from archdsl.network.graph import CallFrame, Output
from archdsl.network.parts import Chain, Declaration, Member, without_empty
from archdsl.text import syntax
from archdsl.text.comment import Comment
from archdsl.text.diagnostics import ArchError, Diagnostic, Fix, Label, help_of, replaced, respell
from archdsl.text.source import Span


def elaborate(
    program: syntax.Program, read: Reader, input: Volume | None = None
) -> tuple[Elaborated, ...]:
    """Elaborate all networks of a program.

    ``input`` is the volume for a file of bare statements, which declares none itself.

    Errors:
        ArchError: with every independent fault of all the networks.
    """
    networks, findings = elaborate_partly(program, read, input)
    if findings:
        raise ArchError(findings)
    return networks


@without_collector()
def elaborate_partly(
    program: syntax.Program, read: Reader, input: Volume | None = None
) -> tuple[tuple[Elaborated, ...], tuple[Diagnostic, ...]]:
    """All networks of a program up to their faults, and all the faults.

    Errors:
        ArchError: where elaboration is given up: too many faults, layers or nested calls.
    """
    findings = Findings()
    environment = define(program, read, findings)
    environment.is_partial |= has_inner_items(program)
    networks: list[Elaborated] = []
    for item in _networks(program, environment, input, findings):
        try:
            network = _elaborate_item(item, environment, findings)
            if network is not None:
                networks.append(network)
        except ElaborationError as fault:
            findings.add(fault.diagnostic)
        except UnknownVolume:
            pass
        except RecursionError:
            message = "this is nested too deeply to read"
            findings.add(Diagnostic("nested-too-deeply", message, item.name.span))
    for diagnostic in check_words(program, environment):
        findings.add(diagnostic)
    return tuple(networks), tuple(findings)


def _networks(
    program: syntax.Program,
    environment: Environment,
    input: Volume | None,
    findings: Findings,
) -> list[syntax.Network | syntax.Instance]:
    """The networks of a file: those it declares, or the one that its bare statements make."""
    source = program.source
    declared = [i for i in program.items if isinstance(i, (syntax.Network, syntax.Instance))]
    bare = [
        item
        for item in program.items
        if isinstance(item, (syntax.Step, syntax.Cond, syntax.For, syntax.Expect))
        or (isinstance(item, syntax.Let) and item.span not in environment.lets and not declared)
    ]
    if declared:
        for statement in bare:
            message = "this statement is outside the networks of the file"
            findings.add(Diagnostic("misplaced-statement", message, statement.span))
        if input is not None:
            message = "an input is given, but the networks of this file declare their own"
            findings.add(Diagnostic("misplaced-statement", message, declared[0].span))
        return [i for i in declared if not isinstance(i, syntax.Network) or not _is_open(i)]
    if not bare:
        if not program.items:
            whole = Span(source, 0, 0)
            findings.add(Diagnostic("no-network", "the file is empty", whole))
        return []
    span = bare[0].span.to(bare[-1].span)
    if input is None:
        findings.add(
            Diagnostic(
                "missing-input",
                "bare statements need an input volume",
                bare[0].span,
                help="pass `--input 28x28x192`, or write `network NAME: 28x28x192 → … { … }`",
            )
        )
        return []
    name = syntax.Name(span, _name_after(source.path))
    first, comment = bare[0], None
    if first.comment and program.comment and first.comment.above == program.comment.above:
        # The comment at the top of the file is about the whole file.
        comment, behind = program.comment, first.comment.behind
        bare[0] = replace(first, comment=Comment((), behind) if behind else None)
    body = syntax.Body(span, (syntax.Chain(span, tuple(bare)),), forked=False)
    sizes = syntax.Dims(span, input.sizes)
    output = syntax.Name(span, "?")
    return [syntax.Network(span, name, (), sizes, output, body, comment)]


def _name_after(path: str) -> str:
    """The name of a bare network: its file's, as a word."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in PurePath(path).stem).split()
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name and name[0].isalpha() else f"Network{name}"


def _is_open(network: syntax.Network) -> bool:
    """Whether a family still wants arguments: it is checked through its members."""
    return any(formal.default is None for formal in network.formals)


def _elaborate_item(
    item: syntax.Network | syntax.Instance,
    environment: Environment,
    findings: Findings,
) -> Elaborated | None:
    if isinstance(item, syntax.Network):
        call = syntax.Call(item.name.span, item.name, ())
        return _elaborate_network(item, item, call, environment, environment, findings)
    family = environment.families.get(item.call.name.id)
    if family is None:
        if environment.is_partial:
            raise UnknownVolume
        fixes = respell(item.call.name.id, item.call.name.span, environment.families)
        raise ElaborationError(
            "undefined-name",
            f"there is no family `{item.call.name.id}`",
            item.call.name.span,
            help=help_of(fixes) or "a family is a network with parameters",
            fixes=fixes,
        )
    return _elaborate_network(item, family.network, item.call, environment, family.home, findings)


def _elaborate_network(
    item: syntax.Network | syntax.Instance,
    network: syntax.Network,
    call: syntax.Call,
    caller: Environment,
    home: Environment,
    findings: Findings,
) -> Elaborated | None:
    """Expand one network: ``item`` names it, ``network`` holds its body."""
    before = findings.added
    context = Context(caller.values, None, in_network=False)
    outside = Scope(caller, caller.values, PartNames())
    given = bind_formals("family", network.formals, call, outside, context, home)
    values = given.values
    header = Context(values, None, in_network=False)
    inputs = read_inputs(network.input, header)
    ports = network.output.ports if isinstance(network.output, syntax.Ports) else ()
    builder = Builder(inputs, findings, [port.name.id for port in ports])
    frames = () if item is network else (CallFrame(call.span.text, call.span, item.name.id),)
    names = names_of_inputs(inputs, builder.inputs)
    scope = Scope(home, values, names, frames, words=given.words)
    parts, end = builder.body(network.body, scope, builder.start, f"network `{item.name.id}`")
    is_bare = isinstance(network.output, syntax.Name) and network.output.id == "?"
    outputs: tuple[Output, ...] = ()
    if isinstance(network.output, syntax.Ports):
        outputs = read_outputs(network.output, header, builder, scope, parts)
    elif not is_bare:
        _check_output(network, network.output, header, builder, end, findings)
    if isinstance(item, syntax.Instance) and item.body is not None:
        _add_member(item.body, builder, scope, findings)
    is_refused = findings.added > before or end.volume is None
    if is_refused and len(builder.nodes) == len(inputs):
        return None
    if end.node < len(inputs) and not outputs and not is_refused:
        raise ElaborationError(
            "empty-branch", f"network `{item.name.id}` has no layer", item.name.span
        )
    chain = Chain(tuple(parts), 0, end.node)
    if is_refused:
        chain = without_empty(chain)
    return Elaborated(
        item.name.id,
        caller.source,
        item.name.span,
        tuple(builder.nodes),
        chain,
        tuple(builder.expects),
        builder.recipe,
        builder.init and builder.init[0],
        caller.heading,
        item.comment,
        caller.uses,
        builder.volumes,
        builder.faults,
        frozenset(builder.unknown),
        end.volume is not None,
        Member(_declared(network), tuple(given.arguments)) if network.formals else None,
        outputs,
        not is_refused,
    )


def _declared(network: syntax.Network) -> Declaration:
    return Declaration(network.name.id, network.span, network.comment)


def _check_output(
    network: syntax.Network,
    output: syntax.Expr,
    header: Context,
    builder: Builder,
    end: Cursor,
    findings: Findings,
) -> None:
    written = read_volume(output, header)
    if end.volume is None or end.volume == written or end.node in builder.poisoned:
        return
    last = builder.nodes[end.node]
    fixes = _fix_output(network, output, end.volume, written)
    diagnostic = Diagnostic(
        "wrong-volume",
        f"the network ends in {end.volume}, not in {written}",
        output.span,
        "written here",
        related=(Label(last.span, f"{end.volume} here"),),
        help=help_of(fixes),
        fixes=fixes,
    )
    findings.add(diagnostic)
    builder.faults[end.node] = diagnostic


def _fix_output(
    network: syntax.Network, output: syntax.Expr, ends: Volume, written: Volume
) -> tuple[Fix, ...]:
    """A `flatten` at the end where that is all that is missing, else what the network ends in."""
    if written == Volume.vector(ends.elements):
        steps = [s for chain in network.body.chains for s in chain.statements]
        last = next(
            s for s in reversed(steps) if isinstance(s, (syntax.Step, syntax.Cond, syntax.For))
        )
        claim = None if isinstance(last, syntax.Cond) else last.claim
        return (replaced((claim or last).span.after, "; flatten", "end with `flatten`"),)
    if not isinstance(output, (syntax.Dims, syntax.Number)):
        return ()
    message = f"write `→ {ends}` if that is what you mean"
    return (replaced(output.span, str(ends), message, keeps_choices=False),)


def _add_member(body: syntax.Body, builder: Builder, scope: Scope, findings: Findings) -> None:
    """Add the claims, the recipe and the `init` of a member; they replace the family's."""
    statements = [statement for chain in body.chains for statement in chain.statements]
    if any(isinstance(statement, syntax.Train) for statement in statements):
        builder.recipe = None
    if any(isinstance(statement, syntax.Init) for statement in statements):
        builder.init = None
    for statement in statements:
        if isinstance(statement, (syntax.Expect, syntax.Train, syntax.Init)):
            builder.chain((statement,), scope, builder.start)
            continue
        message = "a member of a family takes only `expect`, `train` and `init` in its braces"
        findings.add(Diagnostic("misplaced-statement", message, statement.span))
