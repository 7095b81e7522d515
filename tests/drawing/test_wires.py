"""Wires run through no box, no text and no arrowhead."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT
from figures import TANGLES
from wirings import Wiring, faults_of, wiring_of

import archdsl
from archdsl.drawing import Options
from archdsl.drawing.canvas.marks import Picture
from archdsl.drawing.figure.figure import Box
from archdsl.drawing.graph.boxes import SPACIOUS
from archdsl.drawing.graph.elements import PlacedBox, Wire
from archdsl.drawing.graph.picture import graph_picture
from archdsl.drawing.graph.routing import Router
from archdsl.drawing.options import Direction, Fit
from archdsl.drawing.volumes.picture import volumes_picture
from archdsl.frontend import read_models, read_source
from archdsl.layers import Family

SPECS = ROOT / "specs"
#: Parts that are read again beside one another.
PARALLEL = [
    "a: conv 3x3 4 same; b: conv 3x3 4 same; e: conv 3x3 4 same;"
    " add { a; conv 1x1 4 | b; conv 1x1 4 | e }",
    "a: conv 3x3 4 same; b: conv 1x1 4; concat { a; conv 1x1 4 | a; conv 1x1 4 | b; relu | a }",
    "a: conv 3x3 4 same; b: { add { conv 1x1 4 | a; conv 1x1 4; conv 1x1 4 | id } } ×2;"
    " add { a | b }",
    "a: conv 3x3 4 same; { conv 3x3 4 same; aux(0.3) { gap; fc 3 } }; add { a; conv 1x1 4 | id }",
]


def faults(picture: Picture) -> list[str]:
    return list(faults_of(wiring_of(picture)))


@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize("path", sorted(SPECS.rglob("*.arch")), ids=lambda path: path.stem)
def test_wires_of_every_spec(path: Path, direction: Direction) -> None:
    for model in read_models(read_source(path)):
        assert faults(graph_picture(model, Options(direction=direction))) == [], model.name


@pytest.mark.parametrize("path", sorted(SPECS.rglob("*.arch")), ids=lambda path: path.stem)
def test_wires_between_volumes(path: Path) -> None:
    for model in read_models(read_source(path)):
        assert faults(volumes_picture(model, Options())) == [], model.name


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize(
    "name", ["googlenet", "zoo/unet", "zoo/wavenet", "torchvision/inception_v3"]
)
def test_wires_of_collapsed_blocks(name: str, depth: int) -> None:
    for model in read_models(read_source(SPECS / f"{name}.arch")):
        assert faults(graph_picture(model, Options(depth=depth))) == []


@pytest.mark.parametrize("fit", ["a4", "slide", "column"])
@pytest.mark.parametrize("name", ["googlenet", "zoo/unet", "zoo/wavenet", "zoo/vae"])
def test_wires_of_pages(name: str, fit: Fit) -> None:
    for model in read_models(read_source(SPECS / f"{name}.arch")):
        assert faults(graph_picture(model, Options(fit=fit))) == []
        assert faults(volumes_picture(model, Options(fit=fit))) == []


@pytest.mark.parametrize("options", [{}, {"direction": "right"}, {"fit": "column"}])
@pytest.mark.parametrize("text", [*TANGLES, *PARALLEL])
def test_wires_of_tangles(text: str, options: dict[str, str]) -> None:
    model = archdsl.parse(f"{text}; fc 10", input=(8, 8, 4))
    for picture in (graph_picture, volumes_picture):
        if picture is graph_picture or "direction" not in options:
            assert faults(picture(model, Options(**options))) == []  # type: ignore[arg-type]


def test_faults_are_seen() -> None:
    """The judge of these tests sees a wire through a box, a text and an arrowhead."""
    box, text, head = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 40.0, 8.0), (50.0, 0.0, 55.0, 5.0)
    wiring = Wiring([(box, "a")], [(text, "b")], [head], [((-5.0, 4.0), (70.0, 4.0))])
    assert list(faults_of(wiring)) == ["through a", "through the text 'b'", "through an arrowhead"]
    beside = Wiring([(box, "a")], [(text, "b")], [head], [((-5.0, 10.0), (70.0, 10.0))])
    assert list(faults_of(beside)) == []


def placed(id: int, u: float, v: float) -> PlacedBox:
    box = Box((id,), (id,), f"box {id}", "", Family.CONVOLUTION)
    return PlacedBox(box, u, v, 20.0, 40.0)


def test_a_way_that_is_free_stays() -> None:
    router = Router([placed(0, 0, 0), placed(1, 100, 0)], SPACIOUS, goes_down=True)
    plain = ((10.0, 20.0), (10.0, 30.0), (110.0, 30.0), (110.0, 20.0))
    assert router.wire(0, 1, plain) == Wire(plain)


def test_a_way_goes_around_what_is_between() -> None:
    router = Router(
        [placed(0, 0, 0), placed(1, 100, 0), placed(2, 0, 60)], SPACIOUS, goes_down=True
    )
    plain = ((10.0, 20.0), (10.0, 90.0), (110.0, 90.0), (110.0, 20.0))
    way = router.wire(0, 1, plain).points
    assert way != plain
    for (u, v), (after_u, after_v) in pairwise(way):
        assert u == after_u or v == after_v
        is_clear = max(u, after_u) <= 0 or min(u, after_u) >= 20 or max(v, after_v) <= 40
        assert is_clear or min(v, after_v) >= 80
