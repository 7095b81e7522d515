"""Merges for which the order of branches matters: a module that swaps them is refused."""

from __future__ import annotations

import pytest

import archdsl
from archdsl.validation import InvalidModuleError, validate

CASES = [
    ("sub { relu | tanh }", "self.branch1(x) - self.branch2(x)"),
    ("sub { relu | tanh | id }", "self.branch1(x) - self.branch2(x) - x"),
    (
        "max { relu | tanh | id }",
        "torch.maximum(torch.maximum(self.branch1(x), self.branch2(x)), x)",
    ),
]


@pytest.mark.parametrize(("text", "written"), CASES)
def test_what_a_merge_becomes(text: str, written: str) -> None:
    assert written in archdsl.compile(archdsl.parse(text, input="8x8x4"))


def test_a_difference_the_other_way_is_refused() -> None:
    model = archdsl.parse("sub { relu | tanh }", input="8x8x4")
    source = archdsl.compile(model)
    swapped = source.replace(
        "self.branch1(x) - self.branch2(x)", "self.branch2(x) - self.branch1(x)"
    )
    assert swapped != source
    name = next(line for line in source.splitlines() if line.startswith("class ")).split()[1]
    with pytest.raises(InvalidModuleError):
        validate(swapped, {name.partition("(")[0]: model})
