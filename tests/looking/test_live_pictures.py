"""Pictures on a page in which a network runs are prepared as `archdsl predict` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from live_pages import (
    DIGITS,
    check_results,
    draw,
    lenet,
    lenet_page,
    ready,
    settle,
    sheet_of,
)
from pages import Open, browser, opened
from PIL import Image

from archdsl.layers.volume import Volume
from archdsl.train.data import prepare_pixels
from archdsl.train.data.preparation import enlarge

__all__ = ["browser", "opened"]

pytestmark = pytest.mark.filterwarnings("ignore")

#: Whether torch resizes bytes as bytes here; elsewhere it rounds otherwise.
IS_EXACT = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def write_picture(path: Path, size: tuple[int, int], mode: str, seed: int = 0) -> Path:
    """Noise with an edge in it: what differs most between ways to resize."""
    drawn = np.random.default_rng(seed)
    height, width = size
    pixels = drawn.integers(0, 256, (height, width, {"L": 1, "RGB": 3, "RGBA": 4}[mode]))
    pixels[:, width // 2 :, :3] //= 3
    if mode == "RGBA":
        pixels[..., 3] = np.where(pixels[..., 3] > 128, 255, 0)
    Image.fromarray(pixels.astype(np.uint8).squeeze(), mode).save(path)
    return path


PICTURES = [
    ("of its size", (32, 32), "L"),
    ("padded", (28, 28), "L"),
    ("padded unevenly", (25, 31), "L"),
    ("enlarged", (11, 17), "L"),
    ("reduced", (300, 200), "L"),
    ("a panorama", (40, 333), "L"),
    ("reduced along one axis", (32, 57), "L"),
    ("in colour", (90, 70), "RGB"),
    ("transparent", (64, 64), "RGBA"),
]


@pytest.fixture(scope="module")
def wide_tab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One page for all pictures: it takes a second to open."""
    path = tmp_path_factory.mktemp("live") / "page.html"
    path.write_text(lenet_page(), "utf-8")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    yield ready(tab)
    tab.close()


@pytest.mark.parametrize(("size", "mode"), [p[1:] for p in PICTURES], ids=[p[0] for p in PICTURES])
def test_a_picture_is_prepared_as_predict_does(
    wide_tab: Any, tmp_path: Path, size: tuple[int, int], mode: str
) -> None:
    path = write_picture(tmp_path / "picture.png", size, mode)
    tab, finished = wide_tab, lenet().finished
    tab.locator("#file").set_input_files(path)
    for is_inverted in (False, True):
        if is_inverted:
            tab.get_by_role("button", name="invert").click()
        while not tab.evaluate(f"live.sheet.source?.isInverted === {str(is_inverted).lower()}"):
            tab.wait_for_timeout(5)
        settle(tab)
        found = torch.tensor(tab.evaluate("[...live.pixels]"), dtype=torch.int32)
        wanted = finished.pixels(path, invert=is_inverted).flatten().int()
        assert (found - wanted).abs().max() <= (0 if IS_EXACT else 1)
    check_results(tab, lenet())
    tab.get_by_role("button", name="clear").click()
    settle(tab)


@pytest.mark.parametrize("enlarged", [False, True])
@pytest.mark.parametrize("size", [(57, 80), (14, 19), (96, 64), (250, 150)])
def test_colours_are_resized_as_torch_does(
    wide_tab: Any, tmp_path: Path, size: tuple[int, int], enlarged: bool
) -> None:
    path = write_picture(tmp_path / "picture.png", size, "RGB")
    pixels = np.asarray(Image.open(path))
    rgba = np.concatenate([pixels, np.full((*size, 1), 255, np.uint8)], axis=2)
    input = Volume.image(24, 36, 3)
    frame = enlarge((24, 36)) if enlarged else (24, 36)
    found = wide_tab.evaluate(
        """([data, [height, width], frame]) => {
          const image = channelsOf({ data, height, width }, 3, [0, 0, 0], false);
          return [...prepare(image, { size: [24, 36], frame, padding: 8 }).pixels];
        }""",
        [rgba.flatten().tolist(), size, frame],
    )
    wanted = prepare_pixels(path, input=input, enlarged=enlarged).flatten().int()
    assert (torch.tensor(found) - wanted).abs().max() <= (0 if IS_EXACT else 1)


def test_a_picture_of_another_kind_is_pointed_out(opened: Open, tmp_path: Path) -> None:
    """Black on white is not what the digits look like; inverted it is."""
    tab = ready(opened(lenet_page()))
    draw(tab, DIGITS["7"])
    Image.fromarray(255 - sheet_of(tab).numpy()).save(tmp_path / "seven.png")
    assert tab.locator("#remark").inner_text() == ""
    tab.locator("#file").set_input_files(tmp_path / "seven.png")
    remark = tab.locator("#remark:not(:empty)")
    assert remark.inner_text().endswith("dark and bright seem to be reversed: try “invert”.")
    tab.locator("button.advised").click()
    settle(tab)
    assert tab.locator("#remark").inner_text() == ""
    assert tab.locator("#said").inner_text().startswith("sees 7 (")
    (tmp_path / "no.png").write_text("no picture")
    tab.locator("#file").set_input_files(tmp_path / "no.png")
    assert tab.locator("#remark:not(:empty)").inner_text() == "no.png cannot be read as a picture."


def test_what_is_saved_is_what_predict_sees(opened: Open, tmp_path: Path) -> None:
    tab = ready(opened(lenet_page()))
    draw(tab, DIGITS["4"])
    with tab.expect_download() as download:
        tab.get_by_role("button", name="save").click()
    assert download.value.suggested_filename == "LeNet5-input.png"
    download.value.save_as(tmp_path / "saved.png")
    found = lenet().finished.pixels(tmp_path / "saved.png")
    assert found.flatten().tolist() == tab.evaluate("[...live.pixels]")
