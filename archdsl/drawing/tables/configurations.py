"""Networks side by side, like the configurations of VGG (Simonyan and Zisserman 2015, table 1) and
those of ResNet (He et al. 2016, table 1).

Stages end with a pooling, or where a stride changes the size. The n-th stages of all networks are
side by side, aligned at the top; dense layers are a separate stage, the last. A pooling or a dense
layer that is equal in all networks is written once across them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from archdsl.drawing.figure.ports import volume_text
from archdsl.drawing.tables.branches import MainBranch, branch_of, opens
from archdsl.drawing.tables.stages import value_text
from archdsl.drawing.tables.table import Align, Table, TableCell, TableRow, bracketed
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


def configuration_table(models: Sequence[Model]) -> Table:
    """The table of several networks, a column each."""
    networks = [_network(model) for model in models]
    columns: list[Align] = ["centre"] * len(models)
    rows = _layer_rows(models)
    inputs = [", ".join(volume_text(node.volume) for node in model.inputs) for model in models]
    rows.append(TableRow(_cells("input", _texts(inputs), True), is_ruled=True))
    for stage in zip_longest(*(network.stages for network in networks), fillvalue=_Stage()):
        rows += _stage_rows(stage)
    rows += _ruled(_lines([_texts(network.dense) for network in networks], joins=True))
    millions = [_scaled(model.trunk.parameters, 1e6) for model in models]
    rows.append(
        TableRow((TableCell("parameters (millions)", "parameters"), *millions), is_ruled=True)
    )
    folds = [
        line
        for network in networks
        for stage in network.stages
        for line in stage.lines
        if line.branch is not None
    ]
    if folds:
        billions = [_scaled(model.trunk.macs, 1e9) for model in models]
        rows.append(TableRow((TableCell("MACs (billions)", "MACs"), *billions)))
    names = [blank_unprintable(model.name) for model in models]
    title = " · ".join(names)
    head = (TableCell(), *(TableCell(name) for name in names))
    notes = tuple(_notes(models, folds))
    return Table(title, ("left", *columns), head, tuple(rows), notes)


@dataclass(frozen=True, slots=True)
class _Line:
    """A layer, or a block and how often it follows itself.

    ``branch`` is the main branch of the first block, if its layers are shown. ``later`` are those
    of the others.
    """

    text: str
    size: tuple[int, ...]
    branch: MainBranch | None = None
    block: str = ""
    later: tuple[MainBranch, ...] = ()
    count: int = 1
    is_call: bool = False
    is_strided: bool = False

    @property
    def cell(self) -> TableCell:
        if self.branch is not None:
            return bracketed(self.branch.strided, self.count)
        return TableCell(self.text + (f" ×{self.count}" if self.count > 1 else ""))

    def goes_on(self, line: _Line) -> bool:
        """Whether a line is once more what this one repeats."""
        if self.branch is None or line.branch is None:
            return self.is_call and line.branch is self.branch and line.text == self.text
        # The first may have a stride, and a shortcut that fits it. All others are alike.
        return (
            (self.block, self.branch.layers) == (line.block, line.branch.layers)
            and self.branch.merge in ("", line.branch.merge)
            and not line.branch.has_stride
            and all(one == line.branch for one in self.later)
        )


@dataclass(frozen=True, slots=True)
class _Stage:
    """Lines, and the pooling that ends them."""

    lines: tuple[_Line, ...] = ()
    pooling: str = ""
    sizes: tuple[tuple[int, ...], ...] = field(default=())

    @property
    def size(self) -> str:
        """The height and width of the results: of all, or of the first and the last."""
        sizes = list(dict.fromkeys(size_text(size) for size in self.sizes))
        return sizes[0] if len(sizes) == 1 else " → ".join(sizes[:1] + sizes[-1:])


@dataclass(frozen=True, slots=True)
class _Network:
    stages: tuple[_Stage, ...]
    dense: tuple[str, ...]


def _network(model: Model) -> _Network:
    found = entries(model, is_grouped=False, opens=lambda call: opens(model, call))
    shown = [entry for entry in found if _is_shown(model, entry)]
    dense = [number for number, entry in enumerate(shown) if _is_dense(entry)]
    first_dense = dense[0] if dense else len(shown)
    stages: list[_Stage] = []
    lines: list[_Line] = []
    for entry in shown[:first_dense]:
        if entry.main is not None and entry.main.layer.family is Family.POOLING:
            stages.append(_stage(lines, _pooling(model, entry)))
            lines = []
            continue
        line = _line(model, entry)
        if lines and line.is_strided and line.size != lines[-1].size:
            stages.append(_stage(lines))
            lines = []
        lines.append(line)
    if lines:
        stages.append(_stage(lines))
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


def _stage(lines: Sequence[_Line], pooling: str = "") -> _Stage:
    """A stage, in which equal blocks that follow each other are one line ``×N``."""
    found: list[_Line] = []
    for line in lines:
        if found and found[-1].goes_on(line):
            last = found[-1]
            later = (*last.later, *([line.branch] if line.branch else []))
            found[-1] = replace(last, later=later, count=last.count + 1)
        else:
            found.append(line)
    return _Stage(tuple(found), pooling, tuple(line.size for line in lines))


def _line(model: Model, entry: Entry) -> _Line:
    """A line; what has a window with a stride, or enlarges its input, is strided."""
    before, after = model.nodes[entry.input].volume, model.nodes[entry.output].volume
    nodes = [model.nodes[node] for node in entry.nodes]
    windowed = [n for n in nodes if n.layer.family in (Family.CONVOLUTION, Family.POOLING)]
    is_strided = any(set(stride_of(model, node)) != {1} for node in windowed)
    is_call = entry.call is not None
    return _Line(
        _text(model, entry),
        after.spatial,
        branch_of(model, entry.call) if entry.call and not entry.is_shared else None,
        entry.call.block.name if entry.call else "",
        is_call=is_call,
        is_strided=is_strided or after.spatial > before.spatial,
    )


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


def _layer_rows(models: Sequence[Model]) -> list[TableRow]:
    """How many layers there are; where branches have some of their own, as papers count first."""
    depths = [model.depth for model in models]
    counts = [model.trunk.weight_layers for model in models]
    weighted = TableRow(_cells("weight layers", _texts(map(str, counts)), False))
    if depths == counts:
        return [weighted]
    depth = TableRow(_cells("depth", _texts(map(str, depths)), False))
    label = TableCell("all weight layers")
    return [depth, TableRow((label, *weighted.cells[1:]))]


def _stage_rows(stages: Sequence[_Stage]) -> list[TableRow]:
    filled = [stage for stage in stages if stage.lines]
    sizes = {stage.size for stage in filled}
    columns = [[line.cell for line in stage.lines] for stage in stages]
    rows = _lines(columns, label=sizes.pop() if len(sizes) == 1 else "")
    if sizes:
        # The networks differ: each says its own size.
        own = [stage.size if stage.lines else "" for stage in stages]
        rows = [TableRow(_cells("output", _texts(own), False)), *rows] if any(own) else rows
    rows = _ruled(rows)
    poolings = [stage.pooling for stage in stages]
    if any(poolings):
        rows.append(TableRow(_cells("", _texts(poolings), True), is_ruled=True))
    return rows


def _lines(
    columns: Sequence[Sequence[TableCell]], joins: bool = False, label: str = ""
) -> list[TableRow]:
    blank = TableCell()
    rows = [TableRow(_cells("", cells, joins)) for cells in zip_longest(*columns, fillvalue=blank)]
    if rows and label:
        rows[0] = TableRow((TableCell(label), *rows[0].cells[1:]))
    return rows


def _ruled(rows: list[TableRow]) -> list[TableRow]:
    return [TableRow(rows[0].cells, is_ruled=True), *rows[1:]] if rows else []


def _texts(texts: Iterable[str]) -> list[TableCell]:
    return [TableCell(text) for text in texts]


def _cells(label: str, cells: Sequence[TableCell], joins: bool) -> tuple[TableCell, ...]:
    if joins and len(set(cells)) == 1:
        return (TableCell(label), replace(cells[0], span=len(cells)))
    return (TableCell(label), *cells)


def _scaled(number: int, unit: float) -> TableCell:
    """At least three digits: ``138``, ``6.62``."""
    share = number / unit
    if 0 < share < 0.0005:
        return TableCell("<0.001", str(number))
    digits = 0 if share >= 99.5 else 1 if share >= 9.95 else 2 if share >= 0.995 else 3
    return TableCell(f"{share:.{digits}f}", str(number))


# ── Notes ────────────────────────────────────────────────────────────────────────────────────


def _notes(models: Sequence[Model], folds: Sequence[_Line]) -> Iterator[str]:
    yield (
        "conv3-64: kernel 3×3, 64 channels; /2: stride 2. Activation, dropout and normalization "
        "with parameters are not shown."
    )
    branches = [branch for fold in folds for branch in (fold.branch, *fold.later) if branch]
    if any(model.depth != model.trunk.weight_layers for model in models):
        has_projections = any(branch.shortcut == "projection" for branch in branches)
        which = "those of the shortcuts too" if has_projections else "those of all branches"
        yield (f"depth: weight layers on the longest path; all weight layers: {which}.")
    if folds:
        yield _bracket_note(folds, branches)
    if any(branch.merge == "concat" for branch in branches):
        are_all = all(branch.merge == "concat" for branch in branches)
        which = "each block" if are_all else "some blocks"
        yield f"The result of {which} is the input together with the new channels (concat)."
    if any(branch.merge == "add" for branch in branches):
        yield _shortcut_note(folds, branches)


def _bracket_note(folds: Sequence[_Line], branches: Sequence[MainBranch]) -> str:
    text = "In brackets: the layers of a block, and how many of it follow each other."
    texts = [layer for branch in branches for layer in branch.layers]
    if any(", C=" in layer for layer in texts):
        text += " C: the groups of a convolution."
    if any(layer.startswith("dw ") for layer in texts):
        text += " dw: depthwise."
    if any(layer.startswith("SE, ") for layer in texts):
        text += " SE: squeeze and excitation, with its channels inside."
    if any(fold.branch and fold.branch.has_stride for fold in folds):
        text += " A stride is that of the first block; the others have stride 1."
    return text


def _shortcut_note(folds: Sequence[_Line], branches: Sequence[MainBranch]) -> str:
    """What is added to the blocks' results; nothing is said that is not so of all of them."""
    text = "A shortcut adds the input of a block to the result of its layers"
    if any(branch.shortcut == "projection" for branch in branches):
        is_later = any(one.shortcut == "projection" for fold in folds for one in fold.later)
        where = "some blocks" if is_later else "the first block of some brackets"
        text += f", in {where} through a 1×1 convolution that is not shown"
    without = [branch for branch in branches if not branch.merge]
    if without:
        are_all = all(not branch.keeps_shape for branch in without)
        which = "blocks that change the shape" if are_all else "some blocks"
        text += f"; {which} have none"
    return f"{text}."
