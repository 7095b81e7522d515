"""What the networks of a file mean, said once more from docs/language.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from programs import tree
from programs.layers import Volume, need
from programs.machine import Machine, need_statements
from programs.values import State, bind_formals, evaluate, is_reserved


@dataclass(frozen=True)
class Meaning:
    """One network of a file."""

    name: str
    machine: Machine
    end: State
    #: The layers behind the outputs that have names.
    outputs: tuple[tuple[str, int], ...] = ()


def run(program: tree.Program) -> list[Meaning]:
    """All networks of a file, as the language defines them. Errors: ``Illegal``."""
    blocks: dict[str, tree.Block] = {}
    values: dict[str, Any] = {}
    families: dict[str, tree.Network] = {}
    names: set[str] = set()
    for item in program.items:
        match item:
            case tree.Let():
                need(item.name not in values and not is_reserved(item.name), "a value twice")
                values[item.name] = evaluate(item.value, State(0, (), values))
            case tree.Block():
                need(item.name not in blocks and not is_reserved(item.name), "a block twice")
                _check_formals(item.formals)
                need_statements(item.body)
                blocks[item.name] = item
            case tree.Network() | tree.Member():
                need(item.name not in names, "a network twice")
                names.add(item.name)
                if isinstance(item, tree.Network) and item.formals:
                    _check_formals(item.formals)
                    families[item.name] = item
    found = []
    for item in program.items:
        match item:
            case tree.Network() if all(formal.default for formal in item.formals):
                found.append(run_network(item, item.name, (), blocks, values))
            case tree.Member():
                need(item.family in families, "no such family")
                family = families[item.family]
                meaning = run_network(family, item.name, item.args, blocks, values)
                for statement in item.body:
                    assert isinstance(statement, tree.InitAll)
                    meaning.machine.init = statement.init
                found.append(meaning)
    need(bool(found), "no network")
    return found


def run_network(
    network: tree.Network,
    name: str,
    args: tuple[tree.Argument, ...],
    blocks: Mapping[str, tree.Block],
    values: Mapping[str, Any],
    checks_output: bool = True,
) -> Meaning:
    """One network, or one member of a family."""
    machine = Machine(blocks, values)
    outside = State(0, (), values)
    bound = bind_formals(network.formals, args, outside, values, blocks, has_volume=False)
    header = State(0, (), bound.values)
    named = tuple((label, _volume(evaluate(given, header))) for label, given in network.inputs)
    need(not any(label in bound.words for label, _ in named), "a name given twice")
    first = named[0][1] if named else _volume(evaluate(network.input, header))
    state = machine.start(first, bound.values, named)._replace(words=bound.words)
    inputs = len(machine.nodes)
    end = machine.body(network.body, state, True)
    if network.outputs:
        return Meaning(name, machine, end, _outputs(network, machine, end, header, inputs))
    if checks_output:
        need(end.volume == _volume(evaluate(network.output, header)), "another output")
    need(end.node >= inputs, "no layer")
    return Meaning(name, machine, end)


def _outputs(
    network: tree.Network, machine: Machine, end: State, header: State, inputs: int
) -> tuple[tuple[str, int], ...]:
    """The layers behind the outputs that have names."""
    need(not machine.heads, "heads beside named outputs")
    labels = [label for label, _ in network.outputs]
    need(len(set(labels)) == len(labels), "an output twice")
    found = []
    for label, volume in network.outputs:
        part = end.parts.get(label)
        need(label in end.own and part is not None, "no such output")
        need(not is_reserved(label), "a reserved name")
        assert part is not None
        need(part[0] >= inputs, "an input")
        need(part[1] == _volume(evaluate(volume, header)), "another output")
        found.append((label, part[0]))
    return tuple(found)


def _volume(value: Any) -> Volume:
    sizes = value if isinstance(value, tuple) else (value,)
    need(len(sizes) in (1, 3), "no volume")
    need(all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in sizes), "no volume")
    return sizes


def _check_formals(formals: tuple[tree.Formal, ...]) -> None:
    names = [n for formal in formals for n in (formal.name, formal.pair) if n]
    need(len(set(names)) == len(names) and not any(map(is_reserved, names)), "parameters")
    need(not any(formal.pair and formal.default for formal in formals), "a pair has no default")
