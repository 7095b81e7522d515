"""Programs as trees of the tests' own, and their text.

They are independent of ``archdsl.text.syntax``: what a program means is said once more in
``meaning.py``, so that the compiler is compared with something that it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from programs.expressions import FUNCTIONS, Expr, as_atom, literal


@dataclass(frozen=True)
class Quoted:
    """A name in quotes: texts, and values between them."""

    texts: tuple[str, ...]
    values: tuple[Expr, ...] = ()

    def __str__(self) -> str:
        parts = [self.texts[0]]
        for value, text in zip(self.values, self.texts[1:], strict=True):
            parts += [f"{{{value}}}", text]
        return f'"{"".join(parts)}"'


# ── Statements ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Init:
    """``init=normal(0.1, bias=1)``, or as a statement ``init normal 0.1 bias 1``."""

    word: str
    number: float | None = None
    bias: float | None = None

    def __str__(self) -> str:
        number = [] if self.number is None else [str(self.number)]
        bias = [] if self.bias is None else [f"bias={self.bias}"]
        inside = ", ".join([*number, *bias])
        return f"{self.word}({inside})" if inside else self.word


@dataclass(frozen=True)
class Layer:
    """A layer: arguments by place, and settings: a flag, a letter, or an attribute."""

    word: str
    args: tuple[Expr, ...] = ()
    #: ``("same", None)``, ``("s", (2, 1))``, ``("bias", Expr)``, ``("mode", "bilinear")``.
    settings: tuple[tuple[str, object], ...] = ()
    in_parentheses: bool = False

    def __str__(self) -> str:
        if self.in_parentheses:
            return f"{self.word}({', '.join(map(str, self.args))})"
        words = [self.word, *map(as_atom, self.args)]
        for key, value in self.settings:
            match value:
                case None:
                    words.append(key)
                case int() | tuple() if len(key) == 1:
                    words.append(f"{key}{literal(value)}")
                case Expr():
                    is_call = value.op in FUNCTIONS
                    words.append(f"{key}={value if is_call else as_atom(value)}")
                case _:
                    words.append(f"{key}={value}")
        return " ".join(words)


@dataclass(frozen=True)
class Argument:
    value: Expr
    pair: Expr | None = None
    keyword: str | None = None

    def __str__(self) -> str:
        keyword = f"{self.keyword}=" if self.keyword else ""
        pair = f"→{self.pair}" if self.pair else ""
        return f"{keyword}{self.value}{pair}"


@dataclass(frozen=True)
class Call:
    block: str
    args: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        return f"{self.block}({', '.join(map(str, self.args))})"


@dataclass(frozen=True)
class Merge:
    word: str
    branches: tuple[Body, ...]


@dataclass(frozen=True)
class Group:
    body: Body


@dataclass(frozen=True)
class Recall:
    part: str

    def __str__(self) -> str:
        return self.part


@dataclass(frozen=True)
class Crop:
    part: str

    def __str__(self) -> str:
        return f"crop {self.part}"


@dataclass(frozen=True)
class Reuse:
    part: str

    def __str__(self) -> str:
        return f"reuse {self.part}"


@dataclass(frozen=True)
class Given:
    """A layer that is given for a parameter."""

    word: str

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True)
class Head:
    weight: float
    body: Body


Atom: TypeAlias = Layer | Call | Merge | Group | Recall | Crop | Reuse | Head | Given


@dataclass(frozen=True)
class Step:
    atoms: tuple[Atom, ...]
    label: str | Quoted | None = None
    repeat: Expr | None = None
    claim: tuple[int, ...] | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Let:
    name: str
    value: Expr


@dataclass(frozen=True)
class If:
    test: Expr
    then: Body
    otherwise: Body | If | None = None


@dataclass(frozen=True)
class Range:
    start: Expr
    stop: Expr

    def __str__(self) -> str:
        return f"{self.start}..{self.stop}"


@dataclass(frozen=True)
class For:
    name: str
    values: Expr | Range
    body: Body
    label: str | Quoted | None = None


@dataclass(frozen=True)
class InitAll:
    """The statement ``init …`` of a network."""

    init: Init

    def __str__(self) -> str:
        number = [] if self.init.number is None else [str(self.init.number)]
        bias = [] if self.init.bias is None else ["bias", str(self.init.bias)]
        return " ".join(["init", self.init.word, *number, *bias])


Statement: TypeAlias = Step | Let | If | For | InitAll
Body: TypeAlias = tuple[Statement, ...]


# ── Files ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Formal:
    name: str
    pair: str | None = None
    default: Expr | None = None
    #: ``block``, ``layer`` or ``part`` for what is no value.
    kind: str | None = None

    def __str__(self) -> str:
        pair = f"→{self.pair}" if self.pair else ""
        pair = f": {self.kind}" if self.kind else pair
        default = f"={self.default}" if self.default else ""
        return f"{self.name}{pair}{default}"


@dataclass(frozen=True)
class Block:
    name: str
    formals: tuple[Formal, ...]
    body: Body
    comment: str | None = None
    is_phrase: bool = False


@dataclass(frozen=True)
class Network:
    """A network, or with parameters a family.

    ``inputs`` and ``outputs`` stand in place of ``input`` and ``output`` where these have names.
    """

    name: str
    formals: tuple[Formal, ...]
    input: Expr
    output: Expr
    body: Body
    comment: str | None = None
    inputs: tuple[tuple[str, Expr], ...] = ()
    outputs: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True)
class Member:
    name: str
    family: str
    args: tuple[Argument, ...]
    body: Body = ()


Item: TypeAlias = Let | Block | Network | Member


@dataclass(frozen=True)
class Program:
    items: tuple[Item, ...]

    def __str__(self) -> str:
        return "\n".join(line for item in self.items for line in _item(item)) + "\n"


# ── Text ─────────────────────────────────────────────────────────────────────────────────────

_WIDTH = 88


def _item(item: Item) -> list[str]:
    match item:
        case Let():
            return [f"let {item.name} = {item.value}"]
        case Block():
            word = "phrase" if item.is_phrase else "block"
            head = f"{word} {item.name}({', '.join(map(str, item.formals))})"
            return [*_comment(item.comment), *_braced(f"{head} ", item.body, "", "")]
        case Network():
            formals = f"({', '.join(map(str, item.formals))})" if item.formals else ""
            before = _ports(item.inputs) or as_atom(item.input)
            arrow = f"{before} → {_ports(item.outputs) or as_atom(item.output)}"
            head = f"network {item.name}{formals}: {arrow} "
            return [*_comment(item.comment), *_braced(head, item.body, "", "")]
        case Member():
            call = f"{item.family}({', '.join(map(str, item.args))})"
            head = f"network {item.name} = {call}"
            return _braced(f"{head} ", item.body, "", "") if item.body else [head]


def _ports(ports: tuple[tuple[str, Expr], ...]) -> str:
    listed = ", ".join(f"{label}: {as_atom(volume)}" for label, volume in ports)
    return f"({listed})" if listed else ""


def _comment(text: str | None) -> list[str]:
    return [f"# {text}"] if text else []


def _braced(before: str, body: Body, after: str, pad: str) -> list[str]:
    """Braces on one line where they fit, else a statement a line."""
    return _in_braces(before, [_statements(body, pad + "  ")], after, pad, "{", "}")


def _in_braces(
    before: str, chains: list[list[str]], after: str, pad: str, opening: str, closing: str
) -> list[str]:
    is_flat = not any("#" in line or "\n" in line for chain in chains for line in chain)
    flat = " | ".join("; ".join(line.strip() for line in chain) for chain in chains)
    if is_flat and all(len(chain) < 6 for chain in chains):
        line = f"{pad}{before}{opening} {flat} {closing}{after}"
        if len(line) <= _WIDTH and "{" not in flat.replace("{ }", ""):
            return [line]
    lines = [f"{pad}{before}{opening}"]
    for chain in chains:
        first, *rest = chain or ["id"]
        if len(chains) > 1:
            first = f"{pad}  | {first.strip()}"
        lines += [first, *rest]
    return [*lines, f"{pad}{closing}{after}"]


def _statements(body: Body, pad: str) -> list[str]:
    return [line for statement in body for line in _statement(statement, pad)]


def _statement(statement: Statement, pad: str) -> list[str]:
    match statement:
        case Let():
            return [f"{pad}let {statement.name} = {statement.value}"]
        case InitAll():
            return [f"{pad}{statement}"]
        case If():
            return _if(statement, "", pad)
        case For():
            label = f"{statement.label}: " if statement.label else ""
            head = f"{label}for {statement.name} in {statement.values} "
            return _braced(head, statement.body, "", pad)
        case Step():
            return _step(statement, pad)


def _if(cond: If, before: str, pad: str) -> list[str]:
    lines = _braced(f"{before}if {cond.test} ", cond.then, "", pad)
    if cond.otherwise is None:
        return lines
    *rest, last = lines
    joined = f"{last.strip()} else "
    if isinstance(cond.otherwise, If):
        return [*rest, *_if(cond.otherwise, joined, pad)]
    return [*rest, *_braced(joined, cond.otherwise, "", pad)]


def _step(step: Step, pad: str) -> list[str]:
    repeat = f" ×{as_atom(step.repeat)}" if step.repeat else ""
    claim = f" → {literal(step.claim)}" if step.claim else ""
    line = f"{step.label}: " if step.label else ""
    lines = [pad + line]
    for atom in step.atoms:
        start = lines.pop().rstrip()
        before = f"{start.strip()} " if start.strip() else ""
        match atom:
            case Merge():
                chains = [_statements(branch, pad + "    ") for branch in atom.branches]
                lines += _in_braces(f"{before}{atom.word} ", chains, "", pad, "{", "}")
            case Group():
                lines += _braced(before, atom.body, "", pad)
            case Head():
                lines += _braced(f"{before}aux({atom.weight}) ", atom.body, "", pad)
            case _:
                lines.append(f"{pad}{before}{atom}")
    lines[-1] += f"{repeat}{claim}"
    if step.comment and len(lines) == 1:
        lines[-1] += f"  # {step.comment}"
    elif step.comment:
        lines.insert(0, f"{pad}# {step.comment}")
    return lines
