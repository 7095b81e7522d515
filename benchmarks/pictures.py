"""The smallest text of the pictures on each page: the tables of docs/pictures.md.

python benchmarks/pictures.py
"""

from __future__ import annotations

import re
from pathlib import Path

import archdsl
from archdsl.drawing import Options
from archdsl.drawing.options import PAGES
from archdsl.drawing.styles import STYLES, Style

SPECS = Path(__file__).parent.parent / "specs"
NETWORKS = (
    ("lenet5.arch", "LeNet5"),
    ("alexnet.arch", "AlexNet"),
    ("vgg16.arch", "VGG16"),
    ("vgg19.arch", "VGG19"),
    ("nin.arch", "NiN"),
    ("googlenet.arch", "GoogLeNet"),
    ("torchvision/resnet.arch", "ResNet50"),
)


def main() -> None:
    for style in STYLES:
        if style.picture is not None:
            print(f"{style.name}\n")
            _table(style)
            print()


def _table(style: Style) -> None:
    assert style.picture is not None
    heads = " | ".join(f"`{fit}`" for fit in PAGES)
    print(f"| network | {heads} |\n|---|{'---|' * len(PAGES)}")
    for path, name in NETWORKS:
        model = next(m for m in archdsl.load_all(SPECS / path) if m.name == name)
        cells = []
        for fit in PAGES:
            picture = style.picture(model, Options(fit=fit))
            found = re.search(r"closed below (depth \d+)", " ".join(picture.notes))
            depth = f" ({found[1]})" if found else ""
            cells.append(f"{picture.smallest_text:.1f}{depth}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
