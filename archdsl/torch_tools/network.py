"""A network from its generated module's source."""

from __future__ import annotations

import sys
from types import ModuleType

from torch import nn

from archdsl.torch_tools.errors import ToolError

_MODULE = "archdsl_run"


def load_module(source: str) -> ModuleType:
    """The module of a source, executed like a file."""
    module = ModuleType(_MODULE)
    sys.modules[_MODULE] = module  # a class is pickled by its module's name
    # Without the future statements of this file, which would hide a wrong type hint.
    exec(compile(source, f"<{_MODULE}>", "exec", dont_inherit=True), module.__dict__)
    return module


def build_network(module: ModuleType, name: str) -> nn.Module:
    """Build a network by the class, or the function, of this name in its module.

    Errors:
        ToolError: where the module lacks it.
    """
    found = getattr(module, name, None)
    if not callable(found):
        raise ToolError(f"the module has no network {name}")
    network = found()
    if not isinstance(network, nn.Module):
        raise ToolError(f"what {name} of the module returns is not a network")
    return network


def load_network(source: str, name: str) -> nn.Module:
    """Build a network from the source of its module. Errors: ``ToolError`` where that lacks it."""
    return build_network(load_module(source), name)
