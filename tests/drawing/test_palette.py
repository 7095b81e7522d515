"""Colours: text that can be read, and families that colour-blind readers can tell apart."""

from __future__ import annotations

from itertools import combinations

import pytest

from archdsl.drawing.canvas.palette import (
    BLOCK,
    DARK,
    LIGHT,
    PRINT,
    border_of,
    detail_of,
    fill_of,
    label_of,
)
from archdsl.drawing.figure.figure import Box
from archdsl.drawing.figure.heat import CIVIDIS, MEASURES, HeatScale, contrast, ink_on, luminance
from archdsl.drawing.graph.boxes import _ornaments, _outline
from archdsl.layers import Family

THEMES = {"light": LIGHT, "dark": DARK, "print": PRINT}
LOOKS = [*(family.value for family in Family), BLOCK]
GROUNDS = ("page", "cluster", "inner-cluster")

#: Machado, Oliveira and Fernandes 2009, "A physiologically-based model for simulation of color
#: vision deficiency", table 1, severity 1.0: from linear RGB to linear RGB.
DEFICIENCIES = {
    "none": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def seen(colour: str, matrix: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """A colour in CIELAB (D65) as a reader with a deficiency sees it."""
    linear = []
    for start in (1, 3, 5):
        c = int(colour[start : start + 2], 16) / 255
        linear.append(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
    r, g, b = (
        min(1.0, max(0.0, sum(w * c for w, c in zip(row, linear, strict=True)))) for row in matrix
    )
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883,
    )
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one: str, other: str, matrix: tuple[tuple[float, ...], ...]) -> float:
    """ΔE of 1976: 2.3 is just noticeable."""
    pairs = zip(seen(one, matrix), seen(other, matrix), strict=True)
    return sum((a - b) ** 2 for a, b in pairs) ** 0.5


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_all_text_can_be_read(theme: str) -> None:
    palette = THEMES[theme]
    pairs = [(ink, ground) for ink in ("ink", "muted", "accent", "fault") for ground in GROUNDS]
    for look in LOOKS:
        pairs += [(label_of(look), fill_of(look)), (detail_of(look), fill_of(look))]
    low = {
        pair: contrast(palette[pair[0]], palette[pair[1]])
        for pair in pairs
        if contrast(palette[pair[0]], palette[pair[1]]) < 4.5
    }
    assert low == {}


@pytest.mark.parametrize("theme", THEMES)
def test_lines_and_borders_stand_out(theme: str) -> None:
    palette = THEMES[theme]
    pairs = [("line", ground) for ground in GROUNDS]
    pairs += [(border_of(look), ground) for look in LOOKS for ground in ("page", "cluster")]
    low = {
        pair: contrast(palette[pair[0]], palette[pair[1]])
        for pair in pairs
        if contrast(palette[pair[0]], palette[pair[1]]) < 3.0
    }
    assert low == {}


def shape_of(look: str) -> tuple[object, ...]:
    """What a box looks like without its colours."""
    family = Family.PLUMBING if look == BLOCK else Family(look)
    block = object() if look == BLOCK else None
    box = Box((1,), (1,), "", "", family, block=block)  # type: ignore[arg-type]
    outline = _outline(box, 0, 0, 80, 30, "page", "ink")
    return outline.commands, outline.dash, outline.width, tuple(_ornaments(box, 0, 0, 80, 30, ""))


def test_each_family_has_a_shape_of_its_own() -> None:
    assert len({shape_of(look) for look in LOOKS}) == len(LOOKS)


#: Greys are told apart by shape and word.
HUES = [
    Family.CONVOLUTION.value,
    Family.POOLING.value,
    Family.DENSE.value,
    Family.ACTIVATION.value,
    Family.MERGE.value,
    Family.NORMALIZATION.value,
    Family.INPUT.value,
]


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_families_differ_in_fill_or_border_for_every_reader(theme: str, deficiency: str) -> None:
    palette, matrix = THEMES[theme], DEFICIENCIES[deficiency]
    alike = {}
    for one, other in combinations(HUES, 2):
        apart = max(
            distance(palette[role(one)], palette[role(other)], matrix)
            for role in (fill_of, border_of)
        )
        if apart < 10:
            alike[one, other] = round(apart, 1)
    assert alike == {}


def test_the_heat_scale_grows_darker_and_its_text_can_be_read() -> None:
    shades = [HeatScale.colour(n / 200) for n in range(201)]
    lights = [luminance(shade) for shade in shades]
    assert lights == sorted(lights, reverse=True)
    assert min(contrast(shade, ink_on(shade)) for shade in shades) >= 4.5


def test_the_heat_scale_is_cividis() -> None:
    colormaps = pytest.importorskip("matplotlib").colormaps["cividis"]
    for n in range(101):
        expected = [round(255 * channel) for channel in colormaps(1 - n / 100)[:3]]
        colour = HeatScale.colour(n / 100)
        got = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        assert max(abs(a - b) for a, b in zip(got, expected, strict=True)) <= 12, n
    assert CIVIDIS[0] == "#00224e"


def test_a_scale_is_logarithmic_where_numbers_spread() -> None:
    scale = HeatScale(MEASURES["params"], 10, 1000)
    assert scale.share(100) == pytest.approx(0.5)
    assert HeatScale(MEASURES["receptive-field"], 1, 11).share(6) == pytest.approx(0.5)
    assert scale.paints(0) == ("page", "ink")
