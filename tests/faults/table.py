"""The tables of docs/faults.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import CHAPTERS
from .fault import FAULTS, Fault
from .measure import Outcome

HEAD = "| fault | code | specs | caught | right line | right code | one message | fix |"
RULE = "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"


def render_tables(outcomes: Iterable[Outcome]) -> str:
    """A table a chapter, and the sums of all."""
    by_fault: dict[Fault, list[Outcome]] = {fault: [] for fault in FAULTS}
    for outcome in outcomes:
        by_fault[outcome.fault].append(outcome)
    lines: list[str] = []
    for title, module in CHAPTERS.items():
        lines += [f"### {title}", "", HEAD, RULE]
        for fault, found in by_fault.items():
            if fault.changes.__module__ == module.__name__:
                codes = dict.fromkeys(outcome.found[0].code for outcome in found if outcome.found)
                cells = [fault.title, ", ".join(f"`{code}`" for code in codes), *_counts(found)]
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    everything = [outcome for found in by_fault.values() for outcome in found]
    lines += ["### All of them", "", HEAD, RULE]
    lines.append(f"| {len(FAULTS)} faults | | {' | '.join(_counts(everything))} |")
    return "\n".join(lines)


def _counts(found: Sequence[Outcome]) -> list[str]:
    total = len(found)
    fixable = [outcome for outcome in found if outcome.fault.is_fixable]
    fixed = sum(outcome.is_fixed is True for outcome in fixable)
    return [
        str(total),
        *(
            _share(sum(flags), total)
            for flags in (
                [outcome.is_caught for outcome in found],
                [outcome.is_at_line for outcome in found],
                [outcome.has_code for outcome in found],
                [outcome.is_single for outcome in found],
            )
        ),
        _share(fixed, len(fixable)) if fixable else "",
    ]


def _share(count: int, total: int) -> str:
    return "all" if count == total else f"{count} of {total}"
