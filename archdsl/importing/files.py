"""What a reader of files gives: a network, its numbers, and what the file's own rules compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from archdsl.importing.graph import SourceGraph

#: Weights and buffers of operations, by number and by the names of PyTorch's modules.
State: TypeAlias = Mapping[int, Mapping[str, Tensor]]


@dataclass(frozen=True)
class FileSource:
    """A network that a file describes, with all that is needed to prove that its spec is the same.

    ``state`` has the numbers of each operation that has some; they are random where the file has
    none.
    """

    graph: SourceGraph
    state: State
    #: What a batch for each input gives with such a state: the results in the order of
    #: ``graph.results``, then those of the heads; computed from the file and not from the layers
    #: of ``graph``.
    run: Callable[[Sequence[Tensor], State], Sequence[Tensor]]
    #: What ``run`` is, for the comment in the spec: ``onnxruntime 1.20``.
    judge: str
    #: Whether the weights are the file's own.
    is_trained: bool
