"""One network as a table like that of GoogLeNet (Szegedy et al. 2015, table 1).

A row has a type, kernel and stride, output, depth, arguments of a block call, weights and MACs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from archdsl.drawing.figure.ports import volume_text
from archdsl.drawing.tables.branches import is_single_convolution
from archdsl.drawing.tables.headings import headings_of
from archdsl.drawing.tables.table import Align, Table, TableCell, TableRow
from archdsl.drawing.tables.trunk import Entry, entries, kernel_of, short_text, size_text, stride_of
from archdsl.layers import Family
from archdsl.layers.definition import fields_of
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.network.symbols import Value
from archdsl.text.printing import blank_unprintable

#: As in the table of GoogLeNet, whose classifier of 1,024,000 weights is ``1000K``.
KILO = 1024
_WINDOWED = (Family.CONVOLUTION, Family.POOLING)


def stage_table(model: Model) -> Table:
    """The table of one network; its numbers are counted from its layers."""
    # What is no more than a convolution is a row of its own kind, as the convolution itself is.
    found = entries(model, is_grouped=True, opens=lambda call: is_single_convolution(model, call))
    shown = [entry for entry in found if not _only_rearranges(model, entry)]
    lines = _folded([_line(model, entry) for entry in shown])
    columns = _columns(lines)
    head = ("type", "patch size/stride", "output size", "depth", *columns.values(), "params", "ops")
    numbers: list[Align] = ["right"] * (len(columns) + 3)
    alignments: tuple[Align, ...] = ("left", "left", "left", *numbers)
    rows = [_row(line, columns) for line in lines]
    total = _total(model, lines, len(columns))
    return Table(
        blank_unprintable(model.name),
        alignments,
        tuple(TableCell(text) for text in head),
        (*rows, total),
        tuple(_notes(model)),
    )


@dataclass(frozen=True, slots=True)
class _StageLine:
    """The data of a row."""

    type: str
    patch: str
    output: str
    arguments: tuple[tuple[str, str], ...]
    #: The headings of the block's parameters, which are columns.
    headings: tuple[tuple[str, str], ...]
    depth: int
    weights: int
    macs: int
    count: int = 1


def _line(model: Model, entry: Entry) -> _StageLine:
    costs = [model.costs[node] for node in entry.nodes]
    headings = headings_of(model, entry.call) if entry.call else {}
    return _StageLine(
        _type(entry),
        _patch(model, entry),
        volume_text(model.nodes[entry.output].volume),
        tuple((given.name, value_text(given.value)) for given in entry.call.arguments)
        if entry.call
        else (),
        tuple(headings.items()),
        depth_of(model, entry.input, entry.output),
        sum(weights_of(model, model.nodes[node]) for node in entry.nodes),
        sum(cost.macs for cost in costs),
    )


def _only_rearranges(model: Model, entry: Entry) -> bool:
    """Whether a line only rearranges its input, like ``flatten``."""
    if entry.main is None or entry.main.layer.family is not Family.PLUMBING:
        return False
    before, after = model.nodes[entry.input].volume, model.nodes[entry.output].volume
    has_parameters = any(model.costs[node].parameters for node in entry.nodes)
    return not has_parameters and before.elements == after.elements


def _type(entry: Entry) -> str:
    name = f" ({entry.name})" if entry.name else ""
    if entry.is_shared:
        name = f" (shared with {entry.name})" if entry.name else " (shared)"
    if entry.call is not None:
        return blank_unprintable(entry.call.block.name + name)
    assert entry.main is not None
    layer = entry.main.layer
    if layer.family is Family.REGULARIZATION:
        return f"{layer.name} {layer.describe()}".strip()
    is_named = layer.family is Family.MERGE or entry.is_shared
    return layer.name + (blank_unprintable(name) if is_named else "")


def _patch(model: Model, entry: Entry) -> str:
    """``7×7/2``: kernel and stride."""
    if entry.main is None or entry.main.layer.family not in _WINDOWED:
        return ""
    kernel, stride = kernel_of(model, entry.main), stride_of(model, entry.main)
    return f"{size_text(kernel)}/{short_text(stride)}"


def value_text(value: Value) -> str:
    """The value of an argument, as papers write it: ``3×3``."""
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return size_text(value)
        case float():
            return f"{value:g}"
    return blank_unprintable(str(value))


def weights_of(model: Model, node: Node) -> int:
    """Parameters without biases, which papers' tables do not count; shared ones count once."""
    if len(node.inputs) != 1 or node.shares is not None:
        return 0
    layer = node.layer
    if any(item.name == "bias" for item in fields_of(type(layer))):
        layer = replace(layer, bias=False)  # type: ignore[type-var]
    return layer.count_parameters(model.nodes[node.inputs[0]].volume)


def depth_of(model: Model, start: int, end: int) -> int:
    """Weight layers on the longest way from one node's result to another's."""
    depths = {start: 0}
    for node in model.nodes[start + 1 : end + 1]:
        before = [depths[source] for source in node.inputs if source in depths]
        if before:
            depths[node.id] = max(before) + node.layer.has_weights
    return depths.get(end, 0)


def _folded(lines: Iterable[_StageLine]) -> list[_StageLine]:
    """Equal neighbours as one row ``×N``."""
    found: list[_StageLine] = []
    for line in lines:
        if found and _look(found[-1]) == _look(line):
            last = found[-1]
            found[-1] = replace(
                last,
                depth=last.depth + line.depth,
                weights=last.weights + line.weights,
                macs=last.macs + line.macs,
                count=last.count + 1,
            )
        else:
            found.append(line)
    return found


def _look(line: _StageLine) -> tuple[object, ...]:
    return (line.type, line.patch, line.output, line.arguments)


def _columns(lines: Sequence[_StageLine]) -> dict[str, str]:
    """The parameters of all blocks in the order they occur, with a heading for each.

    If blocks disagree on a parameter's heading, or two parameters have the same one, the heading is
    the parameter's name.
    """
    columns: dict[str, str] = {}
    for line in lines:
        headings = dict(line.headings)
        for key, _ in line.arguments:
            heading = headings.get(key, key)
            columns[key] = heading if columns.get(key, heading) == heading else key
    seen = [*columns.values()]
    return {key: text if seen.count(text) == 1 else key for key, text in columns.items()}


def _row(line: _StageLine, columns: Iterable[str]) -> TableRow:
    arguments = dict(line.arguments)
    times = f" ×{line.count}" if line.count > 1 else ""
    texts = [line.type + times, line.patch, line.output, str(line.depth)]
    cells = [TableCell(text) for text in texts + [arguments.get(key, "") for key in columns]]
    return TableRow((*cells, _kilos(line.weights), _millions(line.macs)))


def _total(model: Model, lines: Sequence[_StageLine], arguments: int) -> TableRow:
    blank = [TableCell()] * arguments
    depth = str(model.depth)
    weights, macs = sum(line.weights for line in lines), sum(line.macs for line in lines)
    first = (TableCell("total"), TableCell(), TableCell(), TableCell(depth))
    return TableRow((*first, *blank, _kilos(weights), _millions(macs)), is_ruled=True)


def _kilos(number: int) -> TableCell:
    return TableCell(_scaled(number / KILO, "K"), str(number)) if number else TableCell()


def _millions(number: int) -> TableCell:
    return TableCell(_scaled(number / 1e6, "M"), str(number)) if number else TableCell()


def _scaled(number: float, unit: str) -> str:
    """Two or more digits: ``9.2K``, ``112K``."""
    if number < 0.05:
        return f"<0.1{unit}"
    return (f"{number:.1f}".removesuffix(".0") if number < 9.95 else f"{number:.0f}") + unit


def _notes(model: Model) -> Iterable[str]:
    yield (
        f"params: weights without biases, K = {KILO:,}; with biases {model.trunk.parameters:,}. "
        f"ops: MACs for one {model.input.noun}, M = 10⁶. depth: weight layers on the longest path."
    )
    yield (
        "All numbers are computed from the layers, also where a row of a published table does not "
        "follow from its own columns."
    )
    if model.heads.parameters:
        yield (
            "Auxiliary heads, in training only, are not in the table: "
            f"{model.heads.parameters:,} parameters."
        )
