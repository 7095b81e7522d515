"""What a reader of files gives: a network, its numbers, and what the file's own rules compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from archdsl.importing.graph import SourceGraph

#: Weights and buffers of operations, by number and by the names of PyTorch's modules.
State: TypeAlias = dict[int, dict[str, Tensor]]


@dataclass(frozen=True)
class FileSource:
    """A network that a file describes, with all that is needed to prove that its spec is the same.

    ``state`` has the numbers of each operation that has some; they are random where the file has
    none.
    """

    graph: SourceGraph
    state: State
    #: What a batch of images gives with such a state: the results in the order of
    #: ``graph.results``, then those of the heads; computed from the file and not from the layers
    #: of ``graph``.
    run: Callable[[Tensor, State], Sequence[Tensor]]
    #: What ``run`` is, for the comment in the spec: ``onnxruntime 1.20``.
    judge: str
    #: Whether the weights are the file's own.
    is_trained: bool


def random_weight(name: str, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """A weight by its name in PyTorch's module, so that numbers keep their size on their way."""
    if name == "running_var" or (name == "weight" and len(shape) == 1):
        return 0.5 + torch.rand(*shape, generator=generator)
    drawn = torch.randn(*shape, generator=generator)
    if len(shape) == 1:
        return 0.1 * drawn
    fan = max(drawn[0].numel(), 1)
    return drawn * float((2 / fan) ** 0.5)
