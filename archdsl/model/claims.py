"""The claims of a spec: which quantities they may be about, and whether they hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from archdsl.model.model import Claim, Model
from archdsl.text import syntax
from archdsl.text.diagnostics import Diagnostic, Edit, Fix, help_of, respell
from archdsl.text.source import Span

#: The quantities that a claim may be about, by the word after `expect`.
METRICS: dict[str, Callable[[Model], int]] = {
    "params": lambda model: model.trunk.parameters,
    "aux_params": lambda model: model.heads.parameters,
    "macs": lambda model: model.trunk.macs,
    "aux_macs": lambda model: model.heads.macs,
    "flops": lambda model: 2 * model.trunk.macs,
    "activations": lambda model: model.trunk.activations,
    "weight_layers": lambda model: model.trunk.weight_layers,
    "depth": lambda model: model.depth,
    "receptive_field": lambda model: max(max(model.receptive_fields[end]) for end in model.ends),
}


_UNITS = {"": 0, "K": 3, "M": 6, "G": 9, "T": 12}


def judge_claims(
    model: Model, expects: Sequence[syntax.Expect]
) -> tuple[tuple[Claim, ...], tuple[Diagnostic, ...]]:
    """The claims of a network, and an error for each that names an unknown quantity."""
    claims: list[Claim] = []
    unknown: list[Diagnostic] = []
    for expect in expects:
        metric = METRICS.get(expect.metric.id)
        if metric is None:
            unknown.append(_unknown_metric(expect.metric))
            continue
        actual = metric(model)
        text = " ".join(expect.span.text.split())
        holds = _holds(expect, actual)
        fixes = () if holds else _corrections(expect, actual)
        claims.append(Claim(expect.span, text, holds, actual, fixes))
    return tuple(claims), tuple(unknown)


def _unknown_metric(name: syntax.Name) -> Diagnostic:
    fixes = respell(name.id, name.span, METRICS)
    return Diagnostic(
        "unknown-metric",
        f"`expect` has no quantity `{name.id}`",
        name.span,
        help=help_of(fixes) or f"choose from {', '.join(METRICS)}",
        fixes=fixes,
    )


def _holds(expect: syntax.Expect, actual: int) -> bool:
    """Whether a claim holds; ``~`` is equality after rounding to the digits written."""
    written = quantity_of(expect)
    match expect.relation:
        case "=" | "==":
            return written == actual
        case "<=":
            return actual <= written
        case ">=":
            return actual >= written
        case "<":
            return actual < written
        case ">":
            return actual > written
    # Half a unit of the last digit written, either way: 138M is 137.5M to 138.5M.
    return abs(written - actual) * 2 <= last_digit_of(expect)


def quantity_of(expect: syntax.Expect) -> Decimal:
    """The number that a claim states, multiplied by its unit."""
    return Decimal(expect.digits) * Decimal(10) ** _UNITS[expect.unit]


def last_digit_of(expect: syntax.Expect) -> Decimal:
    """What one unit of the last digit written is worth: 0.1M is 100,000."""
    places = len(expect.digits.partition(".")[2])
    return Decimal(10) ** (_UNITS[expect.unit] - places)


def _corrections(expect: syntax.Expect, actual: int) -> tuple[Fix, ...]:
    """Write the actual number, to as many digits; a budget that is exceeded is not raised."""
    if expect.relation not in ("=", "==", "~"):
        return ()
    if expect.relation == "~":
        places = len(expect.digits.partition(".")[2])
        number = Decimal(actual) / Decimal(10) ** _UNITS[expect.unit]
        shown = f"{round(number, places):f}{expect.unit}"
    else:
        shown = f"{actual:_}"
    span = expect.span
    start = span.end - len(re.search(r"[\d_.]+[KMGT]?$", span.text).group())  # type: ignore[union-attr]
    place = Span(span.source, start, span.end)
    message = f"write `{shown}` if the claim is wrong"
    return (Fix(message, (Edit(place, shown),), keeps_choices=False),)
