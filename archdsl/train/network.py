"""The network of a training run: the generated module, imported from the run's own copy."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from torch import nn

from archdsl.train.faults import TrainFault


def load_network(module: Path, name: str) -> nn.Module:
    """Build the network of this class name from a generated file.

    Errors:
        TrainFault: where the file lacks the network's class.
    """
    spec = importlib.util.spec_from_file_location(f"archdsl_run_{module.stem}", module)
    if spec is None or spec.loader is None:
        raise TrainFault(f"{module} is no Python module")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    found = getattr(loaded, name, None)
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise TrainFault(f"{module} has no network {name}")
    network: nn.Module = found()
    return network
