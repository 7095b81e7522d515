"""The average of the weights over the steps, which is validated and saved in their place."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from archdsl.recipe.averages import Average, ExponentialMovingAverage


class Averaging:
    """PyTorch's average of a network: its weights, and the statistics of batch normalization."""

    def __init__(self, definition: Average, network: nn.Module) -> None:
        assert isinstance(definition, ExponentialMovingAverage)
        self.every = definition.steps
        mean = get_ema_multi_avg_fn(definition.decay)  # type: ignore[no-untyped-call]
        self.model = AveragedModel(network, multi_avg_fn=mean, use_buffers=True)
        self.model.requires_grad_(False)

    @property
    def network(self) -> nn.Module:
        return self.model.module

    def update(self, network: nn.Module) -> None:
        """Take in the weights of a step; the first ones are the average."""
        self.model.update_parameters(network)

    def state_dict(self) -> dict[str, Any]:
        """The average, and how many steps are in it."""
        return {"average": self.network.state_dict(), "averaged": int(self.model.n_averaged)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint; without an average in it, begin with its weights."""
        self.network.load_state_dict(state.get("average") or state["network"])
        self.model.n_averaged.fill_(state.get("averaged", 0))
