"""What flows through the nodes of an ONNX graph while it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from archdsl.importing.from_onnx.nodes import Array


@dataclass(frozen=True, slots=True)
class Result:
    """What the operation with this number gives."""

    id: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A result in another shape, whose axes may be in another order as well."""

    of: Result
    shape: tuple[int, ...]
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bordered:
    """A result within −∞, which only a maximum can read: as many on each side as in ONNX."""

    of: Result
    pads: tuple[int, ...]


Value: TypeAlias = Result | Seen | Bordered


@dataclass(frozen=True, slots=True)
class OnnxWeight:
    """Where a weight comes from: the input of a node, and how PyTorch has the same numbers."""

    operation: int
    name: str
    node: int
    input: int
    value: Array
    shape: tuple[int, ...]
    is_turned: bool = False

    @property
    def tensor(self) -> Tensor:
        """The weight as PyTorch has it."""
        array = self.value.T if self.is_turned else self.value
        return torch.from_numpy(np.array(array, np.float32, order="C").reshape(self.shape))

    def in_file(self, tensor: Tensor) -> Array:
        """PyTorch's numbers as the node reads them."""
        if not self.is_turned:
            return tensor.numpy().reshape(self.value.shape)
        return np.ascontiguousarray(tensor.numpy().T).reshape(self.value.shape)
