"""The commands by name; each module is imported when its command is wanted."""

from __future__ import annotations

import importlib
from keyword import iskeyword

import click

from archdsl.cli.lazy_help import HelpedGroup

#: In the order of the help page.
MODULES = (
    "check",
    "fmt",
    "draw",
    "compile",
    "export",
    "import",
    "train",
    "evaluate",
    "predict",
    "runs",
    "look",
    "weights",
    "show",
    "layers",
    "explain",
    "completion",
)


class Commands(HelpedGroup):
    """A group whose commands are modules of ``archdsl.cli`` with one function of their name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MODULES:
            return None
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        module = importlib.import_module(f"archdsl.cli.{name}")
        command: click.Command = getattr(module, name)
        return command


def _print_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from archdsl.version import __version__

    click.echo(f"archdsl {__version__}")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def commands() -> None:
    """Networks written as papers write them: checked, drawn and compiled to PyTorch.

    \b
    archdsl check specs/vgg16.arch      shapes, parameters, MACs, claims
    archdsl fmt specs                   one style, specs rewritten in place
    archdsl draw specs/googlenet.arch   drawings/googlenet.svg
    archdsl compile specs               one PyTorch module per spec

    Exit codes: 0 all is well, 1 findings in the specs, 2 a wrong call or an unreadable file.
    """
