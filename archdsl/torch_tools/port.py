"""Weights of one network under the names of another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath

import torch
from safetensors.torch import save
from torch import Tensor

from archdsl.codegen import entry_name
from archdsl.compilation import compile_module
from archdsl.model import Model
from archdsl.torch_tools.errors import ToolError
from archdsl.torch_tools.matching import (
    COUNTER,
    MatchedLayers,
    TensorShape,
    drop_owners,
    match_owners,
    read_owners,
)
from archdsl.torch_tools.network import load_network
from archdsl.version import __version__

_LENGTH = 8


@dataclass(frozen=True, slots=True)
class PortedTensor:
    """A tensor's old name, new name and shape, and how its module was found.

    ``source`` is None for a counter of batches that the source does not keep: it is 0.
    """

    source: str | None
    target: str
    shape: TensorShape
    ground: str


def target_shapes(model: Model) -> dict[str, TensorShape]:
    """Keys and shapes of the state dict of a network's emitted module, in order of execution."""
    with torch.device("meta"):
        network = load_network(compile_module([model]), entry_name(model))
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, TensorShape]:
    """Keys and shapes of a state dict, in its order."""
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def order_as(
    shapes: Mapping[str, TensorShape], models: Sequence[Model], spec: str
) -> dict[str, TensorShape]:
    """The shapes in the order of execution of the network among ``models`` that has them.

    Errors:
        ToolError: where no network has them, or two have them in different orders.
    """
    orders = [s for s in map(target_shapes, models) if s == dict(shapes)]
    if not orders:
        raise ToolError(f"no network of {spec} has the names and shapes of the source")
    if any(list(order) != list(orders[0]) for order in orders):
        raise ToolError(f"several networks of {spec} have the source's names in different orders")
    return orders[0]


def plan_port(
    source: Mapping[str, TensorShape],
    target: Mapping[str, TensorShape],
    *,
    maps: Sequence[tuple[str, str]] = (),
    drops: Sequence[str] = (),
    is_ordered: bool = True,
) -> tuple[PortedTensor, ...]:
    """Which tensor of the source becomes which tensor of the target, for all tensors of both.

    Errors:
        MatchError: where that is not certain, or something is left over.
        ToolError: where the source keeps some counters of batch normalization and lacks others.
    """
    owners = drop_owners(read_owners(source.items()), drops)
    pairs = match_owners(owners, read_owners(target.items()), maps, is_ordered=is_ordered)
    has_counters = any(key.rpartition(".")[2] == COUNTER for key in source)
    return tuple(
        _row(pair, leaf, shape, source, has_counters)
        for pair in pairs
        for leaf, shape in _leaves(pair, target)
    )


def _leaves(
    pair: MatchedLayers, target: Mapping[str, TensorShape]
) -> list[tuple[str, TensorShape]]:
    """The tensors of a pair, in the target's order."""
    leaves = [*(leaf for leaf, _ in pair.target.signature), COUNTER]
    owned = {pair.target.key(leaf): leaf for leaf in leaves}
    return [(owned[key], shape) for key, shape in target.items() if key in owned]


def _row(
    pair: MatchedLayers,
    leaf: str,
    shape: TensorShape,
    source: Mapping[str, TensorShape],
    has_counters: bool,
) -> PortedTensor:
    old, new = pair.source.key(leaf), pair.target.key(leaf)
    if old in source:
        return PortedTensor(old, new, shape, pair.ground)
    if has_counters:
        raise ToolError(f"the source has no {old}, though it has such counters elsewhere")
    return PortedTensor(None, new, shape, pair.ground)


def port(state: Mapping[str, Tensor], rows: Sequence[PortedTensor]) -> dict[str, Tensor]:
    """The numbers of a state dict under their new names, unchanged."""
    return {
        row.target: torch.zeros((), dtype=torch.long)
        if row.source is None
        else state[row.source].detach().clone(memory_format=torch.contiguous_format)
        for row in rows
    }


def render_weights(state: Mapping[str, Tensor], model: Model) -> bytes:
    """A file of safetensors whose metadata says which spec the weights fit."""
    metadata = {
        "archdsl.network": model.name,
        "archdsl.spec": PurePath(model.path).name,
        "archdsl.spec_sha256": sha256(model.source.text.encode()).hexdigest(),
        "archdsl.version": __version__,
    }
    return _sorted_header(save(dict(state), metadata))


def _sorted_header(content: bytes) -> bytes:
    """The file with a sorted header; the library writes it in any order."""
    size = int.from_bytes(content[:_LENGTH], "little")
    header = json.loads(content[_LENGTH : _LENGTH + size])
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)
    return len(text).to_bytes(_LENGTH, "little") + text + content[_LENGTH + size :]
