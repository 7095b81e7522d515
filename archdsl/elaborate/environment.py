"""Environment: the blocks, families and values a file can see, its own and those it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cache
from importlib import resources

from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.findings import Findings
from archdsl.elaborate.names import Context, Values, refuse_word
from archdsl.elaborate.values import trace
from archdsl.records import dataclass
from archdsl.text import syntax
from archdsl.text.comment import Comment
from archdsl.text.diagnostics import Label, respell
from archdsl.text.parser import parse_program
from archdsl.text.source import Source, Span

#: Reads the file that ``use`` names, looked up beside the file that asks.
Reader = Callable[[str, Source], Source]


@dataclass(frozen=True, eq=False)
class BlockDefinition:
    block: syntax.Block
    home: Environment


@dataclass(frozen=True, eq=False)
class FamilyDefinition:
    network: syntax.Network
    home: Environment


@dataclass(eq=False)
class Environment:
    """What the statements of one file may call."""

    source: Source
    #: The comment at the top of the file.
    heading: Comment | None = None
    values: Values = field(default_factory=Values)
    blocks: dict[str, BlockDefinition] = field(default_factory=dict)
    families: dict[str, FamilyDefinition] = field(default_factory=dict)
    networks: dict[str, syntax.Name] = field(default_factory=dict)
    #: The names that each ``use`` brought in, by its place.
    uses: dict[Span, frozenset[str]] = field(default_factory=dict)
    #: The places of the ``let`` statements whose values the whole file sees.
    lets: set[Span] = field(default_factory=set)
    #: Whether a used file or a block was refused, so that unknown names are not reported.
    is_partial: bool = False

    def find_block(self, name: str) -> BlockDefinition | None:
        """A block of this file, of a file it uses, or of the standard library."""
        return self.blocks.get(name) or standard_block(name)

    def block_names(self) -> set[str]:
        return set(self.blocks) | standard_names()


def define(program: syntax.Program, read: Reader, findings: Findings) -> Environment:
    """Collect the environment of a program and of the files it uses; faults are findings."""
    return _Collector(read, findings).collect(program, ())


class _Collector:
    """Collects the environment of files, each file once."""

    def __init__(self, read: Reader, findings: Findings) -> None:
        self.read = read
        self.findings = findings
        self.files: dict[str, Environment] = {}

    def collect(self, program: syntax.Program, using: tuple[str, ...]) -> Environment:
        environment = Environment(program.source, program.comment)
        has_networks = any(
            isinstance(item, (syntax.Network, syntax.Instance)) for item in program.items
        )
        for item in program.items:
            try:
                self._add(item, has_networks, environment, (*using, program.source.path))
            except ElaborationError as fault:
                self.findings.add(fault.diagnostic)
                environment.is_partial |= isinstance(
                    item, (syntax.Use, syntax.Block, syntax.Network)
                )
            except UnknownVolume:
                pass
        return environment

    def _add(
        self,
        item: syntax.Item,
        has_networks: bool,
        environment: Environment,
        using: tuple[str, ...],
    ) -> None:
        match item:
            case syntax.Use():
                self._use(item, environment, using)
            case syntax.Block():
                refuse_word(item.name)
                check_formals(item.formals)
                known = environment.blocks.get(item.name.id)
                if known:
                    _refuse_repeat(item.name, {item.name.id: known.block.name})
                environment.blocks[item.name.id] = BlockDefinition(item, environment)
            case syntax.Network() | syntax.Instance():
                _refuse_repeat(item.name, environment.networks)
                environment.networks[item.name.id] = item.name
                if isinstance(item, syntax.Network) and item.formals:
                    check_formals(item.formals)
                    _refuse_parts(item.formals)
                    family = FamilyDefinition(item, environment)
                    environment.families[item.name.id] = family
            case syntax.Let() if has_networks or _hangs_on_no_volume(item, environment):
                environment.lets.add(item.span)
                context = Context(environment.values, None, in_network=False)
                try:
                    value = trace(item.value, context)
                except (ElaborationError, UnknownVolume):
                    environment.values.define(item.name, None)
                    raise
                environment.values.define(item.name, value)

    def _use(self, use: syntax.Use, environment: Environment, using: tuple[str, ...]) -> None:
        source = self._read(use, environment.source)
        if source.path in using:
            names = " → ".join([*using, source.path])
            raise ElaborationError("use-cycle", f"files use each other: {names}", use.span)
        if source.path not in self.files:
            self.files[source.path] = self.collect(parse_program(source), using)
        used = self.files[source.path]
        environment.uses[use.span] = frozenset({*used.blocks, *used.families})
        environment.is_partial |= used.is_partial
        for name, block in used.blocks.items():
            known = environment.blocks.get(name)
            if known and known is not block:
                _refuse_repeat(block.block.name, {name: known.block.name})
            environment.blocks[name] = block
        for name, family in used.families.items():
            _refuse_repeat(family.network.name, environment.networks)
            environment.families[name] = family
            environment.networks[name] = family.network.name

    def _read(self, use: syntax.Use, asking: Source) -> Source:
        try:
            return self.read(use.path, asking)
        except (OSError, UnicodeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if isinstance(error, UnicodeError):
                reason = "it is not UTF-8 text"
            message = f'cannot read "{use.path}": {reason}'
            raise ElaborationError("unreadable-file", message, use.span) from None


def _hangs_on_no_volume(let: syntax.Let, environment: Environment) -> bool:
    """Whether the whole file sees a ``let`` among bare statements, as it does beside networks.

    One that depends on a volume is itself one of the bare statements.
    """
    return all(environment.values.find(name) for name in syntax.names_in(let.value))


#: What a parameter can be besides a value.
KINDS = ("block", "layer", "part")


def _check_kind(kind: syntax.Name, default: syntax.Expr | None) -> None:
    if kind.id not in KINDS:
        fixes = respell(kind.id, kind.span, KINDS)
        raise ElaborationError(
            "unknown-word",
            f"`{kind.id}` is not a kind of parameter",
            kind.span,
            help=None if fixes else "the kinds are `block`, `layer` and `part`; a value has none",
            fixes=fixes,
        )
    if kind.id == "part" and default is not None:
        raise ElaborationError("wrong-value", "a part has no default", default.span)


def _refuse_parts(formals: tuple[syntax.Formal, ...]) -> None:
    for formal in formals:
        if formal.kind and formal.kind.id == "part":
            message = "a family is not called inside a network, where parts are"
            raise ElaborationError("wrong-value", message, formal.kind.span)


def check_formals(formals: tuple[syntax.Formal, ...]) -> None:
    """Refuse parameters that repeat a name, use a reserved word, or give a pair a default."""
    seen: dict[str, syntax.Name] = {}
    for formal in formals:
        if formal.pair and formal.default:
            raise ElaborationError("wrong-pair", "a pair has no default", formal.default.span)
        if formal.kind is not None:
            _check_kind(formal.kind, formal.default)
        for name in (formal.name, formal.pair):
            if name is not None:
                refuse_word(name)
                _refuse_repeat(name, seen)
                seen[name.id] = name


def _refuse_repeat(name: syntax.Name, known: Mapping[str, syntax.Name]) -> None:
    if name.id in known and known[name.id] is not name:
        raise ElaborationError(
            "repeated-name",
            f"`{name.id}` is defined twice",
            name.span,
            related=(Label(known[name.id].span, "first defined here"),),
        )


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
    program = parse_program(Source(text, f"std/{name}.arch", is_shipped=True))
    environment = Environment(program.source, program.comment)
    for item in program.items:
        assert isinstance(item, syntax.Block)
        environment.blocks[item.name.id] = BlockDefinition(item, environment)
    return environment.blocks[name]
