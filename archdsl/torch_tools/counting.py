"""What torch counts of a module: its parameters, and the MACs of a run."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from archdsl.layers.volume import Volume

#: Two images: batch normalization cannot be trained on a single 1×1 volume.
BATCH = 2


def count_parameters(module: nn.Module) -> int:
    """The trainable numbers of a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def run_counted(network: nn.Module, volumes: Sequence[Volume]) -> tuple[Any, dict[str, int]]:
    """What a network on the device `meta` gives, and the MACs of its modules for one image.

    They are by the modules' paths, behind the name of the network's class.
    """
    images: list[Tensor] = [torch.empty(BATCH, *volume.torch_sizes) for volume in volumes]
    with FlopCounterMode(display=False) as counter:
        output = network(*images)
    counts = counter.get_flop_counts()
    return output, {name: sum(found.values()) // 2 // BATCH for name, found in counts.items()}


def count_macs(module: nn.Module, volume: Volume) -> tuple[int, int]:
    """The MACs of a module for one sample, in training and in evaluation.

    Errors: whatever its code raises on the device `meta`.
    """
    with torch.device("meta"), torch.no_grad():
        network = copy.deepcopy(module).to("meta").float()
        name = type(network).__name__
        training, evaluation = (
            run_counted(network.train(mode), [volume])[1].get(name, 0) for mode in (True, False)
        )
    return training, evaluation
