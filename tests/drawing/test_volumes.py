"""Volumes as boxes in projection: sizes by the rule, labels apart, pages, and TikZ."""

from __future__ import annotations

import re
from functools import cache
from itertools import combinations, pairwise
from math import log2, sqrt
from pathlib import Path

import pytest
from conftest import ROOT, sample
from test_pictures import SPECS, UNET

import archdsl
from archdsl.drawing import DrawingError, Options, render_drawing
from archdsl.drawing.canvas.bounds import bounds_of, single_marks
from archdsl.drawing.canvas.marks import Group, Line, Mark, Picture, texts_in
from archdsl.drawing.canvas.tikz import spelled_for_tex
from archdsl.drawing.options import PAGES, BoxScale, Fit
from archdsl.drawing.volumes.cuboids import ruler_for
from archdsl.drawing.volumes.picture import volumes_picture
from archdsl.layers.volume import Volume

RULE = (
    "sizes on a log₂ scale: boxes are as high and deep as the volume, "
    "as wide as it has channels; bars are vectors, slabs change no channels"
)


@cache
def models() -> dict[str, archdsl.Model]:
    """All networks of the specs by file and name, and U-Nets, padded and as published."""
    found = {
        "unet": archdsl.parse(UNET),
        "unpadded": archdsl.load(ROOT / "specs" / "zoo" / "unet.arch"),
    }
    for path in sorted(SPECS.rglob("*.arch")):
        for model in sample(path):
            found[f"{path.relative_to(SPECS)}:{model.name}"] = model
    return found


@cache
def drawn(name: str, fit: Fit = "none", **chosen: str) -> Picture:
    return volumes_picture(models()[name], Options(fit=fit, **chosen))  # type: ignore[arg-type]


NETS = {
    "lenet5": "lenet5.arch:LeNet5",
    "alexnet": "alexnet.arch:AlexNet",
    "vgg16": "vgg16.arch:VGG16",
    "googlenet": "googlenet.arch:GoogLeNet",
    "resnet50": "torchvision/resnet.arch:ResNet50",
}


def groups_in(marks: tuple[Mark, ...], kind: str) -> list[Group]:
    """All groups of a class, in reading order."""
    found = []
    for mark in marks:
        if isinstance(mark, Group):
            found += [mark] if kind in mark.classes else []
            found += groups_in(mark.marks, kind)
    return found


def fronts_of(group: Group) -> list[tuple[float, float]]:
    """Width and height of the fronts of a group's boxes: each third area of a box."""
    areas = [mark for mark in group.marks if isinstance(mark, Line) and mark.fill]
    sizes = []
    for area in areas[2::3]:
        bounds = bounds_of(area)
        sizes.append(
            (bounds.right - bounds.left - area.width, bounds.bottom - bounds.top - area.width)
        )
    return sizes


def named(picture: Picture, name: str) -> Group:
    """The box that has a word of its own for its name."""
    (group,) = (
        group
        for group in groups_in(picture.marks, "node")
        if any(text.text == name for text in texts_in(group.marks))
    )
    return group


# ── Labels ───────────────────────────────────────────────────────────────────────────────────


def overlaps_in(picture: Picture) -> list[tuple[str, str]]:
    """The pairs of texts whose rectangles overlap."""
    boxes = [(text.text, bounds_of(text)) for text in texts_in(picture.marks)]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


@pytest.mark.parametrize("name", models())
def test_no_labels_overlap_and_all_lie_in_the_picture(name: str) -> None:
    for chosen in ({}, {"shapes": "all"}, {"scale": "linear"}):
        picture = drawn(name, **chosen)
        assert overlaps_in(picture) == []
        for mark in single_marks(picture.marks):
            bounds = bounds_of(mark)
            assert bounds.left >= 0
            assert bounds.top >= 0
            assert bounds.right <= picture.width
            assert bounds.bottom <= picture.height


@pytest.mark.parametrize("name", models())
def test_no_label_stands_on_a_box(name: str) -> None:
    picture = drawn(name)
    areas = [
        bounds_of(mark)
        for group in groups_in(picture.marks, "node")
        for mark in group.marks
        if isinstance(mark, Line) and mark.fill
    ]
    for text in texts_in(picture.marks):
        bounds = bounds_of(text)
        assert not any(bounds.overlaps(area) for area in areas), text.text


@pytest.mark.parametrize("fit", PAGES)
@pytest.mark.parametrize("name", [*NETS, "unet"])
def test_labels_stay_apart_and_legible_on_pages(name: str, fit: Fit) -> None:
    picture = drawn(NETS.get(name, name), fit)
    page = PAGES[fit]
    assert overlaps_in(picture) == []
    assert picture.width * picture.scale <= page.width + 0.01
    assert picture.height * picture.scale <= page.height + 0.01
    if picture.smallest_text < 6.0:
        lack = 6.0 - picture.smallest_text
        assert (name, fit) == ("unet", "column")
        assert picture.notes[-1] == (
            f"the smallest text is {picture.smallest_text:.1f} pt on {page.name}, "
            f"{lack:.1f} pt less than is legible"
        )


# ── Sizes ────────────────────────────────────────────────────────────────────────────────────


def test_sizes_follow_the_rule_that_is_printed() -> None:
    picture = drawn(NETS["vgg16"])
    volumes = [(224, 64, 2), (112, 128, 2), (56, 256, 3), (28, 512, 3), (14, 512, 3)]
    boxes = groups_in(picture.marks, "convolution")
    for (side, channels, count), group in zip(volumes, boxes, strict=True):
        expected = (4 + 3 * log2(channels), 10 + 14 * log2(side))
        assert fronts_of(group) == [pytest.approx(expected)] * count
    bars = groups_in(picture.marks, "dense")
    assert fronts_of(bars[1]) == [pytest.approx((8, 10 + 7 * log2(1000)))]
    slabs = groups_in(picture.marks, "pooling")
    assert fronts_of(slabs[0]) == [pytest.approx((5, 10 + 14 * log2(112)))]
    assert [t.text for t in texts_in(picture.marks)][-1] == RULE


@pytest.mark.parametrize(
    ("scale", "share", "word"),
    [
        ("log", lambda n, most: log2(n), "log₂"),
        ("sqrt", lambda n, most: log2(most) * sqrt(n / most), "square-root"),
        ("linear", lambda n, most: log2(most) * n / most, "linear"),
    ],
)
def test_each_scale_has_its_formula(scale: BoxScale, share: object, word: str) -> None:
    assert callable(share)
    volumes = [Volume((224, 112, 64)), Volume((7, 7, 512)), Volume((1000,))]
    ruler = ruler_for(volumes, scale)
    for height, width, channels in [(224, 112, 64), (7, 7, 512), (1, 1, 1)]:
        size = ruler.size(Volume((height, width, channels)))
        assert size.height == pytest.approx(10 + 14 * share(height, 224))
        assert size.back == pytest.approx(0.3 * (10 + 14 * share(width, 224)))
        assert size.width == pytest.approx(4 + 3 * share(channels, 512))
    assert ruler.size(Volume((10,))).height == pytest.approx(10 + 7 * share(10, 1000))
    assert ruler.rule[0] == f"sizes on a {word} scale:"
    texts = [text.text for text in texts_in(drawn(NETS["lenet5"], scale=scale).marks)]
    assert any(text.startswith(f"sizes on a {word} scale:") for text in texts)


def test_equal_volumes_of_a_repeat_touch() -> None:
    (group,) = groups_in(drawn(NETS["vgg16"]).marks, "convolution")[2:3]
    fronts = [m for m in group.marks if isinstance(m, Line) and m.fill == "convolution"]
    lefts = [bounds_of(front).left for front in fronts]
    width = fronts_of(group)[0][0]
    assert [b - a for a, b in pairwise(lefts)] == [pytest.approx(width)] * 2


# ── What is shown ────────────────────────────────────────────────────────────────────────────


def test_grouped_layers_are_drawn_in_their_halves() -> None:
    picture = drawn(NETS["alexnet"])
    for name, half, side in (("conv2", 128, 27), ("conv4", 192, 13), ("conv5", 128, 13)):
        group = named(picture, name)
        expected = (4 + 3 * log2(half), 10 + 14 * log2(side))
        assert fronts_of(group) == [pytest.approx(expected)] * 2
        assert next(texts_in(group.marks)).text == f"2 · {half}"
    assert len(fronts_of(named(picture, "conv3"))) == 1


def test_neighbours_that_differ_are_each_as_wide_as_they_are() -> None:
    group = named(drawn(NETS["googlenet"]), "i3a–i3b")
    widths = [width for width, _ in fronts_of(group)]
    assert widths == [pytest.approx(4 + 3 * log2(256)), pytest.approx(4 + 3 * log2(480))]
    seams = [mark for mark in group.marks if isinstance(mark, Line) and mark.dash]
    places = [mark.commands[0][1][0][0] for mark in seams]
    left = bounds_of(next(m for m in group.marks if isinstance(m, Line) and m.fill == "block")).left
    first = [widths[0] * share / 256 for share in (64, 192, 224)]
    second = [widths[0] + widths[1] * share / 480 for share in (128, 320, 416)]
    assert [place - left - 0.35 for place in places] == pytest.approx([*first, *second])


def test_many_groups_are_said_not_drawn() -> None:
    model = archdsl.parse("conv 3x3 64 same g32", input=(8, 8, 64))
    (group,) = groups_in(volumes_picture(model, Options()).marks, "convolution")
    assert len(fronts_of(group)) == 1
    assert [text.text for text in texts_in(group.marks)] == ["64", "conv 3×3", "g32"]


def test_a_module_is_one_group_of_boxes_or_opened() -> None:
    model = models()[NETS["googlenet"]]
    collapsed = drawn(NETS["googlenet"])
    blocks = groups_in(collapsed.marks, "block")
    titles = [" ".join(t.text for t in texts_in(b.marks)) for b in blocks]
    assert titles[2] == "528 i4b–i4d inception ×3 512→512→ 512→528"
    assert len(groups_in(collapsed.marks, "merge")) == 1  # the module from the inside, once
    assert len(groups_in(collapsed.marks, "head")) == 2
    opened = volumes_picture(model, Options(open=("i4e",)))
    assert len(groups_in(opened.marks, "merge")) == 2
    assert len(groups_in(opened.marks, "block")) == len(blocks) - 1
    everything = volumes_picture(model, Options(depth=9))
    assert len(groups_in(everything.marks, "merge")) == 9
    assert overlaps_in(opened) == overlaps_in(everything) == []


def test_a_module_that_is_given_parts_is_drawn_from_the_inside() -> None:
    block = "block up(s: part) { concat { s; conv 3x3 4 same | id | s }; conv 1x1 4 }"
    model = archdsl.parse(f"{block}\na: conv 1x1 4; relu; up(a); up(a); fc 3", input="8x8x4")
    picture = volumes_picture(model, Options())
    assert len(groups_in(picture.marks, "merge")) == 1
    assert overlaps_in(picture) == []


def test_alike_branches_of_many_are_drawn_together() -> None:
    texts = [t.text for t in texts_in(drawn("lenet5_1998.arch:LeNet5_1998").marks)]
    assert {"take ×6", "take ×9", "conv 5×5 ×6", "conv 5×5 ×9"} <= set(texts)
    fronts = [
        len(fronts_of(group))
        for group in groups_in(drawn("lenet5_1998.arch:LeNet5_1998").marks, "convolution")
    ]
    assert fronts == [1, 6, 9, 1, 1]


def test_a_unet_is_a_u_with_skips_straight_across() -> None:
    picture = drawn("unet")
    joins = groups_in(picture.marks, "merge")
    rows = [min(bounds_of(m).top for m in join.marks if isinstance(m, Line)) for join in joins]
    assert rows == sorted(rows, reverse=True)  # up from the lowest
    lines = [mark for g in groups_in(picture.marks, "edge") for mark in g.marks]
    flat = [
        bounds_of(line)
        for line in lines
        if isinstance(line, Line) and line.fill is None and len(line.commands) == 2
    ]
    long = [b for b in flat if b.right - b.left > 100]
    assert len(long) == 4
    texts = [text.text for text in texts_in(picture.marks)]
    assert texts.count("deconv 2×2") == 4
    assert texts.count("maxpool 2×2") == 4


def test_what_a_u_copies_across_says_how_it_is_cut() -> None:
    model = models()["unpadded"]
    assert model.diagnostics == ()
    texts = [text.text for text in texts_in(drawn("unpadded").marks)]
    assert [text for text in texts if text.startswith("crop")] == [
        "crop 56×56",
        "crop 104×104",
        "crop 200×200",
        "crop 392×392",
    ]


def test_a_page_may_lie_on_its_side() -> None:
    upright, aside = drawn("unet", "a4"), drawn("unet", "a4", direction="right")
    assert upright.height > upright.width
    assert aside.width > aside.height
    message = re.escape("volumes are drawn from left to right, not down")
    with pytest.raises(DrawingError, match=f"^{message}$"):
        drawn(NETS["lenet5"], direction="down")


def test_a_scale_is_for_volumes_only() -> None:
    with pytest.raises(DrawingError, match=r"^the graph style has no option --scale$"):
        render_drawing(models()[NETS["lenet5"]], "svg", Options(scale="sqrt"))


def test_the_colours_of_a_number_have_their_bar() -> None:
    texts = [t.text for t in texts_in(drawn(NETS["lenet5"], color_by="params").marks)]
    assert "parameters, log scale" in texts
    assert "48.1K" in texts


# ── Formats ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("format", ["svg", "png", "pdf", "tikz"])
def test_the_same_network_gives_the_same_bytes(format: str) -> None:
    model = models()[NETS["alexnet"]]
    first, second = (render_drawing(model, format, style="volumes").content for _ in range(2))
    assert first == second
    assert len(first) > 1000


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("style", ["volumes", "graph"])
def test_tikz_has_every_mark_and_defines_its_colours(style: str, theme: str) -> None:
    model = models()[NETS["alexnet"]]
    options = Options(theme=theme)  # type: ignore[arg-type]
    text = render_drawing(model, "tikz", options, style).content.decode()
    assert text.count(r"\begin{tikzpicture}") == text.count(r"\end{tikzpicture}") == 1
    code = re.sub(r"(?m)^%.*\n", "", text)
    assert re.sub(r"\\[{}]", "", code).count("{") == re.sub(r"\\[{}]", "", code).count("}")
    used = set(re.findall(r"(?:fill|draw|text)=([\w#-]+)", code))
    defined = set(re.findall(r"\\definecolor\{([\w#-]+)\}\{HTML\}\{[0-9A-F]{6}\}", code))
    assert used == defined
    svg = render_drawing(model, "svg", options, style).content.decode()
    assert code.count(r"\node[") == svg.count("<text ")
    assert code.count(r"\path[") == svg.count("<path ") + 1 + (theme == "dark")
    assert all(
        line.endswith(";") or line.startswith((r"\definecolor", r"\begin", r"\end"))
        for line in code.splitlines()
    )


def test_tikz_spells_what_tex_would_read() -> None:
    assert spelled_for_tex("a_b 50 % {x} \\ 3×3\n") == (
        r"a\_b 50 \% \{x\} \textbackslash{} 3\ensuremath{\times}3 "
    )


def test_a_file_for_latex_is_written_by_its_ending(tmp_path: Path) -> None:
    from archdsl.cli import main

    for name in ("net.tex", "net.tikz"):
        path = tmp_path / name
        spec = str(SPECS / "lenet5.arch")
        with pytest.raises(SystemExit) as left:
            main(["draw", spec, "--style", "volumes", "-o", str(path)])
        assert left.value.code == 0
        assert r"\begin{tikzpicture}" in path.read_text("utf-8")


def test_names_of_a_repeat_stand_in_two_lines_where_one_is_too_short() -> None:
    """Not cut in the middle, which would hide where the first ends."""
    (model,) = archdsl.load_all(ROOT / "specs" / "torchvision" / "googlenet.arch")
    svg = render_drawing(model, "svg", style="volumes").content.decode()
    assert ">inception4b–<" in svg
    assert ">inception4d<" in svg
