"""``archdsl completion``."""

from __future__ import annotations

import click

from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.terminal import CommandError, print_text


@click.command(cls=HelpedCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    eval "$(archdsl completion bash)"          in ~/.bashrc
    eval "$(archdsl completion zsh)"           in ~/.zshrc
    archdsl completion fish > ~/.config/fish/completions/archdsl.fish

    Exit codes: 0 printed, 2 an unknown shell.
    """
    from click.shell_completion import get_completion_class

    root = ctx.find_root()
    kind = get_completion_class(shell)
    if kind is None:
        raise CommandError(f"there is no completion for {shell}")
    print_text(kind(root.command, {}, "archdsl", "_ARCHDSL_COMPLETE").source())
