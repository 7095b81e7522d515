"""Tokens: vectors in a row, from an image or from the numbers of words."""

from __future__ import annotations

from archdsl.layers.call import Call, call
from archdsl.layers.fields import COUNT, POSITIVE, WHOLE, LayerError, positional
from archdsl.layers.layer import VIEW, Autocast, Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import Reach, reach_all
from archdsl.layers.volume import Volume
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

    std: float = positional(POSITIVE, "the standard deviation before training", default=0.02)

    def infer_volume(self, x: Volume) -> Volume:
        need_tokens(x, self.name)
        return x

    def count_parameters(self, x: Volume) -> int:
        return x.elements

    def emit(self, x: Volume) -> Call:
        return call("PositionEmbedding", x.spatial[0], x.channels, self.std)


@dataclass(frozen=True)
class PositionalEncoding(UnaryLayer):
    """Adds sines and cosines of its place to each token (Vaswani et al. 2017, section 3.5)."""

    name = "posenc"
    synonyms = ("positionalencoding", "positional_encoding", "sinusoidal")
    family = Family.PLUMBING
    examples = (Example("posenc", (16, 8)),)
    support = '''\
class PositionalEncoding(nn.Module):
    """Adds sines and cosines of its place to each token."""

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        self.length = length
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        place = torch.arange(self.length, device=x.device, dtype=torch.float32)
        pair = torch.arange(0, self.channels, 2, device=x.device, dtype=torch.float32)
        angle = place / 10000 ** (pair / self.channels)[:, None]
        return x + torch.stack((angle.sin(), angle.cos()), 1).flatten(0, 1).to(x.dtype)
'''

    def infer_volume(self, x: Volume) -> Volume:
        need_tokens(x, self.name)
        if x.channels % 2:
            raise LayerError(
                "wrong-value",
                f"`posenc` takes the channels two by two, and {x} has an odd number of them",
            )
        return x

    def emit(self, x: Volume) -> Call:
        return call("PositionalEncoding", x.spatial[0], x.channels)


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
class Embedding(UnaryLayer):
    """A trained vector for each word: a vector of words' numbers, from 0, becomes tokens.

    They are an input of the network, of any dtype that holds them.
    """

    name = "embedding"
    synonyms = ("embed", "wordembedding")
    family = Family.DENSE
    autocast = Autocast.WIDENS
    reads_words = True
    examples = (Example("embedding 50 8", (12,)),)
    support = '''\
class WordEmbedding(nn.Embedding):
    """A trained vector for each word, by its number."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.embedding(x.long(), self.weight).transpose(1, 2)
'''

    words: int = positional(COUNT, "how many words there are")
    channels: int = positional(COUNT, "numbers in the vector of each")

    def infer_volume(self, x: Volume) -> Volume:
        if not x.is_vector:
            raise LayerError("wrong-axes", f"`embedding` needs a vector of words' numbers, not {x}")
        return Volume.along((x.channels,), self.channels)

    def count_parameters(self, x: Volume) -> int:
        return self.words * self.channels

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        return Saved(bytes=8 * out.positions)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def describe(self) -> str:
        return f"{self.words} × {self.channels}"

    def emit(self, x: Volume) -> Call:
        return call("WordEmbedding", self.words, self.channels)
