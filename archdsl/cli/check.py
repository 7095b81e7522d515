"""``archdsl check``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import Reading, read_specs
from archdsl.cli.options import MemorySize, color_option, input_option, paths_argument
from archdsl.cli.page import Page
from archdsl.cli.terminal import (
    CLEAN,
    FINDINGS,
    ColorChoice,
    exit_code,
    print_bytes,
    print_diagnostics,
    print_note,
    print_text,
    wants_color,
)
from archdsl.diagnostics import Diagnostic, Severity
from archdsl.memory import Memory, Precision, estimate_memory, verify_memory
from archdsl.model import Model
from archdsl.proof import Proof
from archdsl.recipe import Recipe
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
@click.option("--training", is_flag=True, help="Estimate the memory that training takes.")
@click.option(
    "--batch",
    type=click.IntRange(1, 10**9),
    metavar="N",
    help="Images a step on one device; without it the recipe's.",
)
@click.option(
    "--precision",
    type=click.Choice(["32", "bf16", "16"]),
    help="Bits of training, 32 without it; bf16 and 16 are mixed.",
)
@click.option(
    "--memory",
    "limit",
    type=MemorySize(),
    metavar="SIZE",
    help="A device's memory, such as 80G or 500M: which batch fits?",
)
@click.option("--prove", is_flag=True, help="Compare each number with the module's in torch.")
@click.option("--fix", is_flag=True, help="Mend what is written wrongly in the files, then check.")
@click.option(
    "--unsafe-fixes", is_flag=True, help="With --fix, also change numbers, claims and layers."
)
@click.option("--diff", is_flag=True, help="Show what --fix would change, and write nothing.")
@color_option
@click.pass_context
def check(
    ctx: click.Context,
    paths: tuple[str, ...],
    input_volume: Volume | None,
    output_format: str,
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
    ./specs. Tables go to the standard output, diagnostics to the standard error.

    \b
    archdsl check specs/vgg16.arch
    archdsl check --format json > report.json
    archdsl check --fix specs/vgg16.arch
    archdsl check specs/vgg16.arch --training --batch 256 --memory 80G
    archdsl check --prove specs
    echo "conv 3x3 64 same ×2; maxpool 2 s2" | archdsl check - --input 28x28x192

    Exit codes: 0 clean or warnings, 1 errors, failed claims, too little memory or numbers that
    torch denies, 2 a wrong call or an unreadable file.
    """
    for option, value in (("batch", batch), ("precision", precision), ("memory", limit)):
        if value is not None and not training:
            raise click.UsageError(f"`--{option}` is about training: add `--training`", ctx)
    if unsafe_fixes and not (fix or diff):
        raise click.UsageError("`--unsafe-fixes` goes with `--fix` or `--diff`", ctx)
    if fix or diff:
        from archdsl.cli.mending import mend_files, print_mended

        mended = mend_files(paths, input_volume, unsafe=unsafe_fixes)
        print_mended(mended, is_written=not diff)
        if diff:
            ctx.exit(FINDINGS if mended else CLEAN)
    reading = read_specs(paths, input_volume, lints=True)
    memories = {}
    if training:
        memories = {m: _estimate(m, batch, precision or "32") for m in reading.models}
    proofs = _prove(reading) if prove else {}
    findings = _Findings(reading, memories, limit, proofs)
    if output_format == "json":
        _print_json(findings)
    else:
        _print_tables(findings, color)
    ctx.exit(exit_code(findings.diagnostics))


def _estimate(model: Model, batch: int | None, precision: Precision) -> Memory:
    recipe = model.recipe or Recipe()
    return estimate_memory(model, batch=batch or recipe.batch, precision=precision)


def _prove(reading: Reading) -> dict[Model, Proof]:
    """Torch's verdict on each network, in the module that its spec becomes."""
    from archdsl.codegen import render_module

    with needing("torch", "`--prove`"):
        from archdsl.runtime.prove import prove

        proofs: dict[Model, Proof] = {}
        for spec in reading.specs:
            source = render_module(spec.models) if spec.models else ""
            proofs |= {model: prove(model, source) for model in spec.models}
    return proofs


@dataclass(frozen=True, slots=True)
class _Findings:
    """What was read, and the memory of its training and torch's verdict where asked for."""

    reading: Reading
    memories: Mapping[Model, Memory]
    limit: int | None
    proofs: Mapping[Model, Proof]

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        found = list(self.reading.diagnostics)
        for model, memory in self.memories.items():
            exceeded = self.limit is not None and verify_memory(model, memory, self.limit)
            found += [exceeded] if exceeded else []
        for proof in self.proofs.values():
            found += proof.diagnostics
        return tuple(found)


def _print_json(findings: _Findings) -> None:
    import json

    from archdsl.report.json import report_document

    document = report_document(
        findings.reading.models,
        findings.diagnostics,
        findings.memories,
        findings.limit,
        findings.proofs,
    )
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    # What UTF-8 cannot hold (half a surrogate pair, in a file's name) becomes a JSON escape.
    print_bytes(text.encode("utf-8", "backslashreplace"))


def _print_tables(findings: _Findings, color: ColorChoice) -> None:
    from archdsl.report.memory import render_memory
    from archdsl.report.proof import render_proof
    from archdsl.report.table import render_report

    reading = findings.reading
    is_colored = wants_color(color, sys.stdout)
    for index, model in enumerate(reading.models):
        print_text("\n" * (index > 0) + render_report(model, is_colored), is_colored)
        if model in findings.memories:
            text = render_memory(model, findings.memories[model], findings.limit, is_colored)
            print_text(f"\n{text}", is_colored)
        if model in findings.proofs:
            text = render_proof(findings.proofs[model], is_colored)
            print_text(f"\n{text}", is_colored)
    for file in reading.libraries:
        print_note(f"{file.path} defines blocks only; there is no network to check")
    if len(reading.models) > 1:
        print_text("\n" + _summary(findings))
    print_diagnostics(findings.diagnostics, color)
    mendable = sum(any(fix.is_safe for fix in d.fixes) for d in findings.diagnostics)
    if mendable and findings.diagnostics[0].file != "<stdin>":
        print_note(f"`archdsl check --fix` mends {mendable} of {len(findings.diagnostics)}")


def _summary(findings: _Findings) -> str:
    reading = findings.reading
    files = {model.path for model in reading.models}
    claims = [claim for model in reading.models for claim in model.claims]
    failed = sum(not claim.holds for claim in claims)
    severities = Counter(diagnostic.severity for diagnostic in findings.diagnostics)
    errors = severities[Severity.ERROR] - failed
    verdicts = []
    if failed:
        verdicts.append(
            f"{failed} of {count_of(len(claims), 'claim')} "
            f"{'does' if failed == 1 else 'do'} not hold"
        )
    if errors:
        verdicts.append(count_of(errors, "error"))
    if severities[Severity.WARNING]:
        verdicts.append(count_of(severities[Severity.WARNING], "warning"))
    if not verdicts:
        verdicts = ["all claims hold" if claims else "no claims are made"]
    if findings.proofs and not errors:
        verdicts.append("all numbers proved by torch")
    verdict = ", ".join(verdicts)
    networks = count_of(len(reading.models), "network")
    return f"{networks} in {count_of(len(files), 'file')}: {verdict}"
