"""What `archdsl import` makes of torchvision's classifiers: lines, seconds, and what it refuses.

    python benchmarks/imports.py [NAME…]
    python benchmarks/imports.py --timm [FAMILY…]

Needs the extra ``benchmark``. A network counts as imported where the spec computes the same bits
as the original: its outputs, and the gradients of a step of training; or the same numbers to a
tolerance in double precision, where its layers add up in another order. Exits with 1 where fewer
are than were when the table in docs/import.md was written. ViT-H/14 needs much memory: its
parameters and twice their gradients are 15 GB in double precision. Seconds are those of a
processor, with one thread: on several that are idle an import takes less, and beside other programs
more.

With ``--timm`` it tries a small model of each family of timm, which must be installed, for two
minutes each. No weights are downloaded.
"""

from __future__ import annotations

import signal
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module

import torch
from torchvision import models

from archdsl.classplan.naming import camel_case
from archdsl.importing.from_torch.proof import TOLERANCE
from archdsl.importing.from_torch.source import build, read_source, usual_input
from archdsl.importing.importer import Imported, import_torch
from archdsl.layers.volume import Volume
from archdsl.torch_tools.errors import ToolError

MIN_IMPORTED = 75
#: What small models are called, the smallest first.
SMALL = ("atto", "femto", "pico", "nano", "_xxs", "_xs", "tiny", "_t0", "_s0", "_0", "small", "_s")
TRIED_SECONDS = 120


def try_import(name: str) -> tuple[int, str]:
    """How many lines the spec of a classifier has, and how it was compared.

    For one that was refused, 0 lines, and why.
    """
    source = read_source(f"torchvision.models:{name}")
    volume = usual_input(source)
    assert volume is not None
    return _tried(lambda: import_torch(build(source), camel_case(name), volume, str(source)))


def try_timm(family: str) -> tuple[int, str]:
    """The same of a small model of a family."""
    timm = import_module("timm")  # which nothing else needs
    names: list[str] = timm.list_models(module=family)
    name = min(names, key=lambda n: (next((i for i, s in enumerate(SMALL) if s in n), 99), len(n)))

    def make() -> Imported:
        module = timm.create_model(name)
        channels, *sizes = module.pretrained_cfg["input_size"]
        volume = Volume((*sizes, channels))
        return import_torch(module, camel_case(name), volume, f"timm:{name}")

    lines, said = _tried(make)
    return lines, f"{said}  ({name})"


def _tried(make: Callable[[], Imported]) -> tuple[int, str]:
    try:
        made = make()
    except TimeoutError:
        return 0, "took too long"
    except ToolError as fault:
        return 0, f"refused: {str(fault).partition(': ')[2]}"
    lines = made.text.splitlines()
    same = "the same bits" if made.is_exact else f"to {TOLERANCE:g}"
    return sum(bool(line) and not line.startswith("#") for line in lines), same


def _stop(*_: object) -> None:
    raise TimeoutError


def main() -> int:
    warnings.filterwarnings("ignore", "The default weight initialization")
    names = [name for name in sys.argv[1:] if name != "--timm"]
    is_timm = "--timm" in sys.argv
    if is_timm:
        names = names or import_module("timm").list_modules()
        signal.signal(signal.SIGPROF, _stop)
    names = names or models.list_models(module=models)
    torch.set_num_threads(1)
    imported = 0
    for name in names:
        start = time.process_time()
        if is_timm:
            signal.setitimer(signal.ITIMER_PROF, TRIED_SECONDS)
        lines, said = try_timm(name) if is_timm else try_import(name)
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = time.process_time() - start
        imported += bool(lines)
        said = f"{lines:4} lines  {said}" if lines else said
        print(f"{'✓' if lines else ' '} {name:<22} {seconds:5.1f} s  {said}"[:110], flush=True)
    print(f"\n{imported} of {len(names)} imported, compared in outputs and gradients")
    return 1 if not sys.argv[1:] and imported < MIN_IMPORTED else 0


if __name__ == "__main__":
    sys.exit(main())
