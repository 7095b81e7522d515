"""``archdsl check``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from archdsl.cli.configuration import (
    FORMATS,
    WARNING_CODES,
    Configuration,
    ConfigurationError,
    check_code,
    find_configuration,
)
from archdsl.cli.extras import needing
from archdsl.cli.files import STDIN, Reading, only_volume, read_specs
from archdsl.cli.findings import CheckReport, print_findings
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import MemorySize, color_option, inputs_option, paths_argument
from archdsl.cli.terminal import CLEAN, FINDINGS, ColorChoice, CommandError, exit_code
from archdsl.frontend import Inputs
from archdsl.model import Model
from archdsl.recipe import Recipe
from archdsl.report.text import count_of

if TYPE_CHECKING:
    from archdsl.model.memory import Memory, Precision
    from archdsl.model.proof import Proof


def _complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(WARNING_CODES) if name.startswith(typed)]


@click.command(cls=HelpedCommand)
@paths_argument
@inputs_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    help="Tables and excerpts (full), one line each, a document, or GitHub annotations.",
)
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="CODE",
    shell_complete=_complete,
    help="Leave out a warning; may be given several times.",
)
@click.option("--strict", is_flag=True, help="Exit with code 1 on warnings, too.")
@click.option("--exit-zero", is_flag=True, help="Exit with code 0, whatever is found.")
@click.option("--watch", is_flag=True, help="Check again whenever a file has changed.")
@click.option("--training", is_flag=True, help="Estimate the memory that training takes.")
@click.option(
    "--batch",
    type=click.IntRange(1, 10**9),
    metavar="N",
    help="Images per step on one device; by default the recipe's.",
)
@click.option(
    "--precision",
    type=click.Choice(["32", "bf16", "16"]),
    help="Precision of training, by default 32; bf16 and 16 are mixed.",
)
@click.option(
    "--memory",
    "limit",
    type=MemorySize(),
    metavar="SIZE",
    help="A device's memory, such as 80G or 500M: says which batch fits.",
)
@click.option("--prove", is_flag=True, help="Compare all numbers with the modules in torch.")
@click.option("--fix", is_flag=True, help="Apply safe fixes to the files, then check.")
@click.option(
    "--unsafe-fixes", is_flag=True, help="With --fix, also change numbers, claims and layers."
)
@click.option("--diff", is_flag=True, help="Show what --fix would change, and write nothing.")
@color_option
@click.pass_context
def check(
    ctx: click.Context,
    paths: tuple[str, ...],
    inputs: Inputs | None,
    output_format: str | None,
    ignored: tuple[str, ...],
    strict: bool,
    exit_zero: bool,
    watch: bool,
    training: bool,
    batch: int | None,
    precision: Precision | None,
    limit: int | None,
    prove: bool,
    fix: bool,
    unsafe_fixes: bool,
    diff: bool,
    color: ColorChoice,
) -> None:
    """Check specs: shapes, parameters, MACs, receptive fields and the claims of `expect`.

    PATH is a file, a folder (all its .arch files) or - for the standard input; without one,
    ./specs. Tables go to the standard output, diagnostics to the standard error; the other formats
    use the standard output alone. Settings are read from [tool.archdsl] of pyproject.toml.

    \b
    archdsl check specs/vgg16.arch
    archdsl check --format json > report.json
    archdsl check --watch specs/vgg16.arch
    archdsl check --fix specs/vgg16.arch
    archdsl check specs/vgg16.arch --training --batch 256 --memory 80G
    archdsl check --prove specs
    echo "conv 3x3 64 same ×2; maxpool 2 s2" | archdsl check - --input 28x28x192

    Exit codes: 0 clean or warnings, 1 errors, failed claims, too little memory or numbers on
    which torch disagrees, 2 a wrong call or an unreadable file.
    """
    for option, value in (("batch", batch), ("precision", precision), ("memory", limit)):
        if value is not None and not training:
            raise click.UsageError(f"`--{option}` is about training: add `--training`", ctx)
    if unsafe_fixes and not (fix or diff):
        raise click.UsageError("`--unsafe-fixes` needs `--fix` or `--diff`", ctx)
    configuration = _configuration(ctx, output_format, ignored, strict)
    if watch:
        _refuse_watch(ctx, paths, configuration, changes=fix or diff)
    if fix or diff:
        from archdsl.cli.fixing import fix_files, show_changes, write_fixed

        fixed = fix_files(
            paths, only_volume(inputs), unsafe=unsafe_fixes, configuration=configuration
        )
        if diff:
            show_changes(fixed)
            ctx.exit(FINDINGS if fixed else CLEAN)
        write_fixed(fixed)

    def run() -> CheckReport:
        reading = read_specs(paths, inputs, lints=True)
        memories = {}
        if training:
            memories = {m: _estimate(m, batch, precision or "32") for m in reading.models}
        proofs = _prove(reading) if prove else {}
        findings = CheckReport(reading, memories, limit, configuration, proofs)
        print_findings(findings, configuration.format, color)
        return findings

    if watch:
        from archdsl.cli.watching import watch_files

        watch_files(lambda: _verdict(run()), paths)
    code = exit_code(run().diagnostics, strict=configuration.strict)
    ctx.exit(CLEAN if exit_zero and code == FINDINGS else code)


def _configuration(
    ctx: click.Context, format: str | None, ignored: tuple[str, ...], strict: bool
) -> Configuration:
    """The settings of the project, combined with those of the command line."""
    try:
        found = find_configuration(Path())
    except ConfigurationError as error:
        raise CommandError(str(error)) from None
    try:
        codes = frozenset(map(check_code, ignored))
    except ValueError as error:
        raise click.UsageError(f"`--ignore`: {error}", ctx) from None
    return replace(
        found,
        ignore=found.ignore | codes,
        strict=found.strict or strict,
        format=format or found.format,
    )


def _refuse_watch(
    ctx: click.Context, paths: tuple[str, ...], configuration: Configuration, *, changes: bool
) -> None:
    if changes:
        raise click.UsageError("`--watch` only looks: leave `--fix` and `--diff` out", ctx)
    if STDIN in paths:
        raise click.UsageError("`--watch` needs files, not the standard input", ctx)
    if configuration.format not in ("full", "concise"):
        message = f"`--watch` works with full or concise, not with {configuration.format}"
        raise click.UsageError(message, ctx)


def _verdict(findings: CheckReport) -> str:
    found = len(findings.diagnostics)
    return count_of(found, "diagnostic") if found else "no diagnostics"


def _estimate(model: Model, batch: int | None, precision: Precision) -> Memory:
    from archdsl.model.memory import estimate_memory

    recipe = model.recipe or Recipe()
    return estimate_memory(model, batch=batch or recipe.batch, precision=precision)


def _prove(reading: Reading) -> dict[Model, Proof]:
    """Torch's verdict on each network, in the module that its spec becomes."""
    from archdsl.compilation import compile_module

    with needing("torch", "`--prove`"):
        from archdsl.torch_tools.prove import prove

        proofs: dict[Model, Proof] = {}
        for spec in reading.specs:
            if spec.models:
                sources = [compile_module(spec.models, inference=i) for i in (False, True)]
                proofs |= prove(spec.models, *sources)
    return proofs
