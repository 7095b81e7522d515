"""A Swin Transformer against torchvision's, whose linear layers and norms are on the last axis."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from conftest import ROOT
from oracle import run_source
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer

import archdsl

SPEC = (ROOT / "specs" / "zoo" / "swin.arch").read_text("utf-8").partition("# With c channels")[0]
#: With an axis of one window, which is not shifted, and one of two.
SMALL = (
    SPEC
    + """
network Small: 56x112x3 → 10 {
  conv 4 12 s4; ln
  stage(2, 3, 0, 3, 0); merge()
  stage(2, 6, 2, 3, 0)
  norm: ln; gap; head: fc 10
}
"""
)


def _module() -> ModuleType:
    return run_source(archdsl.compile(archdsl.parse(SMALL)))


def _take(ours: nn.Module, theirs: nn.Module) -> dict[str, str]:
    """Give a network the weights of torchvision's, in its order; returns whose is whose."""
    state = {k: t for k, t in theirs.state_dict().items() if not k.endswith("position_index")}
    wanted = ours.state_dict()
    names = {}
    # Where neighbours are merged, torchvision declares the map before the norm.
    order = [key for key in state if ".reduction." not in key]
    for key in state.keys() - set(order):
        order.insert(order.index(key.replace("reduction.weight", "norm.bias")) + 1, key)
    assert len(order) == len(wanted)
    with torch.no_grad():
        for name, key in zip(wanted, order, strict=True):
            wanted[name].copy_(state[key].reshape(wanted[name].shape))
            names[name] = key
    return names


@pytest.mark.parametrize("training", [True, False])
def test_computes_what_torchvisions_does(training: bool) -> None:
    torch.manual_seed(0)
    theirs = SwinTransformer(
        [4, 4], 12, [2, 2], [3, 6], [7, 7], stochastic_depth_prob=0.0, num_classes=10
    ).double()
    ours = _module().Small().double()
    names = _take(ours, theirs)
    ours.train(training)
    theirs.train(training)
    x = torch.randn(2, 3, 56, 112, dtype=torch.float64)
    outputs = [network(x) for network in (ours, theirs)]
    assert outputs[0].std() > 1e-3
    torch.testing.assert_close(*outputs, rtol=1e-10, atol=1e-12)
    for output in outputs:
        output.square().sum().backward()
    found = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        wanted = found[names[name]].grad
        assert isinstance(wanted, Tensor)
        assert isinstance(parameter.grad, Tensor)
        actual = parameter.grad.reshape(wanted.shape)
        torch.testing.assert_close(actual, wanted, rtol=1e-8, atol=1e-10, msg=name)
