"""Networks from elsewhere in the place of a specification: ``torchvision.models:resnet50``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from archdsl.cli.extras import needing
from archdsl.cli.terminal import print_note
from archdsl.frontend import Inputs
from archdsl.importing.suffixes import ONNX, SUFFIXES
from archdsl.report.text import printable
from archdsl.text.source import Source

_CONSTRUCTOR = re.compile(r"[\w./\\-]*\w:[A-Za-z_]\w*(\(.*\))?", re.DOTALL)


def is_from_elsewhere(path: str) -> bool:
    """Whether a path names what has to be imported first, and no file of that name exists."""
    if path.lower().endswith(SUFFIXES):
        return True
    return _CONSTRUCTOR.fullmatch(path) is not None and not os.path.exists(path)


def stem_of(path: str) -> str:
    """What files made of such a network are called: ``resnet50``."""
    if path.lower().endswith(SUFFIXES):
        return Path(path).stem
    return path.partition(":")[2].partition("(")[0]


def extra_for(path: str) -> str:
    """The extra that an import needs."""
    return "export" if path.lower().endswith(ONNX) else "torch"


def import_text(path: str, inputs: Inputs | None) -> Source:
    """The text of a network from elsewhere, proved to compute the same.

    Errors:
        CommandError: where it cannot be imported.
    """
    with needing(extra_for(path), f"`{path}`"):
        from archdsl.importing.sources import find_source

        found = find_source(path, input=inputs)
        if found.is_executed:
            print_note(f"{printable(path.partition(':')[0])} is executed")
        return Source(found.make().text, path)
