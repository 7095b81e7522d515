"""``archdsl check``."""

from __future__ import annotations

import sys

import click

from archdsl.cli.files import Reading, read_specs
from archdsl.cli.options import color_option, input_option, paths_argument
from archdsl.cli.page import Page
from archdsl.cli.terminal import (
    ColorChoice,
    exit_code,
    print_bytes,
    print_diagnostics,
    print_note,
    print_text,
    wants_color,
)
from archdsl.report.text import count_of
from archdsl.volume import Volume


@click.command(cls=Page)
@paths_argument
@input_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Tables for people, or one JSON document for programs.",
)
@color_option
@click.pass_context
def check(
    ctx: click.Context,
    paths: tuple[str, ...],
    input_volume: Volume | None,
    output_format: str,
    color: ColorChoice,
) -> None:
    """Check specs: shapes, parameters, MACs, receptive fields and the claims of `expect`.

    PATH is a file, a folder (all its .arch files) or - for the standard input; without one,
    ./specs. Tables go to the standard output, diagnostics to the standard error.

    \b
    archdsl check specs/vgg16.arch
    archdsl check --format json > report.json
    echo "conv 3x3 64 same ×2; maxpool 2 s2" | archdsl check - --input 28x28x192

    Exit codes: 0 clean, 1 errors or failed claims, 2 a wrong call or an unreadable file.
    """
    reading = read_specs(paths, input_volume)
    if output_format == "json":
        _print_json(reading)
    else:
        _print_tables(reading, color)
    ctx.exit(exit_code(reading.diagnostics))


def _print_json(reading: Reading) -> None:
    import json

    from archdsl.report.json import report_document

    document = report_document(reading.models, reading.diagnostics)
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    # What UTF-8 cannot hold (half a surrogate pair, in a file's name) becomes a JSON escape.
    print_bytes(text.encode("utf-8", "backslashreplace"))


def _print_tables(reading: Reading, color: ColorChoice) -> None:
    from archdsl.report.table import render_report

    is_colored = wants_color(color, sys.stdout)
    for index, model in enumerate(reading.models):
        print_text("\n" * (index > 0) + render_report(model, is_colored), is_colored)
    for file in reading.libraries:
        print_note(f"{file.path} defines blocks only; there is no network to check")
    if len(reading.models) > 1:
        print_text("\n" + _summary(reading))
    print_diagnostics(reading.diagnostics, color)


def _summary(reading: Reading) -> str:
    files = {model.path for model in reading.models}
    claims = [claim for model in reading.models for claim in model.claims]
    failed = sum(not claim.holds for claim in claims)
    errors = len(reading.diagnostics) - failed
    verdicts = []
    if failed:
        verdicts.append(
            f"{failed} of {count_of(len(claims), 'claim')} "
            f"{'does' if failed == 1 else 'do'} not hold"
        )
    if errors:
        verdicts.append(count_of(errors, "error"))
    verdict = ", ".join(verdicts) or ("all claims hold" if claims else "no claims are made")
    networks = count_of(len(reading.models), "network")
    return f"{networks} in {count_of(len(files), 'file')}: {verdict}"
