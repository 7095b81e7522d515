"""A module that is examined and comes back as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put back all that modules hold, and where random numbers continue, whatever happens inside.

    Gradients are away in the meantime.
    """
    modules = [*module.modules()]
    attributes = [(vars(inner), {**vars(inner)}) for inner in modules]
    contents = [
        (value, value.copy())
        for _, before in attributes
        for value in before.values()
        if isinstance(value, dict | list | set)
    ]
    gradients = [
        (p, p.grad, p.requires_grad)
        for p in module.parameters()
        if not is_lazy(p) and not p.is_inference()
    ]
    buffers = [(b, b.clone()) for b in module.buffers() if not is_lazy(b) and not b.is_meta]
    state = random.getstate()
    try:
        for parameter, *_ in gradients:
            parameter.grad = None
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(state)
        for own, before in attributes:
            own.clear()
            own.update(before)
        for value, copy in contents:
            _refill(value, copy)
        for parameter, gradient, is_needed in gradients:
            parameter.requires_grad_(is_needed)
            parameter.grad = gradient
        with torch.no_grad():
            for buffer, saved in buffers:
                buffer.copy_(saved)


def _refill(value: Any, before: Any) -> None:
    if isinstance(value, list):
        value[:] = before
    else:
        value.clear()
        value.update(before)
