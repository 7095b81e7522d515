"""How a run is carried out: the flags that are not part of the recipe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from archdsl.train.data import ImageData

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@dataclass(frozen=True)
class TrainOptions:
    """Flags of ``archdsl train``; its help describes them.

    ``devices`` counts per node. ``overfit`` is a number of images to train and validate on, and
    ``checkpoint_every`` a number of steps. ``weights_from`` is a file, the folder of a run or
    ``torchvision:NAME``, and ``freeze`` are names of modules. Where ``workers`` is None,
    ``count_workers`` says how many there are.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int | None = None
    num_nodes: int = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    precision: Literal["32", "bf16", "16"] = "32"
    compile: bool = False
    channels_last: bool = True
    workers: int | None = None
    loader: Literal["torch", "dali"] = "torch"
    accumulate: int = 1
    sync_bn: bool = False
    checkpoint_every: int | None = None
    seed: int = 0
    deterministic: bool = False
    resume: Literal["auto"] | Path | None = None
    overfit: int | None = None
    dry_run: bool = False
    log: tuple[str, ...] = ("csv", "tensorboard")
    output: Path = Path("runs")
    data_root: Path = Path("data")
    download: bool = False
    skip_broken: bool = False
    name: str | None = None
    color: Literal["auto", "always", "never"] = "auto"
    weights_from: str | None = None
    freeze: tuple[str, ...] = ()


def count_workers(options: TrainOptions, data: ImageData, fabric: Fabric) -> int:
    """How many processes read images for each one that trains: its share of the cores.

    It is 0 where nothing has to be read.
    """
    if options.workers is not None:
        return options.workers
    if data.is_quick or options.dry_run:
        return 0
    here = max(fabric.world_size // options.num_nodes, 1)
    return max(_count_cores() // here, 1)


def _count_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
