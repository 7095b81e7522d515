"""A picture as PNG: its SVG, drawn by resvg with the bundled typeface and no other."""

from __future__ import annotations

import resvg_py

from archdsl.drawing.canvas.marks import Picture
from archdsl.drawing.canvas.palette import Theme, palette_of
from archdsl.drawing.canvas.svg import svg_of
from archdsl.drawing.canvas.typeface import BOLD, FAMILY, REGULAR

#: Resolution in dots per inch, and the longest side in pixels: longer ones are scaled down.
DPI = 192
MAX_PIXELS = 8000


def resolution_of(picture: Picture) -> float:
    """The dots per inch of its PNG: fewer where a side would be too long."""
    longest = max(picture.width, picture.height) * picture.scale
    return min(DPI, 72 * MAX_PIXELS / longest)


def coarseness_of(picture: Picture) -> tuple[str, ...]:
    """What to say of a PNG that has fewer dots per inch than others."""
    resolution = resolution_of(picture)
    if resolution >= DPI:
        return ()
    return (
        f"it has {resolution:.0f} dots per inch instead of {DPI}, so that no side is longer than "
        f"{MAX_PIXELS:,} pixels; SVG and PDF are as sharp as you like",
    )


def png_of(picture: Picture, theme: Theme) -> bytes:
    """The picture as PNG, the same bytes wherever the same resvg runs."""
    zoom = resolution_of(picture) / 72
    width = max(1, round(picture.width * picture.scale * zoom))
    return resvg_py.svg_to_bytes(
        svg_string=svg_of(picture, theme, "bundled"),
        width=width,
        # The picture may cover the last row of pixels in part; it gets the page's colour as well.
        background=palette_of(theme)["page"],
        dpi=72,
        skip_system_fonts=True,
        font_files=[str(REGULAR), str(BOLD)],
        font_family=FAMILY,
        sans_serif_family=FAMILY,
    )
