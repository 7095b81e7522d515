"""Every generated seed network learns: forward, loss with heads, backward, optimizer, on CPU."""

from __future__ import annotations

import pytest
import torch
from conftest import ROOT
from oracle import build
from torch import Tensor, nn

import archdsl
from archdsl.model import Model
from archdsl.torch_tools.sampling import NARROWED, narrowed, narrowed_width

MODELS = [
    pytest.param(model, id=model.name)
    for path in sorted((ROOT / "specs").glob("*.arch"))
    for model in archdsl.load_all(path)
]


def _loss(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy over the channels; the heads' losses weighted as the spec says."""
    output = network(x)
    if isinstance(output, Tensor):
        return nn.functional.cross_entropy(output, y)
    heads = zip(network.aux_weights, output[1:], strict=True)
    loss = nn.functional.cross_entropy(output[0], y)
    return loss + sum(w * nn.functional.cross_entropy(head, y) for w, head in heads)


@pytest.mark.parametrize("model", MODELS)
def test_loss_falls_on_a_fixed_batch(model: Model) -> None:
    torch.manual_seed(0)
    # The same layers with fewer channels, where the weights would take a gigabyte.
    divisor = NARROWED if model.trunk.parameters > 50_000_000 else 1
    with narrowed(divisor):
        network = build(model).train()
    x = torch.randn(2, *model.input.torch_sizes)
    classes, *positions = model.output.torch_sizes
    y = torch.randint(narrowed_width(classes, divisor), (2, *positions))
    # Adam would need two further copies of the weights; plain descent is enough here.
    optimizer = torch.optim.SGD(network.parameters(), lr=0.005)
    # The same units dropped before and after the step, so that losses compare.
    torch.manual_seed(1)
    before = _loss(network, x, y)
    before.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    optimizer.step()
    torch.manual_seed(1)
    with torch.no_grad():
        after = _loss(network, x, y)
    assert after < before, (after, before)
