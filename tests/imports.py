"""What the tests of imports share: the import of a module, and one that drops samples."""

from __future__ import annotations

import inspect
import re

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from archdsl.frontend import Inputs
from archdsl.importing.importer import Imported, import_torch
from archdsl.layers.volume import Volume
from archdsl.model import Model

SMALL = Volume((16, 16, 3))


def inputs_of(model: Model, module: nn.Module) -> Inputs:
    """The inputs of a network as the import of its module takes them."""
    if len(model.inputs) == 1:
        return model.input
    names = inspect.signature(module.forward).parameters
    return {name: node.volume for name, node in zip(names, model.inputs, strict=True)}


def imported(module: nn.Module, input: Inputs = SMALL) -> Imported:
    torch.manual_seed(0)
    return import_torch(module, "Net", input, "net.py:Net")


def body_of(made: Imported) -> list[str]:
    """The lines of a spec without its comments."""
    return [line for line in made.text.splitlines() if line and not line.startswith("#")]


def bare_body_of(made: Imported) -> list[str]:
    """The same lines without the volumes behind them."""
    head = re.compile(r"network .*")
    return [
        line if head.fullmatch(line) else re.sub(r"\s+→ [\dx]+$", "", line)
        for line in body_of(made)
    ]


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop = nn.Conv2d(3, 3, 3, padding=1), StochasticDepth(0.2, "row")

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.conv(x))  # type: ignore[no-any-return]
