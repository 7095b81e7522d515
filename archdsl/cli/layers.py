"""``archdsl layers``."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.terminal import CommandError, print_text
from archdsl.layers import INITIALIZERS, REGISTRY
from archdsl.text.diagnostics import did_you_mean


def _complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    names = sorted({*REGISTRY, *INITIALIZERS})
    return [CompletionItem(name) for name in names if name.startswith(typed)]


@click.command(cls=HelpedCommand)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=_complete)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "md"]),
    default="text",
    show_default=True,
    help="Text for the terminal, or Markdown.",
)
def layers(names: tuple[str, ...], output_format: str) -> None:
    """List the layers and initializers of the language, or show the definitions of some.

    \b
    archdsl layers
    archdsl layers conv he
    archdsl layers --format md > docs/layers.md

    Exit codes: 0 shown, 2 an unknown layer.
    """
    from archdsl.report.layers import (
        render_initializer_definition,
        render_layer_definition,
        render_layer_list,
        render_layers_markdown,
    )

    known = {*REGISTRY, *INITIALIZERS}
    for name in names:
        if name not in known:
            help = did_you_mean(name, known) or "`archdsl layers` lists all layers"
            raise CommandError(f"there is no layer `{name}`; {help}")
    wanted = names or (*REGISTRY, *INITIALIZERS)
    definitions = [REGISTRY[name] for name in wanted if name in REGISTRY]
    initializers = [INITIALIZERS[name] for name in wanted if name in INITIALIZERS]
    if output_format == "md":
        print_text(render_layers_markdown(definitions, initializers))
    elif names:
        texts = [
            *map(render_layer_definition, definitions),
            *map(render_initializer_definition, initializers),
        ]
        print_text("\n\n".join(texts))
    else:
        print_text(render_layer_list(definitions, initializers))
