"""How soon a page of `archdsl look` opens, and how long a stroke takes in it.

    archdsl train specs/lenet5.arch --data digits --epochs 6 --name lenet5
    python benchmarks/live_page.py runs/lenet5 [MORE RUNS]

It draws a seven with the mouse in Chromium. A stroke is from a move of the mouse to all maps: the
drawing is read, prepared, run through the network, and the results are painted. Exits with 1 where
LeNet-5 takes longer than 50 ms at the median. It needs playwright and a Chromium.
"""

from __future__ import annotations

import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import sync_playwright

from archdsl.looking.live import render_live_page
from archdsl.looking.specimen import open_specimen

GOAL = 50.0
ROUNDS = 3
#: A seven, in shares of the sheet, and how many moves each of its lines has.
SEVEN, MOVES = [(0.34, 0.3), (0.64, 0.3), (0.46, 0.74)], 20


def main() -> None:
    is_slow = False
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        print(f"Chromium {browser.version}")
        for run in sys.argv[1:]:
            specimen = open_specimen(Path(run))
            started = time.perf_counter()
            path = Path(name) / "page.html"
            path.write_text(render_live_page(specimen), "utf-8")
            made = time.perf_counter() - started
            model = specimen.model
            print(f"{model.name}: {model.trunk.parameters:,} parameters, {model.trunk.macs:,} MACs")
            print(f"  page             {path.stat().st_size / 1e6:.1f} MB, made in {made:.1f} s")
            opening, took, ran = [], [], []
            for _ in range(ROUNDS):
                tab = browser.new_page(viewport={"width": 1280, "height": 800})
                started = time.perf_counter()
                tab.goto(path.as_uri())
                tab.wait_for_selector('body[data-state="ready"]', state="attached")
                opening.append(time.perf_counter() - started)
                for one, other in strokes(tab):
                    took.append(one)
                    ran.append(other)
                tab.close()
            print(f"  opens in         {median(opening):.2f} s")
            print(f"  a stroke         {spread(took)}")
            print(f"  the network      {spread(ran)}")
            is_slow |= model.name == "LeNet5" and median(took) > GOAL
        browser.close()
    sys.exit(is_slow)


def strokes(tab: Any) -> list[tuple[float, float]]:
    """What each move takes in ms: all of it, and the network alone."""
    box = tab.locator("#sheet canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in SEVEN]
    found = []
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for start, end in pairwise(places):
        for step in range(1, MOVES + 1):
            share = step / MOVES
            tab.mouse.move(*(a + (b - a) * share for a, b in zip(start, end, strict=True)))
            while tab.evaluate("live.isRunning || Boolean(live.wanted)"):
                tab.wait_for_timeout(1)
            found.append(tuple(tab.evaluate("[live.took, live.ran]")))
    tab.mouse.up()
    return found


def spread(values: list[float]) -> str:
    return f"{median(values):.1f} ms at the median, {quantiles(values, n=20)[-1]:.1f} ms in 95 %"


if __name__ == "__main__":
    main()
