"""What `archdsl import` makes of torchvision's classifiers: lines, seconds, and what it refuses.

    python benchmarks/imports.py [NAME…]

Needs the extra ``benchmark``. A network counts as imported where the spec computes the same bits
as the original: its outputs, and the gradients of a step of training. Exits with 1 where fewer are
than were when the table in docs/import.md was written.
"""

from __future__ import annotations

import sys
import time
import warnings

from torchvision import models

from archdsl.classplan.naming import camel_case
from archdsl.importing.importer import import_torch
from archdsl.importing.source import build, read_source, usual_input
from archdsl.torch_tools.errors import ToolError

MIN_IMPORTED = 64


def try_import(name: str) -> tuple[int, str]:
    """How many lines the spec of a classifier has, or 0, and why it was refused."""
    source = read_source(f"torchvision.models:{name}")
    volume = usual_input(source)
    assert volume is not None
    try:
        made = import_torch(build(source), camel_case(name), volume, str(source))
    except ToolError as fault:
        return 0, str(fault).partition(": ")[2]
    lines = made.text.splitlines()
    return sum(bool(line) and not line.startswith("#") for line in lines), ""


def main() -> int:
    warnings.filterwarnings("ignore", "The default weight initialization")
    names = sys.argv[1:] or models.list_models(module=models)
    imported = 0
    for name in names:
        start = time.perf_counter()
        lines, reason = try_import(name)
        seconds = time.perf_counter() - start
        imported += bool(lines)
        said = f"{lines:4} lines" if lines else f"refused: {reason}"
        print(f"{'✓' if lines else ' '} {name:<22} {seconds:5.1f} s  {said}"[:110], flush=True)
    print(f"\n{imported} of {len(names)} imported, the same bits in outputs and gradients")
    return 1 if not sys.argv[1:] and imported < MIN_IMPORTED else 0


if __name__ == "__main__":
    sys.exit(main())
