"""Attention of PyTorch's modules and of torchvision's functions: torch judges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from imports import imported
from torch import Tensor, nn
from torchvision import models
from torchvision.models.swin_transformer import SwinTransformerBlockV2

from archdsl.importing.errors import NotInTheLanguage
from archdsl.layers.volume import Volume


def test_vision_transformer() -> None:
    """torchvision's own, small."""
    module = models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    made = imported(module, Volume((32, 32, 3)))
    for line in ("tokens; class_token: clstoken", "self_attention: attention 2", "token 0"):
        assert line in made.text
    assert not made.is_exact
    assert made.model.trunk.parameters == sum(p.numel() for p in module.parameters())


def swin(**options: object) -> nn.Module:
    return models.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=8,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=[4, 4],
        num_classes=5,
        **options,
    )


def test_swin() -> None:
    """Windows, shifted ones, and patches that are merged; the table of offsets is a parameter."""
    module = swin()
    made = imported(module, Volume((64, 64, 3)))
    for line in (
        "attn: attention 2 window=4",
        "attention heads window=4 shift=shift",
        "| pad 0 0 -1 0 maxpool 1x1 s2",
        "reduction: linear 16 nobias",
    ):
        assert line in made.text, made.text
    assert made.model.trunk.parameters == sum(p.numel() for p in module.parameters())
    assert not any("relative_position_index" in name for name in made.state)


class Sequences(nn.Module):
    def __init__(self, forward: Callable[..., Tensor], **options: object) -> None:
        super().__init__()
        self.written = forward
        self.attention = nn.MultiheadAttention(8, 2, **options)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.written(self, x.transpose(1, 2)).transpose(1, 2)


def itself(self: Sequences, x: Tensor) -> Tensor:
    found: Tensor = self.attention(x, x, x)[0]
    return found


def turned(self: Sequences, x: Tensor) -> Tensor:
    """The batch is the second axis."""
    x = x.transpose(0, 1)
    return self.attention(x, x, x, need_weights=False)[0].transpose(0, 1)  # type: ignore[no-any-return]


def other(self: Sequences, x: Tensor) -> Tensor:
    found: Tensor = self.attention(x, x, x.tanh())[0]
    return found


def with_weights(self: Sequences, x: Tensor) -> Tensor:
    _, weights = self.attention(x, x, x)
    return x * weights.mean(1)[:, :, None]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Sequences(itself, batch_first=True), "attention 2\n"),
        (Sequences(itself, batch_first=True, bias=False), "attention 2 nobias"),
        (Sequences(turned), "attention 2"),
    ],
)
def test_attention_to_itself(module: nn.Module, said: str) -> None:
    assert said in imported(module, Volume((6, 8))).text


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Sequences(itself), "of what are no tokens is not in the language"),
        (Sequences(other, batch_first=True), "of one sequence to another is not imported yet"),
        (Sequences(itself, batch_first=True, dropout=0.1), "with dropout=0.1 is not in the"),
        (Sequences(itself, batch_first=True, add_zero_attn=True), "with add_zero_attn=True is not"),
        (Sequences(with_weights, batch_first=True), "it reads what is not the result of a layer"),
    ],
)
def test_attention_that_is_refused(module: nn.Module, reason: str) -> None:
    with pytest.raises(NotInTheLanguage) as caught:
        imported(module, Volume((6, 8)))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"block": SwinTransformerBlockV2}, "attn.relative_coords_table` belongs to no layer"),
        ({"attention_dropout": 0.1}, "`shifted_window_attention` with dropout is not in"),
    ],
)
def test_swins_that_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(NotInTheLanguage) as caught:
        imported(swin(**options), Volume((64, 64, 3)))
    assert reason in str(caught.value)
