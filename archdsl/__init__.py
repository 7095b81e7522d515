"""archdsl: networks written as papers write them; checked, drawn and compiled to PyTorch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from archdsl.version import __version__

if TYPE_CHECKING:
    from archdsl.api import check, compile, draw, format, lint, load, load_all, parse, replace
    from archdsl.importing.importer import from_torch
    from archdsl.importing.sources import from_file
    from archdsl.layers.volume import Volume
    from archdsl.model import Model
    from archdsl.text.diagnostics import ArchError, Diagnostic
    from archdsl.written import Network

__all__ = [
    "ArchError",
    "Diagnostic",
    "Model",
    "Network",
    "Volume",
    "__version__",
    "check",
    "compile",
    "draw",
    "format",
    "from_file",
    "from_torch",
    "lint",
    "load",
    "load_all",
    "parse",
    "replace",
]

_HOMES = {
    "ArchError": "archdsl.text.diagnostics",
    "Diagnostic": "archdsl.text.diagnostics",
    "Model": "archdsl.model.model",
    "Network": "archdsl.written",
    "Volume": "archdsl.layers.volume",
    "from_file": "archdsl.importing.sources",
    "from_torch": "archdsl.importing.importer",
}


def load_ipython_extension(ipython: Any) -> None:
    """What ``%load_ext archdsl`` calls: gives a notebook the cell ``%%arch``."""
    from archdsl.notebook import register

    register(ipython)


def __getattr__(name: str) -> Any:
    """Import what is asked for: the command line starts without what it does not need."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "archdsl.api")), name)
