"""``archdsl explain``."""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem

from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import color_option
from archdsl.cli.terminal import ColorChoice, CommandError, print_text, wants_color
from archdsl.rules import RULES, RULES_BY_TOPIC
from archdsl.text.diagnostics import did_you_mean


def _complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    return [
        CompletionItem(rule.name, help=rule.summary)
        for rule in RULES.values()
        if rule.name.startswith(typed)
    ]


@click.command(cls=HelpedCommand)
@click.argument("names", metavar="[CODE]...", nargs=-1, shell_complete=_complete)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "md"]),
    default="text",
    show_default=True,
    help="Text for the terminal, or all rules as Markdown.",
)
@color_option
def explain(names: tuple[str, ...], output_format: str, color: ColorChoice) -> None:
    """List the rules behind diagnostics, or explain some: what is wrong, an example, the fix.

    \b
    archdsl explain
    archdsl explain branch-size-mismatch
    archdsl explain --format md > docs/diagnostics.md

    Exit codes: 0 shown, 2 an unknown code.
    """
    from archdsl.report.rules import render_rule, render_rule_list, render_rules_markdown

    for name in names:
        if name not in RULES:
            help = did_you_mean(name, RULES) or "`archdsl explain` lists all rules"
            raise CommandError(f"there is no code `{name}`; {help}")
    if output_format == "md":
        if names:
            raise CommandError("`--format md` is for all rules at once: leave the codes out")
        print_text(render_rules_markdown(RULES_BY_TOPIC))
        return
    is_colored = wants_color(color, sys.stdout)
    if names:
        pages = [render_rule(RULES[name], is_colored) for name in names]
        print_text("\n\n".join(pages), is_colored)
    else:
        print_text(render_rule_list(RULES_BY_TOPIC))
