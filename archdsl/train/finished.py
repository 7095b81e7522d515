"""A run that is over: its network with its weights, to be evaluated and asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from archdsl.runtime.network import load_network
from archdsl.train.faults import TrainFault
from archdsl.train.folder import BEST, LAST, NETWORK_PREFIX, Run
from archdsl.volume import Volume

Which = Literal["best", "last"]


@dataclass(frozen=True)
class Finished:
    """A network with trained weights, in evaluation mode, and the facts of its run."""

    run: Run
    network: nn.Module
    facts: dict[str, Any]

    @property
    def input(self) -> Volume:
        return Volume(tuple(self.facts["input"]))

    @property
    def classes(self) -> list[str]:
        classes: list[str] = self.facts["data"]["classes"]
        return classes

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of each class (N × classes) for images (N × C × H × W)."""
        output: Tensor = self.network(images)
        # A network that ends in a softmax gives probabilities as they are.
        return output if self.facts["gives_probabilities"] else output.float().softmax(dim=1)


def open_run(folder: Path, which: Which = "best", device: str = "cpu") -> Finished:
    """Open the folder of a run with its best or its last weights.

    Errors:
        TrainFault: where the folder is no run, or has no weights yet.
    """
    run = Run(folder)
    facts = run.read_facts()
    try:
        source = run.module.read_text("utf-8")
    except OSError as error:
        raise TrainFault(f"cannot read {run.module}: {error.strerror}") from None
    network = load_network(source, facts["class"])
    network.load_state_dict(_weights(run, which), strict=True)
    return Finished(run, network.to(device).eval(), facts)


def _weights(run: Run, which: Which) -> dict[str, Tensor]:
    if which == "last" and run.weights.exists():
        return load_file(run.weights)
    for name in (BEST, LAST) if which == "best" else (LAST,):
        path = run.checkpoints / name
        if path.exists():
            state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
            return {
                k.removeprefix(NETWORK_PREFIX): v
                for k, v in state.items()
                if k.startswith(NETWORK_PREFIX)
            }
    raise TrainFault(f"{run.folder} has no weights yet")
