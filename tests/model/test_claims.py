"""When a claim holds, to the last unit."""

from __future__ import annotations

import pytest

from archdsl.frontend import read_models
from archdsl.text.source import Source


def holds(claim: str, parameters: int) -> bool:
    """Whether a claim holds of a network with so many parameters, an even number:
    an ``fc`` of one input has a weight and a bias for each unit.
    """
    units = parameters // 2
    assert 2 * units == parameters
    text = f"network N: 1 → {units} {{ fc {units}\nexpect params {claim} }}"
    (model,) = read_models(Source(text))
    assert model.trunk.parameters == parameters
    (found,) = model.claims
    assert found.actual == parameters
    assert found.holds == (not model.diagnostics)
    return found.holds


@pytest.mark.parametrize(
    ("written", "least", "most"),
    [
        # Half a unit of the last digit written, either way, the ends included.
        ("138", 138, 138),
        ("0.14K", 136, 144),
        ("0.1K", 50, 150),
        ("1K", 500, 1_500),
        ("1.0K", 950, 1_050),
        ("1.00K", 996, 1_004),
        ("0.001M", 500, 1_500),
        ("4_000", 4_000, 4_000),
        ("0.4K", 350, 450),
    ],
)
def test_about_is_equal_to_the_digits_written(written: str, least: int, most: int) -> None:
    assert holds(f"~ {written}", least)
    assert holds(f"~ {written}", most)
    assert not holds(f"~ {written}", least - 2)
    assert not holds(f"~ {written}", most + 2)


@pytest.mark.parametrize(
    ("relation", "truths"),
    [
        ("=", (False, True, False)),
        ("==", (False, True, False)),
        ("<", (True, False, False)),
        ("<=", (True, True, False)),
        (">", (False, False, True)),
        (">=", (False, True, True)),
    ],
)
@pytest.mark.parametrize("written", ["2000", "2_000", "2K", "2.0K", "0.002M"])
def test_relations_are_exact(relation: str, truths: tuple[bool, ...], written: str) -> None:
    found = tuple(holds(f"{relation} {written}", number) for number in (1_998, 2_000, 2_002))
    assert found == truths
