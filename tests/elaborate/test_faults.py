"""The fault battery: every spec broken in every way that it offers a place for."""

from __future__ import annotations

from collections import Counter

import pytest
from conftest import ROOT
from faults.fault import FAULTS
from faults.measure import Outcome, measure, specs
from faults.table import render_tables

from archdsl.frontend import diagnose


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return list(measure(specs()))


def test_no_false_alarm() -> None:
    assert {spec.name: diagnose(spec.source) for spec in specs()} == {
        spec.name: () for spec in specs()
    }


def test_every_fault_breaks_a_spec_and_every_spec_is_broken(outcomes: list[Outcome]) -> None:
    assert len(FAULTS) >= 60
    assert {outcome.fault for outcome in outcomes} == set(FAULTS)
    ways = Counter(outcome.spec.source.path for outcome in outcomes)
    assert len(ways) == len(specs())
    # A file with nothing but a member of a family offers few places, a network many.
    assert min(ways.values()) >= 10
    assert sorted(ways.values())[len(ways) // 2] >= 40


def test_every_text_is_changed(outcomes: list[Outcome]) -> None:
    assert [o.fault.name for o in outcomes if o.change.apply() == o.spec.text] == []


def test_goals(outcomes: list[Outcome]) -> None:
    """All caught, all at the right line and with the right code, 95 % in one message."""
    assert [_place(o) for o in outcomes if not o.is_caught] == []
    assert [_place(o) for o in outcomes if not o.is_at_line] == []
    assert [_place(o) for o in outcomes if not o.has_code] == []
    assert sum(outcome.is_single for outcome in outcomes) >= 0.95 * len(outcomes)


def test_fixes(outcomes: list[Outcome]) -> None:
    """Each fix that is offered makes its message disappear, and nearly always there is one."""
    assert [_place(o) for o in outcomes if o.is_fixed is False] == []
    fixable = [outcome for outcome in outcomes if outcome.fault.is_fixable]
    assert sum(outcome.is_fixed is True for outcome in fixable) >= 0.99 * len(fixable)


def test_page_is_fresh(outcomes: list[Outcome]) -> None:
    page = (ROOT / "docs" / "faults.md").read_text("utf-8")
    assert render_tables(outcomes) in page, "run `make docs`"


def _place(outcome: Outcome) -> str:
    return f"{outcome.fault.name} in {outcome.spec.source.path}"
