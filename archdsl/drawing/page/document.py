"""The document of a page: networks with pictures, tables and specs, filled into a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from archdsl.drawing.figure.collapsing import Collapser
from archdsl.drawing.figure.composition import compose_collapsed
from archdsl.drawing.figure.figure import Box, Figure, boxes_in
from archdsl.drawing.figure.ports import volume_text
from archdsl.drawing.options import Options
from archdsl.drawing.page.scene import scene_of
from archdsl.drawing.page.template import fill_template, script_json, script_of, style_of
from archdsl.model import Model

_FOLDER = Path(__file__).parent
_SCRIPTS = ("stretch.js", "page.js")
#: As many boxes as can be taken in at a glance.
_FEW = 30
#: Columns of the table with words; the others have numbers and are aligned right.
_WORDS = ("Name", "Layer", "Volume")


def render_page(models: Sequence[Model], options: Options) -> str:
    """The HTML of one or more networks; ``options.depth`` and ``open`` say what is open at first.

    Errors:
        DrawingError: The options name a part to open that does not exist.
    """
    return fill_template(
        _FOLDER / "page.html.jinja",
        title=", ".join(model.name for model in models),
        theme=options.theme,
        networks=[_network(model, options) for model in models],
        style=style_of(options.theme, _FOLDER / "page.css"),
        script=script_of(*(_FOLDER / name for name in _SCRIPTS)),
    )


#: For each node, the cells of its row in the table, by the titles of their columns.
_Rows: TypeAlias = dict[int, dict[str, str]]

# ── Networks ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _SpecLine:
    """A line of the spec, and the nodes that come from it."""

    number: int
    text: str
    nodes: tuple[int, ...]


def _network(model: Model, options: Options) -> dict[str, Any]:
    from archdsl.report.table import HEADER, notes_of, sections_of

    figure = compose_collapsed(model, options)
    depth = _depth_of(figure) if options.depth is None else options.depth
    collapser = Collapser(model.nodes, (), depth, options.open)
    sections = list(sections_of(model))
    rows = {
        node: dict(zip(HEADER, row, strict=True))
        for section in sections
        for node, row in zip(section.nodes, section.rows, strict=True)
    }
    scene = scene_of(figure, collapser.leaves_open, lambda box: _spoken(_card(model, box, rows)))
    cards = {key: _card(model, box, rows) for key, box in scene.boxes.items()}
    return {
        "name": model.name,
        "description": figure.description,
        "facts": figure.description.removeprefix(f"{model.name}: "),
        "path": model.path,
        "picture": scene.markup,
        "has_blocks": bool(figure.insides),
        "data": script_json({"scene": scene.data, "cards": cards}),
        "header": [(title, title not in _WORDS) for title in HEADER],
        "sections": sections,
        "notes": "\n".join(notes_of(model)),
        "lines": _lines(model),
    }


def _depth_of(figure: Figure) -> int:
    """How deep blocks are open at first: as deep as possible with few boxes in the picture."""
    depth, shown = 0, -1
    while (more := _boxes_at(figure, depth + 1)) <= _FEW and more != shown:
        depth, shown = depth + 1, more
    return depth


def _boxes_at(figure: Figure, depth: int) -> int:
    """How many boxes are shown if blocks are open to a depth."""
    boxes = [box for item in figure.items for box in boxes_in(item)]
    opened = [figure.insides[box.id] for box in boxes if depth and box.block is not None]
    # A block shown alone has a box for its input.
    return len(boxes) + sum(_boxes_at(inside, depth - 1) - 2 for inside in opened)


def _card(model: Model, box: Box, rows: _Rows) -> dict[str, Any]:
    """The card about a box: its title and name, facts in pairs, and its lines in the spec."""
    if box.id < 0 or not model.nodes[box.id].inputs:
        title = " · ".join(filter(None, (box.name, box.title)))
        return {"title": title, "facts": [("volume", box.detail)], "lines": []}
    first, last = model.nodes[min(box.members)], model.nodes[box.members[-1]]
    nodes = [model.nodes[node] for node in box.members]
    costs = [model.costs[node] for node in box.members]
    before = ", ".join(volume_text(model.nodes[source].volume) for source in first.inputs)
    facts = [("volume", f"{before} → {volume_text(last.volume)}")]
    if box.block is None:
        facts.insert(0, ("layers", "; ".join(rows[node]["Layer"] for node in box.nodes)))
    else:
        facts.insert(0, ("layers", f"{len(nodes):,}"))
    facts += [
        ("parameters", f"{sum(cost.parameters for cost in costs):,}"),
        ("MACs", f"{sum(cost.macs for cost in costs):,}"),
        ("receptive field", rows[last.id]["Field"]),
    ]
    if box.count > 1:
        facts.append(("stands for", f"{box.count} in a row, counted together"))
    lines = sorted({model.place_of(node).line for node in nodes})
    title = " · ".join(dict.fromkeys(filter(None, (box.name, box.title))))
    names = [model.names[node] for node in box.nodes[:1] if box.block is None]
    return {"title": title, "name": "".join(names), "facts": facts, "lines": lines}


def _spoken(card: dict[str, Any]) -> str:
    """A card in one line."""
    return ", ".join([card["title"], *(f"{term} {fact}" for term, fact in card["facts"])])


def _lines(model: Model) -> list[_SpecLine]:
    from archdsl.report.text import printable

    nodes: dict[int, list[int]] = {}
    for node in model.layers:
        nodes.setdefault(model.place_of(node).line, []).append(node.id)
    return [
        _SpecLine(number, printable(text.rstrip("\r").expandtabs(4)), tuple(nodes.get(number, ())))
        for number, text in enumerate(model.source.text.removesuffix("\n").split("\n"), start=1)
    ]
