"""Modules that a trace alone would mistake: what they do is said, or refused with its place."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from imports import SMALL, imported
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from archdsl.importing.errors import NotInTheLanguage


class Net(nn.Module):
    """Two convolutions, and a function that is its `forward`."""

    def __init__(self, function: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.bn, self.relu = nn.BatchNorm2d(4), nn.LeakyReLU(inplace=True)
        self.calls = 0
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.bn(self.one(x)))


# ── What is written in place ─────────────────────────────────────────────────────────────────


def read_again(net: Net, x: Tensor) -> Tensor:
    return net.two(net.relu(x)) + x  # type: ignore[no-any-return]


def other_name(net: Net, x: Tensor) -> Tensor:
    y = z = net.two(x)
    y += x
    return F.silu(y) + z  # type: ignore[no-any-return]


def of_the_images(net: Net, x: Tensor) -> Tensor:
    F.silu(x, inplace=True)
    return net.two(x)  # type: ignore[no-any-return]


def dropped(net: Net, x: Tensor) -> Tensor:
    y = F.dropout(x, 0.5, net.training, inplace=True)
    return net.two(x) + y  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (read_again, "add { two: conv 1x1 4 | id }"),
        (other_name, "add { silu | id }"),
        (of_the_images, "silu"),
        (dropped, "add { two: conv 1x1 4 | id }"),
    ],
)
def test_what_is_read_after_it_was_changed(
    function: Callable[[Net, Tensor], Tensor], line: str
) -> None:
    assert line in imported(Net(function)).text


def test_images_that_are_changed() -> None:
    module = nn.Sequential(nn.SiLU(inplace=True), nn.Conv2d(3, 4, 1))
    assert "silu" in imported(module).text


# ── What no call tells ───────────────────────────────────────────────────────────────────────


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # type: ignore[override]
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return 2 * gradient


def a_part(net: Net, x: Tensor) -> Tensor:
    part = x[:, :2]
    F.relu_(x)
    return torch.cat([part, x], 1)


def skipping(net: Net, x: Tensor) -> Tensor:
    return x if net.training and torch.rand(1).item() < 1e-6 else net.two(x)


def skipping_too(net: Net, x: Tensor) -> Tensor:
    return x if net.training and random.random() < 1e-6 else net.two(x)


def by_the_batch(net: Net, x: Tensor) -> Tensor:
    return F.relu(x) if x.shape[0] > 10**6 else net.two(x)  # type: ignore[no-any-return]


def by_length(net: Net, x: Tensor) -> Tensor:
    return F.relu(x) if len(x) == 64 else net.two(x)  # type: ignore[no-any-return]


def by_numbers(net: Net, x: Tensor) -> Tensor:
    return F.relu(x) if x.numel() // 16 % 7 == 64 else net.two(x)  # type: ignore[no-any-return]


def counting(net: Net, x: Tensor) -> Tensor:
    net.calls += 1
    net.seen.append(1)
    return F.relu(x) if net.calls > 10**6 else net.two(x)  # type: ignore[no-any-return]


def without_gradients(net: Net, x: Tensor) -> Tensor:
    with torch.no_grad():
        return net.two(x)  # type: ignore[no-any-return]


def less_precise(net: Net, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return net.two(x)  # type: ignore[no-any-return]


def own_backward(net: Net, x: Tensor) -> Tensor:
    return _Doubled.apply(x)  # type: ignore[no-any-return, no-untyped-call]


def written_into(net: Net, x: Tensor) -> Tensor:
    x[:, :2] = 0
    return x


def own_data(net: Net, x: Tensor) -> Tensor:
    net.two.weight.data = torch.renorm(net.two.weight.data, 2, 0, 100.0)
    return net.two(x)  # type: ignore[no-any-return]


def other_arguments(net: Net, x: Tensor) -> Tensor:
    return F.max_pool2d(net.two(x), 2, ceil_mode=net.training)


def other_result(net: Net, x: Tensor) -> Tensor:
    y = net.two(x)
    return x + y if net.training else x - y  # type: ignore[no-any-return]


def frozen(net: Net, x: Tensor) -> Tensor:
    net.bn.eval()
    return net.two(x)  # type: ignore[no-any-return]


def doubled(net: Net, x: Tensor) -> Tensor:
    return F.softmax(x, 1, dtype=torch.float64)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (a_part, "it reads a tensor of which another one is a part, after that was changed"),
        (skipping, "it draws random numbers by itself"),
        (skipping_too, "it draws random numbers by itself"),
        (by_the_batch, "it decides by how many images there are"),
        (by_length, "it decides by how many images there are"),
        (by_numbers, "it decides by how many images there are"),
        (counting, "forward: it changes its `calls`"),
        (without_gradients, "it computes without gradients"),
        (less_precise, "it computes in another precision"),
        (own_backward, "`_Doubled` has a backward of its own"),
        (written_into, "it writes into a part of a tensor"),
        (own_data, "it sets `data` of a tensor"),
        (other_arguments, "it takes other steps in training than in evaluation"),
        (other_result, "it takes other steps in training than in evaluation"),
        (frozen, "bn: it changes its `training`"),
        (doubled, "`torch.nn.functional.softmax` in another precision"),
    ],
)
def test_what_no_call_tells_is_refused(
    function: Callable[[Net, Tensor], Tensor], reason: str
) -> None:
    module = Net(function)
    before = {**vars(module)}
    weight = module.two.weight
    with pytest.raises(NotInTheLanguage) as caught:
        imported(module)
    assert reason in str(caught.value)
    assert vars(module) == before
    assert (module.calls, module.seen) == (0, [])
    assert module.two.weight is weight


def test_where_random_numbers_continue_stays() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout())
    before = torch.manual_seed(0).get_state()
    imported(module)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_only_saves_memory() -> None:
    module = Net(lambda net, x: checkpoint(net.two, x, use_reentrant=False))  # type: ignore[return-value]
    assert "two: conv 1x1 4" in imported(module).text


def test_it_is_a_tensor() -> None:
    module = Net(lambda net, x: net.two(x) if isinstance(x, Tensor) else x)
    assert "two: conv 1x1 4" in imported(module, SMALL).text


class DropPath(nn.Module):
    """As timm has it, whose code makes its random numbers itself."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob, self.scale_by_keep = drop_prob, True

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.drop_prob:
            return x
        keep = 1 - self.drop_prob
        return x * x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(keep).div_(keep)


DropPath.__module__ = "timm.layers.drop"


def test_samples_that_timm_drops() -> None:
    module = Net(lambda net, x: x + net.drop(net.two(x)))  # type: ignore[operator]
    module.drop = DropPath(0.2)
    made = imported(module)
    assert "droppath 0.2" in made.text
    assert "nothing dropped in training" in made.text
    assert module.drop.drop_prob == 0.2


# ── What modules have ────────────────────────────────────────────────────────────────────────


def _hooked() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    module.register_forward_hook(lambda module, args, output: 2 * output)
    return module


def _hooked_backward() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    module[0].register_full_backward_hook(lambda module, before, after: None)
    return module


def _hooked_weight() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    module[0].weight.register_hook(lambda gradient: 2 * gradient)
    return module


def _replaced() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    module[0].forward = lambda x: 2 * x
    return module


def _tied(data: bool) -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1))
    if data:
        module[2].weight.data = module[0].weight.data
    else:
        module[2].weight = module[0].weight
    return module


class _Frozen(nn.Sequential):
    def train(self, mode: bool = True) -> _Frozen:
        super().train(mode)
        self[1].eval()
        return self


def _of_no_numbers() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    nn.init.constant_(module[0].weight, float("nan"))
    return module


class _Buffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(3, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_hooked, "forward: a module with hooks"),
        (_hooked_backward, "0: a module with hooks"),
        (_hooked_weight, "0: `weight` has hooks"),
        (_replaced, "0: its `forward` was replaced on the module"),
        (lambda: _tied(False), "2.weight: it is tied to 0.weight"),
        (lambda: _tied(True), "2.weight: it is tied to 0.weight"),
        (lambda: _Frozen(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), "1: it stays in evaluation"),
        (lambda: nn.Sequential(nn.LazyConv2d(4, 1)), "0.weight: it has no numbers yet"),
        (lambda: nn.Conv2d(3, 4, 1).to("meta"), "weight: it has no numbers, as it is on"),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1).double()),
            "1.weight: numbers of torch.float64 on cpu and torch.float32",
        ),
        (lambda: nn.Sequential(nn.Conv2d(3, 3, 1, dtype=torch.cfloat)), "numbers of complex64"),
        (lambda: torch.jit.script(nn.Sequential(nn.ReLU())), "it was compiled by TorchScript"),
        (_of_no_numbers, "its results are no numbers, or infinite"),
        (_Buffer, "forward: `weight` is no parameter"),
        (
            lambda: nn.Sequential(nn.AdaptiveMaxPool2d(1, return_indices=True)),
            "0: `nn.AdaptiveMaxPool2d` with return_indices=True",
        ),
    ],
)
def test_what_modules_have_is_refused(make: Callable[[], nn.Module], reason: str) -> None:
    with pytest.raises(NotInTheLanguage) as caught:
        imported(make())
    assert reason in str(caught.value)


def test_a_module_of_two_names_runs_again() -> None:
    layer = nn.Conv2d(3, 3, 1)
    text = imported(nn.Sequential(layer, nn.ReLU(), layer)).text
    assert "reuse" in text


def test_weights_that_lie_otherwise_in_memory() -> None:
    module = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3))
    assert imported(module.to(memory_format=torch.channels_last)).is_exact  # type: ignore[call-overload]


def test_what_draws_in_another_order_is_compared_without_that() -> None:
    def turned(net: Net, x: Tensor) -> Tensor:
        one, two = F.dropout(x, 0.5, net.training), F.dropout(net.two(x), 0.5, net.training)
        return torch.cat([two, one], 1)

    made = imported(Net(turned))
    assert not made.is_exact
    assert "nothing dropped in training" in made.text


def test_weights_that_hide_what_is_behind_them() -> None:
    """A branch behind factors of 0 is compared with others, and keeps its own."""
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    nn.init.zeros_(module[1].weight)
    made = imported(module)
    assert torch.equal(made.state["1.weight"], torch.zeros(3))
    assert torch.equal(module[1].weight, torch.zeros(3))
