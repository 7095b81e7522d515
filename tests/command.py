"""What the tests of the command line share: specs, and a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
GOOD = "network Good: 8x8x3 → 10 { conv 3x3 4 relu; fc 10; expect weight_layers = 2 }\n"
FALSE = "network False: 8x8x3 → 10 { fc 10; expect params = 3 }\n"
WRONG = "network Wrong: 8x8x3 → 10 { conv 9x9 4; fc 10 }\n"
TWO = "network One: 4x4x1 → 2 { fc 2 }\nnetwork Two: 4x4x1 → 3 { fc 3 }\n"
LIBRARY = "block twice(n) { conv 1x1 n ×2 }\n"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def write(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def process(*argv: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "archdsl", *argv]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, **options)
