"""Lints about claims."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from archdsl.lints.subject import LintedText, warning
from archdsl.model import Claim
from archdsl.model.claims import last_digit_of, quantity_of
from archdsl.text import syntax
from archdsl.text.diagnostics import Diagnostic
from archdsl.text.source import Span

#: A `~` claim may miss the number by this share of it, and a bound by this factor.
MAX_MISS = Decimal("0.25")
MAX_SLACK = 2


def loose_claim(text: LintedText) -> Iterator[Diagnostic]:
    """A claim that would also hold for very different networks; in a family, for every member."""
    claims: dict[Span, list[Claim]] = {}
    for model in text.models:
        for claim in model.claims:
            claims.setdefault(claim.span, []).append(claim)
    if not claims:
        return
    for item in text.program.items:
        for statement in syntax.statements_of(item):
            if isinstance(statement, syntax.Expect):
                yield from _verify(statement, claims.get(statement.span, []))


def _verify(expect: syntax.Expect, claims: list[Claim]) -> Iterator[Diagnostic]:
    if claims and all(_is_loose(expect, claim) for claim in claims):
        actual = " or ".join(dict.fromkeys(f"{claim.actual:,}" for claim in claims))
        yield warning(
            "loose-claim",
            f"`expect {claims[0].text}` would also hold for a very different number",
            expect.span,
            f"it is {actual}",
            help="write more digits, or a closer bound",
        )


def _is_loose(expect: syntax.Expect, claim: Claim) -> bool:
    if not claim.holds or not claim.actual:
        return False
    written = quantity_of(expect)
    match expect.relation:
        case "~":
            return last_digit_of(expect) / 2 > MAX_MISS * claim.actual
        case "<=" | "<":
            return written > MAX_SLACK * claim.actual
        case ">=" | ">":
            return written * MAX_SLACK < claim.actual
    return False
