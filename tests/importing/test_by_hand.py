"""Attention that code writes out, which is `attend`; and what is nearly that."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from imports import bare_body_of, imported
from torch import Tensor, nn

from archdsl.importing.errors import NotInTheLanguage
from archdsl.layers.volume import Volume

Attended = Callable[[Tensor, Tensor, Tensor], Tensor]


class Net(nn.Module):
    """Tokens of 8 channels, whose queries, keys and values an attention by hand joins."""

    def __init__(self, attended: Attended, dropout: float = 0.0) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, n) for n in (8, 8, 12))
        self.attended = attended
        self.drop = nn.Dropout(dropout)
        self.soft = nn.Softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        found = self.attended(self, self.q(x), self.k(x), self.v(x))  # type: ignore[call-arg, arg-type]
        return found.transpose(1, 2)


def one_head(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q @ k.transpose(-2, -1)) * 8**-0.5).softmax(-1) @ v


def divided(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.bmm(q, k.transpose(1, 2)) / math.sqrt(8)
    return torch.bmm(net.drop(net.soft(scores)), v)


def scaled_before(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax((8**-0.25 * q) @ (k * 8**-0.25).transpose(1, 2), dim=2) @ v


def values_first(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    shares = ((q @ k.transpose(-2, -1)) * 8**-0.5).softmax(-1)
    return (v.transpose(1, 2) @ shares.transpose(-2, -1)).transpose(1, 2)


def heads(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n, length, _ = q.shape
    q, k, v = (x.view(n, length, 2, -1).permute(0, 2, 1, 3) for x in (q, k, v))
    shares = net.soft(q * 4**-0.5 @ k.transpose(-2, -1))
    return (net.drop(shares) @ v).transpose(1, 2).reshape(n, length, 12)


@pytest.mark.parametrize("attended", [one_head, divided, scaled_before, values_first, heads])
def test_attention_by_hand(attended: Attended) -> None:
    made = imported(Net(attended), Volume((4, 6, 8)))
    count = 2 if attended is heads else 1
    row = f"attend {count} {{ q: linear 8 | k: linear 8 | v: linear 12 }}"
    assert row in "\n".join(bare_body_of(made))
    assert not made.is_exact


def unscaled(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n, length, _ = q.shape
    q, k, v = (x.view(n, length, 2, -1).permute(0, 2, 1, 3) for x in (q, k, v))
    return (net.soft(q @ k.transpose(-2, -1)) @ v).transpose(1, 2).reshape(n, length, 12)


def scaled_otherwise(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return net.soft(q @ k.transpose(-2, -1) * 0.3) @ v


def over_queries(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) * 8**-0.5).softmax(1) @ v


def scaled_behind(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return net.soft(q @ k.transpose(-2, -1)) * 8**-0.5 @ v


def turned(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) * 8**-0.5).softmax(-1).transpose(1, 2) @ v


def without_softmax(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q * 8**-0.5 @ k.transpose(-2, -1)) @ v


def alone(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return v * 0.5


def shares_alone(net: Net, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return net.soft(q * 8**-0.5 @ k.transpose(-2, -1)).transpose(1, 2)


@pytest.mark.parametrize(
    ("attended", "reason"),
    [
        (unscaled, "attention with a factor of 1 is not"),
        (scaled_otherwise, r"attention with a factor of 0.3 is not"),
        (over_queries, "softmax of scores along 1 is not"),
        (scaled_behind, "attention with a factor of 1 is not"),
        (turned, "is not in the language"),
        (without_softmax, "forward: `operator.mul` with a number is not"),
        (alone, "forward: `operator.mul` with a number is not"),
        (shares_alone, "with a number is not"),
    ],
)
def test_what_is_nearly_that(attended: Attended, reason: str) -> None:
    with pytest.raises(NotInTheLanguage, match=reason):
        imported(Net(attended), Volume((4, 6, 8)))


def test_dropout_of_shares() -> None:
    with pytest.raises(NotInTheLanguage, match="attention with dropout is not in the language"):
        imported(Net(divided, 0.1), Volume((4, 6, 8)))


class OfAnImage(nn.Module):
    """Visformer's: a position for each number of an image, and attention of its positions."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(*sizes))
        self.qkv, self.out = nn.Conv2d(8, 24, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x + self.positions
        q, k, v = self.qkv(x).reshape(n, 3, 2, c // 2, -1).permute(1, 0, 2, 4, 3).unbind(0)
        x = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(x.permute(0, 1, 3, 2).reshape(n, -1, h, w))


def test_positions_of_an_image() -> None:
    module = OfAnImage(1, 8, 4, 6)
    made = imported(module, Volume((4, 6, 8)))
    text = "\n".join(bare_body_of(made))
    assert "tokens; positions: posembed 0.02; reshape 4x6x8" in text
    assert "attend 2 {" in text
    wanted = module.positions.detach().flatten(2).transpose(1, 2)
    assert torch.equal(made.state["positions.weight"], wanted)


@pytest.mark.parametrize("sizes", [(1, 8, 1, 6), (8, 4, 6), (1, 8, 4, 1), (4, 6)])
def test_other_parameters_of_an_image_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(NotInTheLanguage, match="the parameter `positions` belongs to no layer"):
        imported(OfAnImage(*sizes), Volume((4, 6, 8)))
