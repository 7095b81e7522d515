"""A network once more: with other arguments of its family, or for another input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from archdsl.elaborate import elaborate
from archdsl.elaborate.values import written
from archdsl.frontend import read_beside
from archdsl.layers.volume import Volume
from archdsl.model import Model, build_model
from archdsl.text import syntax
from archdsl.text.diagnostics import ArchError, Diagnostic, Edit
from archdsl.text.fixes import edited
from archdsl.text.parser import parse_program
from archdsl.text.source import Source

#: A number, a truth value, a size such as ``(3, 5)``, a list, or an expression as text.
ArgumentValue: TypeAlias = int | float | bool | str | tuple[int, ...] | list[int]

_Named: TypeAlias = syntax.Network | syntax.Instance


def replace_arguments(
    model: Model, input: Volume | None, arguments: Mapping[str, ArgumentValue]
) -> Model:
    """The network with these arguments and this input, and without its claims.

    Its source is the text with these changes, so that they stay where it is replaced again.

    Errors:
        ValueError: the network has no parameters, or several inputs, or one that is said elsewhere.
        ArchError: every fault of the network that results.
    """
    if arguments and model.member is None:
        raise ValueError(f"{model.name} has no parameters")
    if input is not None and len(model.inputs) > 1:
        raise ValueError(f"{model.name} has several inputs")
    named = _named_in(parse_program(model.source))
    if model.name not in named:
        raise ValueError(f"{model.name} is of bare statements: parse them with another input")
    target = named[model.name]
    home = named.get(target.call.name.id) if isinstance(target, syntax.Instance) else target
    family = home if isinstance(home, syntax.Network) else None
    texts = {name: written(value) for name, value in arguments.items()}
    edits: list[Edit] = []
    if isinstance(target, syntax.Instance):
        formals = family.formals if family else _formals_elsewhere(model, target.call.name.id)
        edits.append(Edit(target.call.span, _called(target.call, formals, texts)))
    else:
        edits += _defaults(target.formals, texts)
    if input is not None:
        if family is None:
            raise ValueError(f"the input of {model.name} is said in another file")
        ports = family.input
        volume = ports.ports[0].volume if isinstance(ports, syntax.Ports) else ports
        edits.append(Edit(volume.span, str(input)))
    source = Source(edited(model.source.text, edits), model.path)
    return _only(source, model.name, {model.name, *([family.name.id] if family else ())})


def _named_in(program: syntax.Program) -> dict[str, _Named]:
    """The networks, families and members of a program."""
    return {item.name.id: item for item in program.items if isinstance(item, _Named)}


def _formals_elsewhere(model: Model, name: str) -> tuple[syntax.Formal, ...]:
    """The parameters of a family of a file that the spec uses."""
    assert model.member is not None
    family = _named_in(parse_program(model.member.family.span.source))[name]
    assert isinstance(family, syntax.Network)
    return family.formals


def _called(call: syntax.Call, formals: tuple[syntax.Formal, ...], texts: Mapping[str, str]) -> str:
    """A call with these arguments in place of those that it has for the same parameters."""
    listed = []
    for index, argument in enumerate(call.arguments):
        name = argument.keyword or formals[index].name
        if name.id not in texts:
            text = argument.span.text
            listed.append(text if argument.keyword else f"{name.id}={text}")
    listed += [f"{name}={text}" for name, text in texts.items()]
    return f"{call.name.id}({', '.join(listed)})"


def _defaults(formals: tuple[syntax.Formal, ...], texts: Mapping[str, str]) -> list[Edit]:
    """What makes the arguments the defaults of a network's parameters."""
    places = {formal.name.id: formal.default for formal in formals}
    edits = []
    for name, text in texts.items():
        default = places.get(name)
        if default is None:
            raise ValueError(f"there is no parameter {name!r}: there are {', '.join(places)}")
        edits.append(Edit(default.span, text))
    return edits


def _only(source: Source, name: str, needed: set[str]) -> Model:
    """One network of a source, with those that it needs, and without claims."""
    program = parse_program(source)
    items = tuple(
        _without_claims(item)
        for item in program.items
        if not isinstance(item, _Named) or item.name.id in needed
    )
    found: list[Diagnostic] = []
    networks = elaborate(replace(program, items=items), read_beside)
    model = next(build_model(network, found) for network in networks if network.name == name)
    if found:
        raise ArchError(found)
    return model


def _without_claims(item: syntax.Item) -> syntax.Item:
    """A network without `expect`: its claims are about the one before."""
    if not isinstance(item, _Named) or item.body is None:
        return item
    chains = []
    for chain in item.body.chains:
        left = tuple(s for s in chain.statements if not isinstance(s, syntax.Expect))
        chains.append(replace(chain, statements=left))
    return replace(item, body=replace(item.body, chains=tuple(chains)))
