"""The sections of Darknet's configurations that are read, with their options."""

from __future__ import annotations

from collections.abc import Callable

from archdsl.layers import Layer, activation

ACTIVATIONS: dict[str, Callable[[], Layer] | None] = {
    "linear": None,
    "leaky": lambda: activation.LeakyReLU(0.1),
    "relie": lambda: activation.LeakyReLU(0.01),
    "relu": activation.ReLU,
    "relu6": activation.ReLU6,
    "logistic": activation.Sigmoid,
    "tanh": activation.Tanh,
    "elu": activation.ELU,
    "hardtan": activation.HardTanh,
    "swish": activation.SiLU,
    "mish": activation.Mish,
}

#: Sections that compute boxes from a result.
HEADS = {"yolo", "region", "detection", "Gaussian_yolo"}

#: Shorter names of sections.
NAMES = {
    "network": "net",
    "conv": "convolutional",
    "conn": "connected",
    "max": "maxpool",
    "avg": "avgpool",
    "soft": "softmax",
}

#: Options of every section that concern training alone, and those that have to be off.
_TRAINING = (
    "truth onlyforward stopbackward dontsave learning_rate smooth train_only_bn burnin_update "
    "stream wait_stream show_details"
)
_OFF = "dontload dontloadscales numload"


def _options(read: str, off: str = "", **idle: str) -> dict[str, str | None]:
    """Options: None for those that are read, else the one value that is."""
    names: dict[str, str | None] = dict.fromkeys(f"{read} {_TRAINING}".split())
    return names | dict.fromkeys(f"{off} {_OFF}".split(), "0") | idle


OPTIONS = {
    "convolutional": _options(
        "filters size stride stride_x stride_y pad padding groups dilation activation "
        "batch_normalize angle grad_centr dot",
        "antialiasing assisted_excitation cbn binary xnor bin_output sway rotate stretch "
        "stretch_sway flipped reverse coordconv",
    ),
    "maxpool": _options(
        "size stride stride_x stride_y padding",
        "maxpool_depth antialiasing maxpool_zero_nonmax",
        out_channels="1",
    ),
    "avgpool": _options(""),
    "connected": _options("output activation batch_normalize"),
    "dropout": _options("probability", "dropblock"),
    "softmax": _options("spatial noloss", groups="1", temperature="1"),
    "shortcut": _options(
        "from activation", alpha="1", beta="1", weights_type="none", weights_normalization="none"
    ),
    "scale_channels": _options("from activation", "scale_wh"),
    "sam": _options("from activation"),
    "route": _options("layers groups group_id"),
    "upsample": _options("stride", scale="1"),
    "reorg": _options("stride", "reverse flatten extra"),
    "activation": _options("activation"),
}
