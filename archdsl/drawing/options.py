"""What a user may choose about a picture; each style says which options it supports."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

from archdsl.drawing.canvas.marks import Picture
from archdsl.drawing.canvas.palette import Theme
from archdsl.drawing.canvas.typeface import Fonts

Fit: TypeAlias = Literal["none", "a4", "slide", "column"]
Direction: TypeAlias = Literal["auto", "down", "right"]
Shapes: TypeAlias = Literal["changes", "all", "none"]
Legend: TypeAlias = Literal["auto", "on", "off"]
BoxScale: TypeAlias = Literal["log", "sqrt", "linear"]
ColorBy: TypeAlias = Literal["family", "params", "macs", "memory", "receptive-field"]

#: The smallest text on paper that can be read without a magnifying glass, in points, and the
#: smallest on a slide that can be read from the back of a room.
SMALLEST_TEXT, SMALLEST_ON_SLIDE = 6.0, 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a picture; the defaults are those of the command line."""

    #: The page that the picture is laid out for, so that its text stays legible there.
    fit: Fit = "none"
    direction: Direction = "auto"
    #: Blocks and groups inside fewer others than this are drawn expanded; None for all of them.
    depth: int | None = None
    #: Parts that are drawn expanded although `depth` or the page would collapse them.
    open: tuple[str, ...] = ()
    #: No clusters and nothing folded.
    flat: bool = False
    #: The edges that are labelled with their volume.
    shapes: Shapes = "changes"
    #: Each box with its layer's name, as in the table and the state dict.
    names: bool = False
    legend: Legend = "auto"
    color_by: ColorBy = "family"
    theme: Theme = "auto"
    #: How the sizes of volumes become sizes of boxes.
    scale: BoxScale = "log"
    #: How an SVG brings its letters.
    fonts: Fonts = "embed"

    def changed(self) -> tuple[str, ...]:
        """The names of the options that are not at their defaults."""
        default = Options()
        return tuple(
            field.name
            for field in fields(self)
            if getattr(self, field.name) != getattr(default, field.name)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """The room for a picture, in points; a small picture is enlarged by ``growth`` at most."""

    name: str
    width: float
    height: float
    growth: float = 1.0
    #: The smallest text that can be read there, in points.
    smallest: float = SMALLEST_TEXT


_MM = 72 / 25.4
PAGES: dict[Fit, Page] = {
    # 210 × 297 mm, upright, minus margins of 20 mm.
    "a4": Page("A4", 170 * _MM, 257 * _MM),
    # 13.33 × 7.5 inches (16:9), minus margins of half an inch.
    "slide": Page("a slide", 888.0, 468.0, 2.5, SMALLEST_ON_SLIDE),
    # A column of a two-column paper, on a page of the same height.
    "column": Page("a column", 84 * _MM, 240 * _MM),
}


def is_legible(picture: Picture, page: Page) -> bool:
    """Whether all text of a picture can be read on its page."""
    return picture.smallest_text >= page.smallest - 0.005


def note_small_text(picture: Picture, page: Page) -> Picture:
    """The picture, with a note where its text is smaller than is legible on the page."""
    if is_legible(picture, page):
        return picture
    note = (
        f"the smallest text is {picture.smallest_text:.1f} pt on {page.name}, "
        f"{page.smallest - picture.smallest_text:.1f} pt less than is legible"
    )
    return replace(picture, notes=(*picture.notes, note))
