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


def png_of(picture: Picture, theme: Theme) -> bytes:
    """The picture as PNG, the same bytes wherever the same resvg runs."""
    longest = max(picture.width, picture.height) * picture.scale
    zoom = min(DPI / 72, MAX_PIXELS / longest)
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
