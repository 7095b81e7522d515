"""Networks side by side, like the configurations of VGG (Simonyan and Zisserman 2015, table 1).

Stages end with a pooling. The n-th stages of all networks are side by side, aligned at the top;
dense layers are a separate stage, the last. A pooling or a dense layer that is equal in all
networks is written once across them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from archdsl.drawing.figure.ports import volume_text
from archdsl.drawing.tables.stages import value_text
from archdsl.drawing.tables.table import Align, Table, TableCell, TableRow
from archdsl.drawing.tables.trunk import (
    Entry,
    entries,
    kernel_of,
    short_text,
    size_text,
    stride_of,
)
from archdsl.layers import Family
from archdsl.model import Model
from archdsl.text.printing import blank_unprintable

_NOTES = (
    "conv3-64: kernel 3×3, 64 channels; /2: stride 2. Activation, dropout and normalization with "
    "parameters are not shown.",
)


def configuration_table(models: Sequence[Model]) -> Table:
    """The table of several networks, a column each."""
    networks = [_network(model) for model in models]
    columns: list[Align] = ["centre"] * len(models)
    layers = [str(model.trunk.weight_layers) for model in models]
    rows = [TableRow(_cells("weight layers", layers, False))]
    inputs = [", ".join(volume_text(node.volume) for node in model.inputs) for model in models]
    rows.append(TableRow(_cells("input", inputs, True), is_ruled=True))
    for stage in zip_longest(*(network.stages for network in networks), fillvalue=_Stage()):
        rows += _stage_rows(stage)
    rows += _ruled(_lines([network.dense for network in networks], joins=True))
    millions = [_millions(model.trunk.parameters) for model in models]
    rows.append(
        TableRow((TableCell("parameters (millions)", "parameters"), *millions), is_ruled=True)
    )
    names = [blank_unprintable(model.name) for model in models]
    title = " · ".join(names)
    head = (TableCell(), *(TableCell(name) for name in names))
    return Table(title, ("left", *columns), head, tuple(rows), _NOTES)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Lines, the pooling that ends them, and the size of the first line's result."""

    lines: tuple[str, ...] = ()
    size: str = ""
    pooling: str = ""


@dataclass(frozen=True, slots=True)
class _Network:
    stages: tuple[_Stage, ...]
    dense: tuple[str, ...]


def _network(model: Model) -> _Network:
    stages: list[_Stage] = []
    lines: list[str] = []
    size = ""
    shown = [entry for entry in entries(model, is_grouped=False) if _is_shown(model, entry)]
    first_dense = next((n for n, entry in enumerate(shown) if _is_dense(entry)), len(shown))
    for entry in shown[:first_dense]:
        if entry.main is not None and entry.main.layer.family is Family.POOLING:
            stages.append(_Stage(_folded(lines), size, _pooling(model, entry)))
            lines, size = [], ""
            continue
        lines.append(_text(model, entry))
        volume = model.nodes[entry.output].volume
        size = size or size_text(volume.spatial)
    if lines:
        stages.append(_Stage(_folded(lines), size))
    return _Network(tuple(stages), tuple(_text(model, entry) for entry in shown[first_dense:]))


def _is_dense(entry: Entry) -> bool:
    return entry.main is not None and entry.main.layer.family is Family.DENSE


def _is_shown(model: Model, entry: Entry) -> bool:
    """Whether a line does something other than rearrange or drop numbers."""
    if entry.main is None or entry.main.layer.family in (Family.NORMALIZATION, Family.MERGE):
        return True
    before, after = model.nodes[entry.input].volume, model.nodes[entry.output].volume
    has_parameters = any(model.costs[node].parameters for node in entry.nodes)
    return has_parameters or before.elements != after.elements


def _folded(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines, with equal block calls that follow each other as one ``×N``."""
    found: list[tuple[str, int]] = []
    for line in lines:
        if found and line.endswith(")") and found[-1][0] == line:
            found[-1] = (line, found[-1][1] + 1)
        else:
            found.append((line, 1))
    return tuple(line + (f" ×{count}" if count > 1 else "") for line, count in found)


def _text(model: Model, entry: Entry) -> str:
    """``conv3-64``, ``fc-4096``, ``basic(64, 2)``; ``conv3-64 shared`` if it runs again."""
    return _own_text(model, entry) + (" shared" if entry.is_shared else "")


def _own_text(model: Model, entry: Entry) -> str:
    if entry.call is not None:
        values = ", ".join(value_text(given.value) for given in entry.call.arguments)
        return blank_unprintable(f"{entry.call.block.name}({values})")
    assert entry.main is not None
    layer, channels = entry.main.layer, model.nodes[entry.main.id].volume.channels
    match layer.family:
        case Family.CONVOLUTION:
            stride = stride_of(model, entry.main)
            step = "" if set(stride) == {1} else f"/{short_text(stride)}"
            return f"{layer.name}{short_text(kernel_of(model, entry.main))}-{channels}{step}"
        case Family.DENSE:
            return f"{layer.name}-{channels}"
    return layer.name


def _pooling(model: Model, entry: Entry) -> str:
    """``maxpool 3×3/2``; only the layer's name if its window is the whole height and width."""
    assert entry.main is not None
    before = model.nodes[entry.input].volume
    kernel = kernel_of(model, entry.main)
    if kernel == before.spatial:
        return entry.main.layer.name
    stride = short_text(stride_of(model, entry.main))
    return f"{entry.main.layer.name} {size_text(kernel)}/{stride}"


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────


def _stage_rows(stages: Sequence[_Stage]) -> list[TableRow]:
    sizes = {stage.size for stage in stages if stage.lines}
    label = sizes.pop() if len(sizes) == 1 else ""
    rows = _ruled(_lines([stage.lines for stage in stages], label=label))
    poolings = [stage.pooling for stage in stages]
    return rows + ([TableRow(_cells("", poolings, True), is_ruled=True)] if any(poolings) else [])


def _lines(
    columns: Sequence[Sequence[str]], joins: bool = False, label: str = ""
) -> list[TableRow]:
    rows = [TableRow(_cells("", texts, joins)) for texts in zip_longest(*columns, fillvalue="")]
    if rows and label:
        rows[0] = TableRow((TableCell(label), *rows[0].cells[1:]))
    return rows


def _ruled(rows: list[TableRow]) -> list[TableRow]:
    return [TableRow(rows[0].cells, is_ruled=True), *rows[1:]] if rows else []


def _cells(label: str, texts: Sequence[str], joins: bool) -> tuple[TableCell, ...]:
    if joins and len(set(texts)) == 1:
        return (TableCell(label), TableCell(texts[0], span=len(texts)))
    return (TableCell(label), *(TableCell(text) for text in texts))


def _millions(number: int) -> TableCell:
    """At least three digits: ``138``, ``6.62``."""
    millions = number / 1e6
    digits = 0 if millions >= 99.5 else 1 if millions >= 9.95 else 2 if millions >= 0.995 else 3
    return TableCell(f"{millions:.{digits}f}", str(number))
