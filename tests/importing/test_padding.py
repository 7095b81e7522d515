"""Maxima of what is padded with minus infinity, and numbers that change nothing."""

from __future__ import annotations

from math import inf

import pytest
from imports import bare_body_of, imported
from torch import Tensor, nn
from torch.nn import functional as F

from archdsl.importing.errors import NotInTheLanguage
from archdsl.layers.volume import Volume


class Pooled(nn.Module):
    def __init__(self, sides: tuple[int, ...], pool: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.sides, self.pool = nn.Conv2d(3, 4, 1), sides, pool

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(self.conv(x), self.sides, value=-inf)
        return F.max_pool2d(x, 3, 2) if self.pool is None else self.pool(x)


@pytest.mark.parametrize(
    ("sides", "pool", "wanted"),
    [
        ((0, 1, 0, 1), None, "maxpool 3x3 s2 same"),
        ((0, 1, 0, 1), nn.MaxPool2d(3, 2), "maxpool 3x3 s2 same"),
        ((1, 1, 1, 1), None, "maxpool 3x3 s2 p1"),
        ((1, 1, 0, 1), nn.MaxPool2d((3, 3), 2), None),
        ((1, 0, 1, 0), None, None),
        ((0, 1, 0, 1), nn.MaxPool2d(3, 2, 1), None),
        ((0, 1, 0, 1), nn.AvgPool2d(3, 2), None),
        ((0, 1, 0, 1, 0, 1), None, None),
        ((-1, 1, 0, 1), None, None),
    ],
)
def test_padding_with_minus_infinity(
    sides: tuple[int, ...], pool: nn.Module | None, wanted: str | None
) -> None:
    module = Pooled(sides, pool)
    if wanted is None:
        with pytest.raises(NotInTheLanguage):
            imported(module, Volume((16, 16, 3)))
        return
    made = imported(module, Volume((16, 16, 3)))
    assert bare_body_of(made)[1] == f"  conv: conv 1x1 4; {wanted}"
    assert made.is_exact


def test_a_sum_that_begins_with_nothing() -> None:
    """RepVGG's and MobileOne's way to add up branches."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList([nn.Conv2d(3, 4, k, padding=k // 2) for k in (1, 3, 5)])

        def forward(self, x: Tensor) -> Tensor:
            found: float | Tensor = 0
            for conv in self.convs:
                found += conv(x)
            return found * 1.0  # type: ignore[return-value]

    text = "\n".join(bare_body_of(imported(Sum())))
    assert text.count("add {") == 2
    assert "conv 5x5 4 same" in text


@pytest.mark.parametrize("number", [0.5, 2])
def test_other_numbers_are_refused(number: float) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) * number

    with pytest.raises(NotInTheLanguage, match="with a number is not in the language"):
        imported(Scaled())

    class Shifted(Scaled):
        def forward(self, x: Tensor) -> Tensor:
            return number + self.conv(x)

    with pytest.raises(NotInTheLanguage, match="with a number is not in the language"):
        imported(Shifted())


def test_space_to_depth_with_the_channels_last() -> None:
    """TResNet's and TensorFlow's order: the places of a square, and then its channels."""

    class SpaceToDepth(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(48, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            n, c, h, w = x.shape
            x = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 3, 5, 1, 2, 4)
            return self.conv(x.reshape(n, c * 16, h // 4, w // 4))

    made = imported(SpaceToDepth(), Volume((16, 24, 3)))
    assert bare_body_of(made)[1] == "  pixelunshuffle 4 channelshuffle 3"
    assert made.is_exact
