"""Options of the commands that make pictures; others need not import these."""

from __future__ import annotations

from typing import get_args

import click

from archdsl.drawing.canvas.typeface import Fonts

fonts_option = click.option(
    "--fonts",
    type=click.Choice(get_args(Fonts)),
    default="embed",
    show_default=True,
    help="The letters of an SVG: a font of those it uses, their outlines, or the reader's fonts.",
)
