"""Networks of the zoo against others' code for them."""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch
from conftest import ROOT
from oracle import network_class
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3_resnet50

import archdsl

ZOO = ROOT / "specs" / "zoo"


def built(file: str, *changes: tuple[str, str]) -> nn.Module:
    """The network of a spec, with changes of its text, in double precision."""
    text = (ZOO / f"{file}.arch").read_text("utf-8")
    for before, after in changes:
        assert before in text
        text = re.sub(r" +→ \d+x\d+x\d+$", "", text.replace(before, after), flags=re.MULTILINE)
    torch.manual_seed(0)
    return network_class(archdsl.parse(text))().double()  # type: ignore[no-any-return]


class GPT2(nn.Module):
    """With torch's own layer of a Transformer, which normalizes first as GPT-2 does."""

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        gelu = partial(F.gelu, approximate="tanh")
        self.words = nn.Embedding(50257, width)
        self.places = nn.Parameter(torch.zeros(1024, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, gelu, norm_first=True, batch_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words) + self.places
        later = torch.ones(1024, 1024, dtype=torch.bool).triu(1)
        for layer in self.layers:
            x = layer(x, src_mask=later)
        return self.norm(x)  # type: ignore[no-any-return]


#: torch's order within a layer: attention, both maps, both norms.
_GPT2_ORDER = (8, 9, 0, 1, 2, 3, 10, 11, 4, 5, 6, 7)


def test_gpt2_is_one_of_torchs_own_layers() -> None:
    ours = built(
        "gpt2",
        ("network GPT2_Small = GPT2(12, 768, 12) { expect params = 124_439_808 }", ""),
        ("GPT2(depth, width, heads)", "GPT2(depth=2, width=16, heads=4)"),
    ).eval()
    theirs = GPT2(16, 4, 2).double().eval()
    first, *rest = (t for t in theirs.state_dict().values())
    words, layers, norm = rest[0], rest[1:-2], rest[-2:]
    ordered = [layers[12 * i + j] for i in range(2) for j in _GPT2_ORDER]
    state = ours.state_dict()
    for (key, tensor), value in zip(state.items(), [words, first, *ordered, *norm], strict=True):
        if key.endswith(("wte.weight", "wpe.weight")) or value.dim() < 2:
            nn.init.normal_(value, 0.1 if value.dim() < 2 else 0.0, 0.5)
        tensor.copy_(value.reshape(tensor.shape))
    text = torch.randint(50257, (1, 1024))
    with torch.no_grad():
        expected, found = theirs(text), ours(text)
        torch.testing.assert_close(found.transpose(1, 2), expected)
        changed = text.clone()
        changed[0, 600] = (changed[0, 600] + 1) % 50257
        moved = (ours(changed) - found).abs().amax(1)[0]
    assert moved[:600].eq(0).all()
    assert moved[600:].ne(0).all()


def test_deeplabv3_is_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True).double()
    ours = built("deeplabv3", ("520x520", "104x104"))
    state = theirs.state_dict()
    head = [k for k in state if k.startswith("aux_classifier")]
    order = [k for k in state if k not in head]
    # torchvision's aux head is behind everything, here it is where it branches off.
    cut = order.index("backbone.layer4.0.conv1.weight")
    order[cut:cut] = head
    found = ours.state_dict()
    for (key, tensor), name in zip(found.items(), order, strict=True):
        assert tensor.shape == state[name].shape, (key, name)
        tensor.copy_(state[name])
    x = torch.randn(2, 3, 104, 104, dtype=torch.float64)
    with torch.no_grad():
        for is_training in (False, True):
            outputs = []
            for network in (ours, theirs):
                network.train(is_training)
                for module in network.modules():
                    if isinstance(module, nn.Dropout):
                        module.eval()
                outputs.append(network(x))
            mine, wanted = outputs
            if is_training:
                torch.testing.assert_close(mine[1], wanted["aux"])
                mine = mine[0]
            torch.testing.assert_close(mine, wanted["out"])


def test_pointnet_does_not_ask_for_the_order_of_points() -> None:
    network = built("pointnet", ("1024x3", "60x3")).eval()
    x = torch.randn(2, 3, 60, dtype=torch.float64)
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(network(x[:, :, torch.randperm(60)]), expected)
        assert not torch.allclose(network(x.roll(1, 1)), expected)


def test_transforms_of_pointnet_are_the_identity_at_first() -> None:
    network = built("pointnet", ("1024x3", "60x3")).eval()
    (transform, *_) = (m for m in network.modules() if type(m).__name__ == "Transform")
    x = torch.randn(2, 3, 60, dtype=torch.float64)
    assert torch.equal(transform(x), x)


@pytest.mark.parametrize("file", ["textcnn", "crnn", "vae"])
def test_its_loss_falls(file: str) -> None:
    """A few steps on a fixed batch, by the loss that the paper has."""
    network = built(file).float().train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    torch.manual_seed(0)
    words, lines, images = (
        torch.randint(18765, (8, 56)),
        torch.rand(4, 1, 32, 100),
        torch.rand(8, 1, 28, 28),
    )
    for _ in range(60 if file == "vae" else 15):
        if file == "textcnn":
            loss = F.cross_entropy(network(words), torch.arange(8) % 2)
        elif file == "crnn":
            logits = network(lines).permute(2, 0, 1).log_softmax(2)
            texts = torch.arange(1, 21).view(4, 5)
            loss = F.ctc_loss(logits, texts, torch.full((4,), 24), torch.full((4,), 5))
        else:
            output = network(images)
            mean, log_variance = output.code.chunk(2, 1)
            divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2
            loss = F.binary_cross_entropy(output.image, images, reduction="sum") + divergence
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
