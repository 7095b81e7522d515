"""Definitions: the blocks, families and values a file can see, its own and those it uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from archdsl import syntax
from archdsl.diagnostics import Diagnostic, Label
from archdsl.elaborate.values import Context, Fault, Unknown, Values, evaluate, refuse_word
from archdsl.parser import parse
from archdsl.source import Source

#: Reads the file that ``use`` names, looked up beside the file that asks.
Reader = Callable[[str, Source], Source]


@dataclass(frozen=True, eq=False)
class BlockDefinition:
    block: syntax.Block
    home: Definitions


@dataclass(frozen=True, eq=False)
class FamilyDefinition:
    network: syntax.Network
    home: Definitions


@dataclass(eq=False)
class Definitions:
    """What the statements of one file may call."""

    source: Source
    values: Values = field(default_factory=Values)
    blocks: dict[str, BlockDefinition] = field(default_factory=dict)
    families: dict[str, FamilyDefinition] = field(default_factory=dict)

    def find_block(self, name: str) -> BlockDefinition | None:
        """A block of this file, of a file it uses, or of the standard library."""
        return self.blocks.get(name) or standard_block(name)

    def block_names(self) -> set[str]:
        return set(self.blocks) | standard_names()


def define(program: syntax.Program, read: Reader, diagnostics: list[Diagnostic]) -> Definitions:
    """Collect the definitions of a program and of the files it uses, faults into the list."""
    return _define(program, read, diagnostics, ())


def _define(
    program: syntax.Program,
    read: Reader,
    diagnostics: list[Diagnostic],
    using: tuple[Source, ...],
) -> Definitions:
    definitions = Definitions(program.source)
    networks: dict[str, syntax.Name] = {}
    for item in program.items:
        try:
            match item:
                case syntax.Use():
                    _use(item, definitions, read, diagnostics, (*using, program.source))
                case syntax.Block():
                    refuse_word(item.name)
                    _refuse_repeat(item.name, _own_names(definitions.blocks))
                    definitions.blocks[item.name.id] = BlockDefinition(item, definitions)
                case syntax.Network() | syntax.Instance():
                    _refuse_repeat(item.name, networks)
                    networks[item.name.id] = item.name
                    if isinstance(item, syntax.Network) and item.formals:
                        family = FamilyDefinition(item, definitions)
                        definitions.families[item.name.id] = family
                case syntax.Let() if _has_networks(program):
                    context = Context(definitions.values, None, in_network=False)
                    definitions.values.define(item.name, evaluate(item.value, context))
        except Fault as fault:
            diagnostics.append(fault.diagnostic)
        except Unknown:
            pass
    return definitions


def _has_networks(program: syntax.Program) -> bool:
    """Whether lets stand outside all networks; else they are statements of the bare one."""
    return any(isinstance(item, (syntax.Network, syntax.Instance)) for item in program.items)


def _own_names(blocks: dict[str, BlockDefinition]) -> dict[str, syntax.Name]:
    return {name: found.block.name for name, found in blocks.items()}


def _refuse_repeat(name: syntax.Name, known: dict[str, syntax.Name]) -> None:
    if name.id in known:
        raise Fault(
            "repeated-name",
            f"`{name.id}` is defined twice",
            name.span,
            related=(Label(known[name.id].span, "first defined here"),),
        )


def _use(
    use: syntax.Use,
    definitions: Definitions,
    read: Reader,
    diagnostics: list[Diagnostic],
    using: tuple[Source, ...],
) -> None:
    source = read_used(use, definitions.source, read)
    if source.path in {other.path for other in using}:
        names = " → ".join([*(other.path for other in using), source.path])
        raise Fault("use-cycle", f"files use each other: {names}", use.span)
    used = _define(parse(source), read, diagnostics, using)
    for name, block in used.blocks.items():
        known = definitions.blocks.get(name)
        if known and known.block is not block.block:
            _refuse_repeat(block.block.name, {name: known.block.name})
        definitions.blocks[name] = block
    definitions.families.update(used.families)


def read_used(use: syntax.Use, asking: Source, read: Reader) -> Source:
    try:
        return read(use.path, asking)
    except (OSError, UnicodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Fault("unreadable-file", f"cannot read {use.path!r}: {reason}", use.span) from None


# ── The standard library ─────────────────────────────────────────────────────────────────────


@cache
def standard_names() -> frozenset[str]:
    """The blocks that ship with the tool, one file each."""
    folder = resources.files("archdsl").joinpath("std")
    return frozenset(
        entry.name.removesuffix(".arch")
        for entry in folder.iterdir()
        if entry.name.endswith(".arch")
    )


@cache
def standard_block(name: str) -> BlockDefinition | None:
    if name not in standard_names():
        return None
    text = resources.files("archdsl").joinpath("std", f"{name}.arch").read_text("utf-8")
    program = parse(Source(text, f"std/{name}.arch"))
    definitions = Definitions(program.source)
    for item in program.items:
        assert isinstance(item, syntax.Block)
        definitions.blocks[item.name.id] = BlockDefinition(item, definitions)
    return definitions.blocks[name]
