"""The network of deployed.arch for inference, by hand: it says of each tensor where it is from."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["Deployed"]


class Reduction(nn.Module):
    """1×1 convolutions that read one input, computed as one; the result of each."""

    def __init__(
        self, in_channels: int, *out_channels: int, bias: bool = True, activation: nn.Module
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, sum(out_channels), 1, bias=bias)
        self.activation = activation
        self.out_channels = list(out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.activation(self.conv(x))
        return torch.split(x, self.out_channels, dim=1)


class Deployed(nn.Module):
    """Folded, merged, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(3, 4, 3)
        self.r1 = nn.ReLU(inplace=True)
        self.c2 = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(4, 4, 3, stride=2))
        self.reduce = Reduction(4, 2, 3, activation=nn.ReLU(inplace=True))
        self.last = nn.BatchNorm2d(5)
        self.f1 = nn.Sequential(nn.Linear(5 * 3 * 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.c2(self.r1(self.c1(x)))
        p, q = self.reduce(x)
        x = self.last(torch.cat((p, q), 1))
        return self.f1(torch.flatten(x, 1))

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        left = {key: value for key, value in state.items() if not key.startswith("hint.")}
        c1, n1 = factor(left, "n1", 0.01)
        loaded = {
            "c1.weight": spread(c1) * take(left, "c1.weight"),
            "c1.bias": n1,
        }
        c2 = 1 / torch.sqrt(take(left, "n2.running_var") + 1e-5)
        loaded["c2.1.weight"] = take(left, "c2.1.weight") * spread(c2)
        loaded["c2.1.bias"] = (take(left, "c2.1.bias") - take(left, "n2.running_mean")) * c2
        take(left, "n2.num_batches_tracked")
        q, shift = factor(left, "q.1", 1e-5)
        weights = take(left, "p.0.weight"), take(left, "q.0.weight") * spread(q)
        loaded["reduce.conv.weight"] = torch.cat(weights, dim=0)
        loaded["reduce.conv.bias"] = torch.cat([take(left, "p.0.bias"), shift])
        for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            loaded[f"last.{kind}"] = take(left, f"last.{kind}")
        for kind in ("weight", "bias"):
            loaded[f"f1.0.{kind}"] = take(left, f"f1.2.{kind}")
        if left:
            raise RuntimeError(f"left over: {', '.join(left)}")
        self.load_state_dict(loaded)


def factor(left: dict[str, Tensor], norm: str, eps: float) -> tuple[Tensor, Tensor]:
    scale = take(left, f"{norm}.weight") * (take(left, f"{norm}.running_var") + eps) ** -0.5
    take(left, f"{norm}.num_batches_tracked")
    return scale, take(left, f"{norm}.bias") - take(left, f"{norm}.running_mean") * scale


def spread(scale: Tensor) -> Tensor:
    return scale.reshape(-1, 1, 1, 1)


def take(left: dict[str, Tensor], key: str) -> Tensor:
    if key not in left:
        raise RuntimeError(f"missing: {key}")
    return left.pop(key)
