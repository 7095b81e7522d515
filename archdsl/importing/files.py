"""What a reader of files gives: a network, its numbers, and what the file's own rules compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from archdsl.importing.graph import SourceGraph


@dataclass(frozen=True)
class FileSource:
    """A network that a file describes, with all that is needed to prove that its spec is the same.

    ``state`` has the weights and buffers of each operation that has some, by its number and by
    the names of PyTorch's module for the layer. They are random where the file has none.
    """

    graph: SourceGraph
    state: Mapping[int, Mapping[str, Tensor]]
    #: The results for a batch of images, in the order of ``graph.results``, computed from the file
    #: and not from the layers of ``graph``.
    run: Callable[[Tensor], Sequence[Tensor]]
    #: What ``run`` is, for the comment in the spec: ``onnxruntime 1.20``.
    judge: str
    #: Whether the weights are the file's own.
    is_trained: bool
