"""What the tests of looking share: a trained network with branches, and an image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from runs import run
from torch import Tensor

import archdsl
from archdsl.looking.specimen import Specimen, open_specimen
from archdsl.recipe import Recipe

SPEC = """
block twin(a, b) { concat { conv 1x1 a relu | conv 3x3 b same relu } }
network Look: 16x20x3 → 4 {
  stem: conv 3x3 6 same relu; pool: maxpool 2
  mix: twin(3, 4); skip: add { mix | conv 1x1 7 }
  drop: dropout 0.5
  aux(0.3) { gap; fc 4 }
  tail: { conv 3x3 5 same; tanh; maxpool 2 }
  fc 9 relu; out: fc 4
}
"""


@dataclass(frozen=True)
class Trained:
    folder: Path
    image_path: Path
    specimen: Specimen
    image: Tensor


def train(spec: str, folder: Path) -> Path:
    """A run of a few steps on synthetic images."""
    return run(archdsl.parse(spec), folder, Recipe("fake:16", 8, 1)).run.folder


def write_image(path: Path) -> Path:
    """A picture with a gradient and an edge, larger than the input."""
    image = Image.new("RGB", (50, 40))
    image.putdata([(5 * x, 6 * y, 255 * (x > 25)) for y in range(40) for x in range(50)])
    image.save(path)
    return path


#: Removed when the process ends.
_FOLDER = TemporaryDirectory(prefix="archdsl-look-")


@cache
def trained() -> Trained:
    """One run for all tests of a process; nothing may be changed in it."""
    folder = Path(_FOLDER.name)
    run_folder = train(SPEC, folder)
    path = write_image(folder / "edge.png")
    specimen = open_specimen(run_folder)
    return Trained(run_folder, path, specimen, specimen.finished.prepare(path))
