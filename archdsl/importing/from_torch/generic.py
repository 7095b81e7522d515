"""Weights that tell layers apart: what starts at 0 or at 1 hides what is behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

#: By how much a number changes, as a share of it; and how large those are that were 0.
_SHARE = 0.25
_INSTEAD_OF_ZERO = 0.1


@contextmanager
def generic(numbers: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """Numbers that are all the same, or those of an earlier tensor, are made different.

    The factors of a normalization are 1 at first, or 0, so that a wrong layer beside it would show
    nothing. Gives what the changed tensors were; at the end they are that again.
    """
    before: dict[str, Tensor] = {}
    known: set[object] = set()
    made = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for key, tensor in numbers.items():
            if not tensor.is_floating_point() or not tensor.numel():
                continue
            mark = tuple(tensor.shape), float(tensor.sum())
            if mark not in known and not _is_constant(tensor):
                known.add(mark)
                continue
            before[key] = tensor.clone()
            noise = torch.rand(tensor.shape, generator=made).to(tensor)
            is_zero = not tensor.any()
            tensor.mul_(1 + 2 * _SHARE * (noise - 0.5))
            if is_zero:
                tensor.add_(_INSTEAD_OF_ZERO * (noise - 0.5))
    try:
        yield before
    finally:
        with torch.no_grad():
            for key, tensor in before.items():
                numbers[key].copy_(tensor)


def _is_constant(tensor: Tensor) -> bool:
    first = tensor.reshape(-1)[:2]
    return bool(first[0] == first[-1]) and bool((tensor == first[0]).all())
