"""What a picture says of several layers at once is true of each of them."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from conftest import ROOT
from figures import TANGLES, boxes_of

import archdsl
from archdsl.drawing import Options, render_svg
from archdsl.drawing.canvas.typeface import shortened, text_width
from archdsl.drawing.figure.composition import compose_figure
from archdsl.drawing.figure.figure import Box, Figure
from archdsl.drawing.figure.heat import MEASURES
from archdsl.frontend import read_models, read_source
from archdsl.layers.definition import fields_of
from archdsl.model import Model

SPECS = ROOT / "specs"
SVG = "{http://www.w3.org/2000/svg}"
CBR = "block cbr(k, n) { c: conv k n same nobias; b: bn; relu }\n"
DEPTHS = (None, 0, 1, 2)


def models() -> Iterator[Model]:
    for path in sorted(SPECS.rglob("*.arch")):
        yield from read_models(read_source(path))


@pytest.fixture(scope="module")
def every_model() -> list[Model]:
    tangles = [archdsl.parse(f"{text}; fc 10", input=(8, 8, 4)) for text in TANGLES]
    nested = f"{CBR}network N: 9x9x8 → 9x9x64 {{ a: {{ cbr(3, 16); cbr(3, 32); cbr(3, 64) }} }}"
    return [*models(), *tangles, archdsl.parse(nested)]


def every_figure(figure: Figure) -> Iterator[Figure]:
    yield figure
    yield from figure.keys


def named(figure: Figure, title: str) -> list[Box]:
    return [box for box in boxes_of(figure) if box.title == title]


@pytest.mark.parametrize("depth", DEPTHS)
def test_edges_go_forward(depth: int | None, every_model: list[Model]) -> None:
    """Copies that one frame stands for feed one another, which no edge of the frame shows."""
    for model in every_model:
        for figure in every_figure(compose_figure(model, Options(depth=depth))):
            first = {box.id: min(box.members) for box in boxes_of(figure)}
            last = max(first.values()) + 1
            places = {id: last if id < 0 else at for id, at in first.items()}
            wrong = [e for e in figure.edges if places[e.tail] >= places[e.head]]
            assert not wrong, (model.name, wrong)


@pytest.mark.parametrize("depth", DEPTHS)
def test_blocks_that_are_joined_have_the_same_windows(
    depth: int | None, every_model: list[Model]
) -> None:
    def windows(model: Model, box: Box) -> list[object]:
        layers = [model.nodes[node].layer for node in box.nodes]
        return [
            (layer.name, vars(layer)["kernel_size"])
            for layer in layers
            if any(field.name == "kernel_size" for field in fields_of(type(layer)))
        ]

    joined = 0
    for model in every_model:
        for box in boxes_of(compose_figure(model, Options(depth=depth))):
            if box.run:
                found = windows(model, box)
                size = len(found) // box.count
                assert found == found[:size] * box.count, (model.name, box.title)
                joined += 1
    assert joined or depth is None


def test_blocks_of_other_kernels_stay_apart() -> None:
    text = CBR + "network N: 17x17x192 → 17x17x192 { cbr(1, 160); cbr(1x7, 160); cbr(7x1, 192) }"
    boxes = named(compose_figure(archdsl.parse(text), Options(depth=0)), "cbr")
    assert [(box.count, box.detail) for box in boxes] == [
        (1, "1×1 · 192→160"),
        (1, "1×7 · 160→160"),
        (1, "7×1 · 160→192"),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv 3x3 16 same", "conv 3x3 16 same g4"),
        ("conv 3x3 16 same", "conv 3x3 16 same d2"),
        ("conv 3x3 16 same leakyrelu 0.1", "conv 3x3 16 same leakyrelu 0.2"),
        ("maxpool 3 s1 same", "avgpool 3 s1 same"),
        ("upsample 2; conv 2 16 s2", "upsample 2 mode=bilinear; conv 2 16 s2"),
        ("conv 3x3 16 same; ln", "conv 3x3 16 same; ln eps=0.1"),
        ("tokens; attention 2; reshape 8x8x16", "tokens; attention 2 causal; reshape 8x8x16"),
        ("add { conv 3x3 16 same | id }", "concat { conv 3x3 8 same | conv 3x3 8 same }"),
    ],
)
def test_blocks_that_compute_something_else_stay_apart(one: str, other: str) -> None:
    """The words of a block are the same; what it does differs in an argument."""
    block = (
        f"block b(k) {{ if k == 1 {{ x: {{ {one} }} }} else {{ x: {{ {other} }} }}; conv 1x1 16 }}"
    )

    def boxes(calls: str) -> list[Box]:
        text = f"{block}\nnetwork N: 8x8x16 → 8x8x16 {{ {calls} }}"
        return named(compose_figure(archdsl.parse(text), Options(depth=0)), "b")

    assert [box.count for box in boxes("b(1); b(2)")] == [1, 1]
    assert [box.count for box in boxes("b(1); b(1)")] == [2]


def test_blocks_of_one_kernel_are_one_box() -> None:
    text = CBR + "network N: 17x17x8 → 17x17x64 { cbr(3, 16); cbr(3, 32); cbr(3, 64) }"
    (box,) = named(compose_figure(archdsl.parse(text), Options(depth=0)), "cbr")
    assert (box.count, box.detail) == (3, "3×3 · 8→16→32→64")


def test_each_variant_of_a_block_has_its_inside() -> None:
    (model,) = (m for m in models() if m.name == "ResNet50" and "torchvision" in m.path)
    keys = compose_figure(model, Options(depth=1)).keys
    branches = [len(key.items[1].items[0].branches) for key in keys]  # type: ignore[union-attr]
    shortcuts = [len(key.items[1].items[0].branches[1]) for key in keys]  # type: ignore[union-attr]
    assert branches == [2, 2]
    assert sorted(shortcuts) == [0, 1]  # the identity, and the projection


@pytest.mark.parametrize(("count", "cards"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_as_many_cards_as_it_stands_for_up_to_three(count: int, cards: int) -> None:
    block = "block b() { conv 3x3 4 same; maxpool 3 s1 same }\n"
    for step, kind in (("conv 3x3 4 same", "convolution"), ("b()", "part")):
        text = f"{block}network N: 8x8x4 → 8x8x4 {{ {step} ×{count} }}"
        root = ElementTree.fromstring(render_svg(archdsl.parse(text)))
        groups = [g for g in root.iter(f"{SVG}g") if kind in (g.get("class") or "").split()]
        assert len(groups[0].findall(f"{SVG}path")) == cards, step


def test_without_a_legend_nothing_is_below_the_volumes() -> None:
    model = archdsl.load(SPECS / "lenet5.arch")
    with_legend, without = (
        render_svg(model, Options(legend=legend), style="volumes") for legend in ("auto", "off")
    )
    assert "scale" in with_legend
    assert "scale" not in without


# ── Numbers of several ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("measure", ["params", "macs", "memory"])
def test_unlike_layers_have_numbers_of_their_own(measure: str) -> None:
    model = archdsl.load(SPECS / "alexnet.arch")
    figure = compose_figure(model, Options(color_by=measure))  # type: ignore[arg-type]
    value = MEASURES[measure].value  # type: ignore[index]
    for box in boxes_of(figure)[1:-1]:
        assert value(model, box.members) == pytest.approx(box.count * value(model, box.nodes))
    assert [b.count for b in named(figure, "fc")] == ([2, 1] if measure == "memory" else [1, 1, 1])


def test_alike_layers_still_fold_where_they_are_coloured() -> None:
    text = "network N: 8x8x16 → 8x8x16 { conv 3x3 16 same relu ×4 }"
    (box,) = named(compose_figure(archdsl.parse(text), Options(color_by="params")), "conv 3×3")
    assert box.count == 4


def test_blocks_of_other_costs_are_not_one_number() -> None:
    text = CBR + "network N: 17x17x8 → 17x17x64 { cbr(3, 16); cbr(3, 32); cbr(3, 64) }"
    figure = compose_figure(archdsl.parse(text), Options(depth=0, color_by="params"))
    assert [box.count for box in named(figure, "cbr")] == [1, 1, 1]


# ── Rows of numbers ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("128→160→192→224→512", 200.0, "128→160→192→224→512"),
        ("128→160→192→224→480→512", 80.0, "128→160→…→512"),
        ("128→160→192→…→480→512", 50.0, "128→…→512"),
        ("192+208+48+64+96+32 = 640", 95.0, "192+208+…+32 = 640"),
        ("a→very-long-name-that-is-cut-anyway", 40.0, "a→v…way"),
    ],
)
def test_whole_numbers_are_left_out(text: str, width: float, expected: str) -> None:
    cut = shortened(text, 8.0, width)
    assert cut == expected
    assert text_width(cut, 8.0) <= width


@pytest.mark.parametrize(("count", "has_gap"), [(2, False), (3, False), (5, True), (35, True)])
def test_volumes_that_are_left_out_leave_a_gap(count: int, has_gap: bool) -> None:
    text = f"network N: 28x28x512 → 28x28x512 {{ conv 3x3 512 same ×{count} }}"
    svg = render_svg(archdsl.parse(text), style="volumes")
    root = ElementTree.fromstring(svg)
    groups = [g for g in root.iter(f"{SVG}g") if "convolution" in (g.get("class") or "").split()]
    (group,) = groups
    texts = [text.text for text in group.iter(f"{SVG}text")]
    assert ("…" in texts) is has_gap
    assert f"×{count}" in " ".join(map(str, texts))
    faces = len(list(group.iter(f"{SVG}path")))  # three of each volume
    assert faces == 3 * count if not has_gap else 3 * 2 <= faces < 3 * count
