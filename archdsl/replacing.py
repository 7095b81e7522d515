"""A network once more: with other arguments of its family, or for another input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from archdsl.elaborate import elaborate
from archdsl.frontend import read_beside
from archdsl.layers.fields import written_size
from archdsl.layers.volume import Volume
from archdsl.model import Model, build_model
from archdsl.text import syntax
from archdsl.text.diagnostics import ArchError, Diagnostic
from archdsl.text.parser import parse_program
from archdsl.text.source import Source

#: A number, a truth value, a size such as ``(3, 5)``, a list, or an expression as text.
ArgumentValue: TypeAlias = int | float | bool | str | tuple[int, ...] | list[int]


def replace_arguments(
    model: Model, input: Volume | None, arguments: Mapping[str, ArgumentValue]
) -> Model:
    """The network with these arguments and this input, and without its claims.

    Errors:
        ValueError: the network has no parameters, or several inputs, or one that is said elsewhere.
        ArchError: every fault of the network that results.
    """
    if arguments and model.member is None:
        raise ValueError(f"{model.name} has no parameters")
    if input is not None and len(model.inputs) > 1:
        raise ValueError(f"{model.name} has several inputs")
    program = parse_program(model.source)
    named = {i.name.id: i for i in program.items if isinstance(i, syntax.Network | syntax.Instance)}
    if model.name not in named:
        raise ValueError(f"{model.name} is of bare statements: parse them with another input")
    target = named[model.name]
    given = _arguments(arguments)
    family: syntax.Network | syntax.Instance | None = target
    if isinstance(target, syntax.Instance):
        family = named.get(target.call.name.id)
        formals = _formals(model, target.call.name.id, family)
        call = replace(target.call, arguments=_merged(formals, target.call.arguments, given))
        named[model.name] = replace(target, call=call)
    elif given:
        named[model.name] = replace(target, formals=_defaults(target.formals, given))
    if input is not None:
        if not isinstance(family, syntax.Network):
            raise ValueError(f"the input of {model.name} is said in another file")
        current = named[family.name.id]
        assert isinstance(current, syntax.Network)
        sizes = syntax.Dims(family.span, input.sizes)
        named[family.name.id] = replace(current, input=sizes)
    wanted = {model.name, *({family.name.id} if family else ())}
    items = [
        named[item.name.id] if isinstance(item, syntax.Network | syntax.Instance) else item
        for item in program.items
        if not isinstance(item, syntax.Network | syntax.Instance) or item.name.id in wanted
    ]
    program = replace(program, items=tuple(map(_without_claims, items)))
    found: list[Diagnostic] = []
    networks = elaborate(program, read_beside)
    result = next(build_model(n, found) for n in networks if n.name == model.name)
    if found:
        raise ArchError(found)
    return result


def _arguments(arguments: Mapping[str, ArgumentValue]) -> dict[str, syntax.Argument]:
    """The arguments as the language has them."""
    if not arguments:
        return {}
    listed = ", ".join(f"{name}={_written(value)}" for name, value in arguments.items())
    program = parse_program(Source(f"network Network = Family({listed})", "<arguments>"))
    (item,) = program.items
    assert isinstance(item, syntax.Instance)
    return dict(zip(arguments, item.call.arguments, strict=True))


def _written(value: ArgumentValue) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return written_size(value)
        case _:
            return str(value)


def _formals(
    model: Model, name: str, family: syntax.Network | syntax.Instance | None
) -> tuple[syntax.Formal, ...]:
    """The parameters of the family, which may be in a file that the spec uses."""
    if isinstance(family, syntax.Network):
        return family.formals
    assert model.member is not None
    home = parse_program(model.member.family.span.source)
    return next(
        item.formals
        for item in home.items
        if isinstance(item, syntax.Network) and item.name.id == name
    )


def _merged(
    formals: tuple[syntax.Formal, ...],
    before: tuple[syntax.Argument, ...],
    given: Mapping[str, syntax.Argument],
) -> tuple[syntax.Argument, ...]:
    """The arguments of a call, those given in place of the former ones."""
    kept: dict[str, syntax.Argument] = {}
    for index, argument in enumerate(before):
        name = argument.keyword or formals[index].name
        kept[name.id] = replace(argument, keyword=name)
    return tuple((kept | dict(given)).values())


def _defaults(
    formals: tuple[syntax.Formal, ...], given: Mapping[str, syntax.Argument]
) -> tuple[syntax.Formal, ...]:
    """The parameters with the arguments as their defaults."""
    names = [formal.name.id for formal in formals]
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"there is no parameter {unknown[0]!r}: there are {', '.join(names)}")
    return tuple(
        replace(formal, default=given[formal.name.id].value) if formal.name.id in given else formal
        for formal in formals
    )


def _without_claims(item: syntax.Item) -> syntax.Item:
    """A network without `expect`: its claims are about the one before."""
    if not isinstance(item, syntax.Network | syntax.Instance) or item.body is None:
        return item
    chains = tuple(
        replace(
            chain,
            statements=tuple(s for s in chain.statements if not isinstance(s, syntax.Expect)),
        )
        for chain in item.body.chains
    )
    return replace(item, body=replace(item.body, chains=chains))
