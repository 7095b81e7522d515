"""Files of weights as Darknet writes them: a header, then numbers in the order of the sections."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import prod

from torch import Tensor, tensor

from archdsl.importing.building import floats, weights_of
from archdsl.importing.errors import WrongSource
from archdsl.layers import Layer
from archdsl.layers.dense import FullyConnected
from archdsl.layers.norm import BatchNorm
from archdsl.layers.volume import Volume

_STATISTICS = ("weight", "running_mean", "running_var")


def load_darknet(
    data: bytes,
    name: str,
    layers: Sequence[tuple[int, Layer, Volume]],
    numbers: Mapping[int, int],
) -> dict[int, dict[str, Tensor]]:
    """The weights of the layers with weights, in the order of the file, by their new numbers.

    A convolution with batch normalization has biases, scales, means and variances before its
    weights; what is connected has its weights before the last three.

    Errors:
        WrongSource: where the file is not as long as its configuration makes it.
    """
    start, is_transposed = _header(data, name)
    order = [*_in_order(layers)]
    wanted = sum(prod(sizes) for _, _, sizes, _ in order)
    if len(data) - start != 4 * wanted:
        found = (len(data) - start) / 4
        raise WrongSource(
            f"{name}: its configuration has {wanted:,} weights, and the file of weights {found:,g}"
        )
    state: dict[int, dict[str, Tensor]] = {}
    view = memoryview(data)
    for of, key, sizes, layer in order:
        end = start + 4 * prod(sizes)
        values = floats(view[start:end], f"{name}: the file of weights")
        start = end
        if of not in numbers:
            continue  # what leads to no result
        if is_transposed and isinstance(layer, FullyConnected) and key == "weight":
            values = values.reshape(sizes[::-1]).t().contiguous()
        own = state.setdefault(numbers[of], {})
        own[key] = values.reshape(sizes)
        if isinstance(layer, BatchNorm):
            own["num_batches_tracked"] = tensor(0)
    return state


def _header(data: bytes, name: str) -> tuple[int, bool]:
    """Where the numbers begin, and whether matrices are transposed, as those of 2014 are."""
    if len(data) < 16:
        raise WrongSource(f"{name}: the file of weights ends within its header")
    major, minor, _ = struct.unpack_from("<iii", data)
    is_old = major > 1000 or minor > 1000
    # Images seen so far: 8 bytes since version 0.2.
    return (20 if major * 10 + minor >= 2 and not is_old else 16), is_old


def _in_order(
    layers: Sequence[tuple[int, Layer, Volume]],
) -> list[tuple[int, str, tuple[int, ...], Layer]]:
    """Each tensor of the file: its operation, its name, its sizes, and the layer it is of."""
    order = []
    for index, (of, layer, x) in enumerate(layers):
        if isinstance(layer, BatchNorm):
            continue
        sizes = weights_of(layer, x)
        weight = (of, "weight", sizes["weight"], layer)
        if "bias" in sizes:
            order += [(of, "bias", sizes["bias"], layer), weight]
            continue
        norm, bn, volume = layers[index + 1]
        own = weights_of(bn, volume)
        statistics = [(norm, key, own[key], bn) for key in _STATISTICS]
        bias = (norm, "bias", own["bias"], bn)
        is_connected = isinstance(layer, FullyConnected)
        order += [bias, weight, *statistics] if is_connected else [bias, *statistics, weight]
    return order
