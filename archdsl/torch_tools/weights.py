"""Files of weights: what they hold, and whether it fits a network."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from archdsl.torch_tools.errors import ToolError

#: What torch's reader raises on bytes in another format: whatever its parts raise.
UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)

#: The keys of the weights in files that hold more: checkpoints of archdsl, and of others.
_PLACES = ("average", "network", "state_dict")


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights in a file of safetensors or of ``torch.save``, or in a checkpoint.

    Errors:
        ToolError: where the file cannot be read or holds no weights. Nothing in it is executed.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror or error}") from None
    except (SafetensorError, *UNREADABLE):
        raise ToolError(f"{path} is not a file of weights that can be read safely") from None
    if isinstance(loaded, Mapping) and "shards" in loaded:
        raise ToolError(f"{path} has its weights in parts: take the last.safetensors of the run")
    if isinstance(loaded, Mapping):
        inner = (loaded[place] for place in _PLACES if isinstance(loaded.get(place), Mapping))
        loaded = next(inner, loaded)
    if not isinstance(loaded, Mapping) or not loaded:
        raise ToolError(f"{path} holds no state dict")
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ToolError(f"{path} holds no state dict: {key!r} is not a tensor")
    return dict(loaded)


def load_weights(network: nn.Module, path: Path) -> None:
    """Put the weights of a file into a network.

    Errors:
        ToolError: where they cannot be read or do not fit; it names the first that does not.
    """
    state = read_state(path)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError:
        raise ToolError(f"the weights of {path} do not fit: {_misfit(network, state)}") from None


def _misfit(network: nn.Module, state: Mapping[str, Tensor]) -> str:
    """The first difference between a network's state and another."""
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            return f"they have no `{name}`"
        if state[name].shape != tensor.shape:
            shapes = list(state[name].shape), list(tensor.shape)
            return f"`{name}` has the shape {shapes[0]}, but the network needs {shapes[1]}"
    surplus = next(name for name in state if name not in wanted)
    return f"the network has no `{surplus}`"
