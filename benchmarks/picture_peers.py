"""The same networks drawn by other tools and by archdsl: the table of docs/drawing.md.

python benchmarks/picture_peers.py [--keep FOLDER]

The others draw the generated modules in evaluation mode. None of them is needed: one that is not
installed, or fails, is a row that says so. torchview and torchlens also need Graphviz's ``dot``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import re
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
#: A4 less margins of 20 mm, in points: the page of ``--fit a4``.
PAGE = (170 / 25.4 * 72, 257 / 25.4 * 72)
NETWORKS = {"googlenet": "GoogLeNet", "vgg16": "VGG16"}
INPUT = (1, 3, 224, 224)
#: Lengths of SVG in points; a number without a unit is a pixel.
UNITS = {"pt": 1.0, "px": 0.75, "": 0.75, "in": 72.0, "mm": 72 / 25.4}


@dataclass(frozen=True)
class Measured:
    """A picture on the page: its smallest text in points, None without any, and its nodes."""

    text: float | None
    nodes: int


@dataclass(frozen=True)
class Job:
    """What is timed, and how its result is measured afterwards."""

    draw: Callable[[], object]
    measure: Callable[[], Measured]


@dataclass(frozen=True)
class Drawer:
    """A tool with settings; ``prepare`` takes a network and the folder of its pictures."""

    label: str
    package: str
    prepare: Callable[[str, Path], Job]


# ── Measuring ────────────────────────────────────────────────────────────────────────────────


def page_scale(width: float, height: float) -> float:
    """How much a picture shrinks to fit the page, upright or on its side; it is not enlarged."""
    upright, lying = PAGE, PAGE[::-1]
    return min(1.0, max(min(w / width, h / height) for w, h in (upright, lying)))


def measure_svg(text: str) -> Measured:
    """The elements of class ``node``, and the smallest font size as it comes out on the page."""
    root = ElementTree.fromstring(text)
    width, height = (_points(root.attrib[side]) for side in ("width", "height"))
    box = [float(number) for number in root.attrib["viewBox"].split()]
    sizes = list(_font_sizes(root, min(width / box[2], height / box[3])))
    nodes = sum("node" in element.get("class", "").split() for element in root.iter())
    return Measured(min(sizes) * page_scale(width, height) if sizes else None, nodes)


def _points(length: str) -> float:
    found = re.fullmatch(r"([\d.]+)([a-z]*)", length)
    assert found, length
    return float(found[1]) * UNITS[found[2]]


def _font_sizes(element: ElementTree.Element, scale: float) -> Iterable[float]:
    """The sizes of all texts, in points of the picture at its own size."""
    found = re.search(r"scale\(([\d.]+)", element.get("transform", ""))
    scale *= float(found[1]) if found else 1.0
    if element.tag.endswith("}text"):
        yield float(element.attrib["font-size"].removesuffix("px")) * scale
    for child in element:
        yield from _font_sizes(child, scale)


# ── The tools ────────────────────────────────────────────────────────────────────────────────


def _module(network: str) -> Any:
    module = importlib.import_module(f"generated.{network}")
    return getattr(module, NETWORKS[network])().eval()


def _read(path: Path) -> Measured:
    return measure_svg(path.read_text("utf-8"))


def _torchview(**options: Any) -> Callable[[str, Path], Job]:
    def prepare(network: str, folder: Path) -> Job:
        import torchview

        module = _module(network)

        def draw() -> None:
            graph = torchview.draw_graph(module, input_size=INPUT, **options)
            graph.visual_graph.render(folder / network, format="svg")

        return Job(draw, lambda: _read(folder / f"{network}.svg"))

    return prepare


def _torchlens(**options: Any) -> Callable[[str, Path], Job]:
    def prepare(network: str, folder: Path) -> Job:
        import torch
        import torchlens

        module = _module(network)

        def draw() -> None:
            trace = torchlens.trace(module, torch.zeros(INPUT))
            place = str(folder / network)
            trace.draw(vis_outpath=place, vis_fileformat="svg", vis_save_only=True, **options)

        return Job(draw, lambda: _read(folder / f"{network}.svg"))

    return prepare


def _visualtorch(**labels: Any) -> Callable[[str, Path], Job]:
    def prepare(network: str, folder: Path) -> Job:
        import visualtorch

        module = _module(network)

        def render(**options: Any) -> Any:
            return visualtorch.render(module, INPUT, style="flow", **options)

        def draw() -> None:
            render(**labels).save(folder / f"{network}.png")

        return Job(draw, lambda: _watched(render, labels))

    return prepare


def _watched(render: Callable[..., Any], labels: dict[str, Any]) -> Measured:
    """What is drawn into a picture of pixels, one taken as a point, seen at the calls that draw it.

    The legend has boxes that are not nodes, so nodes are counted without it.
    """
    from PIL import ImageDraw
    from visualtorch.utils.utils import Box

    sizes: list[float] = []
    boxes: list[object] = []
    draw_text, draw_box = ImageDraw.ImageDraw.text, Box.draw

    def text(self: Any, *args: Any, **options: Any) -> Any:
        font = options.get("font") or self.getfont()
        sizes.append(font.size)
        return draw_text(self, *args, **options)

    def box(self: Any, *args: Any) -> Any:
        boxes.append(self)
        return draw_box(self, *args)

    with patch.object(ImageDraw.ImageDraw, "text", text), patch.object(Box, "draw", box):
        image = render(**labels)
        boxes.clear()
        render()
    return Measured(min(sizes) * page_scale(*image.size) if sizes else None, len(boxes))


def _archdsl(style: str, options: dict[str, Any]) -> Callable[[str, Path], Job]:
    def prepare(network: str, folder: Path) -> Job:
        path = folder / f"{network}.svg"

        def draw() -> None:
            path.write_text(our_svg(network, style, options), "utf-8")

        return Job(draw, lambda: _read(path))

    return prepare


def our_svg(network: str, style: str, options: dict[str, Any]) -> str:
    """What ``archdsl draw specs/NETWORK.arch --fit a4`` writes, from the text on."""
    import archdsl
    from archdsl.drawing import Options, render_svg

    model = archdsl.load(ROOT / "specs" / f"{network}.arch")
    return render_svg(model, Options(fit="a4", **options), style)


#: By the label in the table, the style and the options beside ``--fit a4``.
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "archdsl": ("graph", {}),
    "archdsl, `--depth 0`": ("graph", {"depth": 0}),
    "archdsl, `--style volumes`": ("volumes", {}),
}
DRAWERS = (
    Drawer("torchview", "torchview", _torchview()),
    Drawer("torchview, `expand_nested=True`", "torchview", _torchview(expand_nested=True)),
    Drawer("torchview, `depth=1`", "torchview", _torchview(depth=1)),
    Drawer("torchlens", "torchlens", _torchlens()),
    Drawer('torchlens, `collapse="auto"`', "torchlens", _torchlens(collapse="auto")),
    Drawer('visualtorch, `style="flow"`', "visualtorch", _visualtorch()),
    Drawer(
        "visualtorch, with `show_dimension` and `legend`",
        "visualtorch",
        _visualtorch(show_dimension=True, legend=True),
    ),
    *(Drawer(label, "archdsl", _archdsl(*asked)) for label, asked in OURS.items()),
)


# ── The table ────────────────────────────────────────────────────────────────────────────────


def cells(measured: Measured) -> list[str]:
    """Text and nodes as the table has them."""
    text = "no text" if measured.text is None else f"{measured.text:.1f}"
    return [text, str(measured.nodes)]


def _cpu() -> float:
    """Seconds of this process and of those it started, such as ``dot``."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _draw_one(drawer: Drawer, network: str, folder: Path) -> list[str]:
    """The cells of one picture; whatever a foreign tool raises is what its row says."""
    warnings.simplefilter("ignore")
    try:
        job = drawer.prepare(network, folder)
        start = _cpu()
        job.draw()
        seconds = _cpu() - start
        return [*cells(job.measure()), f"{seconds:.1f}", f"{_cpu():.1f}"]
    except ModuleNotFoundError as error:
        return _failed(f"{error.name} is not installed")
    except Exception as error:
        return _failed(str(error) or type(error).__name__)


def _failed(message: str) -> list[str]:
    """A row with the first line of a message, which shall not break the table."""
    return [message.splitlines()[0].replace("|", "\\|"), "", "", ""]


def _in_own_process(number: int, network: str, folder: Path) -> list[str]:
    place = folder / str(number)
    place.mkdir(parents=True, exist_ok=True)
    call = [sys.executable, __file__, "--one", str(number), network, "--keep", str(place)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return _failed(lines[-1])
    result: list[str] = json.loads(done.stdout.splitlines()[-1])
    return result


def _print_versions() -> None:
    shown = [f"Python {sys.version.split()[0]}"]
    for package in ("torch", *dict.fromkeys(drawer.package for drawer in DRAWERS)):
        try:
            shown.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            shown.append(f"{package} not installed")
    try:
        dot = subprocess.run(["dot", "-V"], capture_output=True, text=True, check=False).stderr
        shown.append(re.sub(r".*version (\S+).*", r"Graphviz \1", dot.strip()))
    except FileNotFoundError:
        shown.append("Graphviz not installed")
    print(", ".join(shown), end="\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="the folder where the pictures stay")
    parser.add_argument("--one", nargs=2, metavar=("NUMBER", "NETWORK"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        sys.path.insert(0, str(ROOT))
        print(json.dumps(_draw_one(DRAWERS[int(given.one[0])], given.one[1], given.keep)))
        return
    _print_versions()
    with tempfile.TemporaryDirectory() as scratch:
        for network, name in NETWORKS.items():
            print(f"| {name} | text (pt) | nodes | drawing (s) | process (s) |")
            print("|---|---|---|---|---|")
            for number, drawer in enumerate(DRAWERS):
                row = _in_own_process(number, network, given.keep or Path(scratch))
                print(f"| {drawer.label} | " + " | ".join(row) + " |", flush=True)
            print()


if __name__ == "__main__":
    main()
