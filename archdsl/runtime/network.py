"""A network from its generated module's source."""

from __future__ import annotations

import sys
from types import ModuleType

from torch import nn

from archdsl.runtime.faults import Fault

_MODULE = "archdsl_run"


def load_network(source: str, name: str) -> nn.Module:
    """Build a network by the class, or the function, of this name in the source of its module.

    Errors:
        Fault: where the source lacks it.
    """
    module = ModuleType(_MODULE)
    sys.modules[_MODULE] = module  # a class is pickled by its module's name
    # As the file that it is: without the future statements of this one, which hide a wrong hint.
    exec(compile(source, f"<{_MODULE}>", "exec", dont_inherit=True), module.__dict__)
    found = getattr(module, name, None)
    if not callable(found):
        raise Fault(f"the module has no network {name}")
    network = found()
    if not isinstance(network, nn.Module):
        raise Fault(f"what {name} of the module gives is no network")
    return network
