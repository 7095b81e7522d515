"""Layers and parts that run more than once, with the same weights: torch judges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from imports import SMALL, bare_body_of, imported
from torch import Tensor, nn
from torch.nn import functional as F

from archdsl.importing.errors import NotInTheLanguage


class Step(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.bn(self.conv(x)))


class Shared(nn.Module):
    def __init__(self, forward: Callable[..., Tensor], step: nn.Module | None = None) -> None:
        super().__init__()
        self.written = forward
        self.step = step or Step()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.written(self, x)


def thrice(self: Shared, x: Tensor) -> Tensor:
    return self.conv(self.step(self.step(self.step(x))))  # type: ignore[no-any-return]


def on_smaller_images(self: Shared, x: Tensor) -> Tensor:
    return self.conv(self.step(F.max_pool2d(self.conv(self.step(x)), 2)))  # type: ignore[no-any-return]


def in_a_branch(self: Shared, x: Tensor) -> Tensor:
    x = self.conv(x)
    return self.step(x) * self.step(self.conv(x))  # type: ignore[no-any-return]


def turned_in_a_branch(self: Shared, x: Tensor) -> Tensor:
    """The branches of an inner merge run in another order than they stand in."""
    first, second = self.step(x), self.step(F.relu(x))
    return self.conv(x) * (F.relu(second - first) - x)  # type: ignore[no-any-return]


def its_part(self: Shared, x: Tensor) -> Tensor:
    return self.conv(self.step.conv(self.step(x)))  # type: ignore[no-any-return]


class Pyramid(nn.Module):
    """A head for each level, as detectors have it, whose results are added."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 3, 3, stride=2, padding=1)
        self.head = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        low = self.head(x)
        high = self.head(self.body(x))
        return F.max_pool2d(low, 2) + high  # type: ignore[no-any-return]


FORMS: dict[str, tuple[nn.Module, list[str]]] = {
    "thrice": (Shared(thrice), ["reuse step ×2"]),
    "on smaller images": (
        Shared(on_smaller_images),
        ["reuse step", "reuse conv_1"],
    ),
    "in a branch": (Shared(in_a_branch), ["reuse step", "reuse conv_1"]),
    "turned in a branch": (Shared(turned_in_a_branch), ["(image: 16x16x3)", "reuse step"]),
    "a sequence": (
        Shared(thrice, nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())),
        ["step: { conv 1x1 3 relu }", "reuse step ×2"],
    ),
    "a pyramid": (Pyramid(), ["head: { ", "reuse head"]),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_runs_again(name: str) -> None:
    module, said = FORMS[name]
    made = imported(module, SMALL)
    for line in said:
        assert line in made.text, made.text
    assert made.model.trunk.parameters == sum(p.numel() for p in module.parameters())


class Wired(nn.Module):
    """A part whose text needs a name for what is inside; another one for images of some size."""

    def __init__(self, special: int = 0) -> None:
        super().__init__()
        self.one, self.two, self.special = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), special

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.one(x), self.two(x)
        both = one - two
        return (F.relu(both) - (two if x.shape[-1] == self.special else one)) * both  # type: ignore[no-any-return]


class Turned(nn.Module):
    """A part in which layers run twice, first for what stands last."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Step()

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.step(x), self.step(F.relu(x))
        return second - first  # type: ignore[no-any-return]


@pytest.mark.parametrize("part", [Wired(), Turned()], ids=["wired", "turned"])
def test_parts_with_names_inside_run_again(part: nn.Module) -> None:
    """What they refer to is theirs each time."""
    made = imported(Shared(on_smaller_images, part), SMALL)
    assert made.is_exact
    lines = [line.partition("→")[0].strip() for line in bare_body_of(made)]
    assert lines.count("reuse step") == 1


def test_a_part_that_refers_to_something_else_is_not_the_same() -> None:
    with pytest.raises(NotInTheLanguage, match=r"step\.one: a layer with weights that runs again"):
        imported(Shared(on_smaller_images, Wired(special=8)), SMALL)


def test_layers_that_run_in_turn_are_behind_each_other() -> None:
    """Each of them stands before the merge by itself, and needs no way to the one before it."""

    def turned(self: Shared, x: Tensor) -> Tensor:
        first, second = (self.step.bn(self.step.conv(one)) for one in (x, F.relu(x)))
        return self.conv(second - first)  # type: ignore[no-any-return]

    made = imported(Shared(turned), SMALL)
    assert made.is_exact
    assert bare_body_of(made) == [
        "network Net: (image: 16x16x3) → 16x16x3 {",
        "  step_conv: conv 3x3 3 same; step_bn: bn",
        "  image",
        "  sub {",
        "    | relu; reuse step_conv",
        "      reuse step_bn",
        "    | step_bn",
        "  }",
        "  conv: conv 1x1 3",
        "}",
    ]


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Shared(its_part), "step.conv: a layer with weights that runs again outside of the part"),
    ],
)
def test_what_runs_again_elsewhere_is_refused(module: nn.Module, reason: str) -> None:
    with pytest.raises(NotInTheLanguage) as caught:
        imported(module, SMALL)
    assert reason in str(caught.value)


class Idle(nn.Module):
    """A run of a layer that no result needs, before the one that is needed."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        self.layer(x)
        return self.layer(F.relu(x))  # type: ignore[no-any-return]


def test_a_run_that_nothing_needs_is_left_out() -> None:
    assert "reuse" not in imported(Idle(nn.Conv2d(3, 3, 1)), SMALL).text


def test_a_run_that_changes_statistics_counts() -> None:
    with pytest.raises(NotInTheLanguage, match="layer: a run of it that nothing depends on"):
        imported(Idle(nn.BatchNorm2d(3)), SMALL)
