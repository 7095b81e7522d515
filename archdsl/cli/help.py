"""Help pages, laid out by rich-click: each plain click command gets a rich twin."""

from __future__ import annotations

from inspect import cleandoc

import click
import rich_click
from rich.padding import Padding
from rich.text import Text

_STYLE = rich_click.RichHelpConfiguration(text_markup=None, max_width=100)
#: Click's mark for a paragraph whose lines stay as they are.
_AS_IS = "\b\n"


class _Command(rich_click.RichCommand):
    """A command whose help keeps its paragraphs, and the lines of its examples."""

    def format_help_text(  # type: ignore[override]
        self, ctx: rich_click.RichContext, formatter: rich_click.RichHelpFormatter
    ) -> None:
        text = "\n\n".join(map(_paragraph, cleandoc(self.help or "").split("\n\n")))
        formatter.write(Padding(Text(text), (0, 1, 1, 1)))


class _Group(_Command, rich_click.RichGroup):  # type: ignore[misc]
    """A group that lists its commands in the order given."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _paragraph(text: str) -> str:
    if text.startswith(_AS_IS):
        return text.removeprefix(_AS_IS)
    return text.replace("\n", " ")


def render_help(command: click.Command, ctx: click.Context) -> str:
    """The help page of a command."""
    twin = rich_click.RichContext(
        _twin(command, ctx),
        info_name=ctx.info_name,
        parent=ctx.parent,
        rich_help_config=_STYLE,
        help_option_names=ctx.help_option_names,
    )
    with twin:
        lines = twin.get_help().splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def _twin(command: click.Command, ctx: click.Context) -> click.Command:
    if not isinstance(command, click.Group):
        return _Command(name=command.name, params=command.params, help=command.help)
    members = {name: command.get_command(ctx, name) for name in command.list_commands(ctx)}
    rows: dict[str, click.Command] = {
        name: _Command(name=name, help=member.help)
        for name, member in members.items()
        if member is not None
    }
    return _Group(name=command.name, commands=rows, params=command.params, help=command.help)
