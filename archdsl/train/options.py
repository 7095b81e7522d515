"""How a run is carried out: the flags that are no part of the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@dataclass(frozen=True)
class Options:
    """Flags of ``archdsl train``; each docstring of the command line says the same.

    ``devices`` counts per node. ``overfit`` is a number of images to train and validate on;
    ``patience`` a number of epochs without a lower validation loss after which training stops.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int | None = None
    num_nodes: int = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    precision: Literal["32", "bf16", "16"] = "32"
    compile: bool = False
    channels_last: bool = True
    workers: int = 0
    accumulate: int = 1
    clip: float | None = None
    seed: int = 0
    deterministic: bool = False
    resume: Literal["auto"] | Path | None = None
    overfit: int | None = None
    dry_run: bool = False
    patience: int | None = None
    log: tuple[str, ...] = ("csv", "tensorboard")
    output: Path = Path("runs")
    data_root: Path = Path("data")
    download: bool = False
    skip_broken: bool = False
    name: str | None = None
