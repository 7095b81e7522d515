"""Commands whose help is laid out by rich-click, which is imported only when help is shown.

Importing rich-click and rich takes longer than checking VGG-16; all else is plain click.
"""

from __future__ import annotations

import click


class Page(click.Command):
    """A command with a rich help page."""

    def get_help(self, ctx: click.Context) -> str:
        from archdsl.cli.help import render_help

        return render_help(self, ctx)
