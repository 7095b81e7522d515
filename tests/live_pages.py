"""What the tests of pages with a network in them share: LeNet-5 in one, and what it computes."""

from __future__ import annotations

import base64
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from conftest import ROOT
from PIL import Image
from runs import run
from torch import Tensor

import archdsl
from archdsl.looking.activations import record_activations
from archdsl.looking.live import render_live_page
from archdsl.looking.specimen import Specimen, open_specimen
from archdsl.looking.stages import choose_stages
from archdsl.recipe import Recipe

#: The largest difference from torch, relative to the largest number of a result.
CLOSE = 1e-4
#: Removed when the process ends.
_FOLDER = TemporaryDirectory(prefix="archdsl-live-")


@cache
def lenet() -> Specimen:
    """LeNet-5 after three epochs with the digits."""
    recipe = Recipe("digits", 32, 3)
    model = archdsl.load(ROOT / "specs" / "lenet5.arch")
    return open_specimen(run(model, Path(_FOLDER.name), recipe).run.folder)


@cache
def lenet_page() -> str:
    return render_live_page(lenet())


def ready(tab: Any) -> Any:
    tab.wait_for_selector('body[data-state="ready"]', state="attached")
    return tab


def settle(tab: Any) -> None:
    """Wait until the network has run on what is on the sheet."""
    tab.evaluate("new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f)))")
    while tab.evaluate("live.isRunning || Boolean(live.wanted)"):
        tab.wait_for_timeout(5)


#: Strokes of digits, each a row of places from the upper left, in shares of the sheet.
DIGITS = {
    "7": [[(0.34, 0.3), (0.64, 0.3), (0.46, 0.74)]],
    "1": [[(0.52, 0.26), (0.48, 0.74)]],
    "4": [[(0.4, 0.26), (0.34, 0.52), (0.64, 0.5)], [(0.6, 0.28), (0.56, 0.76)]],
}


def draw(tab: Any, strokes: list[list[tuple[float, float]]]) -> list[float]:
    """Draw with the mouse; how long the network and its maps took at each move, in ms."""
    box = tab.locator("#sheet canvas").bounding_box()
    took = []
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        tab.mouse.move(*places[0])
        tab.mouse.down()
        for x, y in places[1:]:
            tab.mouse.move(x, y, steps=8)
            settle(tab)
            took.append(tab.evaluate("live.took"))
        tab.mouse.up()
        settle(tab)
        took.append(tab.evaluate("live.took"))
    return took


def tensor(values: list[float], shape: tuple[int, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


def check_results(tab: Any, specimen: Specimen, **chosen: Any) -> None:
    """The page's input is that of its pixels, and its results are those of torch for it."""
    assert tab.evaluate("document.body.dataset.state") == "ready"
    sizes = specimen.finished.input.torch_sizes
    pixels = torch.tensor(tab.evaluate("[...live.pixels]"), dtype=torch.uint8).reshape(sizes)
    numbers = tensor(tab.evaluate("[...live.numbers]"), sizes)
    assert torch.equal(numbers, specimen.finished.normalize(pixels))
    wanted = record_activations(specimen, numbers)
    results = tab.evaluate(
        "Object.fromEntries(Object.entries(live.results).map(([k, v]) => [k, [...v]]))"
    )
    stages = chosen.get("stages") or choose_stages(specimen.model)
    assert len(results) == len(stages) + 1
    for stage in stages:
        value = wanted.values[stage.node]
        found = tensor(results[f"stage{stage.node}"], tuple(value.shape))
        assert (found - value).abs().max() <= CLOSE * value.abs().max(), stage.name
    found = tensor(results["probabilities"], tuple(wanted.answer.shape))
    assert (found - wanted.answer).abs().max() <= CLOSE


def bytes_of(canvas: Any) -> Tensor:
    """What is on a canvas, uint8 h×w×3."""
    content = base64.b64decode(canvas.evaluate("(c) => c.toDataURL()").partition(",")[2])
    return torch.from_numpy(np.array(Image.open(BytesIO(content)).convert("RGB")))


def sheet_of(tab: Any) -> Tensor:
    """The points of the drawing, uint8 h×w×3."""
    return bytes_of(tab.locator("#sheet canvas"))
