"""What modules have that no call tells: hooks, tied weights, numbers that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from archdsl.importing.from_torch.helpers import helper_of

#: Where modules and tensors keep functions that run beside their own.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HOOKS_OF_TENSORS = ("_backward_hooks", "_post_accumulate_grad_hooks")
#: Kinds of modules that compute otherwise than their classes say.
_COMPILED = torch.jit.ScriptModule


def numbers_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, in the order of ``state_dict``, whatever hooks make of that.

    A tensor with several names is there by each.
    """
    found: dict[str, Tensor] = {}
    for path, inner in module.named_modules(remove_duplicate=False):
        before = f"{path}." if path else ""
        kept = inner._non_persistent_buffers_set
        own = [*inner._parameters.items()]
        own += [(name, buffer) for name, buffer in inner._buffers.items() if name not in kept]
        found |= {before + name: tensor for name, tensor in own if tensor is not None}
    return found


def unusable(module: nn.Module) -> Iterator[str]:
    """Why a module cannot be imported, whatever it computes, each with its place."""
    if isinstance(module, _COMPILED):
        yield "it was compiled by TorchScript: import what it was made of"
        return
    if type(module).__call__ is not nn.Module.__call__ or "forward" in vars(module):
        yield "forward: it was replaced on the module"
    for path, inner in module.named_modules():
        yield from (f"{path or 'forward'}: {reason}" for reason in _reasons(inner))
    numbers = numbers_of(module)
    lazy = [key for key, tensor in numbers.items() if is_lazy(tensor)]
    if lazy:
        yield f"{lazy[0]}: it has no numbers yet: run the module on an image first"
        return
    made = [key for key, tensor in numbers.items() if tensor.is_inference()]
    if made:
        yield f"{made[0]}: it was made under `torch.inference_mode`, and has no gradient"
    yield from _tied(module)
    yield from _mixed({key: t for key, t in numbers.items() if t.is_floating_point()})
    yield from (
        f"{key}: numbers of {str(tensor.dtype).removeprefix('torch.')} are not in the language"
        for key, tensor in numbers.items()
        if tensor.is_complex()
    )


def _reasons(module: nn.Module) -> Iterator[str]:
    if any(getattr(module, name, None) for name in _HOOKS):
        yield "a module with hooks is not in the language"
    is_known = type(module).__module__.startswith("torch.nn") or helper_of(module) is not None
    if is_known:
        own = (name for name, value in vars(module).items() if _is_method(module, name, value))
        yield from (f"its `{name}` was replaced on the module" for name in own)
    for name, parameter in module._parameters.items():
        if parameter is not None and any(getattr(parameter, h, None) for h in _HOOKS_OF_TENSORS):
            yield f"`{name}` has hooks, which are not in the language"


def _is_method(module: nn.Module, name: str, value: object) -> bool:
    replaced = getattr(type(module), name, None)
    return callable(value) and callable(replaced) and not isinstance(replaced, type)


def _tied(module: nn.Module) -> Iterator[str]:
    """Layers with numbers of others, which a step of training would change in both."""
    owners: dict[object, str] = {}
    for path, inner in module.named_modules():
        for name, tensor in [*inner._parameters.items(), *inner._buffers.items()]:
            if tensor is None or not tensor.numel():
                continue
            key = f"{path}.{name}" if path else name
            place = id(tensor) if tensor.is_meta else tensor.data_ptr()
            first = owners.setdefault(place, key)
            if first != key:
                yield f"{key}: it is tied to {first}, which is not in the language"


def _mixed(numbers: Mapping[str, Tensor]) -> Iterator[str]:
    first = next(iter(numbers.values()), None)
    for key, tensor in numbers.items():
        assert first is not None
        if tensor.is_meta:
            yield f"{key}: it has no numbers, as it is on the device `meta`"
            return
        if tensor.dtype != first.dtype or tensor.device != first.device:
            kinds = f"{tensor.dtype} on {tensor.device} and {first.dtype} on {first.device}"
            yield f"{key}: numbers of {kinds} in one network are not in the language"
            return
