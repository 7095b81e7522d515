"""PyTorch's modules as layers of the language, by class, and the functions that do the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import nn

from archdsl.importing.building import convolution
from archdsl.importing.errors import Refused
from archdsl.importing.from_torch.helpers import helper_layer
from archdsl.layers import Layer, activation
from archdsl.layers.conv import Deconv
from archdsl.layers.dense import FullyConnected, Linear
from archdsl.layers.norm import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LocalResponseNorm,
    RMSNorm,
)
from archdsl.layers.plumbing import Identity, Pad, Upsample
from archdsl.layers.pool import (
    AdaptiveAveragePool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
)
from archdsl.layers.rearrangement import ChannelShuffle, PixelShuffle, PixelUnshuffle
from archdsl.layers.regularization import Dropout
from archdsl.layers.volume import Volume


def layer_of(module: nn.Module, x: Volume) -> Layer:
    """The layer that a module is, behind a volume. Errors: ``Refused``."""
    kind = type(module)
    helper = helper_layer(module, x)
    if helper is not None:
        return helper
    if kind not in TABLE:
        raise Refused(f"`{_name(kind)}` is not in the language")
    rank = re.search(r"(\d)d$", kind.__name__)
    if rank and int(rank[1]) != max(x.rank, 1):  # batch normalization takes vectors as well
        raise Refused(f"`{_name(kind)}` on {x} is not in the language")
    layer = TABLE[kind](module, x)
    wanted = x.elements if isinstance(layer, FullyConnected) else x.channels
    for name in ("in_channels", "in_features", "num_features", "num_channels"):
        found = getattr(module, name, wanted)
        if found != wanted:
            raise Refused(f"its {name} are {found}, and {wanted} flow in from {x}")
    return layer


def _name(kind: type) -> str:
    place = kind.__module__
    return f"nn.{kind.__name__}" if place.startswith("torch.nn.") else f"{place}.{kind.__name__}"


def need(module: object, **values: object) -> None:
    """Refuse a module whose attributes are others than the language's layer has."""
    for name, value in values.items():
        if getattr(module, name) != value:
            shown = f"{name}={getattr(module, name)!r}"
            raise Refused(f"`{_name(type(module))}` with {shown} is not in the language")


def axes(value: Any, rank: int) -> tuple[int, ...]:
    """A size of a module as one number for each axis."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * rank


def _conv(module: Any, x: Volume) -> Layer:
    need(module, padding_mode="zeros")
    rank = x.rank
    kernel, stride = axes(module.kernel_size, rank), axes(module.stride, rank)
    dilation, bias = axes(module.dilation, rank), module.bias is not None
    padding: Any = module.padding
    if padding == "same":
        padding = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
        if any(k % 2 == 0 for k in kernel):
            padding = "same"
    else:
        padding = axes(0 if padding == "valid" else padding, rank)
    return convolution(
        x, kernel, module.out_channels, stride, padding, dilation, module.groups, bias
    )


def _deconv(module: Any, x: Volume) -> Layer:
    need(module, padding_mode="zeros")
    rank = x.rank
    return Deconv(
        kernel_size=axes(module.kernel_size, rank),
        out_channels=module.out_channels,
        stride=axes(module.stride, rank),
        padding=axes(module.padding, rank),
        output_padding=axes(module.output_padding, rank),
        dilation=axes(module.dilation, rank),
        groups=module.groups,
        bias=module.bias is not None,
    )


def normalization(module: Any, x: Volume) -> Layer:
    """Batch normalization, whatever else its class does."""
    need(module, track_running_stats=True)
    if module.momentum is None:
        raise Refused(f"`{_name(type(module))}` with a cumulative average is not in the language")
    return BatchNorm(module.eps, module.momentum, module.affine)


def _max_pool(module: Any, x: Volume) -> Layer:
    need(module, return_indices=False)
    kernel, stride = axes(module.kernel_size, x.rank), axes(module.stride, x.rank)
    return MaxPool(
        kernel_size=kernel,
        stride=None if stride == kernel else stride,
        padding=axes(module.padding, x.rank),
        dilation=axes(module.dilation, x.rank),
        ceil_mode=module.ceil_mode,
    )


def _average_pool(module: Any, x: Volume) -> Layer:
    if hasattr(module, "divisor_override"):  # which that of one axis lacks
        need(module, divisor_override=None)
    kernel, stride = axes(module.kernel_size, x.rank), axes(module.stride, x.rank)
    return AveragePool(
        kernel_size=kernel,
        stride=None if stride == kernel else stride,
        padding=axes(module.padding, x.rank),
        ceil_mode=module.ceil_mode,
        count_include_pad=module.count_include_pad,
    )


def _adaptive(one: type[Layer], more: Callable[[Any], Layer] | None) -> Callable[..., Layer]:
    def make(module: Any, x: Volume) -> Layer:
        if hasattr(module, "return_indices"):
            need(module, return_indices=False)
        wanted = axes(module.output_size, x.rank)
        sizes = tuple(s if w is None else w for s, w in zip(x.spatial, wanted, strict=True))
        if set(sizes) == {1}:
            return one()
        if more is None:
            raise Refused(f"`{_name(type(module))}` to {sizes} is not in the language")
        return more(sizes)

    return make


def _linear(module: Any, x: Volume) -> Layer:
    kind = FullyConnected if x.is_vector else Linear
    return kind(module.out_features, module.bias is not None)


def _plain(layer: type[Layer], *fields: str, **needed: object) -> Callable[..., Layer]:
    """A layer whose fields are attributes of the module, of the same names."""

    def make(module: Any, x: Volume) -> Layer:
        need(module, **needed)
        return layer(**{name: getattr(module, name) for name in fields})

    return make


def _layer_norm(module: Any, x: Volume) -> Layer:
    if module.normalized_shape != (x.channels,):
        sizes = (*module.normalized_shape,)
        raise Refused(f"`nn.LayerNorm` over {sizes} of {x} is not in the language")
    if not module.elementwise_affine or module.bias is None:
        raise Refused("`nn.LayerNorm` without weight or bias is not in the language")
    return LayerNorm(module.eps)


def _rms_norm(module: Any, x: Volume) -> Layer:
    if module.normalized_shape != (x.channels,):
        sizes = (*module.normalized_shape,)
        raise Refused(f"`nn.RMSNorm` over {sizes} of {x} is not in the language")
    need(module, elementwise_affine=True)
    if module.eps is None:
        raise Refused("`nn.RMSNorm` without an eps of its own is not in the language")
    return RMSNorm(module.eps)


def _pad(mode: str) -> Callable[..., Layer]:
    def make(module: Any, x: Volume) -> Layer:
        if mode == "zeros" and module.value != 0:
            raise Refused(f"padding with {module.value} is not in the language")
        sides = tuple(module.padding)
        return Pad(sides[:1] if len(set(sides)) == 1 else sides, mode)

    return make


def _upsample(module: Any, x: Volume) -> Layer:
    need(module, size=None, align_corners=None)
    factors = axes(module.scale_factor, x.rank)
    if any(factor != int(factor) for factor in factors):
        raise Refused(f"`nn.Upsample` by {module.scale_factor} is not in the language")
    return Upsample(tuple(map(int, factors)), module.mode)


TABLE: dict[type[nn.Module], Callable[[Any, Volume], Layer]] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _conv),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _deconv),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), normalization),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), _max_pool),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _average_pool),
    nn.AdaptiveAvgPool1d: _adaptive(GlobalAveragePool, AdaptiveAveragePool),
    nn.AdaptiveAvgPool2d: _adaptive(GlobalAveragePool, AdaptiveAveragePool),
    nn.AdaptiveAvgPool3d: _adaptive(GlobalAveragePool, AdaptiveAveragePool),
    nn.AdaptiveMaxPool1d: _adaptive(GlobalMaxPool, None),
    nn.AdaptiveMaxPool2d: _adaptive(GlobalMaxPool, None),
    nn.AdaptiveMaxPool3d: _adaptive(GlobalMaxPool, None),
    nn.Linear: _linear,
    nn.LocalResponseNorm: _plain(LocalResponseNorm, "size", "alpha", "beta", "k"),
    nn.GroupNorm: _plain(GroupNorm, "num_groups", "eps", "affine"),
    **dict.fromkeys(
        (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
        _plain(InstanceNorm, "eps", "affine", track_running_stats=False),
    ),
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _rms_norm,
    **dict.fromkeys((nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d), _pad("zeros")),
    **dict.fromkeys((nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d), _pad("zeros")),
    **dict.fromkeys((nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d), _pad("reflect")),
    **dict.fromkeys(
        (nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d), _pad("replicate")
    ),
    nn.Upsample: _upsample,
    nn.Dropout: _plain(Dropout, "p"),
    nn.Identity: _plain(Identity),
    nn.ReLU: _plain(activation.ReLU),
    nn.ReLU6: _plain(activation.ReLU6),
    nn.SiLU: _plain(activation.SiLU),
    nn.Hardswish: _plain(activation.HardSwish),
    nn.Hardsigmoid: _plain(activation.HardSigmoid),
    nn.Sigmoid: _plain(activation.Sigmoid),
    nn.Tanh: _plain(activation.Tanh),
    nn.Mish: _plain(activation.Mish),
    nn.SELU: _plain(activation.SELU),
    nn.ELU: _plain(activation.ELU, "alpha"),
    nn.LeakyReLU: _plain(activation.LeakyReLU, "negative_slope"),
    nn.PReLU: _plain(activation.PReLU, "num_parameters"),
    nn.GELU: _plain(activation.GELU, "approximate"),
    nn.Softplus: _plain(activation.Softplus, "beta", "threshold"),
    nn.Hardtanh: _plain(activation.HardTanh, "min_val", "max_val"),
    nn.Softmax: _plain(activation.Softmax),
    nn.LogSoftmax: _plain(activation.LogSoftmax),
    nn.PixelShuffle: _plain(PixelShuffle, "upscale_factor"),
    nn.PixelUnshuffle: _plain(PixelUnshuffle, "downscale_factor"),
    nn.ChannelShuffle: _plain(ChannelShuffle, "groups"),
}

#: Modules that do the same to each number, wherever it stands.
ELEMENTWISE: tuple[type[nn.Module], ...] = (
    nn.Dropout,
    nn.ReLU,
    nn.ReLU6,
    nn.SiLU,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.Tanh,
    nn.Mish,
    nn.SELU,
    nn.ELU,
    nn.LeakyReLU,
    nn.GELU,
    nn.Softplus,
    nn.Hardtanh,
)


def _function_of_max_pool(kind: Any) -> Callable[..., nn.Module]:
    """The function has its arguments in another order than the module."""

    def make(
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> nn.Module:
        made: nn.Module = kind(kernel_size, stride, padding, dilation, return_indices, ceil_mode)
        return made

    return make


#: Functions, and methods of tensors, that do what a module does.
FUNCTIONS: dict[str, Callable[..., nn.Module]] = {
    "relu": lambda inplace=False: nn.ReLU(),
    "relu_": nn.ReLU,
    "relu6": lambda inplace=False: nn.ReLU6(),
    "silu": lambda inplace=False: nn.SiLU(),
    "hardswish": lambda inplace=False: nn.Hardswish(),
    "hardsigmoid": lambda inplace=False: nn.Hardsigmoid(),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": lambda approximate="none": nn.GELU(approximate),
    "selu": lambda inplace=False: nn.SELU(),
    "mish": lambda inplace=False: nn.Mish(),
    "softplus": nn.Softplus,
    "hardtanh": nn.Hardtanh,
    "max_pool1d": _function_of_max_pool(nn.MaxPool1d),
    "max_pool2d": _function_of_max_pool(nn.MaxPool2d),
    "max_pool3d": _function_of_max_pool(nn.MaxPool3d),
    "avg_pool1d": nn.AvgPool1d,
    "avg_pool2d": nn.AvgPool2d,
    "avg_pool3d": nn.AvgPool3d,
    "adaptive_avg_pool1d": nn.AdaptiveAvgPool1d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "adaptive_avg_pool3d": nn.AdaptiveAvgPool3d,
    "adaptive_max_pool1d": nn.AdaptiveMaxPool1d,
    "adaptive_max_pool2d": nn.AdaptiveMaxPool2d,
    "adaptive_max_pool3d": nn.AdaptiveMaxPool3d,
    "local_response_norm": nn.LocalResponseNorm,
    "channel_shuffle": nn.ChannelShuffle,
    "pixel_shuffle": nn.PixelShuffle,
    "pixel_unshuffle": nn.PixelUnshuffle,
}
