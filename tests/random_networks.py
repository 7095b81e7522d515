"""Random layers and networks, drawn from the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

import archdsl
from archdsl.layers import REGISTRY, MergeLayer, UnaryLayer, fields
from archdsl.layers.definition import FieldInfo, fields_of
from archdsl.layers.initializers import INITIALIZER
from archdsl.text.diagnostics import ArchError

SMALL = st.integers(1, 4)


COUNTS = st.one_of(
    SMALL.map(str),
    SMALL.map(str),
    st.builds("{}x{}".format, SMALL, SMALL),
    st.builds("{}x{}x{}".format, SMALL, SMALL, SMALL),
)
#: Volumes of each number of axes.
INPUTS = ("9x8x4", "30x4", "4x5x6x4")


VALUES = {
    fields.COUNT: st.integers(1, 8).map(str),
    fields.WHOLE: st.integers(0, 3).map(str),
    fields.COUNTS: COUNTS,
    fields.PADDING: st.one_of(st.integers(0, 2).map(str), st.just("same")),
    fields.WHOLES: st.integers(0, 2).map(str),
    fields.NUMBER: st.sampled_from(["0.1", "0.5", "0.75"]),
    fields.POSITIVE: st.sampled_from(["0.1", "0.001"]),
    fields.RATE: st.sampled_from(["0", "0.3"]),
    fields.BOOLEAN: st.sampled_from(["true", "false"]),
    fields.INDICES: st.lists(st.integers(0, 3), min_size=1, max_size=4).map(
        lambda indices: " ".join(map(str, indices))
    ),
    fields.SIDES: st.sampled_from(["1", "2", "2 0", "0 1 0 1", "1 2 3 4", "0 1 1 0 2 0"]),
    fields.SIZES: st.sampled_from(["4x4x4", "2x8x4", "16x4", "2x4x2x4", "64"]),
    INITIALIZER: st.sampled_from(
        ["he", "he(mode=fan_out)", "xavier", "normal(0.1, bias=1)", "uniform(0.1)", "zeros"]
    ),
}


def _value(item: FieldInfo) -> st.SearchStrategy[str]:
    known = VALUES.get(item.role.kind)
    if known is not None:
        return known
    words = item.role.kind.phrase.split("`")[1::2]
    return st.sampled_from(words)


#: What `extern` names has no volume, and no number, that could be drawn.
UNARY = sorted(
    name for name, layer in REGISTRY.items() if issubclass(layer, UnaryLayer) and name != "extern"
)


@st.composite
def layers(draw: Any, names: Sequence[str] = UNARY) -> str:
    """A layer of one input with random arguments of the kinds its definition declares."""
    layer = REGISTRY[draw(st.sampled_from(names))]
    words = [layer.name]
    for item in fields_of(layer):
        if item.role.is_derived or item.role.kind is fields.REFERENCE:
            continue
        if item.role.is_positional and (item.is_required or draw(st.booleans())):
            words.append(draw(_value(item)))
        elif not item.role.is_positional and draw(st.integers(0, 2)) == 0:
            words.append(f"{item.name}={draw(_value(item))}")
    return " ".join(words)


@st.composite
def statements(draw: Any) -> str:
    """A layer, a named or repeated one, or a merge of branches."""
    shape = draw(st.sampled_from(["plain", "plain", "repeat", "merge", "group"]))
    if shape == "plain":
        return draw(layers())
    if shape == "repeat":
        return f"{draw(layers())} ×{draw(st.integers(2, 3))}"
    if shape == "group":
        return f"{{ {draw(layers())}; {draw(layers())} }}"
    merges = [name for name, layer in REGISTRY.items() if issubclass(layer, MergeLayer)]
    branches = draw(st.lists(st.one_of(layers(), st.just("id")), min_size=2, max_size=3))
    return f"{draw(st.sampled_from(sorted(merges)))} {{ {' | '.join(branches)} }}"


@st.composite
def networks(draw: Any, input: str = INPUTS[0]) -> str:
    """A network that is valid: statements that do not fit are left out one by one."""
    said = ["", "", "init he\n", "init xavier bias 0.1\n", "init normal 0.1 bias 1\n"]
    text = draw(st.sampled_from(said))
    for index, statement in enumerate(draw(st.lists(statements(), min_size=1, max_size=7))):
        label = draw(st.sampled_from(["", f"part{index}: "]))
        candidate = f"{text}{label}{statement}\n"
        try:
            model = archdsl.parse(candidate, input=input)
        except ArchError:
            continue
        if max(node.volume.elements for node in model.nodes) < 20_000:
            text = candidate
    return text if any(not line.startswith("init") for line in text.splitlines()) else "relu\n"
