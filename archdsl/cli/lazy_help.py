"""Commands whose help is laid out by rich-click, which is imported only when help is shown.

Importing rich-click and rich takes longer than checking VGG-16; all else is plain click.
"""

from __future__ import annotations

import click

from archdsl.report.text import printable
from archdsl.text.diagnostics import did_you_mean


class HelpedCommand(click.Command):
    """A command with a rich help page."""

    def get_help(self, ctx: click.Context) -> str:
        from archdsl.cli.help import render_help

        return render_help(self, ctx)


class HelpedGroup(HelpedCommand, click.Group):
    """A group with a rich help page; a misspelt command gets a suggestion."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-"):
            return super().resolve_command(ctx, args)
        others = "the commands are " if len(known) > 1 else "there is only "
        nearest = did_you_mean(name, known) or f"{others}{', '.join(known)}"
        raise click.UsageError(f"there is no command `{printable(name)}`; {nearest}", ctx)
