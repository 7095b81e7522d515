"""Attention of PyTorch's modules and of torchvision's functions: torch judges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from imports import imported
from torch import Tensor, nn
from torch.nn import functional as F
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


class Written(nn.Module):
    """Queries, keys and values of one linear layer, taken apart in some way."""

    def __init__(self, split: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> None:
        super().__init__()
        self.split = split
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mT
        query, key, value = self.split(self.qkv(x))
        y = F.scaled_dot_product_attention(query, key, value)
        return self.proj(y.transpose(1, 2).reshape(x.shape)).mT  # type: ignore[no-any-return]


def in_chunks(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    shape = (*qkv.shape[:2], 2, 4)
    query, key, value = (x.view(shape).transpose(1, 2) for x in qkv.chunk(3, -1))
    return query, key, value


def unbound(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = qkv.reshape(*qkv.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
    return query, key, value


def by_number(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    qkv = qkv.reshape(*qkv.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4)
    return qkv[0], qkv[1], qkv[-1]


@pytest.mark.parametrize("split", [in_chunks, unbound, by_number])
def test_attention_written_out(split: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> None:
    made = imported(Written(split), Volume((6, 8)))
    assert "attend 2 { slice 0 8 | slice 8 16 | slice 16 }" in made.text


def test_heads_that_are_inside_out_are_refused() -> None:
    """Each head has every second channel: `attend` gives it the first ones."""

    def inside_out(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = qkv.reshape(*qkv.shape[:2], 3, 4, 2).permute(2, 0, 4, 1, 3).unbind(0)
        return query, key, value

    with pytest.raises(NotInTheLanguage, match="of what is not split into heads"):
        imported(Written(inside_out), Volume((6, 8)))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Sequences(itself, batch_first=True), "attention 2 "),
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
