"""The stages of the compiler as text: the syntax tree, the graph, and the tree of parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from archdsl.model import Model
from archdsl.network.graph import Node, label_of
from archdsl.network.parts import (
    AuxPart,
    CallPart,
    Chain,
    ForkPart,
    GroupPart,
    LayerPart,
    Part,
    ReferencePart,
    RepeatPart,
    ReusePart,
)
from archdsl.report.statement import render_layer, render_value
from archdsl.report.text import columns, count_of, printable
from archdsl.text.comment import Comment
from archdsl.text.source import Span
from archdsl.text.syntax import Program

_INDENT = "  "

# ── Syntax ───────────────────────────────────────────────────────────────────────────────────


def render_syntax(program: Program) -> str:
    """The syntax tree, one node per line, with the place and the plain values of each.

    Comments are shown above and behind the nodes that they belong to.
    """
    lines = [*_above(program, 0), f"Program  {printable(program.source.path)}"]
    for item in program.items:
        lines.extend(_syntax(item, "", 1))
    return "\n".join(lines)


def _syntax(node: Any, role: str, depth: int) -> Iterator[str]:
    """A node, then the nodes in its fields; ``role`` is the field that holds it."""
    values, children = [], []
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if isinstance(value, (Span, Comment)) or value is None or value == ():
            continue
        if _is_node(value):
            children.append((field.name, value))
        elif isinstance(value, tuple) and _is_node(value[0]):
            children.extend((field.name, child) for child in value)
        else:
            values.append(f"{field.name}={value!r}")
    place = f"{node.span.line}:{node.span.column}"
    prefix = f"{role}: " if role else ""
    words = [f"{prefix}{type(node).__name__}", *map(printable, values), f"@{place}"]
    yield from _above(node, depth)
    yield _INDENT * depth + " ".join(words) + _behind(node)
    for name, child in children:
        yield from _syntax(child, name, depth + 1)


def _above(node: Any, depth: int) -> Iterator[str]:
    comment: Comment | None = getattr(node, "comment", None)
    for line in comment.above if comment else ():
        yield f"{_INDENT * depth}# {printable(line)}".rstrip()


def _behind(node: Any) -> str:
    comment: Comment | None = getattr(node, "comment", None)
    return "".join(f"  # {printable(line)}".rstrip() for line in comment.behind) if comment else ""


def _is_node(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


# ── Graph ────────────────────────────────────────────────────────────────────────────────────


def render_graph(model: Model) -> str:
    """The data-flow graph, one node per line: id, name, layer, inputs, volume."""
    rows = [_graph_row(model, node) for node in model.nodes]
    widths = [max(columns(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = [
        _INDENT + "  ".join(_filled(cell, width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join([_title(model), *(line.rstrip() for line in lines)])


def _graph_row(model: Model, node: Node) -> tuple[str, ...]:
    inputs = ", ".join(f"%{source}" for source in node.inputs)
    layer = render_layer(node.layer) if node.inputs else ""
    name = model.names[node.id] if node.inputs else label_of(node) or "input"
    name += " again" if node.shares is not None else ""
    head = f"aux {node.head + 1}" if node.head is not None else ""
    row = (f"%{node.id}", name, layer, f"({inputs})" if inputs else "", f"→ {node.volume}", head)
    names = ", ".join(output.name for output in model.outputs if output.node == node.id)
    row = (*row[:-1], row[-1] or (f"output {names}" if names else ""))
    return tuple(printable(cell) for cell in row)


def _filled(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _title(model: Model) -> str:
    return f"{printable(model.name)}  {model.signature}  {printable(model.path)}:{model.span.line}"


# ── Parts ────────────────────────────────────────────────────────────────────────────────────


def render_parts(model: Model) -> str:
    """The tree of parts as written, with their volumes and parameters."""
    return "\n".join([_title(model), *_chain(model, model.chain, 1)])


def _chain(model: Model, chain: Chain, depth: int) -> Iterator[str]:
    for part in chain.parts:
        yield from _part(model, part, depth)


def _part(model: Model, part: Part, depth: int) -> Iterator[str]:
    indent = _INDENT * depth
    name = f"{printable(part.name)}: " if part.name else ""
    match part:
        case LayerPart():
            layer = printable(render_layer(model.nodes[part.node].layer))
            yield f"{indent}{name}{layer}{_result(model, part.node, [part.node])}"
        case CallPart():
            call = f"{part.block.name}({_arguments(part)})"
            yield f"{indent}{name}{printable(call)}{_summary(model, part.body)}"
            yield from _chain(model, part.body, depth + 1)
        case GroupPart():
            yield f"{indent}{name}group{_summary(model, part.body)}"
            yield from _chain(model, part.body, depth + 1)
        case RepeatPart():
            yield f"{indent}{name}repeat ×{len(part.copies)}{_summary(model, *part.copies)}"
            for index, copy in enumerate(part.copies):
                yield f"{indent}{_INDENT}{index}:{_summary(model, copy)}"
                yield from _chain(model, copy, depth + 2)
        case ForkPart():
            merge = printable(render_layer(model.nodes[part.node].layer))
            yield f"{indent}{name}{merge}{_result(model, part.node, _nodes(*part.branches))}"
            for branch in part.branches:
                yield f"{indent}{_INDENT}|{_summary(model, branch)}"
                yield from _chain(model, branch, depth + 2)
        case ReferencePart():
            yield f"{indent}{printable(part.target)} again{_result(model, part.node, [])}"
        case ReusePart():
            yield f"{indent}{name}reuse {printable(part.target)}{_summary(model, part.body)}"
            yield from _chain(model, part.body, depth + 1)
        case AuxPart():
            yield f"{indent}{name}aux({part.weight:g}){_summary(model, part.body)}"
            yield from _chain(model, part.body, depth + 1)


def _arguments(call: CallPart) -> str:
    return ", ".join(f"{given.name}={render_value(given.value)}" for given in call.arguments)


def _summary(model: Model, *chains: Chain) -> str:
    return _result(model, chains[-1].output, _nodes(*chains))


def _nodes(*chains: Chain) -> list[int]:
    """The nodes placed inside chains; a reference to a part places none."""
    from archdsl.network.parts import walk

    parts = [part for chain in chains for part in walk(chain)]
    return [part.node for part in parts if isinstance(part, (LayerPart, ForkPart))]


def _result(model: Model, output: int, nodes: list[int]) -> str:
    parameters = sum(model.costs[node].parameters for node in nodes)
    counted = f"  {count_of(parameters, 'parameter')}" if parameters else ""
    return f" → {model.nodes[output].volume}{counted}"
