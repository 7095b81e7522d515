"""Receptive fields, judged by the gradients that torch computes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from math import prod
from typing import Any

import pytest
from conftest import ROOT
from examples import EXAMPLES
from gradients import axes_of, endless, field_of_module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import layers, networks

import archdsl
from archdsl.layers import REGISTRY, Example, Layer, Reach, UnaryLayer
from archdsl.model import Model
from archdsl.model import receptive_field as receptive
from archdsl.text.diagnostics import ArchError

#: Layers that count as reading all: they turn rows into columns, which are followed apart, or
#: read positions that a larger map has more of. Numbers of words have no gradient.
COUNTED_AS_ALL = {
    "reshape",
    "tokens",
    "token",
    "clstoken",
    "attention",
    "attend",
    "matmul",
    "lstm",
    "gru",
    "embedding",
    "extern",
}


def field_of(model: Model) -> tuple[int, ...]:
    return model.receptive_fields[model.chain.output]


def judge_fields(model: Model) -> int:
    """Assert the field of each layer: that of gradients where maps go on beyond their borders.

    Returns how many layers were judged: none of networks that are too large, nor of those with
    gaps that are not square. Height and width are followed apart, but a position in a gap of its
    column sees no row either.
    """
    # A volume of other axes than the input's is not followed beyond its borders.
    is_plain = all(node.volume.rank in (0, axes_of(model)) for node in model.nodes) and not (
        (COUNTED_AS_ALL | {"posembed", "posenc"})
        & {getattr(node.layer, "name", "") for node in model.nodes}
    )
    is_judged = is_plain and (is_square(model) or not has_gaps(model))
    network = endless(model) if is_judged else None
    if network is None:
        return 0
    judged = [node for node in model.layers if node.volume.positions <= 500]
    for node in judged:
        assert model.receptive_fields[node.id] == network.field(node), node
    return len(judged)


def reaches_of(model: Model) -> Iterator[Reach]:
    for node in model.layers:
        yield from node.layer.reads(tuple(model.nodes[i].volume for i in node.inputs))


def is_square(model: Model) -> bool:
    return all(len(set(node.volume.spatial)) <= 1 for node in model.nodes) and all(
        reads == reach.axes[0] for reach in reaches_of(model) for reads in reach.axes
    )


def has_gaps(model: Model) -> bool:
    """Whether some positions read nothing."""
    return any(None in reads.rows for reach in reaches_of(model) for reads in reach.axes)


# ── Layers ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_field_of_an_example_is_that_of_its_module(example: Example) -> None:
    """By the module as it is compiled, borders and all, at positions in the middle."""
    model = archdsl.parse(example.text, input=example.input)
    field = field_of_module(model)
    if any(node.layer.name in COUNTED_AS_ALL for node in model.layers):
        assert all(own >= seen for own, seen in zip(field_of(model), field, strict=True))
    else:
        assert field_of(model) == field


@pytest.mark.parametrize("example", [e for e in EXAMPLES if prod(e.values[0].input) < 3_000])
def test_the_field_of_an_example_is_that_without_borders(example: Example) -> None:
    judge_fields(archdsl.parse(example.text, input=example.input))


# ── Structures ───────────────────────────────────────────────────────────────────────────────

#: Text, input, and the field of its last layer, worked out by hand.
CASES = {
    "blocks of a pool, upsampled": ("maxpool 2 ×3; upsample 2 ×3; conv 3 same", "64x64x1", 16),
    "a window on few blocks": ("upsample 8; conv 3 same ×4", "8x8x1", 2),
    "a window on three blocks": ("upsample 4; conv 3 ×3", "8x8x1", 3),
    "windows that differ": ("adaptiveavgpool 5; conv 3", "13x13x1", 9),
    "windows that grow": ("adaptiveavgpool 9; conv 2", "5x5x1", 2),
    "windows that do not divide": ("adaptiveavgpool 4; fc 2", "14x14x1", 14),
    "gaps in a transposed window": ("deconv 2 s2 d3", "8x8x1", 1),
    "positions that see nothing": ("deconv 1 s3; conv 3", "8x8x1", 1),
    "nothing but such positions": ("deconv 1 s2; pad 1 0 1 0; maxpool 1 s2", "8x8x1", 0),
    "back and forth": ("deconv 3 s2 d3; conv 2 d2", "12x12x1", 5),
    "there and there again": ("deconv 2 s2 d3; deconv 2 d2", "12x12x1", 2),
    "cut before the gaps": ("deconv 1 s2 p1; maxpool 1 s2", "8x8x1", 0),
    "branches shifted": (
        "concat { pad 4 0 4 0; conv 5 1 | pad 0 4 0 4; conv 5 1 }",
        "24x24x1",
        9,
    ),
    "a crop in the middle": ("a: conv 1 1; conv 9 1; concat { crop a | id }", "24x24x1", 9),
    "a crop at the end": (
        "a: conv 1 1; deconv 1 1 p1 d2 output_padding=1; concat { crop a | id }",
        "8x8x1",
        2,
    ),
    "strides that differ": ("concat { maxpool 2 | conv 5 1 }", "8x8x1", 5),
    "steps that differ, from end to end": ("concat { upsample 2 | pad 4 }", "8x8x1", 5),
    "steps that differ, at the end": ("concat { upsample 2 | pad 0 8 0 8 }", "8x8x1", 9),
    "interpolated": ("upsample 2 mode=bilinear; conv 2 1", "8x8x1", 3),
    "interpolated on a position": ("upsample 3 mode=bilinear; pad 2; maxpool 1 s3", "8x8x1", 1),
    "shuffled": ("conv 3 4 same; pixelshuffle 2; conv 2 1", "8x8x1", 4),
    "an even window": ("conv 2 1 same; conv 2 1 same", "8x8x1", 3),
    "a pool that hangs over": ("maxpool 3 s2 ceil; conv 2 1", "8x8x1", 5),
    "padding before `fc`": ("conv 3 1 same; fc 2", "8x8x1", 10),
    "a factor for channels": ("mul { id | gap; conv 1 }", "8x8x1", 8),
    "a factor with gaps": (
        "maxpool 1 s2; mul { id | deconv 1 s2 p2 }; pad 1; fc 1",
        "10x10x1",
        13,
    ),
    "windows behind a factor": ("mul { id | gap; conv 1 }; conv 3 1 same", "8x8x1", 9),
    "windows behind a global pool": ("gap; conv 3 1 same; upsample 4; conv 3 1", "8x8x1", 8),
    "windows behind a pool to one": ("adaptiveavgpool 1; conv 3 1 same", "8x8x1", 8),
    "statistics of an image": ("conv 3 4; in; conv 3 1", "10x10x1", 10),
    "statistics of a batch": ("conv 3 4; bn; ln; lrn; softmax; conv 3 1", "10x10x1", 5),
    "runs of one module": (
        "f: { conv 3 1; maxpool 2 s1 }; reuse f; upsample 2; reuse f",
        "9x9x1",
        9,
    ),
    "a vector": ("fc 16; reshape 4x4x1; deconv 4 1 s2 p1", "12", 1),
}


@pytest.mark.parametrize("case", CASES)
def test_a_structure(case: str) -> None:
    text, input, field = CASES[case]
    model = archdsl.parse(text, input=input)
    assert field_of(model) == (field, field)
    judge_fields(model)


def test_fields_of_vgg_and_googlenet() -> None:
    """What the last pool sees, 212, and 6 steps of 32 pixels: the image has 224.

    GoogLeNet's heads pool 14 positions to 4: they see 13 steps of 16 beyond 107.
    """
    vgg = archdsl.load(ROOT / "specs/vgg16.arch")
    fields = [vgg.receptive_fields[node.id] for node in vgg.layers]
    fc6 = next(node for node in vgg.layers if node.layer.name == "fc")
    assert fields[fc6.id - 1] == (404, 404) == max(fields)
    googlenet = archdsl.load(ROOT / "specs/torchvision/googlenet.arch")
    head = next(node for node in googlenet.layers if googlenet.names[node.id] == "aux1.fc1")
    assert googlenet.receptive_fields[head.id] == (107 + 13 * 16,) * 2


def test_height_and_width_apart() -> None:
    text = "conv 3x1 1; upsample 2x4; conv 5x3 1 d1x2; deconv 2x3 1 s3x1; adaptiveavgpool 7x5"
    model = archdsl.parse(text, input="12x9x1")
    assert field_of(model) == (6, 5)
    judge_fields(model)


def test_a_result_that_sees_no_row_sees_no_column() -> None:
    model = archdsl.parse("deconv 1x3 1 s2x1 p1x0; maxpool 1 s2x1", input="8x8x1")
    assert field_of(model) == field_of_module(model) == (0, 0)


def test_the_field_of_u_net() -> None:
    """Ronneberger et al. 2015, figure 1: nothing is padded, so borders cut nothing off.

    By torch in a smaller image, with 2 channels: neither counts, as long as all positions of the
    blocks of 16 occur.
    """
    text = (ROOT / "specs/zoo/unet.arch").read_text("utf-8")
    assert field_of(archdsl.parse(text)) == (204, 204)
    lines = [line.split("  #")[0].split("  →")[0] for line in text.splitlines()]
    small = "\n".join(line for line in lines if "expect" not in line)
    small = re.sub(r"\((64|\d{3,})\)|(?<= )(64|\d{3,}) s2", _narrowed, small)
    model = archdsl.parse(small.replace("572x572x1 → 388x388x2", "220x220x1 → 36x36x2"))
    assert field_of(model) == (204, 204)
    assert field_of_module(model, most=16) == (204, 204)


def _narrowed(match: re.Match[str]) -> str:
    return "(2)" if match[1] else "2 s2"


# ── Random networks ──────────────────────────────────────────────────────────────────────────


def _examples(count: int) -> settings:
    return settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=count)


#: Layers of one input that read more than the same place, and those that move or pick channels.
SPATIAL = [
    name
    for name, layer in REGISTRY.items()
    if issubclass(layer, UnaryLayer) and layer.reads is not Layer.reads
]
SMALL = st.integers(1, 4)


@st.composite
def keepers(draw: Any, rank: int) -> str:
    """What gives back the size that it gets, often moved."""
    a, b, c = draw(st.tuples(*[st.integers(0, 3)] * 3))
    pad = " ".join(["pad", *map(str, (a, b, b, a, a, b)[: 2 * rank])])
    linear = ("linear", "bilinear", "trilinear")[rank - 1]
    factor = draw(st.integers(2, 3))
    return draw(
        st.sampled_from(
            [
                "id",
                "in",
                f"conv {a + 1} same d{b + 1}",
                f"{pad}; conv {a + b + 1}",
                f"{pad}; dwconv 2 d{a + b or 1}; deconv 2" if a + b else "id",
                f"upsample {factor}; maxpool {factor}",
                f"upsample {factor} mode={linear}; conv {a + 1} s{factor} same",
                f"deconv {a + 1} s{factor} d{b + 1} p{c}; adaptiveavgpool SIZE",
                f"adaptiveavgpool {a + 2}; adaptiveavgpool SIZE",
                "mul { id | gap }",
            ]
        )
    )


@st.composite
def spatial_networks(draw: Any) -> Model:
    """Layers that read other places than their own, and branches of one size."""
    text, input = "", draw(st.sampled_from(["10x10x2", "11x9x2", "20x2", "4x5x6x2"]))
    model = archdsl.parse("conv 3", input=input)
    for _ in range(draw(st.integers(2, 7))):
        if draw(st.booleans()):
            statement = draw(layers(SPATIAL))
        else:
            branches = draw(st.lists(keepers(model.input.rank), min_size=2, max_size=3))
            merge = draw(st.sampled_from(["concat", "concat", "add", "mul"]))
            statement = f"{merge} {{ {' | '.join(branches)} }}"
            sizes = "x".join(map(str, model.output.spatial)) if text else input[:-2]
            statement = statement.replace("SIZE", sizes)
        candidate = f"{text}{statement}\n"
        try:
            larger = archdsl.parse(candidate, input=input)
        except ArchError:
            continue
        if max(node.volume.elements for node in larger.nodes) < 1_500:
            text, model = candidate, larger
    return model


@_examples(60)
@given(networks())
def test_fields_of_random_networks(text: str) -> None:
    judge_fields(archdsl.parse(text, input="9x8x4"))


@_examples(100)
@given(spatial_networks())
def test_fields_of_random_networks_that_look_around(model: Model) -> None:
    judge_fields(model)


@_examples(100)
@given(spatial_networks(), st.integers(0, 3), st.integers(0, 2))
def test_patterns_and_lists_of_positions_agree(model: Model, periods: int, parts: int) -> None:
    """Nothing changes where patterns are too long to be kept and each position is listed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receptive, "MAX_PERIOD", periods)
        patch.setattr(receptive, "MAX_PARTS", parts)
        listed = receptive.count_fields(model.nodes)
    assert listed == model.receptive_fields


# ── Time ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "input"),
    [
        ("{ upsample 3; maxpool 2; conv 4 1 } ×60", "6x6x1"),
        ("{ upsample 2; concat { maxpool 2 | conv 11 1 s1 }; conv 1 1 } ×30", "10x10x1"),
        ("upsample 2 ×16; conv 3 1 ×10", "1x1x1"),
        ("upsample 1x50000; conv 1x3 1 ×10", "1x2x1"),
        ("adaptiveavgpool 1x99999; conv 1x3 1 ×5", "1x100000x1"),
        ("upsample 2; conv 3 1 same ×3000", "8x8x1"),
        ("{ mul { id | gap; conv 1 1; sigmoid }; conv 3 1 same } ×1000", "8x8x1"),
    ],
)
def test_long_patterns_take_little_time(text: str, input: str) -> None:
    start = time.process_time()
    archdsl.parse(text, input=input)
    assert time.process_time() - start < 10
