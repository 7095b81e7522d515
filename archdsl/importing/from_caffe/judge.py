"""What a prototxt computes, layer by layer, by Caffe's own formulas.

It shares no line with what makes layers of the same prototxt: each is the judge of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from archdsl.importing.files import State
from archdsl.importing.from_caffe.net import CaffeLayer, CaffeNet
from archdsl.importing.from_caffe.prototxt import Message
from archdsl.layers.volume import Volume

_Weights = Mapping[str, Tensor]


class CaffeRun:
    """Computes the results of a network. Blobs have Caffe's shapes: N×C×H×W, or N×C."""

    def __init__(
        self, net: CaffeNet, owners: Mapping[int, int], volumes: Mapping[int, Volume]
    ) -> None:
        self.net = net
        self.owners = owners
        #: How large blobs are that are read for their size alone, and not computed otherwise.
        self.volumes = volumes
        #: The results, then those of the heads.
        self.results = [*net.outputs.values(), *(of for of, _ in net.heads)]
        self.layers = self._needed()

    def _needed(self) -> list[CaffeLayer]:
        wanted = set(self.results)
        found = []
        for layer in reversed(self.net.layers):
            if wanted & set(layer.makes):
                found.append(layer)
                wanted |= set(layer.reads[:1] if layer.kind == "Crop" else layer.reads)
        return found[::-1]

    @torch.no_grad()
    def __call__(self, images: Sequence[Tensor], state: State) -> list[Tensor]:
        kept = {*self.results}
        last = {of: layer for layer in self.layers for of in layer.reads}
        blobs = dict(zip(self.net.images, images, strict=True))
        for layer in self.layers:
            inputs = [blobs[of] if of in blobs else self._sized(of) for of in layer.reads]
            owner = self.owners.get(layer.makes[0])
            weights = {} if owner is None else state[owner]
            results = _COMPUTE[layer.kind](layer, inputs, weights)
            blobs.update(zip(layer.makes, results, strict=True))
            for of in {*layer.reads} - kept:
                if last[of] is layer:
                    blobs.pop(of, None)
        return [blobs[of] for of in self.results]

    def _sized(self, of: int) -> Tensor:
        return torch.empty((1, *self.volumes[of].torch_sizes), device="meta")


def _pair(params: Message, name: str, default: int) -> list[int]:
    stem = name.removesuffix("_size")
    if f"{stem}_h" in params or f"{stem}_w" in params:
        return [params.integer(f"{stem}_{axis}", default) for axis in "hw"]
    return (params.integers(name) or [default]) * (1 if len(params.integers(name)) == 2 else 2)


def _by_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (x.dim() - 2))


def _convolution(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    params = layer.message.message("convolution_param")
    stride, pad = _pair(params, "stride", 1), _pair(params, "pad", 0)
    dilation, groups = _pair(params, "dilation", 1), params.integer("group", 1)
    (x,) = inputs
    if layer.kind == "Deconvolution":
        y = F.conv_transpose2d(x, of["weight"], None, stride, pad, 0, groups, dilation)
    else:
        y = F.conv2d(x, of["weight"], None, stride, pad, dilation, groups)
    has_bias = params.flag("bias_term", True)
    return [y + _by_channel(of["bias"], y) if has_bias else y]


def _inner_product(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    y = torch.einsum("nk,mk->nm", inputs[0].flatten(1), of["weight"])
    has_bias = layer.message.message("inner_product_param").flag("bias_term", True)
    return [y + of["bias"] if has_bias else y]


def _pooling(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    """Each window by its start and its end, as in Caffe's loops."""
    params = layer.message.message("pooling_param")
    (x,) = inputs
    is_max = params.scalars("pool")[0].text in ("MAX", "0") if "pool" in params else True
    if params.flag("global_pooling", False):
        return [x.amax((2, 3), keepdim=True) if is_max else x.mean((2, 3), keepdim=True)]
    is_floor = "round_mode" in params and params.scalars("round_mode")[0].text in ("FLOOR", "1")
    kernel = _pair(params, "kernel_size", 1)
    stride, pad = _pair(params, "stride", 1), _pair(params, "pad", 0)
    windows = []
    for axis in (0, 1):
        size, k, s, p = x.shape[axis + 2], kernel[axis], stride[axis], pad[axis]
        room = size + 2 * p - k
        count = (room // s if is_floor else (room + s - 1) // s) + 1
        if any(pad) and (count - 1) * s >= size + p:
            count -= 1
        starts = [i * s - p for i in range(count)]
        windows.append([(start, min(start + k, size + p), size) for start in starts])
    # Rows first, then columns: both the largest number and the sum are those of the window.
    for axis, ends in enumerate(windows, start=2):
        parts = []
        for start, end, size in ends:
            own = x.narrow(axis, max(start, 0), min(end, size) - max(start, 0))
            whole = own.amax(axis) if is_max else own.sum(axis) / (end - start)
            parts.append(whole)
        x = torch.stack(parts, axis)
    return [x]


def _lrn(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    params = layer.message.message("lrn_param")
    (x,) = inputs
    size, half = params.integer("local_size", 5), params.integer("local_size", 5) // 2
    alpha, beta, k = params.number("alpha", 1), params.number("beta", 0.75), params.number("k", 1)
    squares = F.pad(x * x, (0, 0) * (x.dim() - 2) + (half, half))
    sums = squares.unfold(1, size, 1).sum(-1)
    return [x * (k + alpha / size * sums) ** -beta]


def _batch_norm(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    (x,) = inputs
    eps = layer.message.message("batch_norm_param").number("eps", 1e-5)
    deviation = (of["running_var"] + eps).sqrt()
    return [(x - _by_channel(of["running_mean"], x)) / _by_channel(deviation, x)]


def _scale(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    x, *factors = inputs
    if factors:
        (factor,) = factors
        return [x * factor.reshape(*factor.shape, *[1] * (x.dim() - factor.dim()))]
    y = x * _by_channel(of["weight"], x)
    has_bias = layer.message.message("scale_param").flag("bias_term", False)
    return [y + _by_channel(of["bias"], y) if has_bias else y]


def _eltwise(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    params = layer.message.message("eltwise_param")
    operation = params.scalars("operation")[0].text if "operation" in params else "SUM"
    together = torch.stack([*inputs])
    if operation in ("MAX", "2"):
        return [together.amax(0)]
    if operation in ("PROD", "0"):
        return [together.prod(0)]
    factors = torch.tensor(params.numbers("coeff") or [1.0] * len(inputs))
    return [torch.tensordot(factors, together, 1)]


def _slice(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    points = layer.message.message("slice_param").integers("slice_point")
    if points:
        return list(torch.tensor_split(inputs[0], points, 1))
    return list(inputs[0].chunk(len(layer.makes), 1))


def _reshape(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    sizes = layer.message.message("reshape_param").message("shape").integers("dim", -1)
    (x,) = inputs
    known = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return [x.reshape(known)]


def _crop(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    x, reference = inputs
    params = layer.message.message("crop_param")
    axis = params.integer("axis", 2, -4) % 4
    offsets = params.integers("offset") or [0]
    for index, at in enumerate(range(axis, 4)):
        start = offsets[index] if len(offsets) > 1 else offsets[0]
        x = x.narrow(at, start, reference.shape[at])
    return [x]


def _relu(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    slope = layer.message.message("relu_param").number("negative_slope", 0)
    return [inputs[0].clamp(min=0) + slope * inputs[0].clamp(max=0)]


def _prelu(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    (x,) = inputs
    return [x.clamp(min=0) + _by_channel(of["weight"], x) * x.clamp(max=0)]


def _elu(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    alpha = layer.message.message("elu_param").number("alpha", 1)
    return [inputs[0].clamp(min=0) + alpha * (inputs[0].clamp(max=0).exp() - 1)]


def _softmax(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    powers = (inputs[0] - inputs[0].amax(1, keepdim=True)).exp()
    return [powers / powers.sum(1, keepdim=True)]


def _clip(layer: CaffeLayer, inputs: Sequence[Tensor], of: _Weights) -> list[Tensor]:
    params = layer.message.message("clip_param")
    return [inputs[0].clamp(params.number("min", -3.4e38), params.number("max", 3.4e38))]


def _each(function: Callable[[Tensor], Tensor]) -> _Compute:
    return lambda layer, inputs, of: [function(inputs[0])]


_Compute = Callable[[CaffeLayer, Sequence[Tensor], _Weights], list[Tensor]]

_COMPUTE: dict[str, _Compute] = {
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "InnerProduct": _inner_product,
    "Pooling": _pooling,
    "LRN": _lrn,
    "BatchNorm": _batch_norm,
    "Scale": _scale,
    "Eltwise": _eltwise,
    "Concat": lambda layer, inputs, of: [torch.cat([*inputs], 1)],
    "Slice": _slice,
    "Split": lambda layer, inputs, of: [inputs[0]] * len(layer.makes),
    "Flatten": _each(lambda x: x.flatten(1)),
    "Reshape": _reshape,
    "Crop": _crop,
    "ReLU": _relu,
    "PReLU": _prelu,
    "ELU": _elu,
    "Sigmoid": _each(lambda x: 1 / (1 + (-x).exp())),
    "TanH": _each(torch.tanh),
    "BNLL": _each(lambda x: x.clamp(min=0) + (1 + (-x.abs()).exp()).log()),
    "AbsVal": _each(torch.abs),
    "Swish": _each(lambda x: x / (1 + (-x).exp())),
    "Clip": _clip,
    "Softmax": _softmax,
    "Dropout": _each(lambda x: x),
    "Power": _each(lambda x: x),
}
