"""Modules that cannot be imported: each is told, with its place."""

from __future__ import annotations

import pytest
import torch
from imports import imported
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from archdsl.importing.errors import NotInTheLanguage


class Many(nn.Module):
    """Several things that the language cannot say."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Unfold(2), nn.Conv2d(4, 4, 3))
        self.bilinear = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + torch.roll(self.bilinear(x), 1)  # type: ignore[no-any-return]


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Flow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Otherwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if self.training else F.relu(self.conv(x))


class Noisy(nn.Module):
    """A step of the trunk that only training takes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x)) if self.training else self.conv(x)


class Always(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5)


def hooked() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    module[0].register_forward_hook(lambda module, args, output: 2 * output)
    return module


def weight_normed() -> nn.Module:
    return nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU())


class Idle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "reasons"),
    [
        (
            Many(),
            [
                "inner.1: `nn.Unfold` is not in the language",
                "bilinear: `nn.Conv2d` with padding_mode='circular' is not in the language",
            ],
        ),
        (Own(), ["forward: the parameter `weight` belongs to no layer"]),
        (Flow(), ["`torch.fx` cannot follow it: TraceError"]),
        (Otherwise(), ["it takes other steps in training than in evaluation"]),
        (Noisy(), ["it takes other steps in training than in evaluation"]),
        (Always(), ["does not depend on whether the module trains"]),
        (
            nn.Sequential(nn.Conv2d(4, 4, 3)),
            ["0: its in_channels are 4, and 3 flow in from 16x16x3"],
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 4)), ["1: its in_features are 9, and 768 flow"]),
        (hooked(), ["0: a module with hooks is not in the language"]),
        (weight_normed(), ["is not in the language"]),
        (nn.Sequential(nn.Linear(3, 4)), ["0: `nn.Linear` over the last axis of 16x16x3"]),
        (
            nn.Sequential(nn.Softmax(2)),
            ["0: `nn.Softmax` with dim=2 of 16x16x3 is not in the language"],
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 40)), ["0: "]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_the_language_cannot_say_is_refused(module: nn.Module, reasons: list[str]) -> None:
    with pytest.raises(NotInTheLanguage) as caught:
        imported(module)
    for reason in reasons:
        assert reason in str(caught.value)


def test_weights_that_nothing_depends_on_are_told() -> None:
    with pytest.raises(NotInTheLanguage, match="other: nothing that it returns depends on"):
        imported(Idle())
