"""Several results, by name, and what else `forward` takes and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from imports import imported
from torch import Tensor, nn
from torch.nn import functional as F

from archdsl.importing.errors import NotInTheLanguage


class Two(NamedTuple):
    cls: Tensor
    box: Tensor


class Net(nn.Module):
    def __init__(self, function: Callable[[Net, Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.body, self.one, self.two = (nn.Conv2d(3, 3, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Any:
        return self.function(self, self.body(x))


@pytest.mark.parametrize(
    ("function", "results", "lines"),
    [
        (
            lambda net, x: {"cls": net.one(x), "box": net.two(x)},
            "(cls: 16x16x3, box: 16x16x3)",
            ["cls: conv 1x1 3", "box: conv 1x1 3"],
        ),
        (lambda net, x: Two(net.one(x), box=net.two(x)), "(cls: 16x16x3, box: 16x16x3)", []),
        (lambda net, x: (net.one(x), net.two(x)), "(one: 16x16x3, two: 16x16x3)", []),
        (
            lambda net, x: [F.relu(net.two(x)), {"a b": net.one(x)}],
            "(out1: 16x16x3, a_b: 16x16x3)",
            ["out1: relu"],
        ),
        (
            lambda net, x: (net.one(x), net.one(net.two(x))),
            "(one: 16x16x3, out2: 16x16x3)",
            ["out2: reuse one"],
        ),
        (
            lambda net, x: {"out": net.one(x)} | ({"aux": net.two(x)} if net.training else {}),
            "16x16x3",
            ["aux(0.3) { two: conv 1x1 3 }"],
        ),
    ],
)
def test_results(function: Callable[[Net, Tensor], Any], results: str, lines: list[str]) -> None:
    made = imported(Net(function))
    assert f"network Net: 16x16x3 → {results} {{" in made.text
    for line in lines:
        assert line in made.text
    assert made.is_exact


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda net, x: [net.one(net.two(x))] * 2, "'one' is another one as well"),
        (lambda net, x: {"out": net.one(net.two(x)), "more": None}, "it returns what is no tensor"),
        (
            lambda net, x: (net.one(x), net.two(x)) if net.training else (net.two(x), net.one(x)),
            "it takes other steps in training than in evaluation",
        ),
    ],
)
def test_results_that_are_refused(function: Callable[[Net, Tensor], Any], reason: str) -> None:
    with pytest.raises(NotInTheLanguage, match=reason):
        imported(Net(function))


class Given(nn.Module):
    """What has a value in `forward` keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *more: int, deep: bool = True, **_: int
    ) -> Tensor:
        y: Tensor = self.one(x)
        if mask is not None:
            y = y * mask
        return self.two(y) if deep else y


class ByName(nn.Module):
    def forward(self, *, x: Tensor) -> Tensor:
        return torch.relu(x)


def test_arguments_with_values() -> None:
    assert "two: conv 1x1 3" in imported(Given()).text


def test_an_input_by_name_alone() -> None:
    assert "  relu" in imported(ByName()).text


class Apart(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.relu(x), F.silu(x)


def test_results_that_share_the_input_alone() -> None:
    made = imported(Apart())
    assert "network Net: (image: 16x16x3) → (out1: 16x16x3, out2: 16x16x3) {" in made.text
    assert "  image; out2: silu " in made.text
