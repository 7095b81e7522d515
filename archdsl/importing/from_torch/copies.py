"""Networks whose weights are others': no number is made, or copied, that nothing reads."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType

from torch import Tensor, nn


@contextmanager
def uninitialized() -> Iterator[None]:
    """Let the functions of ``nn.init`` do nothing: weights of a state come in their place."""

    def left(tensor: Tensor, *_: object, **__: object) -> Tensor:
        return tensor

    before = {
        name: value
        for name, value in vars(nn.init).items()
        if isinstance(value, FunctionType) and name.endswith("_") and not name.startswith("_")
    }
    vars(nn.init).update(dict.fromkeys(before, left))
    try:
        yield
    finally:
        vars(nn.init).update(before)


def doubled(module: nn.Module) -> nn.Module:
    """A copy in double precision; of the weights there is no other copy in between.

    Errors: whatever a module raises that cannot be copied.
    """
    made: dict[int, object] = {}
    for own in module.parameters():
        made[id(own)] = nn.Parameter(own.detach().double(), own.requires_grad)
    return copy.deepcopy(module, made).double()
