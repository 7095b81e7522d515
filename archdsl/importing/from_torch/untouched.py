"""A module that is examined and comes back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put back modes, gradients, buffers and rates, whatever happens inside."""
    modes = [(inner, inner.training) for inner in module.modules()]
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    rates = [(inner, inner.p) for inner in module.modules() if "p" in vars(inner)]
    try:
        for parameter, _ in gradients:
            parameter.grad = None
        yield
    finally:
        for inner, mode in modes:
            inner.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for inner, rate in rates:
            inner.p = rate
