"""Regularization: active in training, the identity in evaluation."""

from __future__ import annotations

from archdsl.layers.call import Call, call
from archdsl.layers.fields import RATE, positional
from archdsl.layers.layer import VIEW, Example, Family, Saved, UnaryLayer
from archdsl.layers.volume import Volume
from archdsl.records import dataclass


@dataclass(frozen=True)
class Dropout(UnaryLayer):
    """Zeroes each number with this probability and scales the rest up (Hinton et al. 2012)."""

    name = "dropout"
    family = Family.REGULARIZATION
    examples = (Example("dropout 0.5", (4096,)), Example("dropout 0.4", (1, 1, 1024)))

    p: float = positional(RATE, "probability of zeroing a number", default=0.5)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # A mask of one byte per number on a GPU; a CPU keeps it as numbers.
        return Saved(bytes=out.elements) if self.p else VIEW

    def describe(self) -> str:
        return f"{self.p:g}"

    def emit(self, x: Volume) -> Call:
        return call("nn.Dropout", self.p)


@dataclass(frozen=True)
class DropPath(UnaryLayer):
    """Zeroes a whole sample with this probability: stochastic depth (Huang et al. 2016)."""

    name = "droppath"
    synonyms = ("drop_path", "stochasticdepth", "stochastic_depth")
    family = Family.REGULARIZATION
    examples = (Example("droppath 0.1", (14, 14, 64)), Example("droppath 0.1", (50, 8)))
    support = '''\
class DropPath(nn.Module):
    """Zeroes a whole sample with probability p in training and scales the others up."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(x.shape[0], device=x.device) >= self.p
        return (x.movedim(0, -1) * kept).movedim(-1, 0) / (1 - self.p)
'''

    p: float = positional(RATE, "probability of zeroing a sample")

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        return Saved(bytes=1) if self.p else VIEW

    def describe(self) -> str:
        return f"{self.p:g}"

    def emit(self, x: Volume) -> Call:
        return call("DropPath", self.p)
