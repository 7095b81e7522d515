"""Tensors that are permuted and reshaped between layers, and what is no module: torch judges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from imports import SMALL, imported
from oracle import build
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models
from torchvision.ops import StochasticDepth

import archdsl
from archdsl.importing import importer
from archdsl.importing.errors import NotInTheLanguage, NotTheSame
from archdsl.importing.from_torch.following import follow
from archdsl.importing.from_torch.standins import BATCH, value_of
from archdsl.importing.from_torch.views import axes_of, last, permuted, plain, reshaped, word_of
from archdsl.layers.dense import Flatten
from archdsl.layers.rearrangement import ChannelShuffle, PixelShuffle, PixelUnshuffle
from archdsl.layers.tokens import Tokens
from archdsl.layers.volume import Volume


class Written(nn.Module):
    """A module whose ``forward`` is given, with parts that it uses."""

    def __init__(self, forward: Callable[..., Tensor], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.written = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.written(self, x)


def with_channels_last(self: Written, x: Tensor) -> Tensor:
    y = F.gelu(self.up(self.norm(x.permute(0, 2, 3, 1))))
    return x + self.scale * self.down(y).permute(0, 3, 1, 2)


def in_tokens(self: Written, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    tokens = x.reshape(n, c, h * w).transpose(1, 2)
    tokens = torch.cat([self.token.expand(n, -1, -1), tokens], dim=1) + self.place
    y = self.norm(tokens)
    tokens = tokens + self.attention(y, y, y, need_weights=False)[0]
    return self.fc(tokens[:, 0])


def of_all_tokens(self: Written, x: Tensor) -> Tensor:
    tokens = x.flatten(2).mT
    tokens = self.up(tokens) * torch.sigmoid(self.gate(tokens))
    return self.fc(tokens.mean(1))


def rows_of_pixels(self: Written, x: Tensor) -> Tensor:
    """Positions of all images in a row."""
    rows = self.up(x.movedim(1, -1).reshape(-1, x.shape[1]))
    return rows.view(x.shape[0], *x.shape[2:], -1).movedim(3, 1)


def shuffled(self: Written, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    x = x.view(n, 4, c // 4, h, w).transpose(1, 2).reshape(n, c, h, w)
    x = x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)
    x = x.view(n, c // 4, h, 2, w, 2).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(n, c, h, w)


def squeezed(self: Written, x: Tensor) -> Tensor:
    n, c = x.shape[:2]
    y = F.adaptive_avg_pool2d(x, 1).view(n, c)
    y = torch.sigmoid(self.fc(y)).view(n, c, 1, 1)
    return x * y


def counted(self: Written, x: Tensor) -> Tensor:
    """A loop over sizes, as the tutorials of PyTorch have it."""
    features = 1
    for size in x.size()[1:]:
        features *= size
    return self.fc(x.view(-1, features))  # type: ignore[no-any-return]


def as_large(self: Written, x: Tensor) -> Tensor:
    """Steps that depend on sizes alone."""
    while x.shape[-1] > 4:
        x = F.max_pool2d(x, 2)
    assert len(x.shape) == x.dim() == x.ndim == 4
    return x


def in_parts(self: Written, x: Tensor) -> Tensor:
    one, other = x.chunk(2, dim=1)
    x = torch.cat((one[:, :2], other, one[:, 1:]), dim=-3)
    return torch.cat((x[:, :, ::2, 1::2], x[..., 1::2, 0::2]), 1)


def attended(self: Written, x: Tensor) -> Tensor:
    """The gates of CBAM."""
    seen = torch.cat((x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]), 1)
    return x * torch.sigmoid(self.gate(seen)) * x.amax((2, 3), keepdim=True)


def scaled_in_place(self: Written, x: Tensor) -> Tensor:
    result = self.scale * self.conv(x)
    result += x
    return result


def with_weights_of_its_own(self: Written, x: Tensor) -> Tensor:
    x = F.conv2d(x, self.kernel, self.bias, padding=1)
    return F.prelu(F.group_norm(x, 2, self.factor, self.offset), self.slope)


def normalized(self: Written, x: Tensor) -> Tensor:
    return F.layer_norm(x.flatten(1), (768,), self.factor, self.offset, 1e-6)


def number(*sizes: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*sizes))


#: Each with a line of its spec, and whether its layers add up as the spec's do.
FORMS: dict[str, tuple[Written, Volume, list[str], bool]] = {
    "channels last": (
        Written(
            with_channels_last,
            norm=nn.LayerNorm(3),
            up=nn.Linear(3, 12),
            down=nn.Linear(12, 3),
            scale=nn.Parameter(torch.full((3, 1, 1), 0.1)),
        ),
        SMALL,
        ["norm: ln; up: linear 12; gelu\n", '"scale": layerscale 0.1'],
        False,
    ),
    "tokens": (
        Written(
            in_tokens,
            token=number(1, 1, 8),
            place=number(1, 13, 8),
            norm=nn.LayerNorm(8),
            attention=nn.MultiheadAttention(8, 2, batch_first=True),
            fc=nn.Linear(8, 5),
        ),
        Volume((3, 4, 8)),
        ['tokens; "token": clstoken', "place: posembed", "attention: attention 2", "token 0"],
        False,
    ),
    "all tokens": (
        Written(of_all_tokens, up=nn.Linear(8, 4), gate=nn.Linear(8, 4), fc=nn.Linear(4, 2)),
        Volume((3, 4, 8)),
        ["tokens", "mul {", "gap"],
        False,
    ),
    "rows of pixels": (Written(rows_of_pixels, up=nn.Linear(3, 6)), SMALL, ["linear 6"], False),
    "shuffles": (
        Written(shuffled),
        Volume((4, 6, 16)),
        ["channelshuffle 4 pixelshuffle 2 pixelunshuffle 2"],
        True,
    ),
    "squeezed": (
        Written(squeezed, fc=nn.Linear(3, 3)),
        SMALL,
        ["gap", "fc: fc 3; sigmoid; reshape 1x1x3"],
        True,
    ),
    "counted": (Written(counted, fc=nn.Linear(768, 4)), SMALL, ["fc: fc 4"], True),
    "as large": (Written(as_large), SMALL, ["maxpool 2x2 maxpool 2x2"], True),
    "parts": (
        Written(in_parts),
        Volume((8, 8, 6)),
        ["slice 0 2 | slice 3 | part1 slice 1", "pad -1 0 0 0 maxpool 1x1 s2"],
        True,
    ),
    "attended": (
        Written(attended, gate=nn.Conv2d(2, 1, 7, padding=3)),
        SMALL,
        ["concat { channelmean | channelmax }", "gmp"],
        True,
    ),
    "scaled in place": (
        Written(scaled_in_place, conv=nn.Conv2d(3, 3, 1), scale=number(1, 3, 1, 1)),
        SMALL,
        ['"scale": layerscale'],
        True,
    ),
    "weights of its own": (
        Written(
            with_weights_of_its_own,
            kernel=number(4, 3, 3, 3),
            bias=number(4),
            factor=number(4),
            offset=number(4),
            slope=number(4),
        ),
        SMALL,
        ["kernel: conv 3x3 4 same", "factor: gn 2", "slope: prelu num_parameters=4"],
        True,
    ),
    "normalized": (
        Written(normalized, factor=number(768), offset=number(768)),
        SMALL,
        ["flatten; factor: ln eps=1e-06"],
        True,
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name: str) -> None:
    module, volume, said, is_exact = FORMS[name]
    made = imported(module, volume)
    for line in said:
        assert line in made.text, made.text
    assert ("the same bits" in made.proved) == is_exact
    assert ("The same bits as" in made.text) == is_exact
    assert ("The same as the original to 1e-09 in double precision" in made.text) != is_exact
    assert build(made.model).load_state_dict(made.state, strict=True)
    assert archdsl.format(made.text) == made.text


def test_convnext() -> None:
    """torchvision's own block, with fewer channels."""
    settings = [
        models.convnext.CNBlockConfig(8, 16, 2),
        models.convnext.CNBlockConfig(16, None, 1),
    ]
    made = imported(models.ConvNeXt(settings, 0.1, num_classes=5), Volume((64, 64, 3)))
    for line in (
        "ln eps=1e-06\n  linear (4*n) gelu\n  linear n\n",
        "layer_scale: layerscale 1e-06",
    ):
        assert line in made.text
    assert "nothing dropped in training" in made.text


def test_what_adds_up_otherwise_is_compared_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is behind a factor of 1e-6: here the norm of the spec's module is another one."""
    load = importer.compare.__globals__["load_network"]

    def other(source: str, name: str) -> nn.Module:
        network: nn.Module = load(source, name)
        network.get_submodule("norm").eps = 1.1e-5  # type: ignore[assignment]
        return network

    monkeypatch.setitem(importer.compare.__globals__, "load_network", other)
    module = Written(
        with_channels_last,
        norm=nn.LayerNorm(3),
        up=nn.Linear(3, 12),
        down=nn.Linear(12, 3),
        scale=nn.Parameter(torch.full((3, 1, 1), 1e-6)),
    )
    with pytest.raises(NotTheSame, match=r"the gradient of .* differs"):
        imported(module)


def test_samples_are_dropped_whole_in_any_view() -> None:
    """Of rows of pixels each would be drawn for itself: that is no `droppath`."""

    def rows(self: Written, x: Tensor) -> Tensor:
        y = self.drop(x.movedim(1, -1).reshape(-1, x.shape[1]))
        return y.view(x.shape[0], *x.shape[2:], -1).movedim(3, 1)

    module = Written(rows, drop=StochasticDepth(0.2, "row"))
    with pytest.raises(NotInTheLanguage, match="of positions is not in"):
        imported(module)


# ── Views by themselves ──────────────────────────────────────────────────────────────────────

IMAGE = Volume((4, 6, 8))


def test_words_of_views() -> None:
    view = plain(0, IMAGE)
    n = BATCH

    def through(*steps: tuple[int, ...]) -> object:
        """Shapes and, where they begin with 0 and hold each axis once, orders."""
        seen = view
        for step in steps:
            if sorted(step) == [*range(len(step))]:
                seen = permuted(seen, step)
            else:
                found = reshaped(seen, step)
                assert found is not None
                seen = found
        return word_of(seen)

    assert through((n, 192)) == (Flatten(), False)
    assert through((n, 8, 24)) == (Tokens(), False)
    assert through((n, 8, 24), (0, 2, 1)) == (Tokens(), True)
    assert through((0, 2, 3, 1), (n, 24, 8)) == (Tokens(), True)
    assert through((n, 2, 4, 4, 6), (0, 2, 1, 3, 4), (n, 8, 4, 6)) == (ChannelShuffle(2), False)
    shuffled = through((n, 2, 2, 2, 4, 6), (0, 1, 4, 2, 5, 3), (n, 2, 8, 12))
    assert shuffled == (PixelShuffle(2), False)
    unshuffled = through((n, 8, 2, 2, 3, 2), (0, 1, 3, 5, 2, 4), (n, 32, 2, 3))
    assert unshuffled == (PixelUnshuffle(2), False)
    assert through((n, 8, 4, 6)) is None  # as it is
    assert through((0, 2, 3, 1)) is None  # channels last
    # What looks alike and is not: the flattened channels last, columns before rows, other digits.
    assert through((0, 2, 3, 1), (n, 192)) is None
    assert through((0, 1, 3, 2), (n, 8, 24)) is None
    assert through((n, 2, 2, 2, 4, 6), (0, 1, 4, 3, 5, 2), (n, 2, 8, 12)) is None


def test_views_know_their_sizes() -> None:
    view = permuted(plain(0, IMAGE), (0, 2, 3, 1))
    assert view == last(0, IMAGE)
    assert view.sizes == (BATCH, 4, 6, 8)
    assert view.channel_axis() == 3
    assert reshaped(view, (BATCH, 9, 32)) is None  # 4 and 6 make no 9
    assert axes_of(Volume((1, 1, 8)))[2:] == ((), ())


def test_stand_ins_know_their_sizes() -> None:
    """What is asked for sizes gets numbers, and leaves no step in the trace."""

    def asking(self: Written, x: Tensor) -> Tensor:
        assert x.shape[1:] == (3, 16, 16)
        assert x.size(0) * 3 == x.flatten(0, 1).shape[0]
        assert (len(x.shape), x.dtype, x.is_cuda) == (4, torch.float32, False)
        a, b, c = x.unbind(1)
        return a + b + c

    graph = follow(Written(asking), {"x": SMALL})
    *_, total, output = graph.nodes
    assert value_of(total).shape == (BATCH, 16, 16)
    assert [node.op for node in graph.nodes].count("call_method") == 2
    assert value_of(output) is None


def test_what_its_code_makes_is_not_left_behind() -> None:
    def making(self: Written, x: Tensor) -> Tensor:
        return x * torch.arange(16)

    module = Written(making)
    before = {*vars(module)}
    with pytest.raises(NotInTheLanguage, match="belongs to no layer"):
        imported(module)
    assert {*vars(module)} == before


# ── Functions that are modules ───────────────────────────────────────────────────────────────

#: Functions of an image with the lines that they become.
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "gelu": (lambda x: F.gelu(x, approximate="tanh"), "gelu approximate=tanh"),
    "selu": (F.selu, "selu"),
    "mish": (F.mish, "mish"),
    "softplus": (lambda x: F.softplus(x, beta=2), "softplus beta=2"),
    "hardtanh": (lambda x: F.hardtanh(x, 0.0, 3.0), "hardtanh min_val=0 max_val=3"),
    "abs": (lambda x: x.abs(), "abs"),
    "log_softmax": (lambda x: F.log_softmax(x, dim=1), "logsoftmax"),
    "softmax by name": (lambda x: x.softmax(dim=-3), "softmax"),
    "lrn": (lambda x: F.local_response_norm(x, 3), "lrn 3"),
    "instance_norm": (lambda x: F.instance_norm(x, eps=1e-3), "in eps=0.001"),
    "group_norm": (lambda x: F.group_norm(x, 2), "gn 2 affine=false"),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 2), "pixelunshuffle 2"),
    "pad": (lambda x: F.pad(x, (1, 2, 0, -1)), "pad 1 2 0 -1"),
    "pad reflect": (lambda x: F.pad(x, (1, 1, 2, 2), mode="reflect"), "pad 1 1 2 2 reflect"),
    "pad channels": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 3)), "padchannels 1 3"),
    "pad both": (lambda x: F.pad(x, (0, 1, 0, 1, 1, 0)), "padchannels 1 0 pad 0 1 0 1"),
    "nearest": (lambda x: F.interpolate(x, scale_factor=2), "upsample 2"),
    "to a size": (
        lambda x: F.interpolate(x, (16, 24), mode="bilinear"),
        "upsample 2x3 mode=bilinear",
    ),
    "max_pool": (lambda x: F.max_pool2d(x, 3, 2, 1), "maxpool 3x3 s2 p1"),
    "adaptive": (lambda x: F.adaptive_max_pool2d(x, 1), "gmp"),
    "amax": (lambda x: x.amax(dim=(-1, -2)), "gmp flatten"),
    "maximum": (lambda x: torch.maximum(x, F.relu6(x)), "max { id | relu6 }"),
    "a product": (lambda x: x * torch.tanh(F.softplus(x)), "mul { id | softplus tanh }"),
    "narrow": (lambda x: x[:, :, 1:, :-2], "pad 0 -2 -1 0"),
    "transposed twice": (lambda x: x.mT.tanh().transpose(2, 3), "tanh"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    function, said = FUNCTIONS[name]
    module = Written(lambda self, x: function(x))
    made = imported(module, Volume((8, 8, 4)))
    assert said in made.text, made.text
    assert made.is_exact


#: Functions of an image that the language has no word for, with what is said.
REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "a number": (lambda x: x * 0.5, "`operator.mul` with a number is not in the language"),
    "one less": (lambda x: 1 - x, "`operator.sub` with a number is not in the language"),
    "negated": (lambda x: -x, "`operator.neg` is not in the language"),
    "exp": (lambda x: x.exp(), "`Tensor.exp` is not in the language"),
    "rolled": (lambda x: torch.roll(x, 1, 2), "`torch.roll` is not in the language"),
    "padded with ones": (lambda x: F.pad(x, (1, 1), value=1.0), "padding with 1.0 is not in"),
    "padded around": (lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), "padding with circular"),
    "by half": (lambda x: F.interpolate(x, scale_factor=1.5), "by (1.5, 1.5) is not in"),
    "corners": (
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        "with such arguments is not in the language",
    ),
    "no parameter": (
        lambda x: F.conv2d(x, torch.ones(1, 4, 1, 1)),
        "is no parameter",
    ),
    "turned and pooled": (lambda x: F.max_pool2d(x.mT, 2), "was permuted or reshaped as the"),
    "channels last": (lambda x: x.movedim(1, -1), "whose channels are not its second axis"),
    "flattened in another order": (lambda x: x.movedim(1, -1).flatten(1), "was permuted or"),
    "every other channel": (lambda x: x[:, ::2], "every 2th channel is not in the language"),
    "out": (lambda x: torch.tanh(x, out=None), "with such arguments is not in the"),
    "one image": (lambda x: x[:1], "an index into a batch is not in the language"),
    "flipped": (lambda x: x.flip(2), "`Tensor.flip` is not in the language"),
    "a mean of rows": (lambda x: x.mean(2), "a mean over 2 is not in the language"),
    "joined along rows": (lambda x: torch.cat((x, x), 2), "`torch.cat` along 2 is not in"),
    "stretched": (lambda x: x + x.mean((2, 3), keepdim=True), "branches of `add` differ"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_functions_that_are_refused(name: str) -> None:
    function, said = REFUSED[name]
    with pytest.raises(NotInTheLanguage) as caught:
        imported(Written(lambda self, x: function(x)), Volume((8, 8, 4)))
    assert said in str(caught.value)
