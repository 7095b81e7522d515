"""What layers make of volumes, said once more from docs/language.md and PyTorch's documentation.

A volume is a tuple: height, width and channels of an image, or the units of a vector.
"""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

Volume: TypeAlias = tuple[int, ...]


class Illegal(Exception):
    """The language does not allow this here."""


def need(holds: bool, reason: str) -> None:
    if not holds:
        raise Illegal(reason)


#: Arguments by place.
POSITIONS = {
    **dict.fromkeys(["conv", "deconv"], ("kernel_size", "out_channels")),
    **dict.fromkeys(["dwconv", "maxpool", "avgpool"], ("kernel_size",)),
    **dict.fromkeys(["fc", "linear"], ("out_features",)),
    **dict.fromkeys(["dropout", "droppath"], ("p",)),
    "adaptiveavgpool": ("output_size",),
    "upsample": ("scale_factor",),
    "pixelshuffle": ("upscale_factor",),
    "channelshuffle": ("groups",),
    "gn": ("num_groups",),
    "lrn": ("size",),
    "reshape": ("sizes",),
    "take": ("channels",),
    "pad": ("sides",),
    "slice": ("start", "stop"),
}
VARIADIC = {"take", "pad"}
FLAGS = {"same": ("padding", "same"), "nobias": ("bias", False), "ceil": ("ceil_mode", True)}
LETTERS = {"s": "stride", "p": "padding", "d": "dilation", "g": "groups"}
PAIRS = {"kernel_size", "stride", "dilation", "output_size", "scale_factor"}
SHIFTS = {"padding", "output_padding"}
COUNTS = {"out_channels", "out_features", "groups", "num_groups", "size", "num_parameters"}
COUNTS |= {"upscale_factor"}
RATES = {"p"}
NUMBERS = {"alpha", "beta", "k", "negative_slope", "eps", "momentum"}
NUMBERS |= {"min_val", "max_val", "threshold"}
BOOLEANS = {"bias", "affine", "count_include_pad", "ceil_mode"}
ACTIVATIONS = (
    *("relu", "relu6", "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "leakyrelu"),
    *("elu", "gelu", "softmax", "prelu"),
    *("selu", "mish", "softplus", "hardtanh", "logsoftmax"),
)
MERGES = ("concat", "add", "sub", "max", "mul")


def convert(field: str, value: Any) -> Any:
    """A value as a field takes it; types are part of values, so ``true`` is no 1."""
    if field in PAIRS:
        return _pair(value, 1)
    if field in SHIFTS:
        return value if value == "same" else _pair(value, 0)
    if field in COUNTS:
        return _whole(value, 1)
    if field in RATES | NUMBERS:
        need(isinstance(value, (int, float)) and not isinstance(value, bool), "a number")
        need(field not in RATES or 0 <= value < 1, "a rate")
        need(field != "eps" or value > 0, "a positive number")
        need(field != "beta" or value > 0, "a positive number")
        return float(value)
    if field in BOOLEANS:
        need(isinstance(value, bool), "true or false")
    if field in ("start", "stop"):
        return _whole(value, int(field == "stop"))
    if field == "sizes":
        sizes = value if isinstance(value, tuple) else (value,)
        need(len(sizes) in (1, 3), "a volume")
        return tuple(_whole(size, 1) for size in sizes)
    if field == "channels":
        return tuple(_whole(index, 0) for index in value)
    if field == "sides":
        need(len(value) in (1, 4) and any(value), "sides")
        sides = tuple(_whole(side, 0) for side in value)
        return sides * 4 if len(sides) == 1 else sides
    return value


def _whole(value: Any, minimum: int) -> int:
    need(isinstance(value, int) and not isinstance(value, bool), "a whole number")
    need(value >= minimum, f"at least {minimum}")
    return int(value)


def _pair(value: Any, minimum: int) -> tuple[int, int]:
    if isinstance(value, tuple):
        need(len(value) == 2, "a size")
        return _whole(value[0], minimum), _whole(value[1], minimum)
    return _whole(value, minimum), _whole(value, minimum)


def infer(word: str, args: dict[str, Any], inputs: tuple[Volume, ...]) -> Volume:
    """The volume of a layer's result. Errors: ``Illegal``."""
    if word in MERGES:
        return _merge(word, inputs)
    (x,) = inputs
    match word:
        case "fc":
            return (args["out_features"],)
        case "linear":
            return (*x[:-1], args["out_features"])
        case "flatten":
            return (prod(x),)
        case "reshape":
            need(prod(args["sizes"]) == prod(x), "reshape keeps the numbers")
            return args["sizes"]
        case "take":
            need(all(index < x[-1] for index in args["channels"]), "take: no such channel")
            return (*x[:-1], len(args["channels"]))
        case "slice":
            stop = args.get("stop", x[-1])
            need(args["start"] < stop <= x[-1], "slice: no such channels")
            return (*x[:-1], stop - args["start"])
        case "hardtanh":
            need(args.get("min_val", -1.0) < args.get("max_val", 1.0), "hardtanh: nothing between")
            return x
        case "gn":
            need(x[-1] % args["num_groups"] == 0, "gn: groups")
            return x
        case "prelu":
            need(args.get("num_parameters", 1) in (1, x[-1]), "prelu: slopes")
            return x
        case "id" | "bn" | "ln" | "dropout" | "droppath":
            return x
    if word in ACTIVATIONS:
        return x
    need(len(x) == 3, f"{word} needs an image")
    return _of_image(word, args, x)


def _of_image(word: str, args: dict[str, Any], x: Volume) -> Volume:
    height, width, channels = x
    match word:
        case "conv" | "dwconv" | "deconv":
            out = channels if word == "dwconv" else args.get("out_channels") or channels
            groups = channels if word == "dwconv" else args.get("groups", 1)
            need(channels % groups == 0 and out % groups == 0, "groups")
            grow = _deconv if word == "deconv" else _slide
            return (*grow(args, x, args.get("stride", (1, 1))), out)
        case "maxpool" | "avgpool":
            return (*_pool(word, args, x), channels)
        case "gap" | "gmp":
            return (1, 1, channels)
        case "adaptiveavgpool":
            return (*args["output_size"], channels)
        case "upsample":
            a, b = args["scale_factor"]
            return (height * a, width * b, channels)
        case "pixelshuffle":
            r = args["upscale_factor"]
            need(channels % (r * r) == 0, "pixelshuffle: channels")
            return (height * r, width * r, channels // (r * r))
        case "channelshuffle":
            need(channels % args["groups"] == 0, "channelshuffle: groups")
            return x
        case "pad":
            left, right, top, bottom = args["sides"]
            return (height + top + bottom, width + left + right, channels)
        case "crop":
            rows, columns = args["sizes"]
            need(rows <= height and columns <= width, "crop: too small")
            return (rows, columns, channels)
        case "in":
            need(height * width > 1, "in: one position")
            return x
        case "scale" | "lrn":
            return x
    raise AssertionError(word)


def _sides(args: dict[str, Any], x: Volume, stride: tuple[int, int]) -> list[tuple[int, int]]:
    """Padding before and after, for each axis."""
    padding = args.get("padding", (0, 0))
    if padding != "same":
        return [(p, p) for p in padding]
    sides = []
    for size, k, s, d in zip(x, args["kernel_size"], stride, _dilation(args), strict=False):
        total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        sides.append((total // 2, total - total // 2))
    return sides


def _dilation(args: dict[str, Any]) -> tuple[int, int]:
    return args.get("dilation", (1, 1))


def _slide(args: dict[str, Any], x: Volume, stride: tuple[int, int]) -> tuple[int, ...]:
    result = []
    axes = (x, args["kernel_size"], stride, _dilation(args), _sides(args, x, stride))
    windows = zip(*axes, strict=False)
    for size, k, s, d, (before, after) in windows:
        room = size + before + after - d * (k - 1) - 1
        need(room >= 0, "a window larger than its input")
        out = room // s + 1
        is_more = args.get("ceil_mode", False) and room % s and out * s < size + before
        result.append(out + bool(is_more))
    return tuple(result)


def _pool(word: str, args: dict[str, Any], x: Volume) -> tuple[int, ...]:
    stride = args.get("stride") or args["kernel_size"]
    if args.get("padding", (0, 0)) != "same":
        paddings = zip(args.get("padding", (0, 0)), args["kernel_size"], strict=True)
        need(all(p <= k // 2 for p, k in paddings), "a pool's padding")
    if word == "avgpool" and not args.get("count_include_pad", True):
        is_even = all(before == after for before, after in _sides(args, x, stride))
        need(is_even, "avgpool: unequal sides do not count")
    return _slide(args, x, stride)


def _deconv(args: dict[str, Any], x: Volume, stride: tuple[int, int]) -> tuple[int, ...]:
    result = []
    padding, more = args.get("padding", (0, 0)), args.get("output_padding", (0, 0))
    need(padding != "same", "deconv has no `same`")
    windows = zip(x, args["kernel_size"], stride, _dilation(args), padding, more, strict=False)
    for size, k, s, d, p, o in windows:
        need(o < max(s, d), "output padding")
        result.append((size - 1) * s - 2 * p + d * (k - 1) + o + 1)
    need(min(result) >= 1, "nothing left")
    return tuple(result)


def _merge(word: str, inputs: tuple[Volume, ...]) -> Volume:
    first = inputs[0]
    if word == "concat":
        need(len({x[:-1] for x in inputs}) == 1, "concat: sizes differ")
        return (*first[:-1], sum(x[-1] for x in inputs))
    largest = max(inputs, key=prod)
    factor = (1, 1, largest[-1]) if len(largest) == 3 else None
    fits = {largest, factor} if word == "mul" else {largest}
    need(set(inputs) <= fits, f"{word}: volumes differ")
    return largest
