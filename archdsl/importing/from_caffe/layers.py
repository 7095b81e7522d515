"""The layers of Caffe that the language has, by type, with the fields of each that are read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from archdsl.importing.building import convolution
from archdsl.importing.errors import Refused
from archdsl.importing.from_caffe.building import (
    CaffeBuilder,
    LayerKind,
    along_axes,
    need_channels,
    of_one,
    plain,
)
from archdsl.importing.from_caffe.net import CaffeLayer
from archdsl.importing.from_caffe.prototxt import BadText, Message
from archdsl.layers import Layer, activation
from archdsl.layers.conv import Deconv
from archdsl.layers.dense import Flatten, FullyConnected
from archdsl.layers.merge import Add, Concat, Maximum, Multiply, Subtract
from archdsl.layers.norm import BatchNorm, LocalResponseNorm
from archdsl.layers.plumbing import Pad, Reshape
from archdsl.layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from archdsl.layers.rearrangement import LayerScale, Scale, Slice
from archdsl.layers.regularization import Dropout
from archdsl.layers.volume import Volume

# ── Convolutions ─────────────────────────────────────────────────────────────────────────────

_WINDOW = "kernel_size kernel_h kernel_w stride stride_h stride_w pad pad_h pad_w"
_CONVOLUTION = f"num_output bias_term dilation group axis {_WINDOW}"


def _convolution(made: CaffeBuilder, caffe: CaffeLayer, inputs: list[int]) -> Sequence[int]:
    (x,) = inputs
    params = caffe.message.message("convolution_param")
    need_channels(params, made.volume(x))
    window = along_axes(params, "kernel_size", None, 1)
    channels, groups = params.integer("num_output", least=1), params.integer("group", 1, 1)
    stride, padding = along_axes(params, "stride", 1, 1), along_axes(params, "pad", 0, 0)
    dilation = along_axes(params, "dilation", 1, 1)
    bias = params.flag("bias_term", True)
    layer: Layer
    if caffe.kind == "Deconvolution":
        layer = Deconv(window, channels, stride, padding, (0, 0), dilation, groups, bias)
    else:
        volume = made.builder.volume(x)
        layer = convolution(volume, window, channels, stride, padding, dilation, groups, bias)
    return [made.add(caffe, layer, x)]


def _inner_product(params: Message, x: Volume) -> Layer:
    need_channels(params, x)
    params.flag("transpose", False)
    return FullyConnected(params.integer("num_output", least=1), params.flag("bias_term", True))


# ── Pools ────────────────────────────────────────────────────────────────────────────────────


def _pool(params: Message, x: Volume) -> Layer:
    method = _enumerated(params, "pool", ("MAX", "AVE", "STOCHASTIC"))
    if method == "STOCHASTIC":
        raise Refused("stochastic pooling is not in the language")
    if params.flag("global_pooling", False):
        if params.fields.keys() & set(_WINDOW.split()) - {"stride", "pad"}:
            raise BadText(f"line {params.line}: `global_pooling` has no size")
        return GlobalMaxPool() if method == "MAX" else GlobalAveragePool()
    if x.is_vector:
        raise Refused(f"a pool needs an image, not a vector of {x}")
    kernel = along_axes(params, "kernel_size", None, 1)
    stride, padding = along_axes(params, "stride", 1, 1), along_axes(params, "pad", 0, 0)
    is_ceil = _enumerated(params, "round_mode", ("CEIL", "FLOOR")) == "CEIL"
    sizes = []
    for size, k, s, p in zip(x.spatial, kernel, stride, padding, strict=True):
        room = size + 2 * p - k
        if room < 0 or p >= k:
            raise Refused(f"a window of {k} with a padding of {p} does not fit into {x}")
        out = (-(-room // s) if is_ceil else room // s) + 1
        # With padding, a last window that would begin behind the input is left out.
        if any(padding) and (out - 1) * s >= size + p:
            out -= 1
        sizes.append(out)
    layer: Layer
    steps = None if stride == kernel else stride
    # Steps of 1 always end where the input does.
    is_ceil = is_ceil and stride != (1, 1)
    if method == "MAX":
        layer = MaxPool(kernel, steps, padding, is_ceil)
    else:
        # Caffe divides by the window's part within the padded input, as PyTorch does.
        layer = AveragePool(kernel, steps, padding, is_ceil)
    if layer.fitted((x,)).infer((x,)).spatial != tuple(sizes):
        raise Refused("a pool whose last window begins behind its input is not in the language")
    return layer


def _enumerated(params: Message, name: str, words: tuple[str, ...]) -> str:
    """A word of an enumeration, which may be written as its number; the first is the default."""
    found = params.scalars(name)
    text = found[0].text if found else words[0]
    if text.isdecimal() and int(text) < len(words):
        text = words[int(text)]
    if text not in words:
        raise BadText(f"line {params.line_of(name)}: `{name}` is one of {', '.join(words)}")
    return text


# ── Normalization ────────────────────────────────────────────────────────────────────────────


def _lrn(params: Message, x: Volume) -> Layer:
    if _enumerated(params, "norm_region", ("ACROSS_CHANNELS", "WITHIN_CHANNEL")) != (
        "ACROSS_CHANNELS"
    ):
        raise Refused("normalization within each channel is not in the language")
    size = params.integer("local_size", 5, 1)
    if size % 2 == 0:
        raise BadText(f"line {params.line_of('local_size')}: `local_size` is odd, not {size}")
    numbers = params.number("alpha", 1), params.number("beta", 0.75), params.number("k", 1)
    return LocalResponseNorm(size, *numbers)


def _batch_norm(params: Message, x: Volume) -> Layer:
    if not params.flag("use_global_stats", True):
        line = params.line_of("use_global_stats")
        raise Refused(
            f"normalization by the batch in evaluation (line {line}) is not in the language"
        )
    eps, fraction = params.number("eps", 1e-5), params.number("moving_average_fraction", 0.999)
    if eps <= 0:
        raise BadText(f"line {params.line_of('eps')}: `eps` is above 0")
    return BatchNorm(eps, round(1 - fraction, 12), affine=False)


def _scale(made: CaffeBuilder, caffe: CaffeLayer, inputs: list[int]) -> Sequence[int]:
    params = caffe.message.message("scale_param")
    x, volume = inputs[0], made.volume(inputs[0])
    has_bias = params.flag("bias_term", False)
    if len(inputs) == 2:
        return [_scaled_by(made, caffe, inputs, params, has_bias)]
    need_channels(params, volume)
    if params.integer("num_axes", 1, -1) != 1:
        raise Refused("a factor for each number is not in the language")
    before = made.makers.get(caffe.reads[0])
    is_only_reader = made.readers[caffe.reads[0]] == 1 and caffe.reads[0] not in made.results
    if before is not None and before.kind == "BatchNorm" and is_only_reader and has_bias:
        norm = made.builder.operations[x].layer
        assert isinstance(norm, BatchNorm)
        made.builder.change(x, BatchNorm(norm.eps, norm.momentum))
        made.owners[caffe.makes[0]] = x
        return [x]
    return [made.add(caffe, Scale() if has_bias else LayerScale(1.0), x)]


def _scaled_by(
    made: CaffeBuilder, caffe: CaffeLayer, inputs: list[int], params: Message, has_bias: bool
) -> int:
    """A factor that is computed: one for each channel, as in SENet, or for each number."""
    x, factor = inputs
    volume, own = made.volume(x), made.volume(factor)
    axis = params.integer("axis", 1, -4)
    if has_bias or axis != 0 or own not in (volume, Volume.vector(volume.channels)):
        raise Refused(f"a factor of {own} for {volume} at axis {axis} is not in the language")
    if own != volume:
        factor = made.add(caffe, Reshape((1,) * volume.rank + (volume.channels,)), factor)
    return made.add(caffe, Multiply(), x, factor)


# ── Merges ───────────────────────────────────────────────────────────────────────────────────


def _eltwise(made: CaffeBuilder, caffe: CaffeLayer, inputs: list[int]) -> Sequence[int]:
    params = caffe.message.message("eltwise_param")
    factors = params.numbers("coeff") or [1.0] * len(inputs)
    if len(factors) != len(inputs):
        raise BadText(f"line {params.line_of('coeff')}: each bottom has one `coeff`")
    operation = (
        _enumerated(params, "operation", ("PROD", "SUM", "MAX"))
        if ("operation" in params)
        else "SUM"
    )
    layer: Layer = {"PROD": Multiply, "SUM": Add, "MAX": Maximum}[operation]()
    if operation == "SUM" and set(factors) != {1.0}:
        if sorted(factors) != [*[-1.0] * (len(inputs) - 1), 1.0]:
            shown = ", ".join(f"{factor:g}" for factor in factors)
            raise Refused(f"a sum with the factors {shown} is not in the language")
        first = factors.index(1.0)
        layer = Subtract()
        inputs = [inputs[first], *inputs[:first], *inputs[first + 1 :]]
    if len({made.volume(of) for of in inputs}) > 1:
        shown = ", ".join(str(made.volume(of)) for of in inputs)
        raise Refused(f"its bottoms have other sizes: {shown}")
    return [made.add(caffe, layer, *inputs)]


def _concat(made: CaffeBuilder, caffe: CaffeLayer, inputs: list[int]) -> Sequence[int]:
    params = caffe.message.message("concat_param")
    need_channels(
        params, made.volume(inputs[0]), "concat_dim" if "concat_dim" in params else "axis"
    )
    return inputs if len(inputs) == 1 else [made.add(caffe, Concat(), *inputs)]


def _slice(made: CaffeBuilder, caffe: CaffeLayer, inputs: list[int]) -> Sequence[int]:
    (x,) = inputs
    volume, count = made.volume(x), len(caffe.makes)
    params = caffe.message.message("slice_param")
    need_channels(params, volume, "slice_dim" if "slice_dim" in params else "axis")
    points = params.integers("slice_point", 1)
    if not points:
        if volume.channels % count:
            raise BadText(f"{caffe.place}: {volume.channels} channels are no {count} equal parts")
        points = [volume.channels // count * (i + 1) for i in range(count - 1)]
    ends = [0, *points, volume.channels]
    if len(ends) != count + 1 or sorted(set(ends)) != ends:
        line = params.line_of("slice_point")
        raise BadText(f"line {line}: `slice_point` does not part {volume.channels} in {count}")
    if count == 1:
        return [x]
    return [made.add(caffe, Slice(*pair), x) for pair in pairwise(ends)]


# ── Shapes ───────────────────────────────────────────────────────────────────────────────────


def _flatten(params: Message, x: Volume) -> Layer | None:
    need_channels(params, x)
    if params.integer("end_axis", -1, -4) not in (-1, x.rank + 1):
        raise Refused("a part of the axes in a row is not in the language")
    return None if x.is_vector else Flatten()


def _reshape(params: Message, x: Volume) -> Layer | None:
    if params.integer("axis", 0, -4) or params.integer("num_axes", -1, -1) != -1:
        raise Refused("a new shape of some axes is not in the language")
    sizes = params.message("shape").integers("dim", -1)
    old = (None, *x.torch_sizes)
    if len(sizes) not in (2, 4) or sizes[0] not in (0, -1):
        raise Refused("a new shape other than N×C×H×W or N×C is not in the language")
    if any(size == 0 and at >= len(old) for at, size in enumerate(sizes)):
        raise BadText(f"line {params.line}: `dim: 0` stands for a size that is not there")
    known = [old[at] if size == 0 else size for at, size in enumerate(sizes)][1:]
    rest = 1
    for size in known:
        rest *= size if size is not None and size > 0 else 1
    if known.count(-1) > (sizes[0] == 0) or x.elements % rest:
        raise BadText(f"line {params.line}: {x} has no such shape")
    channels, *spatial = [x.elements // rest if size == -1 else size or 1 for size in known]
    volume = Volume.along(spatial, channels)
    if volume == x:
        return None
    return Flatten() if volume.is_vector else Reshape(volume.sizes)


def _crop(made: CaffeBuilder, caffe: CaffeLayer, inputs: list[int]) -> Sequence[int]:
    """Rows and columns cut off on each side, which is all that the second blob is read for."""
    volume, wanted = map(made.volume, inputs)
    params = caffe.message.message("crop_param")
    axis = params.integer("axis", 2, -4) % 4
    if axis < 2 or not volume.is_image or not wanted.is_image:
        raise Refused("it crops other axes than height and width")
    offsets = params.integers("offset") or [0]
    if len(offsets) not in (1, 4 - axis):
        raise BadText(f"line {params.line_of('offset')}: {len(offsets)} of `offset`")
    starts = [offsets[0], offsets[-1]] if axis == 2 else [0, offsets[0]]
    sizes = wanted.spatial if axis == 2 else (volume.height, wanted.width)
    sides = []
    for own, size, start in zip(volume.spatial, sizes, starts, strict=True):
        if start + size > own:
            raise BadText(f"{caffe.place}: {size} from {start} on do not fit into {own}")
        sides.append((-start, start + size - own))
    (top, bottom), (left, right) = sides
    cut = (left, right, top, bottom)
    return [made.add(caffe, Pad(cut), inputs[0])] if any(cut) else inputs[:1]


# ── Activations ──────────────────────────────────────────────────────────────────────────────


def _relu(params: Message, x: Volume) -> Layer:
    slope = params.number("negative_slope", 0)
    return activation.LeakyReLU(slope) if slope else activation.ReLU()


def _prelu(params: Message, x: Volume) -> Layer:
    return activation.PReLU(1 if params.flag("channel_shared", False) else x.channels)


def _swish(params: Message, x: Volume) -> Layer:
    if params.number("beta", 1) != 1:
        raise Refused("`beta` of a swish is not in the language")
    return activation.SiLU()


def _clip(params: Message, x: Volume) -> Layer:
    return activation.HardTanh(params.number("min", -3.4e38), params.number("max", 3.4e38))


def _softmax(params: Message, x: Volume) -> Layer:
    need_channels(params, x)
    return activation.Softmax()


def _dropout(params: Message, x: Volume) -> Layer:
    rate = params.number("dropout_ratio", 0.5)
    if not 0 <= rate < 1:
        line = params.line_of("dropout_ratio")
        raise BadText(f"line {line}: `dropout_ratio` is at least 0 and below 1, not {rate:g}")
    return Dropout(rate)


def _power(params: Message, x: Volume) -> None:
    numbers = params.number("power", 1), params.number("scale", 1), params.number("shift", 0)
    if numbers != (1, 1, 0):
        raise Refused("a power, a factor or a sum with a number is not in the language")


def _split(made: CaffeBuilder, caffe: CaffeLayer, inputs: list[int]) -> Sequence[int]:
    return inputs * len(caffe.makes)


KINDS: dict[str, LayerKind] = {
    "Convolution": LayerKind(_convolution, "convolution_param", frozenset(_CONVOLUTION.split())),
    "Deconvolution": LayerKind(_convolution, "convolution_param", frozenset(_CONVOLUTION.split())),
    "InnerProduct": of_one(
        "inner_product_param", "num_output bias_term axis transpose", _inner_product
    ),
    "Pooling": of_one("pooling_param", f"pool global_pooling round_mode {_WINDOW}", _pool),
    "LRN": of_one("lrn_param", "local_size alpha beta norm_region k", _lrn),
    "BatchNorm": of_one(
        "batch_norm_param", "use_global_stats moving_average_fraction eps", _batch_norm
    ),
    "Scale": LayerKind(_scale, "scale_param", frozenset({"axis", "num_axes", "bias_term"})),
    "Eltwise": LayerKind(_eltwise, "eltwise_param", frozenset({"operation", "coeff"}), (2, 1000)),
    "Concat": LayerKind(_concat, "concat_param", frozenset({"axis", "concat_dim"}), (1, 1000)),
    "Slice": LayerKind(_slice, "slice_param", frozenset({"axis", "slice_dim", "slice_point"})),
    "Split": LayerKind(_split),
    "Flatten": of_one("flatten_param", "axis end_axis", _flatten),
    "Reshape": of_one("reshape_param", "shape axis num_axes", _reshape),
    "Crop": LayerKind(_crop, "crop_param", frozenset({"axis", "offset"}), (2, 2)),
    "ReLU": of_one("relu_param", "negative_slope", _relu),
    "PReLU": of_one("prelu_param", "channel_shared", _prelu),
    "ELU": of_one("elu_param", "alpha", lambda of, x: activation.ELU(of.number("alpha", 1))),
    "Sigmoid": plain(activation.Sigmoid, "sigmoid_param"),
    "TanH": plain(activation.Tanh, "tanh_param"),
    "BNLL": plain(activation.Softplus),
    "AbsVal": plain(activation.AbsoluteValue),
    "Swish": of_one("swish_param", "beta", _swish),
    "Clip": of_one("clip_param", "min max", _clip),
    "Softmax": of_one("softmax_param", "axis", _softmax),
    "Dropout": of_one("dropout_param", "dropout_ratio", _dropout),
    "Power": of_one("power_param", "power scale shift", _power),
}
