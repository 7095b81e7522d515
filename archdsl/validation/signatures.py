"""PyTorch's signatures: what a call means once its defaults are filled in.

Each function has the parameters of PyTorch's own and returns them by name; a test compares them all
with those of the installed torch. ``device`` and ``dtype`` are left out: no emitted module may
choose them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

A: TypeAlias = Any
Bound: TypeAlias = dict[str, Any]
Signature: TypeAlias = Callable[..., Bound]

# ── torch.nn ─────────────────────────────────────────────────────────────────────────────────


def Conv2d(
    in_channels: A,
    out_channels: A,
    kernel_size: A,
    stride: A = 1,
    padding: A = 0,
    dilation: A = 1,
    groups: A = 1,
    bias: A = True,
    padding_mode: A = "zeros",
) -> Bound:
    return locals()


def ConvTranspose2d(
    in_channels: A,
    out_channels: A,
    kernel_size: A,
    stride: A = 1,
    padding: A = 0,
    output_padding: A = 0,
    groups: A = 1,
    bias: A = True,
    dilation: A = 1,
    padding_mode: A = "zeros",
) -> Bound:
    return locals()


def Linear(in_features: A, out_features: A, bias: A = True) -> Bound:
    return locals()


def Flatten(start_dim: A = 1, end_dim: A = -1) -> Bound:
    return locals()


def Unflatten(dim: A, unflattened_size: A) -> Bound:
    return locals()


def Identity(*args: A, **kwargs: A) -> Bound:
    # Takes anything and ignores it.
    return {}


def ReLU(inplace: A = False) -> Bound:
    return locals()


ReLU6 = SiLU = Hardswish = Hardsigmoid = SELU = Mish = ReLU


def Sigmoid() -> Bound:
    return {}


Tanh = Sigmoid


def Softplus(beta: A = 1.0, threshold: A = 20.0) -> Bound:
    return locals()


def Hardtanh(
    min_val: A = -1.0,
    max_val: A = 1.0,
    inplace: A = False,
    min_value: A = None,
    max_value: A = None,
) -> Bound:
    return locals()


def LeakyReLU(negative_slope: A = 0.01, inplace: A = False) -> Bound:
    return locals()


def PReLU(num_parameters: A = 1, init: A = 0.25) -> Bound:
    return locals()


def ELU(alpha: A = 1.0, inplace: A = False) -> Bound:
    return locals()


def GELU(approximate: A = "none") -> Bound:
    return locals()


def Softmax(dim: A = None) -> Bound:
    return locals()


LogSoftmax = Softmax


def MaxPool2d(
    kernel_size: A,
    stride: A = None,
    padding: A = 0,
    dilation: A = 1,
    return_indices: A = False,
    ceil_mode: A = False,
) -> Bound:
    stride = kernel_size if stride is None else stride
    return locals()


def AvgPool2d(
    kernel_size: A,
    stride: A = None,
    padding: A = 0,
    ceil_mode: A = False,
    count_include_pad: A = True,
    divisor_override: A = None,
) -> Bound:
    stride = kernel_size if stride is None else stride
    return locals()


def AvgPool1d(
    kernel_size: A,
    stride: A = None,
    padding: A = 0,
    ceil_mode: A = False,
    count_include_pad: A = True,
) -> Bound:
    stride = kernel_size if stride is None else stride
    return locals()


def AdaptiveAvgPool2d(output_size: A) -> Bound:
    return locals()


def AdaptiveMaxPool2d(output_size: A, return_indices: A = False) -> Bound:
    return locals()


def BatchNorm2d(
    num_features: A,
    eps: A = 1e-5,
    momentum: A = 0.1,
    affine: A = True,
    track_running_stats: A = True,
) -> Bound:
    return locals()


def InstanceNorm2d(
    num_features: A,
    eps: A = 1e-5,
    momentum: A = 0.1,
    affine: A = False,
    track_running_stats: A = False,
) -> Bound:
    return locals()


def LocalResponseNorm(size: A, alpha: A = 1e-4, beta: A = 0.75, k: A = 1.0) -> Bound:
    return locals()


def LayerNorm(
    normalized_shape: A, eps: A = 1e-5, elementwise_affine: A = True, bias: A = True
) -> Bound:
    return locals()


def RMSNorm(normalized_shape: A, eps: A = None, elementwise_affine: A = True) -> Bound:
    return {**locals(), "bias": False}


def Embedding(
    num_embeddings: A,
    embedding_dim: A,
    padding_idx: A = None,
    max_norm: A = None,
    norm_type: A = 2.0,
    scale_grad_by_freq: A = False,
    sparse: A = False,
    _weight: A = None,
    _freeze: A = False,
) -> Bound:
    return locals()


def LSTM(
    input_size: A,
    hidden_size: A,
    num_layers: A = 1,
    bias: A = True,
    batch_first: A = False,
    dropout: A = 0.0,
    bidirectional: A = False,
    proj_size: A = 0,
) -> Bound:
    return locals()


def GroupNorm(num_groups: A, num_channels: A, eps: A = 1e-5, affine: A = True) -> Bound:
    return locals()


def Dropout(p: A = 0.5, inplace: A = False) -> Bound:
    return locals()


def ZeroPad2d(padding: A) -> Bound:
    return locals()


ReflectionPad2d = ReplicationPad2d = ZeroPad2d


def ConstantPad2d(padding: A, value: A) -> Bound:
    return locals()


def Upsample(
    size: A = None,
    scale_factor: A = None,
    mode: A = "nearest",
    align_corners: A = None,
    recompute_scale_factor: A = None,
) -> Bound:
    return locals()


def PixelShuffle(upscale_factor: A) -> Bound:
    return locals()


def PixelUnshuffle(downscale_factor: A) -> Bound:
    return locals()


def ChannelShuffle(groups: A) -> Bound:
    return locals()


LAYERS: dict[str, Signature] = {
    "Conv2d": Conv2d,
    "ConvTranspose2d": ConvTranspose2d,
    "Linear": Linear,
    "Flatten": Flatten,
    "Unflatten": Unflatten,
    "Identity": Identity,
    "ReLU": ReLU,
    "ReLU6": ReLU6,
    "SiLU": SiLU,
    "Hardswish": Hardswish,
    "Hardsigmoid": Hardsigmoid,
    "SELU": SELU,
    "Mish": Mish,
    "Softplus": Softplus,
    "Hardtanh": Hardtanh,
    "Sigmoid": Sigmoid,
    "Tanh": Tanh,
    "LeakyReLU": LeakyReLU,
    "PReLU": PReLU,
    "ELU": ELU,
    "GELU": GELU,
    "Softmax": Softmax,
    "LogSoftmax": LogSoftmax,
    "MaxPool2d": MaxPool2d,
    "AvgPool2d": AvgPool2d,
    "AdaptiveAvgPool2d": AdaptiveAvgPool2d,
    "AdaptiveMaxPool2d": AdaptiveMaxPool2d,
    "BatchNorm1d": BatchNorm2d,
    "BatchNorm2d": BatchNorm2d,
    "InstanceNorm2d": InstanceNorm2d,
    "LocalResponseNorm": LocalResponseNorm,
    "LayerNorm": LayerNorm,
    "RMSNorm": RMSNorm,
    "Embedding": Embedding,
    "LSTM": LSTM,
    "GRU": LSTM,
    "GroupNorm": GroupNorm,
    "Dropout": Dropout,
    "ZeroPad2d": ZeroPad2d,
    "ReflectionPad2d": ReflectionPad2d,
    "ReplicationPad2d": ReplicationPad2d,
    "ConstantPad2d": ConstantPad2d,
    "Upsample": Upsample,
    "PixelShuffle": PixelShuffle,
    "PixelUnshuffle": PixelUnshuffle,
    "ChannelShuffle": ChannelShuffle,
}
_RANKED = """
    Conv ConvTranspose MaxPool AvgPool AdaptiveAvgPool AdaptiveMaxPool BatchNorm InstanceNorm
    ZeroPad ReflectionPad ReplicationPad ConstantPad
"""
# Those of 1-D and 3-D volumes have the parameters of the one for images.
for _name in _RANKED.split():
    LAYERS |= {f"{_name}{_rank}d": LAYERS[f"{_name}2d"] for _rank in (1, 3)}
LAYERS["AvgPool1d"] = AvgPool1d

#: Arguments in which PyTorch reads one number as all axes or sides.
_SQUARE = "kernel_size stride padding dilation output_padding output_size scale_factor"
SQUARE = frozenset(_SQUARE.split())

_BIASED = {"Linear", *(name for name in LAYERS if name.startswith("Conv"))}
_NORMS = {name for name in LAYERS if name.endswith(("Norm", "Norm1d", "Norm2d", "Norm3d"))}


def parameters_of(layer: str, bound: Bound) -> tuple[str, ...]:
    """The parameters that a layer of ``torch.nn`` has, in the order of its state dict."""
    if layer in ("LSTM", "GRU"):
        directions = ("", "_reverse") if bound["bidirectional"] else ("",)
        kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if bound["bias"] else ()))
        levels = range(bound["num_layers"])
        return tuple(f"{k}_l{n}{way}" for n in levels for way in directions for k in kinds)
    if layer in _BIASED:
        return ("weight", "bias") if bound["bias"] else ("weight",)
    if layer in _NORMS and bound.get("affine", bound.get("elementwise_affine")):
        return ("weight", "bias") if bound.get("bias", True) else ("weight",)
    return ("weight",) if layer in ("PReLU", "Embedding") else ()


def buffers_of(bound: Bound) -> tuple[str, ...]:
    """The buffers that a layer keeps besides its parameters: running statistics."""
    is_tracked = bound.get("track_running_stats", False)
    return ("running_mean", "running_var", "num_batches_tracked") if is_tracked else ()


def weight_shape(callee: str, arguments: Mapping[str, A]) -> tuple[int, ...]:
    """The shape of the weight of a convolution or a fully-connected layer, by its arguments."""
    if callee == "nn.Linear":
        return arguments["out_features"], arguments["in_features"]
    kernel = arguments["kernel_size"]
    axes = int(callee.removesuffix("d")[-1])
    window = (kernel,) * axes if type(kernel) is int else kernel[1:]
    channels = arguments["in_channels"] // arguments["groups"]
    return arguments["out_channels"], channels, *window


# ── torch.nn.init, and functions of tensors ──────────────────────────────────────────────────


def kaiming_normal_(
    tensor: A, a: A = 0, mode: A = "fan_in", nonlinearity: A = "leaky_relu", generator: A = None
) -> Bound:
    return locals()


kaiming_uniform_ = kaiming_normal_


def xavier_normal_(tensor: A, gain: A = 1.0, generator: A = None) -> Bound:
    return locals()


xavier_uniform_ = xavier_normal_


def normal_(tensor: A, mean: A = 0.0, std: A = 1.0, generator: A = None) -> Bound:
    return locals()


def uniform_(tensor: A, a: A = 0.0, b: A = 1.0, generator: A = None) -> Bound:
    return locals()


def trunc_normal_(
    tensor: A, mean: A = 0.0, std: A = 1.0, a: A = -2.0, b: A = 2.0, generator: A = None
) -> Bound:
    return locals()


def constant_(tensor: A, val: A) -> Bound:
    return locals()


def zeros_(tensor: A) -> Bound:
    return locals()


ones_ = zeros_

INITIALIZERS: dict[str, Signature] = {
    "kaiming_normal_": kaiming_normal_,
    "kaiming_uniform_": kaiming_uniform_,
    "xavier_normal_": xavier_normal_,
    "xavier_uniform_": xavier_uniform_,
    "normal_": normal_,
    "uniform_": uniform_,
    "trunc_normal_": trunc_normal_,
    "constant_": constant_,
    "zeros_": zeros_,
    "ones_": ones_,
}


def cat(tensors: A, dim: A = 0) -> Bound:
    return locals()


def flatten(input: A, start_dim: A = 0, end_dim: A = -1) -> Bound:
    return locals()


def unflatten(input: A, dim: A, sizes: A) -> Bound:
    return locals()


def scaled_dot_product_attention(
    query: A,
    key: A,
    value: A,
    attn_mask: A = None,
    dropout_p: A = 0.0,
    is_causal: A = False,
    scale: A = None,
    enable_gqa: A = False,
) -> Bound:
    return locals()


#: PyTorch's own are written in C, without a signature that Python can see.
FUNCTIONS: dict[str, Signature] = {
    "torch.cat": cat,
    "torch.concat": cat,
    "torch.flatten": flatten,
    "torch.stack": cat,
    "torch.unflatten": unflatten,
    "torch.nn.functional.scaled_dot_product_attention": scaled_dot_product_attention,
}
