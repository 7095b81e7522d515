"""The table of a network: layers, volumes, parameters, MACs, totals and claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain, islice
from typing import overload

from archdsl.collector import without_collector
from archdsl.model import BYTES_PER_NUMBER, Claim, Model, Totals
from archdsl.model.cost import Cost
from archdsl.network.graph import Node
from archdsl.network.parts import AuxPart, walk
from archdsl.recipe import Recipe
from archdsl.records import dataclass
from archdsl.report.statement import render_layer, render_option
from archdsl.report.text import columns, count_of, paint, printable

HEADER = ("Name", "Line", "Layer", "Volume", "Parameters", "%", "MACs", "Field", "MB")
_IS_TEXT = frozenset({"Name", "Layer"})
#: Columns whose cells are mostly all different.
_DIFFER = frozenset({"Name", "Field"})
_NOTHING = "·"
_GAP = "  "
Row = tuple[str, ...]


@without_collector()
def render_report(model: Model, color: bool = False) -> str:
    """Everything known about a network in numbers, as a table in full width.

    Layers are named like the modules of the generated code; the layers of auxiliary heads, which
    are counted separately, follow the trunk.
    """
    return "\n".join(report_lines(model, color))


def report_lines(model: Model, color: bool = False) -> Iterator[str]:
    """The lines of ``render_report``; each is made when it is asked for."""
    sections = list(sections_of(model))
    widths = _widths(row for s in sections for row in chain(s.rows, (s.total,)))
    align = _Aligned(widths)
    dim, bold = paint(color, dim=True), paint(color, bold=True)
    rule = dim("─" * (sum(widths) + len(_GAP) * (len(widths) - 1)))
    yield bold(printable(model.name)) + dim(_subtitle(model))
    yield from ("", dim(align(HEADER)), rule)
    for section in sections:
        if section.title:
            yield from ("", dim(section.title), rule)
        yield from map(align, section.rows)
        yield from (rule, bold(align(section.total)))
    yield ""
    yield from notes_of(model, color)


def notes_of(model: Model, color: bool = False) -> list[str]:
    """The lines below the table: totals, initialization, recipe, claims."""
    lines = _conventions(model)
    if model.init:
        lines += ["", f"Initialization: {render_option(model.init)}"]
    if model.recipe:
        lines += ["", *_recipe(model.recipe)]
    if model.claims:
        lines += ["", *_claims(model.claims, color)]
    return lines


def _subtitle(model: Model) -> str:
    return f"  {model.signature}  {printable(model.path)}:{model.span.line}"


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Section:
    """The trunk or the auxiliary heads: a row for each of its ``nodes``, and the sums."""

    title: str
    nodes: tuple[int, ...]
    rows: Sequence[Row]
    total: Row


def sections_of(model: Model) -> Iterator[Section]:
    """The table by sections, in the order of the spec; ``HEADER`` names the cells of a row."""
    trunk = [node for node in model.layers if node.head is None]
    yield _section(model, "", trunk, model.trunk)
    heads = [node for node in model.layers if node.head is not None]
    if heads:
        yield _section(model, _heads_title(model), heads, model.heads)


def _heads_title(model: Model) -> str:
    weights = [part.weight for part in walk(model.chain) if isinstance(part, AuxPart)]
    heads = "Auxiliary head" if len(weights) == 1 else f"{len(weights)} auxiliary heads"
    losses = ", ".join(f"{weight:g}" for weight in weights)
    return f"{heads}: in training only, counted apart; weight in the loss {losses}"


def _section(model: Model, title: str, nodes: Iterable[Node], totals: Totals) -> Section:
    nodes = tuple(nodes)
    total = (
        "Total",
        "",
        _count(nodes),
        "",
        _number(totals.parameters),
        "100.0" if totals.parameters else "",
        _number(totals.macs),
        "",
        _megabytes(totals.activations),
    )
    rows = _Rows(model, nodes, totals)
    return Section(title, tuple(node.id for node in nodes), rows, total)


def _count(nodes: Sequence[Node]) -> str:
    shared = sum(node.shares is not None for node in nodes)
    return count_of(len(nodes), "layer") + (f", {shared} shared" if shared else "")


class _Rows(Sequence[Row]):
    """The rows of nodes, made anew each time. What copies have in common is written once."""

    def __init__(self, model: Model, nodes: Sequence[Node], totals: Totals) -> None:
        self.model = model
        self.nodes = nodes
        self.totals = totals
        self._known: dict[tuple[object, ...], Row] = {}
        self._lines: dict[tuple[int, int], str] = {}

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Row]:
        return map(self._row, self.nodes)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice):
            return list(map(self._row, self.nodes[place]))
        return self._row(self.nodes[place])

    def _row(self, node: Node) -> Row:
        cost = self.model.costs[node.id]
        place = (id(node.layer), id(node.volume), node.shares is None, cost.parameters, cost.macs)
        if place not in self._known:
            self._known[place] = self._cells(node, cost)
        layer, volume, parameters, share, macs, megabytes = self._known[place]
        where = (id(node.span), id(node.frames))
        if where not in self._lines:
            self._lines[where] = str(self.model.place_of(node).line)
        line = self._lines[where]
        name, field = (
            printable(self.model.names[node.id]),
            _field(self.model.receptive_fields[node.id]),
        )
        return name, line, layer, volume, parameters, share, macs, field, megabytes

    def _cells(self, node: Node, cost: Cost) -> Row:
        return (
            printable(render_layer(node.layer)) + (" (shared)" if node.shares is not None else ""),
            str(node.volume),
            _number(cost.parameters),
            _share(cost.parameters, self.totals.parameters),
            _number(cost.macs),
            _megabytes(cost.activations),
        )


def _number(number: int) -> str:
    return f"{number:,}" if number else _NOTHING


def _share(part: int, whole: int) -> str:
    if not part:
        return ""
    percent = f"{100 * part / whole:.1f}"
    return percent if percent != "0.0" else "<0.1"


def _field(field: tuple[int, ...]) -> str:
    sizes = field[:1] if len(set(field)) == 1 else field
    return "×".join(f"{size:,}" for size in sizes)


def _megabytes(numbers: int) -> str:
    return f"{numbers * BYTES_PER_NUMBER / 1e6:,.3f}"


def _widths(rows: Iterator[Row]) -> list[int]:
    """The width of each column. Most cells of a column are alike: they are measured once."""
    widths = list(map(columns, HEADER))
    while some := list(islice(rows, 1000)):
        cells = map(set, zip(*some, strict=True))
        widths = [max(width, *map(columns, c)) for width, c in zip(widths, cells, strict=True)]
    return widths


class _Aligned:
    """Aligns the cells of rows to the widths of their columns."""

    def __init__(self, widths: list[int]) -> None:
        pads = [
            partial(_pad, width=w, is_text=t in _IS_TEXT)
            for t, w in zip(HEADER, widths, strict=True)
        ]
        self._cells = [p if t in _DIFFER else cache(p) for t, p in zip(HEADER, pads, strict=True)]

    def __call__(self, row: Row) -> str:
        cells = [align(cell) for align, cell in zip(self._cells, row, strict=True)]
        return _GAP.join(cells).rstrip()


def _pad(cell: str, *, width: int, is_text: bool) -> str:
    space = " " * (width - columns(cell))
    return cell + space if is_text else space + cell


# ── Below the table ──────────────────────────────────────────────────────────────────────────


def _conventions(model: Model) -> list[str]:
    """The totals again, with what they mean."""
    trunk, heads = model.trunk, model.heads
    lines = _totals(trunk, model.input.noun)
    if heads.parameters:
        lines += ["Auxiliary heads, not in the numbers above:"]
        lines += [f"  {line}" for line in _totals(heads, model.input.noun)]
    noun = model.input.noun
    return [
        *lines,
        f"MB = 10⁶ bytes, in the table those of each layer's result for one {noun}",
        f"Field = receptive field in {'pixels' if noun == 'image' else 'positions'} of the input",
    ]


def _totals(totals: Totals, noun: str) -> list[str]:
    parameters = count_of(totals.parameters, "parameter")
    layers = count_of(totals.weight_layers, "weight layer")
    activations = count_of(totals.activations, "activation")
    size = f"at {BYTES_PER_NUMBER} bytes a number"
    return [
        f"{parameters} in {layers}: {_megabytes(totals.parameters)} MB {size}",
        f"{count_of(totals.macs, 'MAC')} for one {noun}; {2 * totals.macs:,} FLOPs (= 2 × MACs)",
        f"{activations} for one {noun}: {_megabytes(totals.activations)} MB {size}",
    ]


def _recipe(recipe: Recipe) -> list[str]:
    """How the network is trained, as the language writes it; defaults included."""
    data = f"data {printable(recipe.data)}; " if recipe.data else ""
    lines = [
        f"{data}batch {recipe.batch}; epochs {recipe.epochs}",
        render_option(recipe.optimizer),
    ]
    named = [f"loss {output} {render_option(loss)}" for output, loss in recipe.losses]
    lines += named or [f"loss {render_option(recipe.loss)}"]
    for role, words in (("schedule", recipe.schedule), ("augment", recipe.augment)):
        if words:
            lines.append(f"{role} {' '.join(render_option(word) for word in words)}")
    if recipe.average:
        lines.append(render_option(recipe.average))
    for name, number in (("clip", recipe.clip), ("patience", recipe.patience)):
        if number is not None:
            lines.append(f"{name} {number:g}")
    return ["Recipe:", *(f"  {line}" for line in lines)]


def _claims(claims: tuple[Claim, ...], color: bool) -> list[str]:
    """Each claim, whether it holds, its line, and the actual number."""
    texts = [printable(claim.text) for claim in claims]
    width = max(map(columns, texts))
    digits = max(len(str(claim.line)) for claim in claims)
    lines = []
    for claim, text in zip(claims, texts, strict=True):
        sign, style = ("✓", "green") if claim.holds else ("✗", "red")
        padding = " " * (width - columns(text))
        lines.append(
            f"{paint(color, fg=style, bold=True)(sign)} line {claim.line:>{digits}}  "
            f"expect {text}{padding}  it is {claim.actual:,}"
        )
    return lines
