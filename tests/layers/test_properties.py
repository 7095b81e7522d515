"""Properties: random networks agree with torch."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from oracle import judge
from random_networks import networks

import archdsl


def _examples(count: int) -> settings:
    return settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=count)


# ── Random networks ──────────────────────────────────────────────────────────────────────────


@_examples(60)
@given(networks())
def test_random_networks_agree_with_torch(text: str) -> None:
    model = archdsl.parse(text, input="9x8x4")
    judge(model)
