"""Random inputs of a network: images, or the numbers of words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from archdsl.layers.tokens import Embedding
from archdsl.layers.volume import Volume
from archdsl.model import Model


def draw_inputs(
    model: Model,
    volumes: Sequence[Volume],
    samples: int,
    generator: Generator | None = None,
    scale: float = 1.0,
) -> list[Tensor]:
    """So many samples for each input, which has this volume.

    They are normal with standard deviation ``scale``; where an input holds the numbers of words,
    each is one of these.
    """
    return [
        scale * torch.randn(samples, *volume.torch_sizes, generator=generator)
        if words is None
        else torch.randint(words, (samples, *volume.torch_sizes), generator=generator).to(
            torch.get_default_dtype()
        )
        for volume, words in zip(volumes, _words_of(model), strict=True)
    ]


def _words_of(model: Model) -> list[int | None]:
    """Of each input how many words there are; None where it holds any numbers."""
    found: list[int | None] = []
    for node in model.inputs:
        read = [model.nodes[reader].layer for reader in model.graph.successors(node.id)]
        found.append(min((one.words for one in read if isinstance(one, Embedding)), default=None))
    return found
