"""Statements and blocks as the text of a spec."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count, zip_longest
from typing import Any

from archdsl.elaborate.names import can_refer_to
from archdsl.importing.blocks import Block, Blocks, numbers_of, rows_in
from archdsl.importing.graph import SourceGraph
from archdsl.importing.statements import (
    Body,
    HeadStatement,
    InputStatement,
    LayerStatement,
    MergeStatement,
    PartStatement,
    ReferenceStatement,
    ReuseStatement,
    Statement,
    label_of,
    labels_in,
    walk,
)
from archdsl.layers import Family, Layer
from archdsl.layers.conv import Conv, DepthwiseConv
from archdsl.layers.dense import Flatten, FullyConnected
from archdsl.layers.fields import written_size
from archdsl.report.statement import render_layer

_WIDTH = 92
#: The weight of auxiliary losses, which modules do not have: GoogLeNet's.
HEAD_WEIGHT = 0.3
#: What a `for` calls its value.
COUNTER = "i"
#: So many lines less make a block worth its name.
WORTH = 2
#: Layers that begin a line.
FIRST = {Family.CONVOLUTION, Family.DENSE, Family.MERGE}


def write_spec(graph: SourceGraph, body: Body) -> str:
    """The text of a spec, with a block for the parts that are alike.

    Rows that are alike, as those of which a sum has one as a branch and another place has one
    alone, become a block where the text is shorter then.
    """
    text = _written(graph, body, Blocks(body))
    groups: dict[str, list[int]] = {}
    for row, kind in rows_in(body):
        groups.setdefault(kind, []).append(id(row))
    rows: dict[int, str] = {}
    for kind, found in groups.items():
        if len(found) > 1:
            more = rows | dict.fromkeys(found, kind)
            other = _written(graph, body, Blocks(body, more))
            if other.count("\n") <= text.count("\n") - WORTH:
                text, rows = other, more
    return text


def _written(graph: SourceGraph, body: Body, blocks: Blocks) -> str:
    lines: list[str] = []
    for block in blocks.blocks:
        lines += ["", *_Writer(blocks, block).block()]
    names = _names_of_inputs(graph, body)
    head = f"network {graph.name}: {_inputs(graph, body, names)} → {_results(graph)} {{"
    lines += ["", head, *_indented(_Writer(blocks, None, names).body(body)), "}"]
    return "\n".join(lines).lstrip("\n") + "\n"


def _inputs(graph: SourceGraph, body: Body, names: Sequence[str]) -> str:
    """The volumes of the inputs with their names; that of a single one where it is read again."""
    volumes = [*graph.inputs.values()]
    is_named = any(
        isinstance(s, ReferenceStatement) and isinstance(s.of, InputStatement) for s in walk(body)
    )
    if len(volumes) == 1 and not is_named:
        return str(volumes[0])
    named = zip(names, volumes, strict=True)
    return f"({', '.join(f'{name}: {volume}' for name, volume in named)})"


def _names_of_inputs(graph: SourceGraph, body: Body) -> list[str]:
    """What the inputs are called: as in the source, if no part has the name, with a number else.

    The names of parts stay as they are, since weights have them.
    """
    taken = {*labels_in(body), COUNTER}
    found: list[str] = []
    for name in graph.inputs if len(graph.inputs) > 1 else ["image"]:
        stem = re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_0123456789") or "input"
        names = chain([stem, f"{stem}_input"], (f"{stem}_{number}" for number in count(2)))
        found.append(next(name for name in names if name not in taken and can_refer_to(name)))
        taken.add(found[-1])
    return found


def _results(graph: SourceGraph) -> str:
    """The volume of the result, or those of several by name."""
    if not graph.outputs:
        return str(graph.operations[graph.output].volume)
    volumes = {name: graph.operations[result].volume for name, result in graph.outputs.items()}
    return f"({', '.join(f'{name}: {volume}' for name, volume in volumes.items())})"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


class _Writer:
    """Writes the statements of the network, or of one block, whose numbers have texts."""

    def __init__(self, blocks: Blocks, block: Block | None, inputs: Sequence[str] = ()) -> None:
        self.blocks = blocks
        self.of = block
        self.inputs = inputs
        self.texts = iter(block.texts) if block else iter(())

    def block(self) -> list[str]:
        assert self.of is not None
        formals = [
            name if default is None else f"{name}={_shown(default)}"
            for name, default in self.of.parameters
        ]
        lines = self.body(self.of.parts[0].body)
        head = f"block {self.of.name}({', '.join(formals)})"
        if len(lines) == 1 and len(head) + len(lines[0]) < _WIDTH:
            return [f"{head} {{ {lines[0]} }}"]
        return [f"{head} {{", *_indented(lines), "}"]

    def body(self, body: Sequence[Statement], *, is_branch: bool = False) -> list[str]:
        """Statements as lines; what belongs together shares one.

        So does what a branch does first, before anything that begins a line.
        """
        units: list[list[str]] = []
        is_open = False
        is_first = is_branch
        for statement, behind in zip_longest(body, body[1:]):
            lines, begins = self._statement(statement)
            if _is_needless(statement, behind):
                continue
            is_again = units[-2:-1] == units[-1:]  # which `×2` says
            if is_open and (is_first or not begins) and len(lines) == 1 and not is_again:
                joined = _joined(units[-1][0], lines[0])
                if len(joined) < _WIDTH:
                    units[-1] = [joined]
                    is_first &= not begins
                    continue
            is_first &= not begins and not units
            units.append(lines)
            is_open = len(lines) == 1 and not lines[0].endswith("}")
        return [line for lines in _repeated(_counted(units)) for line in lines]

    # ── Statements ───────────────────────────────────────────────────────────────────────────

    def _statement(self, statement: Statement) -> tuple[list[str], bool]:
        """The lines of a statement, and whether it begins a line."""
        match statement:
            case LayerStatement(operation=operation, label=label):
                text = _labelled(label, self._layer(operation.layer))
                return [text], operation.layer.family in FIRST
            case InputStatement(number=number):
                return [self.inputs[number]], True
            case ReferenceStatement(of=InputStatement() as of):
                return self._statement(of)
            case ReferenceStatement(of=of):
                return [_referred(of)], True
            case ReuseStatement(of=of, label=label):
                return [_labelled(label, f"reuse {_referred(of)}")], True
            case PartStatement():
                return self._part(statement), True
            case HeadStatement(body=inner, label=label, weight=weight):
                shown = _shown(HEAD_WEIGHT if weight is None else weight)
                return _braced(_labelled(label, f"aux({shown}) {{"), self.body(inner)), True
            case MergeStatement(operation=operation, branches=branches, label=label):
                head = _labelled(label, self._layer(operation.layer))
                bodies = [self._branch(branch) for branch in branches]
                if all(len(lines) == 1 for lines in bodies):
                    line = f"{head} {{ {' | '.join(lines[0] for lines in bodies)} }}"
                    if len(line) < _WIDTH:
                        return [line], True
                lines = [f"{head} {{"]
                for first, *rest in bodies:
                    lines += [f"  | {first}", *(f"    {line}" for line in rest)]
                return [*lines, "}"], True

    def _branch(self, branch: Body) -> list[str]:
        if not branch:
            return ["id"]
        lines = self.body(branch, is_branch=True)
        if self.of is None or id(branch) not in self.of.options:
            return lines
        if len(lines) == 1:
            return [f"if {self.of.option} {{ {lines[0]} }} else {{ id }}"]
        return [f"if {self.of.option} {{", *_indented(lines), "} else { id }"]

    def _part(self, part: PartStatement) -> list[str]:
        block = self.blocks.of.get(id(part))
        if block is not None:
            given = [self._value(value) for value in block.arguments(part)]
            return [_labelled(part.label, f"{block.name}({_arguments(block, given)})")]
        match part.body:
            case [LayerStatement(label=None) | MergeStatement(label=None) as only] if part.label:
                return self._statement(replace(only, label=part.label))[0]
        lines = self.body(part.body)
        if part.label is None:
            return lines
        return _braced(_labelled(part.label, "{"), lines)

    def _value(self, value: Any) -> str:
        """A number of a call: what stands for it here, or itself."""
        text = next(self.texts, None) if self.of else None
        return _bare(text) if text else _shown(value)

    def _layer(self, layer: Layer) -> str:
        # Reports show six digits; a spec has all of them.
        instead = {
            number.field: repr(number.value)
            for number in numbers_of(layer)
            if isinstance(number.value, float) and float(f"{number.value:g}") != number.value
        }
        if self.of is not None:
            texts = [(number.field, next(self.texts, None)) for number in numbers_of(layer)]
            instead |= {name: text for name, text in texts if text is not None}
        return render_layer(_with_same(layer, instead), instead)


def _with_same(layer: Layer, instead: Mapping[str, str]) -> Layer:
    """A convolution with ``same`` where that is its padding whatever parameters stand for."""
    if not isinstance(layer, Conv | DepthwiseConv) or layer.padding == "same":
        return layer
    if instead.keys() & {"kernel_size", "stride", "padding", "dilation"}:
        return layer
    half = tuple(d * (k - 1) // 2 for k, d in zip(layer.kernel_size, layer.dilation, strict=True))
    is_same = set(layer.stride) == {1} and all(k % 2 for k in layer.kernel_size)
    is_same = is_same and layer.padding == half and any(half)
    return replace(layer, padding="same") if is_same else layer


def _is_needless(statement: Statement, behind: Statement | None) -> bool:
    """Whether a `flatten` stands before a layer that flattens by itself."""
    return (
        isinstance(statement, LayerStatement)
        and statement.label is None
        and isinstance(statement.operation.layer, Flatten)
        and _flattens(behind)
    )


def _flattens(statement: Statement | None) -> bool:
    """Whether a statement begins with a layer that flattens."""
    match statement:
        case LayerStatement(operation=operation):
            return isinstance(operation.layer, FullyConnected)
        case PartStatement(body=[first, *_]):
            return _flattens(first)
        case ReuseStatement(of=of):
            return _flattens(of)
        case _:
            return False


def _joined(line: str, text: str) -> str:
    """Two statements as one where nothing stands between their layers, else in a row."""
    is_plain = not any(sign in line + text for sign in (*":;{×|", "reuse "))
    return f"{line} {text}" if is_plain else f"{line}; {text}"


def _arguments(block: Block, given: Sequence[str]) -> str:
    """What a call gives: by name behind the first one that has its default."""
    found: list[str] = []
    for place, ((name, default), text) in enumerate(zip(block.parameters, given, strict=True)):
        if default is None or text != _shown(default):
            found.append(text if len(found) == place else f"{name}={text}")
    return ", ".join(found)


def _is_of_several(line: str) -> bool:
    """Whether a line is one of several of a statement."""
    return line.endswith("{") or line[0] in " }|"


def _braced(head: str, lines: Sequence[str]) -> list[str]:
    """Lines in braces, on a single line where they are few and short."""
    line = f"{head} {'; '.join(lines)} }}"
    if len(lines) < 4 and len(line) < _WIDTH and not any(map(_is_of_several, lines)):
        return [line]
    return [head, *_indented(lines), "}"]


def _bare(text: str) -> str:
    return text[1:-1] if text.startswith("(") else text


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return written_size(value)
    return repr(value) if isinstance(value, float) else str(value)


def _labelled(label: str | None, text: str) -> str:
    if label is None:
        return text
    first = text.partition(" ")[0]
    is_plain = can_refer_to(label) or label == first
    return f"{label}: {text}" if is_plain else f'"{label}": {text}'


def _referred(of: Statement) -> str:
    label = label_of(of)
    assert label is not None
    return label


# ── Repeats ──────────────────────────────────────────────────────────────────────────────────


def _repeated(units: Sequence[list[str]]) -> Iterator[list[str]]:
    """Equal lines without a name as one, with how often it stands there."""
    index = 0
    while index < len(units):
        lines = units[index]
        count = 1
        if len(lines) == 1 and not re.search(r"[:;]", lines[0]):
            while index + count < len(units) and units[index + count] == lines:
                count += 1
        yield [f"{lines[0]} ×{count}"] if count > 1 else lines
        index += count


def _counted(units: Sequence[list[str]]) -> list[list[str]]:
    """Statements whose names alone differ, by a number that counts up, as a `for`."""
    done: list[list[str]] = []
    index = 0
    while index < len(units):
        found = _number_in(units[index])
        count = 1
        if found is not None:
            prefix, start = found
            first = _without(units[index], prefix, start)
            while index + count < len(units):
                again = units[index + count]
                if _number_in(again) != (prefix, start + count):
                    break
                if _without(again, prefix, start + count) != first:
                    break
                count += 1
        if found is not None and count > 2:
            prefix, start = found
            place = f"{{{COUNTER}}}" if start == 0 else f"{{{COUNTER} + {start}}}"
            inner = [_named(line, prefix, start, place) for line in units[index]]
            if len(inner) == 1:
                done.append([f"for {COUNTER} in 0..{count} {{ {inner[0]} }}"])
            else:
                done.append([f"for {COUNTER} in 0..{count} {{", *_indented(inner), "}"])
        else:
            count = 1
            done.append(units[index])
        index += count
    return done


_COUNTED = re.compile(r'(?<![\w"])"?([A-Za-z_][\w-]*?)(\d+)"?: ')


def _number_in(lines: Sequence[str]) -> tuple[str, int] | None:
    """The first name with a number at its end, and the number."""
    for line in lines:
        match = _COUNTED.search(line)
        if match:
            return match[1], int(match[2])
    return None


def _without(lines: Sequence[str], prefix: str, number: int) -> list[str]:
    return [_named(line, prefix, number, "#") for line in lines]


def _named(line: str, prefix: str, number: int, place: str) -> str:
    return re.sub(rf'(?<![\w"])"?{re.escape(prefix)}{number}"?: ', f'"{prefix}{place}": ', line)
