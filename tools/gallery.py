"""Print docs/gallery.md: every network of specs/ in every style.

    python tools/gallery.py > docs/gallery.md
    python tools/gallery.py --specs

`make gallery` does this, and draws the pictures that the page shows: those of the specs that the
second form prints.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import archdsl
from archdsl.drawing import Options
from archdsl.model import Model

ROOT = Path(__file__).parent.parent
SPECS = ROOT / "specs"
#: What the page shows of folders with many networks: the others look much like these.
SOME = {
    "torchvision": (
        "alexnet",
        "googlenet",
        "resnet",
        "resnext",
        "squeezenet",
        "vgg",
        "vgg_bn",
        "wide_resnet",
    ),
    "zoo": ("rpn", "siamese"),
}
#: The styles that draw, and the widest that the page shows them, in pixels.
WIDTHS = {"graph": 320, "volumes": 440}
TITLE = """\
# Gallery

The networks of [specs](../specs), and some of [torchvision's](../specs/torchvision) and of
[the zoo](../specs/zoo), in every style. A click on a picture shows it alone, as large as it is.
`make gallery` makes the pictures and this page; the commands below a spec make its own. What the
options do is said in [Pictures](pictures.md). The pages for a browser (`-o NAME.html`) are not kept
here.
"""


def shown_specs() -> list[Path]:
    """The specs that the page shows, in its order."""
    return [
        *sorted(SPECS.glob("*.arch")),
        *(SPECS / folder / f"{name}.arch" for folder, names in SOME.items() for name in names),
    ]


def gallery_page() -> str:
    """The page, with a section for each spec."""
    names = [spec.relative_to(SPECS).with_suffix("").as_posix() for spec in shown_specs()]
    contents = " · ".join(f"[{name}](#{name.replace('/', '')})" for name in names)
    return "\n".join((TITLE, contents, "", *map(_section, names)))


def _section(name: str) -> str:
    path = f"specs/{name}.arch"
    models = archdsl.load_all(ROOT / path)
    heads = " | ".join(WIDTHS)
    rows = "\n".join(f"| {_cells(name, model, len(models) > 1)} |" for model in models)
    table = archdsl.draw(models, "md", style="table").content.decode().rstrip()
    return f"""\
## {name}

[{path}](../{path}): {", ".join(f"{m.name}, {m.signature}" for m in models)}

| {heads} |
|{":-:|" * len(WIDTHS)}
{rows}

{table}

```sh
archdsl draw {path} --fit a4
archdsl draw {path} --fit a4 --style volumes
archdsl draw {path} --style table --format md
archdsl draw {path} -o {Path(name).name}.html
```
"""


def _cells(name: str, model: Model, is_named: bool) -> str:
    place = f"{name}-{model.name}" if is_named else name
    above = f"{model.name}<br>" if is_named else ""
    return " | ".join(above + _picture(style, place, model) for style in WIDTHS)


def _picture(style: str, place: str, model: Model) -> str:
    drawing = archdsl.draw(model, "svg", options=Options(fit="a4"), style=style)
    found = re.search(r'<svg[^>]* width="([\d.]+)pt"', drawing.content.decode())
    assert found, place
    # A point is 4/3 of a pixel in a browser.
    width = min(round(float(found[1]) * 4 / 3), WIDTHS[style])
    image = f'<img src="gallery/{style}/{place}.svg" alt="{model.name} as {style}" width="{width}">'
    return "<br>".join((image, *drawing.notes))


if __name__ == "__main__":
    if sys.argv[1:] == ["--specs"]:
        print(*(spec.relative_to(ROOT) for spec in shown_specs()), sep="\n")
    else:
        print(gallery_page(), end="")
