"""archdsl: networks written as papers write them; checked, drawn and compiled to PyTorch."""

from archdsl.api import check, compile, draw, load, load_all, parse
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.model import Model
from archdsl.volume import Volume

__version__ = "0.1.0"

__all__ = [
    "ArchError",
    "Diagnostic",
    "Model",
    "Volume",
    "__version__",
    "check",
    "compile",
    "draw",
    "load",
    "load_all",
    "parse",
]
