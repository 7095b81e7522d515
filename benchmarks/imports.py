"""What `archdsl import` makes of torchvision's classifiers: lines, seconds, and what it refuses.

    python benchmarks/imports.py [NAME…]

Needs the extra ``benchmark``. A network counts as imported where the spec computes the same bits
as the original: its outputs, and the gradients of a step of training; or the same numbers to a
tolerance in double precision, where its layers add up in another order. Exits with 1 where fewer
are than were when the table in docs/import.md was written. ViT-H/14 needs much memory: twice its
parameters and their gradients are 20 GB in double precision.
"""

from __future__ import annotations

import sys
import time
import warnings

from torchvision import models

from archdsl.classplan.naming import camel_case
from archdsl.importing.from_torch.proof import TOLERANCE
from archdsl.importing.from_torch.source import build, read_source, usual_input
from archdsl.importing.importer import import_torch
from archdsl.torch_tools.errors import ToolError

MIN_IMPORTED = 75


def try_import(name: str) -> tuple[int, str]:
    """How many lines the spec of a classifier has, and how it was compared.

    For one that was refused, 0 lines, and why.
    """
    source = read_source(f"torchvision.models:{name}")
    volume = usual_input(source)
    assert volume is not None
    try:
        made = import_torch(build(source), camel_case(name), volume, str(source))
    except ToolError as fault:
        return 0, f"refused: {str(fault).partition(': ')[2]}"
    lines = made.text.splitlines()
    same = "the same bits" if made.is_exact else f"to {TOLERANCE:g}"
    return sum(bool(line) and not line.startswith("#") for line in lines), same


def main() -> int:
    warnings.filterwarnings("ignore", "The default weight initialization")
    names = sys.argv[1:] or models.list_models(module=models)
    imported = 0
    for name in names:
        start = time.perf_counter()
        lines, said = try_import(name)
        seconds = time.perf_counter() - start
        imported += bool(lines)
        said = f"{lines:4} lines  {said}" if lines else said
        print(f"{'✓' if lines else ' '} {name:<22} {seconds:5.1f} s  {said}"[:110], flush=True)
    print(f"\n{imported} of {len(names)} imported, compared in outputs and gradients")
    return 1 if not sys.argv[1:] and imported < MIN_IMPORTED else 0


if __name__ == "__main__":
    sys.exit(main())
