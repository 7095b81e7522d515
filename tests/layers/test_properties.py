"""Properties: random networks agree with torch."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import judge
from random_networks import INPUTS, networks

import archdsl


def _examples(count: int) -> settings:
    return settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=count)


# ── Random networks ──────────────────────────────────────────────────────────────────────────


@_examples(60)
@given(networks())
def test_random_networks_agree_with_torch(text: str) -> None:
    model = archdsl.parse(text, input=INPUTS[0])
    judge(model)


@pytest.mark.parametrize("input", INPUTS[1:])
@_examples(40)
@given(data=st.data())
def test_random_networks_of_other_axes_agree_with_torch(input: str, data: st.DataObject) -> None:
    judge(archdsl.parse(data.draw(networks(input)), input=input))
