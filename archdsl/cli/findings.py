"""What a check has found, in each format."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archdsl.cli.configuration import Configuration
from archdsl.cli.files import Reading
from archdsl.cli.terminal import (
    ColorChoice,
    print_bytes,
    print_diagnostics,
    print_lines,
    print_note,
    print_text,
    wants_color,
)
from archdsl.model import Model
from archdsl.records import dataclass
from archdsl.report.text import count_of
from archdsl.text.diagnostics import Diagnostic, Severity

if TYPE_CHECKING:
    from archdsl.model.memory import Memory
    from archdsl.model.proof import Proof


@dataclass(frozen=True)
class CheckReport:
    """What was read, with the memory of its training and torch's verdict where asked for."""

    reading: Reading
    memories: dict[Model, Memory]
    limit: int | None
    configuration: Configuration
    proofs: Mapping[Model, Proof]

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything that is wrong, without the warnings that are ignored."""
        found = list(self.configuration.keep(self.reading.diagnostics))
        if self.limit is not None:
            from archdsl.model.memory import verify_memory

            verdicts = [verify_memory(m, memory, self.limit) for m, memory in self.memories.items()]
            found += [verdict for verdict in verdicts if verdict is not None]
        for proof in self.proofs.values():
            found += proof.diagnostics
        return tuple(found)


def print_findings(findings: CheckReport, format: str, color: ColorChoice) -> None:
    """Print findings.

    Only ``full`` uses the standard error. The other formats print one document, or one line for
    each diagnostic, to the standard output and nothing else.
    """
    match format:
        case "full":
            _print_tables(findings, color)
        case "json":
            _print_json(findings)
        case "sarif":
            from archdsl.report.sarif import sarif_document

            _print_document(sarif_document(findings.diagnostics))
        case _:
            from archdsl.report.lines import render_concise, render_github

            render = render_concise if format == "concise" else render_github
            if findings.diagnostics:
                print_text(render(findings.diagnostics))


def _print_json(findings: CheckReport) -> None:
    from archdsl.report.json import report_document

    _print_document(
        report_document(
            findings.reading.models,
            findings.diagnostics,
            findings.memories,
            findings.limit,
            findings.proofs,
        )
    )


def _print_document(document: dict[str, Any]) -> None:
    import json

    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    # What UTF-8 cannot hold (half a surrogate pair, in a file's name) becomes a JSON escape.
    print_bytes(text.encode("utf-8", "backslashreplace"))


def _print_tables(findings: CheckReport, color: ColorChoice) -> None:
    from archdsl.report.table import report_lines

    reading = findings.reading
    is_colored = wants_color(color, sys.stdout)
    for index, model in enumerate(reading.models):
        if index:
            print_text("")
        print_lines(report_lines(model, is_colored), is_colored)
        if model in findings.memories:
            from archdsl.report.memory import render_memory

            text = render_memory(model, findings.memories[model], findings.limit, is_colored)
            print_text(f"\n{text}", is_colored)
        if model in findings.proofs:
            from archdsl.report.proof import render_proof

            text = render_proof(findings.proofs[model], is_colored)
            print_text(f"\n{text}", is_colored)
    for file in reading.libraries:
        print_note(f"{file.path} defines blocks only; there is no network to check")
    if len(reading.models) > 1:
        print_text("\n" + _summary(findings))
    print_diagnostics(findings.diagnostics, color)
    fixable = sum(any(fix.is_safe for fix in d.fixes) for d in findings.diagnostics)
    if fixable and findings.diagnostics[0].file != "<stdin>":
        print_note(f"`archdsl check --fix` fixes {fixable} of {len(findings.diagnostics)}")


def _summary(findings: CheckReport) -> str:
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
        omitted = sum(bool(proof.omitted) for proof in findings.proofs.values())
        but = f", except outputs and gradients of {count_of(omitted, 'network')}" if omitted else ""
        verdicts.append(f"all numbers proved by torch{but}")
    verdict = ", ".join(verdicts)
    networks = count_of(len(reading.models), "network")
    return f"{networks} in {count_of(len(files), 'file')}: {verdict}"
