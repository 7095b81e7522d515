"""The page in which a network runs: in a browser it computes what torch does."""

from __future__ import annotations

import base64
import json
import shutil
from functools import cache
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from looks import train, trained
from pages import Open, browser, opened
from PIL import Image
from runs import run
from torch import Tensor

import archdsl
from archdsl.layers.volume import Volume
from archdsl.looking.activations import record_activations
from archdsl.looking.answers import percentage
from archdsl.looking.colours import colours_of
from archdsl.looking.live import render_live_page
from archdsl.looking.panels import short
from archdsl.looking.pipeline import strongest
from archdsl.looking.specimen import Specimen, open_specimen
from archdsl.looking.stages import choose_stages, find_stage
from archdsl.recipe import Recipe
from archdsl.train.data import prepare_pixels
from archdsl.train.data.preparation import enlarge

__all__ = ["browser", "opened"]

pytestmark = pytest.mark.filterwarnings("ignore")

#: The largest difference from torch, relative to the largest number of a result.
CLOSE = 1e-4
#: Whether torch resizes bytes as bytes here; elsewhere it rounds otherwise.
IS_EXACT = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")

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


# ── Drawing ──────────────────────────────────────────────────────────────────────────────────


def test_digits_that_are_drawn_are_recognized_as_torch_does(opened: Open) -> None:
    tab = ready(opened(lenet_page()))
    assert tab.locator("#said").inner_text() == "sees an empty sheet"
    check_results(tab, lenet())
    took = []
    for digit, strokes in DIGITS.items():
        took += draw(tab, strokes)
        assert tab.locator("#said").inner_text().startswith(f"sees {digit} ("), digit
        assert tab.locator("#answer li").first.inner_text().startswith(digit)
        # A pixel is the mean of its points.
        points = sheet_of(tab)[None, ..., 0].double()
        means = torch.nn.functional.avg_pool2d(points, points.shape[-1] // 32)
        pixels = torch.tensor(tab.evaluate("[...live.pixels]")).reshape(1, 32, 32)
        assert (pixels - means).abs().max() <= 0.5 + 1e-9
        assert pixels.max() > 250
        check_results(tab, lenet())
        tab.get_by_role("button", name="clear").click()
        settle(tab)
    # The goal is 50 ms; other work on the machine makes single strokes longer.
    assert median(took) <= 50, took


def test_the_maps_are_those_of_a_picture(opened: Open) -> None:
    """The same channels in the same order and colours as in what `archdsl look` draws."""
    specimen = lenet()
    tab = ready(opened(lenet_page()))
    tab.locator("#samples button").nth(3).click()
    settle(tab)
    check_results(tab, specimen)
    numbers = tensor(tab.evaluate("[...live.numbers]"), (1, 32, 32))
    values = record_activations(specimen, numbers).values
    picked: list[int] = []
    for stage in choose_stages(specimen.model):
        if stage.volume.positions == 1:
            continue
        result = values[stage.node]
        place = f'section[aria-label="{stage.name}"]'
        labels = tab.locator(f"{place} figure span").all_inner_texts()
        if not stage.statement.startswith(("tanh", "avgpool")):
            picked = strongest(result, 8)
        assert labels == [str(channel) for channel in picked], stage.name
        shown = result[picked]
        largest = max(-shown.min().item(), shown.max().item())
        wanted = colours_of(shown[0], largest).int()
        found = bytes_of(tab.locator(f"{place} figure canvas").first).int()
        # A number at the border of two steps may be on the other side.
        assert (found - wanted).abs().max() <= 3, stage.name
    assert picked
    # While something is drawn they stay in their places.
    before = tab.locator(".maps span").all_inner_texts()
    draw(tab, DIGITS["1"])
    assert tab.locator(".maps span").all_inner_texts() == before
    tab.get_by_role("button", name="strongest maps").click()
    assert tab.locator(".maps span").all_inner_texts() != before


def test_a_stage_opens_with_all_its_maps(opened: Open) -> None:
    tab = ready(opened(lenet_page()))
    panel = tab.locator("#whole")
    heading = tab.locator('section[aria-label="C3.0"] button')
    assert not panel.is_visible()
    heading.click()
    assert panel.locator("figure").count() == 16
    assert panel.locator("h2").inner_text() == "C3.0: conv 5x5 16"
    first = panel.locator("figure canvas").first
    before = bytes_of(first)
    draw(tab, DIGITS["7"])
    assert not torch.equal(bytes_of(first), before)
    tab.keyboard.press("Escape")
    assert not panel.is_visible()
    assert heading.get_attribute("aria-expanded") == "false"
    tab.locator('section[aria-label="F6.0"] button').press("Enter")
    assert panel.locator("svg path.above").get_attribute("d")


def test_all_can_be_done_by_keys(opened: Open) -> None:
    tab = ready(opened(lenet_page()))
    tab.locator("#sheet canvas").focus()
    for _ in range(9):
        tab.keyboard.press("ArrowUp")
    assert tab.evaluate("live.sheet.isEmpty")
    tab.keyboard.down("Shift")
    for _ in range(17):
        tab.keyboard.press("ArrowDown")
    tab.keyboard.up("Shift")
    settle(tab)
    assert tab.locator("#said").inner_text().startswith("sees 1 (")
    check_results(tab, lenet())
    tab.keyboard.press("Control+z")
    settle(tab)
    assert tab.locator("#said").inner_text() == "sees an empty sheet"
    # Each control is reached, and says what it is.
    names = [item.strip() for item in tab.locator("button:visible").all_inner_texts()]
    assert {"pen", "eraser", "clear", "undo", "invert", "save"} <= set(names)
    assert all(
        tab.locator("button:visible").nth(place).evaluate("(b) => b.innerText || b.ariaLabel")
        for place in range(len(names))
    )


def test_pen_eraser_width_and_undo(opened: Open) -> None:
    tab = ready(opened(lenet_page()))

    def ink() -> float:
        return float(tab.evaluate("live.pixels.reduce((sum, x) => sum + x, 0)"))

    draw(tab, DIGITS["1"])
    thin = ink()
    tab.get_by_role("button", name="clear").click()
    tab.locator("#width").fill("5")
    draw(tab, DIGITS["1"])
    assert ink() > 1.6 * thin
    tab.get_by_role("button", name="eraser").click()
    tab.locator("#width").fill("6")
    draw(tab, DIGITS["1"])
    assert ink() == 0
    for count in (1, 2, 3):
        tab.get_by_role("button", name="undo").click()
        settle(tab)
        assert (ink() > 0) == (count != 2)
    assert ink() == thin


def test_what_changes_the_sheet_ends_a_stroke(opened: Open) -> None:
    """Else its next move would bring back what was there before."""
    tab = ready(opened(lenet_page()))
    box = tab.locator("#sheet canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for change in ("live.undo()", "live.clear()"):
        tab.mouse.move(*middle)
        tab.mouse.down()
        tab.mouse.move(middle[0] + 40, middle[1])
        tab.evaluate(change)
        tab.mouse.move(middle[0] + 40, middle[1] + 40)
        tab.mouse.up()
        settle(tab)
        assert not tab.evaluate("live.pixels.some((x) => x)"), change
    tab.locator("#sheet canvas").focus()
    tab.keyboard.down("Shift")
    tab.keyboard.press("ArrowDown")
    tab.evaluate("live.clear()")
    tab.keyboard.up("Shift")
    settle(tab)
    assert not tab.evaluate("live.pixels.some((x) => x)")


def test_a_finger_draws(opened: Open) -> None:
    """On a phone: nothing is wider than the screen, and a touch does not scroll."""
    tab = ready(opened(lenet_page(), viewport={"width": 390, "height": 844}, has_touch=True))
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert tab.locator("#sheet canvas").evaluate("(c) => getComputedStyle(c).touchAction") == "none"
    box = tab.locator("#sheet canvas").bounding_box()
    tab.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    settle(tab)
    pixels = torch.tensor(tab.evaluate("[...live.pixels]")).reshape(32, 32)
    assert pixels[15:17, 15:17].min() > 200
    assert pixels[:12].max() == 0


def test_dark_and_light(opened: Open) -> None:
    tab = ready(opened(lenet_page(), color_scheme="dark"))
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(colour)
    tab.get_by_role("button", name="dark or light").click()
    assert (dark, tab.evaluate(colour)) == ("rgb(13, 17, 23)", "rgb(255, 255, 255)")


def test_the_licences_are_on_the_page(opened: Open) -> None:
    tab = ready(opened(lenet_page()))
    tab.locator("summary").click()
    assert "Permission is hereby granted" in tab.locator("footer pre").first.inner_text()
    tab.get_by_role("button", name="notices").click()
    tab.locator("#third:not([hidden])").wait_for()
    assert "THIRD PARTY SOFTWARE NOTICES" in tab.locator("#third").inner_text()


def test_scales_are_labelled_as_in_pictures(opened: Open) -> None:
    tab = ready(opened(lenet_page()))
    for value in (0.0, 1.0, -1.0, 0.4242, -9.1849, 12.85, 999.6, 1234.5, -43210.7, 5e-5, -1.2e-7):
        assert tab.evaluate("(x) => short(x)", value) == short(value), value
    for share in (0.0, 1e-5, 0.0005, 0.0321, 0.5, 0.9994, 0.9996, 1.0):
        assert tab.evaluate("(x) => percentage(x)", share) == percentage(share), share


def test_the_frame_is_where_digits_are(opened: Open) -> None:
    tab = ready(opened(lenet_page()))
    top, left, bottom, right = tab.evaluate("live.sheet.data.area")
    # 20×20 pixels in a field of 28×28 (LeCun et al. 1998), here inside one of 32×32.
    assert 3 <= top <= 7
    assert 3 <= left <= 9
    assert 25 <= bottom <= 29
    assert 23 <= right <= 29
    assert tab.locator("#samples button").count() == 10


def test_maps_of_a_slow_network_follow_when_the_pen_rests(opened: Open) -> None:
    tab = ready(opened(lenet_page()))
    before = tab.evaluate("live.pixels")
    tab.evaluate("() => { live.took = 1000; }")
    box = tab.locator("#sheet canvas").bounding_box()
    tab.mouse.move(box["x"] + 100, box["y"] + 60)
    tab.mouse.down()
    for step in range(10):
        tab.mouse.move(box["x"] + 100, box["y"] + 70 + 10 * step)
    assert tab.evaluate("live.took") == 1000
    assert tab.evaluate("live.pixels") == before
    settle(tab)
    assert tab.evaluate("live.took") < 1000
    check_results(tab, lenet())
    tab.mouse.up()


# ── Pictures ─────────────────────────────────────────────────────────────────────────────────


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


# ── Other networks ───────────────────────────────────────────────────────────────────────────


def test_branches_colours_and_heads(opened: Open) -> None:
    """The page begins with its image, as `look` sees it."""
    specimen = trained().specimen
    page = render_live_page(specimen, image=trained().image_path, samples=3, channels=3)
    tab = ready(opened(page))
    sizes = specimen.finished.input.torch_sizes
    assert torch.equal(tensor(tab.evaluate("[...live.numbers]"), sizes), trained().image)
    check_results(tab, specimen)
    assert tab.locator("#samples button").count() == 4
    assert tab.locator('section[aria-label="input"] figure').count() == 3
    assert tab.locator('section[aria-label="stem.0"] figure').count() == 3
    tab.locator("#colour").fill("#ff0000")
    tab.locator("#width").fill("3")
    draw(tab, [[(0.2, 0.2), (0.8, 0.8)]])
    pixels = torch.tensor(tab.evaluate("[...live.pixels]")).reshape(sizes)
    assert pixels[:, 8, 10].tolist() == [255, 0, 0]
    check_results(tab, specimen)


NETWORKS = {
    "a part that runs twice": (
        "network Twice: 16x16x1 → 3 { a: conv 3x3 4 same; add { id | conv 1x1 4 }\n"
        "step: { conv 3x3 4 same tanh }; add { step | id }; reuse step; fc 3 }"
    ),
    "probabilities": "network Soft: 16x16x1 → 3 { conv 3x3 4 bn relu; gap; fc 3; softmax }",
    "outputs with names": (
        "network Exits: 16x16x1 → (early: 4, late: 4) { a: conv 3x3 8 same relu\n"
        "early: { gap; fc 4 }; a; maxpool 2; late: fc 4 }"
    ),
    "a tall image": "network Tall: 60x10x3 → 3 { conv 3x3 12 same relu; maxpool 2; fc 3 }",
    "vectors": "network Flat: 8x8x1 → 3 { fc 5 relu; fc 3 }",
    "tokens": (
        "network Tokens: 8x12x3 → 2 { conv 4x4 6 s4; tokens; clstoken; posembed; ln; token 0\n"
        "fc 2 }"
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_runs_is_the_network(name: str, opened: Open, tmp_path: Path) -> None:
    specimen = open_specimen(train(NETWORKS[name], tmp_path))
    tab = ready(opened(render_live_page(specimen)))
    assert tab.locator("#samples button").count() > 0
    tab.locator("#samples button").first.click()
    settle(tab)
    check_results(tab, specimen)
    draw(tab, [[(0.2, 0.3), (0.7, 0.6)]])
    check_results(tab, specimen)


def test_a_page_of_one_part(opened: Open) -> None:
    part = find_stage(lenet().model, "C3")
    tab = ready(opened(render_live_page(lenet(), part=part, samples=0)))
    assert tab.locator("#samples").is_hidden()
    draw(tab, DIGITS["7"])
    check_results(tab, lenet(), stages=[part])
    numbers = tensor(tab.evaluate("[...live.numbers]"), (1, 32, 32))
    wanted = strongest(record_activations(lenet(), numbers).values[part.node], 16)
    labels = tab.locator('section[aria-label="C3"] figure span').all_inner_texts()
    assert labels == [str(channel) for channel in wanted]


def test_a_name_of_a_class_is_only_a_text(opened: Open, tmp_path: Path) -> None:
    hostile = '</script><script>fail("it runs")</script><img src=x onerror=fail()> "'
    folder = tmp_path / "copy"
    shutil.copytree(trained().folder, folder)
    facts = json.loads((folder / "run.json").read_text("utf-8"))
    facts["data"]["classes"][0] = hostile
    (folder / "run.json").write_text(json.dumps(facts), "utf-8")
    tab = ready(opened(render_live_page(open_specimen(folder))))
    names = tab.locator("#answer li span:first-child").all_inner_texts()
    assert hostile in names
    check_results(tab, open_specimen(folder))


def test_a_browser_that_cannot_run_it_says_so(browser: Any, tmp_path: Path) -> None:
    """One without WebAssembly, say: the page says why, and nothing is thrown."""
    path = tmp_path / "page.html"
    path.write_text(lenet_page(), "utf-8")
    tab = browser.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.add_init_script("delete globalThis.WebAssembly")
    tab.goto(path.as_uri())
    tab.wait_for_selector('body[data-state="failed"]', state="attached")
    said = tab.locator("#said").inner_text()
    tab.close()
    assert said.startswith("the network does not run in this browser: ")
    assert errors == []
