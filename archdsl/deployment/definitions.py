"""Layers that nobody writes: deployment makes them from the layers of a spec."""

from __future__ import annotations

from archdsl.layers import Call, Layer, UnaryLayer
from archdsl.layers.activation import ReLU
from archdsl.layers.call import call
from archdsl.layers.conv import Conv
from archdsl.layers.layer import Family, helper, support_for
from archdsl.layers.volume import Volume
from archdsl.records import dataclass


@dataclass(frozen=True)
class InplaceReLU(ReLU):
    """max(0, x), written over x, which nothing else reads."""

    def emit(self, x: Volume) -> Call:
        return call("nn.ReLU", inplace=True)


@dataclass(frozen=True)
class Reduction(Conv):
    """1×1 convolutions that read one input, computed as one, with the activation they share."""

    support = '''\
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
'''
    more_support = support_for(support, ("Conv2d", "Conv1d"), ("Conv2d", "Conv3d"))

    pieces: tuple[int, ...] = ()
    activation: UnaryLayer | None = None

    def emit(self, x: Volume) -> Call:
        result = x.with_channels(sum(self.pieces))
        shared = self.activation.emit(result) if self.activation else call("nn.Identity")
        bias = {} if self.bias else {"bias": False}
        return call(helper("Reduction", x), x.channels, *self.pieces, **bias, activation=shared)


@dataclass(frozen=True)
class Piece(Layer):
    """The channels of one convolution in a reduction's result: a variable, not a module."""

    family = Family.PLUMBING


#: Definitions whose modules need a class of their own.
DEFINITIONS: tuple[type[UnaryLayer], ...] = (Reduction,)
