"""What a configuration of Darknet computes, section by section, as Darknet's own loops do.

It shares no line with what makes layers of the same sections: each is the judge of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from archdsl.importing.files import State
from archdsl.importing.from_darknet.cfg import CfgSection

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "leaky": lambda x: torch.where(x > 0, x, 0.1 * x),
    "relie": lambda x: torch.where(x > 0, x, 0.01 * x),
    "relu": lambda x: x * (x > 0),
    "relu6": lambda x: x.clamp(0, 6),
    "logistic": lambda x: 1 / (1 + (-x).exp()),
    "tanh": torch.tanh,
    "elu": lambda x: torch.where(x >= 0, x, x.exp() - 1),
    "hardtan": lambda x: x.clamp(-1, 1),
    "swish": lambda x: x / (1 + (-x).exp()),
    "mish": lambda x: x * F.softplus(x).tanh(),
}


class DarknetNet:
    """Computes the results of some sections."""

    def __init__(
        self,
        sections: Sequence[CfgSection],
        owners: Mapping[int, tuple[int, ...]],
        ends: tuple[int, ...],
    ) -> None:
        self.sections = sections
        self.owners = owners
        self.ends = ends
        self.last_reader = self._last_readers()

    @torch.no_grad()
    def __call__(self, images: Sequence[Tensor], state: State) -> list[Tensor]:
        values = dict(enumerate(images, start=-1))
        for index in sorted(self.last_reader.keys() - {-1}):
            section = self.sections[index]
            inputs = [values[i] for i in self._reads(index)]
            compute = getattr(self, f"_{section.name}")
            values[index] = compute(section, inputs, self._weights(index, state))
            for read in set(self._reads(index)):
                if self.last_reader[read] == index:
                    del values[read]
        return [values[end] for end in self.ends]

    def _reads(self, index: int) -> list[int]:
        """The sections that one reads."""
        section = self.sections[index]
        listed = [
            index + at if at < 0 else at
            for key in ("layers", "from")
            if key in section.options
            for at in map(int, section.options[key][0].rstrip(",").split(","))
        ]
        return listed if section.name == "route" else [index - 1, *listed]

    def _last_readers(self) -> dict[int, int]:
        """What is computed, by the last section that reads it."""
        found: dict[int, int] = {}
        pending = [(end, len(self.sections)) for end in self.ends]
        while pending:
            index, reader = pending.pop()
            is_new = index not in found
            found[index] = max(found.get(index, -1), reader)
            if is_new and index >= 0:
                pending += [(read, index) for read in self._reads(index)]
        return found

    def _weights(self, index: int, state: State) -> dict[str, Tensor]:
        """Weights by Darknet's names for them."""
        if index not in self.owners:
            return {}
        first, *more = (state[of] for of in self.owners[index])
        found = {"weights": first["weight"]}
        if "bias" in first:
            found["biases"] = first["bias"]
        for norm in more:
            found |= {
                "biases": norm["bias"],
                "scales": norm["weight"],
                "rolling_mean": norm["running_mean"],
                "rolling_variance": norm["running_var"],
            }
        return found

    # ── Sections ─────────────────────────────────────────────────────────────────────────────

    def _finished(self, section: CfgSection, x: Tensor, of: Mapping[str, Tensor]) -> Tensor:
        """Normalization, biases and activation, as behind each product."""
        channels = (1, -1, *[1] * (x.dim() - 2))
        if "scales" in of:
            mean, variance = (of[f"rolling_{name}"].view(channels) for name in ("mean", "variance"))
            x = (x - mean) / (variance + 1e-5).sqrt() * of["scales"].view(channels)
        return self._activation(section, [x + of["biases"].view(channels)], {}, "logistic")

    def _activation(
        self,
        section: CfgSection,
        inputs: Sequence[Tensor],
        of: Mapping[str, Tensor],
        default: str = "linear",
    ) -> Tensor:
        return _FUNCTIONS[section.text("activation", default)](inputs[0])

    def _convolutional(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        size = section.integer("size", 1)
        padding = size // 2 if section.integer("pad", 0) else section.integer("padding", 0)
        dilation = section.integer("dilation", 1) if size > 1 else 1
        x = F.conv2d(
            _image(inputs[0]),
            of["weights"],
            None,
            _strides(section),
            padding * dilation,
            dilation,
            section.integer("groups", 1),
        )
        return self._finished(section, x, of)

    def _connected(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        x = inputs[0].flatten(1) @ of["weights"].t()
        return self._finished(section, x, of)

    def _maxpool(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        x = _image(inputs[0])
        strides = _strides(section)
        size = section.integer("size", section.integer("stride", 1))
        padding = section.integer("padding", size - 1)
        sizes = [
            (side + padding - size) // s + 1 for side, s in zip(x.shape[2:], strides, strict=True)
        ]
        before = padding // 2
        height, width = (
            max((out - 1) * s + size - side - before, 0)
            for out, s, side in zip(sizes, strides, x.shape[2:], strict=True)
        )
        x = F.pad(x, (before, width, before, height), value=float("-inf"))
        return F.max_pool2d(x, size, strides)[:, :, : sizes[0], : sizes[1]]

    def _avgpool(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        x = _image(inputs[0])
        return x.sum((2, 3), keepdim=True) / x[0, 0].numel()

    def _dropout(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        return inputs[0]

    def _softmax(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        powers = (inputs[0] - inputs[0].amax(1, keepdim=True)).exp()
        return powers / powers.sum(1, keepdim=True)

    def _shortcut(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        return self._activation(section, [torch.stack([*inputs]).sum(0)], of)

    def _scale_channels(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        return self._activation(section, [_image(inputs[0]) * inputs[1]], of)

    def _sam(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        return self._activation(section, [inputs[0] * inputs[1]], of)

    def _route(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        groups, group = section.integer("groups", 1), section.integer("group_id", 0)
        return torch.cat([x.chunk(groups, 1)[group] for x in inputs], 1)

    def _upsample(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        stride = section.integer("stride", 2)
        return _image(inputs[0]).repeat_interleave(stride, 2).repeat_interleave(stride, 3)

    def _reorg(
        self, section: CfgSection, inputs: Sequence[Tensor], of: Mapping[str, Tensor]
    ) -> Tensor:
        """Where each number comes from, by its place in memory: Darknet's four loops at once."""
        x = _image(inputs[0])
        s = section.integer("stride", 1)
        _, channels, height, width = x.shape
        fewer = channels // s**2
        k = torch.arange(channels)[:, None, None]
        j, i = torch.arange(height)[:, None], torch.arange(width)
        offset = k // fewer
        row, column = j * s + offset // s, i * s + offset % s
        source = column + width * s * (row + height * s * (k % fewer))
        moved = x.flatten(1)[:, source.flatten()]
        return moved.reshape(len(x), channels * s**2, height // s, width // s)


def _strides(section: CfgSection) -> tuple[int, int]:
    both = section.integer("stride", 1)
    return section.integer("stride_y", both), section.integer("stride_x", both)


def _image(x: Tensor) -> Tensor:
    """Darknet's vectors are images with one position."""
    return x[:, :, None, None] if x.dim() == 2 else x
