"""docs/drawing.md: our rows have the numbers of our drawings now, and the ruler measures right."""

from __future__ import annotations

import re
import sys

import pytest
from conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
from picture_peers import (
    DRAWERS,
    NETWORKS,
    OURS,
    PAGE,
    Measured,
    cells,
    main,
    measure_svg,
    our_svg,
    page_scale,
)

DOCUMENT = (ROOT / "docs" / "drawing.md").read_text("utf-8")


def _rows(name: str) -> dict[str, list[str]]:
    """The cells of a network's table, by label."""
    found = re.search(rf"^\| {name} \| text.*\n\|-.*\n((?:\|.*\n)+)", DOCUMENT, re.MULTILINE)
    assert found, name
    rows = [line.strip("| ").split(" | ") for line in found[1].splitlines()]
    return {label: rest for label, *rest in rows}


@pytest.mark.parametrize("network", NETWORKS)
def test_our_rows_are_true(network: str) -> None:
    rows = _rows(NETWORKS[network])
    actual = {label: cells(measure_svg(our_svg(network, *asked))) for label, asked in OURS.items()}
    assert {label: rows[label][:2] for label in OURS} == actual, "run benchmarks/picture_peers.py"


@pytest.mark.parametrize("network", NETWORKS)
def test_page_has_a_row_for_each_drawer(network: str) -> None:
    assert list(_rows(NETWORKS[network])) == [drawer.label for drawer in DRAWERS]


def _svg(width: str, height: str, box: str, inner: str) -> str:
    space = 'xmlns="http://www.w3.org/2000/svg"'
    return f'<svg {space} width="{width}" height="{height}" viewBox="{box}">{inner}</svg>'


def test_text_is_measured_on_the_page() -> None:
    nodes = '<g class="node"/><g class="node convolution"/><g class="edge"/>'
    texts = '<text font-size="10"/><g transform="scale(0.5 0.5)"><text font-size="8"/></g>'
    measured = measure_svg(_svg("100pt", "50pt", "0 0 200 100", nodes + texts))
    assert measured == Measured(8 * 0.5 * 0.5, 2)
    assert measure_svg(_svg("100px", "100px", "0 0 75 75", "")) == Measured(None, 0)


def test_a_picture_is_laid_as_it_fits_better_and_never_enlarged() -> None:
    width, height = PAGE
    assert page_scale(10, 10) == 1
    assert page_scale(width, 2 * height) == pytest.approx(0.5)
    assert page_scale(2 * height, width) == pytest.approx(0.5)


def test_a_missing_tool_is_a_row_that_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torchview", None)
    monkeypatch.setattr(sys, "argv", ["picture_peers.py", "--one", "0", "vgg16", "--keep", "."])
    monkeypatch.setattr(sys, "path", [*sys.path])
    main()
    assert capsys.readouterr().out == '["torchview is not installed", "", "", ""]\n'
