"""The page in which a network runs: drawing on it, and the maps that follow."""

from __future__ import annotations

from statistics import median

import pytest
import torch
from live_pages import (
    DIGITS,
    bytes_of,
    check_results,
    draw,
    lenet,
    lenet_page,
    ready,
    settle,
    sheet_of,
    tensor,
)
from pages import Open, browser, opened

from archdsl.looking.activations import record_activations
from archdsl.looking.answers import percentage
from archdsl.looking.colours import colours_of
from archdsl.looking.panels import short
from archdsl.looking.pipeline import strongest
from archdsl.looking.stages import choose_stages

__all__ = ["browser", "opened"]

pytestmark = pytest.mark.filterwarnings("ignore")


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
