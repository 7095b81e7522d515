"""Layers for which torch has no module: what they compute, written down in another way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from oracle import build
from torch import Tensor, nn
from torch.nn import functional as F

import archdsl
from archdsl.frontend import read_models
from archdsl.report.diagnostics import render_diagnostics
from archdsl.text.source import Source
from archdsl.torch_tools.prove import prove

Size = tuple[int, ...]


def network(text: str, input: Size) -> nn.Module:
    torch.manual_seed(0)
    return build(archdsl.parse(text, input=input)).double().eval()


def samples(input: Size) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, input[-1], *input[:-1], dtype=torch.float64)


def encoding(length: int, channels: int) -> Tensor:
    """Vaswani et al. 2017, section 3.5, number by number."""
    table = torch.zeros(channels, length, dtype=torch.float64)
    for place in range(length):
        for pair in range(channels // 2):
            angle = torch.tensor(place / 10000 ** (2 * pair / channels))
            table[2 * pair, place] = angle.sin()
            table[2 * pair + 1, place] = angle.cos()
    return table


def rms(x: Tensor) -> Tensor:
    return x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()


MEANINGS: dict[str, tuple[Size, Callable[[Tensor], Tensor]]] = {
    "channelmean": ((4, 5, 6), lambda x: x.sum(1, keepdim=True) / 6),
    "channelmax": ((4, 5, 6), lambda x: x.max(1, keepdim=True).values),
    "padchannels 2 3": ((4, 5, 6), lambda x: F.pad(x, (0, 0, 0, 0, 2, 3))),
    "padchannels 0 3": ((9, 6), lambda x: torch.cat((x, torch.zeros(2, 3, 9).double()), 1)),
    "pad -1": ((5, 6, 3), lambda x: x[:, :, 1:-1, 1:-1]),
    "pad 1 -2 0 -1": ((5, 6, 3), lambda x: F.pad(x[:, :, :-1, :-2], (1, 0, 0, 0))),
    "rmsnorm": ((7, 6), rms),
    "mul { id | channelmean }": ((4, 5, 6), lambda x: x * x.mean(1, keepdim=True)),
    "posenc": ((7, 6), lambda x: x + encoding(7, 6)),
    "sample": ((7, 6), lambda x: x[:, :3]),
    "a: id; pad -1; concat { crop a at=2x0 | id }": (
        (5, 6, 3),
        lambda x: torch.cat((x[:, :, 2:5, :4], x[:, :, 1:-1, 1:-1]), 1),
    ),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_meaning(text: str) -> None:
    input, meaning = MEANINGS[text]
    x = samples(input)
    torch.testing.assert_close(network(text, input)(x), meaning(x), rtol=1e-6, atol=1e-6)


def test_matmul_multiplies_positions_by_columns() -> None:
    """In PyTorch's order both matrices are transposed, and so is the product."""
    net = network("matmul { conv 1 4 | gmp; conv 1 12; reshape 4x3 }", (5, 4))
    x = samples((5, 4))
    rows, *matrix = list(net.children())
    left = rows(x).transpose(1, 2)  # 5 x 4
    right = nn.Sequential(*matrix)(x).transpose(1, 2)  # 4 x 3
    expected = torch.stack([a @ b for a, b in zip(left, right, strict=True)])
    assert expected.shape == (2, 5, 3)
    torch.testing.assert_close(net(x).transpose(1, 2), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_attend_is_torchs_attention_of_one_sequence_to_another(causal: bool) -> None:
    word = "causal" if causal else ""
    body = f"attend 2 {word} {{ x; linear 8 | y; linear 8 | y; linear 8 }}; linear 8"
    net = build(archdsl.parse(f"network N: (x: 9x8, y: 5x8) → 9x8 {{ {body} }}")).double()
    theirs = nn.MultiheadAttention(8, 2, batch_first=True).double()
    query, key, value, out = net.children()
    with torch.no_grad():
        for index, own in enumerate((query, key, value)):
            theirs.in_proj_weight[8 * index : 8 * index + 8] = own.weight[:, :, 0]
            theirs.in_proj_bias[8 * index : 8 * index + 8] = own.bias
        theirs.out_proj.weight.copy_(out.weight[:, :, 0])
        theirs.out_proj.bias.copy_(out.bias)
    x, y = samples((9, 8)), samples((5, 8))
    hidden = torch.ones(9, 5, dtype=torch.bool).triu(1) if causal else None
    expected, _ = theirs(x.mT, y.mT, y.mT, attn_mask=hidden)
    torch.testing.assert_close(net(x, y).mT, expected)


def test_attend_takes_values_with_other_channels() -> None:
    net = network("attend 3 { id | linear 6 | linear 12 }", (7, 6))
    x = samples((7, 6))
    keys, values = (child(x) for child in net.children())
    expected = [
        (q.mT @ k / 2**0.5).softmax(2) @ v.mT
        for q, k, v in zip(x.split(2, 1), keys.split(2, 1), values.split(4, 1), strict=True)
    ]
    torch.testing.assert_close(net(x).mT, torch.cat(expected, 2))


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_recurrent_layers_are_torchs(kind: str) -> None:
    net = network(f"{kind} 4 bidirectional layers=2", (7, 3))
    theirs = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](3, 4, 2, bidirectional=True).double()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), net.state_dict().values(), strict=True)))
    x = samples((7, 3))
    expected = theirs(x.permute(2, 0, 1))[0]  # places, samples, channels
    torch.testing.assert_close(net(x), expected.permute(1, 2, 0))


def test_an_embedding_takes_numbers_of_any_dtype() -> None:
    net = network("embedding 9 4", (5,))
    words = torch.randint(9, (2, 5))
    (table,) = net.parameters()
    expected = table[words].transpose(1, 2)
    for given in (words, words.int(), words.float()):
        assert torch.equal(net(given), expected)


def test_a_sample_is_drawn_in_training_alone() -> None:
    net = network("sample", (2,)).train()
    mean, log_variance = 3.0, -1.0
    x = torch.tensor([[mean, log_variance]], dtype=torch.float64).expand(100_000, 2)
    torch.manual_seed(0)
    drawn = net(x)
    assert drawn.shape == (100_000, 1)
    assert abs(drawn.mean().item() - mean) < 0.01
    assert abs(drawn.var().item() - 2.718281828**log_variance) < 0.01
    assert torch.equal(net.eval()(x), x[:, :1])


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 2), (3, 1), (3, 2), (4, 2), (5, 3)])
def test_a_transposed_convolution_with_same_grows_by_the_stride(kernel: int, stride: int) -> None:
    """What it cuts off is the same on both sides, or one more at the start."""
    net = network(f"deconv {kernel} 1 s{stride} same nobias", (5, 1))
    (weight,) = net.parameters()
    with torch.no_grad():
        weight.fill_(1)
        whole = F.conv_transpose1d(torch.eye(5).double()[:, None], weight, stride=stride)
        found = net(torch.eye(5).double()[:, None])
    rest = kernel - stride
    assert found.shape[2] == 5 * stride
    assert torch.equal(found, whole[:, :, (rest + 1) // 2 : (rest + 1) // 2 + 5 * stride])


def test_a_shift_moves_windows() -> None:
    """A position reads its own window; the border of the image is one of the windows, too."""
    net = network("attention 1 window=4 shift=2", (8, 8, 2))
    x = samples((8, 8, 2)).requires_grad_()
    for row, column, rows, columns in [
        (0, 0, {0, 1}, {0, 1}),
        (3, 1, {2, 3, 4, 5}, {0, 1}),
        (7, 7, {6, 7}, {6, 7}),
        (4, 5, {2, 3, 4, 5}, {2, 3, 4, 5}),
    ]:
        (seen,) = torch.autograd.grad(net(x)[:, :, row, column].square().sum(), x)
        read = seen.abs().amax((0, 1))
        assert set(read.amax(1).nonzero().flatten().tolist()) == rows
        assert set(read.amax(0).nonzero().flatten().tolist()) == columns


#: Networks of several members, parts that run again, heads and branches.
PLACES = {
    "words in two inputs": """network N: (a: 5, b: 7) → 3 {
      embedding 9 4; gap; va: fc 4; b; embedding 20 4; gap; vb: fc 4; add { va | vb }; fc 3
    }""",
    "words in branches": """network N: 5 → 3 {
      concat { embedding 9 4 | embedding 4 2 }; lstm 3; token 4; fc 3
    }""",
    "words that run again": """network N: (a: 5, b: 5) → 3 {
      t: { embedding 9 4; gru 3; gmp; fc 2 }; b; u: reuse t; concat { t | u }; fc 3
    }""",
    "words in a block": """block words(n) { embedding n 4; posenc }
    network N: 6 → 3 {
      words(7); aux(0.1) { gap; fc 3 }; attention 2 causal; rmsnorm; gap; fc 3
    }""",
    "windows in a block": """block w(s) { add { id | ln; attention 2 window=4 shift=s } }
    network N: 8x8x4 → 3 { w(0); w(2); conv 2 8 s2; w(1); gap; fc 3 }""",
    "windows of a family": """network F(h, w, s): 8x8x8 → 3 {
      attention h window=w shift=s; gap; fc 3
    }
    network A = F(2, 4, 1)
    network B = F(4, 2, 0)""",
    "recurrent layers of a family": """network F(n, k, b): 8x3 → 3 {
      lstm n layers=k bidirectional=b; gru n
      matmul { id | gmp; fc (n*n); reshape (size(n, n)) }; gap; fc 3
    }
    network A = F(2, 1, false)
    network B = F(3, 2, true)""",
    "attention to another sequence": """
    block cross(h, d, ctx: part) {
      q: linear d
      attend h { q | ctx; linear d | ctx; linear (2*d) }
    }
    network F(h, n): (x: 9x8, y: 5x8) → 3 {
      memory: y
      x; cross(h, 4*n, memory); cross(2, 8, memory); attend n causal { id | y; linear 16 | y }
      gap; fc 3
    }
    network A = F(2, 1)
    network B = F(4, 2)""",
    "cuts of a family": """network F(k): 12x12x2 → 3 {
      a: conv 3 2; conv 3 2; concat { crop a at=k | id }
      pad (-k); deconv 4 4 s2 same; padchannels k k; channelmean; fc 3
    }
    network A = F(1)
    network B = F(2)""",
    "two samples": "network N: 8 → 3 { fc 8; sample; fc 8; sample; fc 3 }",
}


@pytest.mark.parametrize("place", PLACES)
def test_in_other_places(place: str) -> None:
    models = read_models(Source(PLACES[place], "places.arch"))
    sources = [archdsl.compile(*models, inference=inference) for inference in (False, True)]
    proofs = prove(models, *sources)
    assert len(proofs) == len(models)
    for proof in proofs.values():
        assert proof.holds, render_diagnostics(proof.diagnostics)
        assert proof.numbers is not None
