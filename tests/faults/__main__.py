"""Break all specs, and print how many faults are caught, or what was not as wanted.

    python -m tests.faults [--markdown | --write] [--everywhere]

``--everywhere`` makes each fault at every place of a spec and not at one: some minutes.
"""

from __future__ import annotations

import argparse
import sys

from archdsl.frontend import diagnose

from .fault import FAULTS
from .measure import ROOT, Outcome, measure, specs
from .table import render_tables

PAGE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- tables -->", "<!-- end of the tables -->"


def _faults_of(outcome: Outcome) -> list[str]:
    """What is not as wanted."""
    if not outcome.is_caught:
        return ["not caught"]
    checks = {
        f"not at line {outcome.change.faulty_line}": outcome.is_at_line,
        "another code": outcome.has_code,
        f"{len(outcome.found)} messages": outcome.is_single,
        "the fix does not make it go": outcome.is_fixed is not False,
        "no fix": not outcome.fault.is_fixable or outcome.is_fixed is not None,
    }
    return [what for what, holds in checks.items() if not holds]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="the tables of docs/faults.md")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/faults.md")
    parser.add_argument("--everywhere", action="store_true", help="each fault at every place")
    options = parser.parse_args()
    alarms = [spec.name for spec in specs() if diagnose(spec.source)]
    outcomes = list(measure(specs(), everywhere=options.everywhere))
    wrong = [(outcome, what) for outcome in outcomes if (what := _faults_of(outcome))]
    if options.write:
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        tables = render_tables(outcomes)
        PAGE.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", "utf-8")
    elif options.markdown:
        print(render_tables(outcomes))
    else:
        for outcome, what in wrong:
            print(f"{outcome.fault.name} in {outcome.spec.source.path}: {', '.join(what)}")
            for found in outcome.found:
                print(f"    {found.span.line if found.span else 0}: {found.message}")
        print(f"{len(FAULTS)} faults, {len(specs())} specs, {len(outcomes)} broken texts:")
        for what in ("is_caught", "is_at_line", "has_code", "is_single"):
            print(f"    {what}: {sum(getattr(outcome, what) for outcome in outcomes)}")
        print(f"    offered fixes that work: {sum(o.is_fixed is True for o in outcomes)}")
        print(f"    and that do not: {sum(o.is_fixed is False for o in outcomes)}")
    if alarms:
        print(f"false alarms: {', '.join(alarms)}", file=sys.stderr)
    return 1 if alarms or not all(outcome.is_caught for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
