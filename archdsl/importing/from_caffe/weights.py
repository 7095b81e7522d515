"""Weights as Caffe writes them: a ``NetParameter`` in protobuf's wire format.

Of the format only the few fields are read that hold names and numbers, each within its bounds: no
schema, and no other library, is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from archdsl.importing.building import floats, weights_of
from archdsl.importing.errors import WrongSource
from archdsl.importing.from_caffe.net import CaffeLayer
from archdsl.importing.graph import SourceGraph

#: Numbers of fields: of a net its layers, now and before 2014, with those of a layer's name and of
#: its blobs; of a blob its numbers.
_LAYERS = {100: (1, 7), 2: (4, 6)}
_DATA, _DOUBLES = 5, 8
#: Bytes of the kinds of values that have a fixed size.
_FIXED = {1: 8, 5: 4}


def load_caffe(
    data: bytes,
    graph: SourceGraph,
    layers: Sequence[CaffeLayer],
    owners: Mapping[int, int],
) -> dict[int, dict[str, Tensor]]:
    """The weights of the operations with weights, found by the names of their layers.

    Errors:
        WrongSource: where the file is none of Caffe, or lacks a layer, or has another size of it.
    """
    blobs = _read(data, graph.name)
    state: dict[int, dict[str, Tensor]] = {}
    for layer in layers:
        owner = owners.get(layer.makes[0])
        if owner is None:
            continue
        operation = graph.operations[owner]
        sizes = weights_of(operation.layer, graph.volume(operation.inputs[0]))
        if layer.name not in blobs:
            raise WrongSource(f"{graph.name}: the file of weights has no layer `{layer.name}`")
        own = state.setdefault(owner, {})
        for key, values in _named(layer, blobs[layer.name], graph.name).items():
            size = sizes.get(key, ())
            if values.numel() != math.prod(size):
                raise WrongSource(
                    f"{graph.name}: `{layer.name}` has {values.numel():,} numbers as its {key} in "
                    f"the file of weights, not {math.prod(size):,}"
                )
            own[key] = values.reshape(size)
        params = layer.message.message("inner_product_param")
        if params.flag("transpose", False):
            own["weight"] = own["weight"].reshape(sizes["weight"][::-1]).t().contiguous()
    names = {owners[o.makes[0]]: o.name for o in reversed(layers) if o.makes[0] in owners}
    for operation in graph.operations:
        wanted = weights_of(operation.layer, graph.volume(operation.inputs[0]))
        owner = graph.owners.get(operation.id, operation.id)
        missing = wanted.keys() - state.get(owner, {}).keys()
        if missing:
            keys = ", ".join(sorted(missing))
            what = f"`{names[operation.id]}` has no {keys}"
            raise WrongSource(f"{graph.name}: in the file of weights {what}")
    return state


def _named(layer: CaffeLayer, blobs: Sequence[Tensor], name: str) -> dict[str, Tensor]:
    """The blobs of a layer by PyTorch's names for them."""
    if layer.kind != "BatchNorm":
        return dict(zip(("weight", "bias"), blobs, strict=False))
    if len(blobs) != 3 or blobs[2].numel() != 1:
        raise WrongSource(f"{name}: `{layer.name}` has not three blobs in the file of weights")
    mean, variance, count = blobs
    # The sums of averages, and what they are to be divided by.
    factor = 0.0 if count.item() == 0 else 1 / count.item()
    statistics = {"running_mean": mean * factor, "running_var": variance * factor}
    return statistics | {"num_batches_tracked": torch.tensor(0)}


# ── The wire format ──────────────────────────────────────────────────────────────────────────


class _Broken(Exception):
    """A message that ends too early, or what is none."""


def _read(data: bytes, name: str) -> dict[str, list[Tensor]]:
    """The blobs of each layer by its name."""
    found: dict[str, list[Tensor]] = {}
    try:
        for number, value in _fields(memoryview(data)):
            if number in _LAYERS and isinstance(value, memoryview):
                layer, blobs = _layer(value, *_LAYERS[number], name)
                if blobs:
                    found[layer] = blobs
    except _Broken:
        raise WrongSource(f"{name}: the file of weights is none that Caffe has written") from None
    if not found:
        raise WrongSource(f"{name}: the file of weights has no layer with weights")
    return found


def _layer(
    data: memoryview, name_field: int, blobs_field: int, name: str
) -> tuple[str, list[Tensor]]:
    label, blobs = "", []
    for number, value in _fields(data):
        if not isinstance(value, memoryview):
            continue
        if number == name_field:
            label = bytes(value).decode("utf-8", "replace")
        elif number == blobs_field:
            blobs.append(_blob(value, name))
    return label, blobs


def _blob(data: memoryview, name: str) -> Tensor:
    """The numbers of a blob. Its shape is that of its layer, which says more than old files do."""
    parts: list[memoryview] = []
    doubles: list[memoryview] = []
    for number, value in _fields(data):
        if number in (_DATA, _DOUBLES) and isinstance(value, memoryview):
            (parts if number == _DATA else doubles).append(value)
    joined = b"".join(doubles)
    if joined:
        if len(joined) % 8:
            raise _Broken
        return torch.frombuffer(bytearray(joined), dtype=torch.float64).float()
    numbers = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
    if len(numbers) % 4:
        raise _Broken
    return floats(numbers, f"{name}: the file of weights")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of a message: their numbers, with bytes or a whole number."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise _Broken
        if not number or size > len(data) - at:
            raise _Broken
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, and where it ends."""
    found = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _Broken
        byte = data[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
    raise _Broken
