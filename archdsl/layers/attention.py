"""Attention, and what turns an image into tokens: a volume with one axis, its positions."""

from __future__ import annotations

from archdsl.layers.call import Call, OptionalArgument, call
from archdsl.layers.fields import (
    BOOLEAN,
    COUNT,
    NUMBER,
    WHOLE,
    LayerError,
    attribute,
    positional,
)
from archdsl.layers.layer import VIEW, Autocast, Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import Reach, reach_all
from archdsl.layers.volume import Volume
from archdsl.layers.windows import need_axes, split_groups
from archdsl.records import dataclass


def need_tokens(x: Volume, name: str) -> None:
    """Refuse what has not one axis beside the channels."""
    if x.rank != 1:
        raise LayerError(
            "wrong-axes",
            f"`{name}` needs tokens, a volume such as 196x768, but the volume is {x}",
            help="`tokens` puts the positions of an image in a row" if x.rank > 1 else None,
        )


@dataclass(frozen=True)
class Tokens(UnaryLayer):
    """All positions in a row, row by row: 14x14x768 becomes 196x768."""

    name = "tokens"
    family = Family.PLUMBING
    keeps = VIEW
    examples = (Example("tokens", (4, 6, 8)), Example("tokens", (2, 3, 3, 8)))

    def infer_volume(self, x: Volume) -> Volume:
        if x.rank < 2:
            raise LayerError("needs-image", f"`tokens` needs an image, but the volume is {x}")
        return Volume.along((x.positions,), x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def emit(self, x: Volume) -> Call:
        return call("nn.Flatten", 2)


@dataclass(frozen=True)
class ClassToken(UnaryLayer):
    """A trained token before all others, the same for each input (Devlin et al. 2018, BERT)."""

    name = "clstoken"
    synonyms = ("cls_token", "classtoken", "class_token")
    family = Family.PLUMBING
    autocast = Autocast.WIDENS
    examples = (Example("clstoken", (16, 8)),)
    support = '''\
class ClassToken(nn.Module):
    """A trained token before all others."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        token = self.weight.expand(x.shape[0], -1, -1)
        return torch.cat((token, x.transpose(1, 2)), 1).transpose(1, 2)
'''

    def infer_volume(self, x: Volume) -> Volume:
        need_tokens(x, self.name)
        return Volume.along((x.spatial[0] + 1,), x.channels)

    def count_parameters(self, x: Volume) -> int:
        return x.channels

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def emit(self, x: Volume) -> Call:
        return call("ClassToken", x.channels)


@dataclass(frozen=True)
class PositionEmbedding(UnaryLayer):
    """Adds a trained vector to each token (Vaswani et al. 2017, section 3.5; learned)."""

    name = "posembed"
    synonyms = ("pos_embed", "pos_embedding", "positionembedding", "positional_embedding")
    family = Family.PLUMBING
    autocast = Autocast.WIDENS
    examples = (Example("posembed", (16, 8)), Example("posembed 0.1", (16, 8)))
    support = '''\
class PositionEmbedding(nn.Module):
    """Adds a trained vector to each token."""

    def __init__(self, length: int, channels: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(std * torch.randn(1, length, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight.transpose(1, 2)
'''

    std: float = positional(NUMBER, "the standard deviation before training", default=0.02)

    def infer_volume(self, x: Volume) -> Volume:
        need_tokens(x, self.name)
        return x

    def count_parameters(self, x: Volume) -> int:
        return x.elements

    def emit(self, x: Volume) -> Call:
        return call("PositionEmbedding", x.spatial[0], x.channels, self.std)


@dataclass(frozen=True)
class Token(UnaryLayer):
    """One token as a vector, by its number from 0."""

    name = "token"
    family = Family.PLUMBING
    keeps = VIEW
    examples = (Example("token 0", (16, 8)), Example("token 3", (4, 8)))
    support = '''\
class Token(nn.Module):
    """One token as a vector."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.index]
'''

    index: int = positional(WHOLE, "which token, from 0")

    def infer_volume(self, x: Volume) -> Volume:
        need_tokens(x, self.name)
        if self.index >= x.spatial[0]:
            raise LayerError(
                "wrong-value",
                f"there is no token {self.index}: {x} has the tokens 0 to {x.spatial[0] - 1}",
            )
        return Volume.vector(x.channels)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def describe(self) -> str:
        return str(self.index)

    def emit(self, x: Volume) -> Call:
        return call("Token", self.index)


@dataclass(frozen=True)
class Attention(UnaryLayer):
    """Multi-head self-attention: each position reads all positions (Vaswani et al. 2017).

    With `causal` a position reads itself and those before it. On an image the positions are those
    of all rows (Wang et al. 2018, Non-local Neural Networks).
    """

    name = "attention"
    synonyms = ("selfattention", "self_attention", "multiheadattention", "mha")
    family = Family.DENSE
    autocast = Autocast.LOWERS
    examples = (
        Example("attention 4", (9, 16)),
        Example("attention 2 causal", (9, 16)),
        Example("attention 2 nobias", (4, 3, 8)),
        Example("attention 1", (2, 2, 3, 4)),
    )
    support = '''\
class SelfAttention(nn.Module):
    """Multi-head attention of all positions to all, or to those up to their own."""

    def __init__(self, channels: int, heads: int, causal: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.in_proj = nn.Linear(channels, 3 * channels, bias=bias)
        self.out_proj = nn.Linear(channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.in_proj(x.flatten(2).transpose(1, 2))
        tokens = tokens.view(x.shape[0], -1, 3, self.heads, x.shape[1] // self.heads)
        query, key, value = tokens.permute(2, 0, 3, 1, 4).unbind()
        tokens = nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=self.causal
        )
        tokens = self.out_proj(tokens.transpose(1, 2).flatten(2))
        return tokens.transpose(1, 2).reshape(x.shape)
'''

    heads: int = positional(COUNT, "how many heads the channels are split into")
    causal: bool = attribute(BOOLEAN, "reads no later positions", False, words={"causal": True})
    bias: bool = attribute(BOOLEAN, "adds one number per channel", True, words={"nobias": False})

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        split_groups(x.channels, self.heads, "channels", field="heads")
        return x

    def count_parameters(self, x: Volume) -> int:
        return 4 * x.channels * (x.channels + self.bias)

    def count_macs(self, x: Volume) -> int:
        # Queries, keys, values and the result, then the products of all pairs of positions.
        return 4 * x.positions * x.channels**2 + 2 * x.positions**2 * x.channels

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # The tokens in a row, queries, keys and values, their weighted mean; and of PyTorch's fused
        # kernels the logarithm of each softmax's sum. They keep no weights of pairs. (An H200 kept
        # as much in bfloat16 with 16 and with 64 channels in a head, and more with 4.)
        return Saved(numbers=5 * out.elements, bytes=4 * self.heads * out.positions)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def describe(self) -> str:
        causal = " · causal" if self.causal else ""
        return f"{self.heads} head{'s' * (self.heads > 1)}{causal}"

    def emit(self, x: Volume) -> Call:
        return call(
            "SelfAttention",
            x.channels,
            self.heads,
            causal=OptionalArgument(self.causal, False),
            bias=OptionalArgument(self.bias, True),
        )
