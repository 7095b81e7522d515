"""Layers whose result is drawn at random in training."""

from __future__ import annotations

from archdsl.layers.call import Call, call
from archdsl.layers.layer import Autocast, Example, Family, Saved, UnaryLayer
from archdsl.layers.volume import Volume
from archdsl.layers.windows import split_groups
from archdsl.records import dataclass


@dataclass(frozen=True)
class GaussianSample(UnaryLayer):
    """Draws from normal distributions (Kingma & Welling 2014, section 2.4).

    The first half of the channels are their means, the second the logarithms of their variances. In
    evaluation the result are the means.
    """

    name = "sample"
    synonyms = ("reparametrize", "reparameterize", "reparameterization")
    family = Family.PLUMBING
    autocast = Autocast.WIDENS
    examples = (Example("sample", (40,)), Example("sample", (4, 4, 6)), Example("sample", (9, 6)))
    support = '''\
class Sample(nn.Module):
    """Draws from normal distributions in training, and takes their means in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        mean, log_variance = x.chunk(2, 1)
        if not self.training:
            return mean
        return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
'''

    def infer_volume(self, x: Volume) -> Volume:
        split_groups(x.channels, 2, "channels")
        return x.with_channels(x.channels // 2)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # What was drawn, and the standard deviations, which are computed in 4 bytes.
        return Saved(numbers=out.elements, bytes=4 * out.elements)

    def emit(self, x: Volume) -> Call:
        return call("Sample")
