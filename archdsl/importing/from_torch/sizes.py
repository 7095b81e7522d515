"""What convolutions, linear layers and normalizations give, by their sizes alone.

A fake tensor runs all operators that a module is made of, which takes 5 ms for batch normalization:
most of the time of a trace. Sizes are the same, and so is whether gradients flow.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Sizes:
    """Makes fake tensors of known sizes."""

    def __init__(self, mode: FakeTensorMode) -> None:
        self.mode = mode
        #: Numbers by what a result has of them: its precision, its device, whether gradients flow.
        self._factors: dict[tuple[Any, ...], Tensor] = {}

    def of(self, module: nn.Module, x: Any) -> Tensor | None:
        """What a module gives for a fake tensor; None where it has to run to know.

        Errors: what the module itself raises for sizes that do not fit.
        """
        if not isinstance(x, Tensor) or not x.is_contiguous() or not x.is_floating_point():
            return None
        kind = type(module)
        weight = getattr(module, "weight", None)
        if weight is not None and (weight.dtype, weight.device) != (x.dtype, x.device):
            return None
        if kind in _NORMALIZATIONS and x.ndim > 1 and x.shape[1] == module.num_features:
            assert isinstance(module, _NORMALIZATIONS)
            module._check_input_dim(x)
            return self._like(module, x, x.shape)
        if kind is nn.LayerNorm and x.shape[-1:] == module.normalized_shape:
            return self._like(module, x, x.shape)
        if isinstance(module, nn.Linear) and kind is nn.Linear and x.ndim:
            fits = x.shape[-1] == module.in_features
            sizes = torch.Size((*x.shape[:-1], module.out_features))
            return self._like(module, x, sizes) if fits else None
        if kind in _CONVOLUTIONS and weight is not None and weight.is_contiguous():
            assert isinstance(module, _CONVOLUTIONS)
            bias = None if module.bias is None else _meta(module.bias)
            found = module._conv_forward(_meta(x), _meta(weight), bias)
            return self._like(module, x, found.shape)
        return None

    def _like(self, module: nn.Module, x: Tensor, sizes: torch.Size) -> Tensor:
        flows = x.requires_grad or any(p.requires_grad for p in module.parameters())
        key = x.dtype, x.device, flows
        with self.mode:
            if key not in self._factors:
                one = torch.ones((), dtype=x.dtype, device=x.device, requires_grad=flows)
                self._factors[key] = one
            return torch.empty(sizes, dtype=x.dtype, device=x.device) * self._factors[key]


def _meta(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
