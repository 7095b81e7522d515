"""The colours of the drawings, by role and theme.

Each family of layers has a pale fill and a dark border of its hue. Colour-blind readers can tell
the hues apart, and shapes and words repeat what they say. A role keeps its name in all themes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from archdsl.layers import Family

Theme: TypeAlias = Literal["auto", "light", "dark", "print"]
THEMES: tuple[Theme, ...] = ("auto", "light", "dark", "print")

Palette: TypeAlias = dict[str, str]


#: The look of a part drawn collapsed; the other looks are the families of layers.
BLOCK = "block"


def fill_of(look: str) -> str:
    """The role of the fill of a family, or of a collapsed block."""
    return look


def border_of(look: str) -> str:
    """The role of its border."""
    return f"{look}-border"


def label_of(look: str) -> str:
    """The role of the text on its fill."""
    return f"{look}-label"


def detail_of(look: str) -> str:
    """The role of the smaller text on its fill."""
    return f"{look}-detail"


def top_of(look: str) -> str:
    """The role of the upper face of a box in projection, which is lit."""
    return f"{look}-top"


def side_of(look: str) -> str:
    """The role of its side, which is in the shade."""
    return f"{look}-side"


def mixed(one: str, other: str, share: float) -> str:
    """A colour between two, at this share of the way from one to the other."""
    pairs = zip(channels_of(one), channels_of(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def channels_of(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def shades_of(fill: str) -> tuple[str, str]:
    """The colours of top and side for a front of any colour."""
    return mixed(fill, "#ffffff", 0.35), mixed(fill, "#000000", 0.2)


#: Fills without a colour. Their sides are shaded less, or they would look dark.
_PLAIN = ("#ffffff", "#0d1117")


def _looks(
    colours: dict[str, tuple[str, str]], label: str, detail: str, is_dark: bool = False
) -> Palette:
    palette: Palette = {}
    for look, (fill, border) in colours.items():
        palette |= {fill_of(look): fill, border_of(look): border}
        palette[top_of(look)] = mixed(fill, "#ffffff", 0.16 if is_dark else 0.55)
        palette[side_of(look)] = mixed(fill, border, 0.12 if fill in _PLAIN else 0.25)
        palette |= {label_of(look): label, detail_of(look): detail}
    return palette


_GREY = ("#e6e8ec", "#5b6470")
LIGHT: Palette = {
    "page": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#4a5361",
    "line": "#5b6470",
    "accent": "#a34700",
    "cluster": "#f6f8fa",
    "cluster-border": "#b6bec8",
    "inner-cluster": "#eceff3",
    "inner-cluster-border": "#9ea7b3",
    "fault": "#b3001b",
    **_looks(
        {
            Family.CONVOLUTION.value: ("#a9cfee", "#0b5c94"),
            Family.POOLING.value: ("#f6b48c", "#a34700"),
            Family.DENSE.value: ("#e3b3d3", "#8c3a6e"),
            Family.NORMALIZATION.value: _GREY,
            Family.ACTIVATION.value: ("#fff3b0", "#8a7400"),
            Family.REGULARIZATION.value: _GREY,
            Family.MERGE.value: ("#8fdcae", "#005f38"),
            Family.PLUMBING.value: _GREY,
            Family.INPUT.value: ("#ffffff", "#1b1f24"),
            BLOCK: ("#f3eefb", "#5b4a8a"),
        },
        "#1b1f24",
        "#2b323b",
    ),
}

_DARK_GREY = ("#343b45", "#9aa4b2")
DARK: Palette = {
    "page": "#0d1117",
    "ink": "#f0f3f6",
    "muted": "#b7c0cc",
    "line": "#9198a1",
    "accent": "#ffb077",
    "cluster": "#161b22",
    "cluster-border": "#3d444d",
    "inner-cluster": "#1f262e",
    "inner-cluster-border": "#566070",
    "fault": "#ff8f8f",
    **_looks(
        {
            Family.CONVOLUTION.value: ("#123c5c", "#6fb6ea"),
            Family.POOLING.value: ("#5e2c0c", "#f2a06e"),
            Family.DENSE.value: ("#6a2a5c", "#eba6d6"),
            Family.NORMALIZATION.value: _DARK_GREY,
            Family.ACTIVATION.value: ("#4a4210", "#e0cc5e"),
            Family.REGULARIZATION.value: _DARK_GREY,
            Family.MERGE.value: ("#10614a", "#74e0ba"),
            Family.PLUMBING.value: _DARK_GREY,
            Family.INPUT.value: ("#0d1117", "#f0f3f6"),
            BLOCK: ("#2b2540", "#b3a3e6"),
        },
        "#f0f3f6",
        "#d5dce4",
        is_dark=True,
    ),
}

#: For black and white: black lines on white, fills as greys that can be told apart in print.
PRINT: Palette = {
    **dict.fromkeys(LIGHT, "#000000"),
    "page": "#ffffff",
    "cluster": "#ffffff",
    "cluster-border": "#808080",
    "inner-cluster": "#ffffff",
    "inner-cluster-border": "#606060",
    **_looks(
        {
            Family.CONVOLUTION.value: ("#d4d4d4", "#000000"),
            Family.POOLING.value: ("#ffffff", "#000000"),
            Family.DENSE.value: ("#b4b4b4", "#000000"),
            Family.NORMALIZATION.value: ("#f2f2f2", "#000000"),
            Family.ACTIVATION.value: ("#f2f2f2", "#000000"),
            Family.REGULARIZATION.value: ("#f2f2f2", "#000000"),
            Family.MERGE.value: ("#e4e4e4", "#000000"),
            Family.PLUMBING.value: ("#f2f2f2", "#000000"),
            Family.INPUT.value: ("#ffffff", "#000000"),
            BLOCK: ("#ffffff", "#000000"),
        },
        "#000000",
        "#000000",
    ),
}


def palette_of(theme: Theme) -> Palette:
    """The colours of a theme; ``auto`` is light unless the viewer asks for dark."""
    match theme:
        case "dark":
            return DARK
        case "print":
            return PRINT
    return LIGHT


def colour_of(paint: str, palette: Palette) -> str:
    """The ``#rrggbb`` of a role; a paint that is a colour is returned as it is."""
    return paint if paint.startswith("#") else palette[paint]
