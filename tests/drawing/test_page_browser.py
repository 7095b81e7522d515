"""What the page does in a browser: Chromium opens it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from conftest import ROOT
from pages import Open, browser, opened
from test_page import googlenet, nested, page_of

import archdsl

__all__ = ["browser", "googlenet", "nested", "opened"]


def box(tab: Any, label: str) -> Any:
    """The box on the screen whose label begins so."""
    return tab.locator(f'.node[aria-label^="{label}"]:visible').first


def count(tab: Any, selector: str) -> int:
    return int(tab.locator(f"{selector}:visible").count())


def test_blocks_expand_and_collapse(opened: Open, googlenet: archdsl.Model) -> None:
    tab = opened(page_of(googlenet))
    merges = ".node.merge"
    assert count(tab, merges) == 0
    block = box(tab, "i3a ·")
    assert block.get_attribute("aria-expanded") == "false"
    block.locator("> .face").click()
    assert block.get_attribute("aria-expanded") == "true"
    assert count(tab, merges) == 1
    tab.get_by_role("button", name="expand all").click()
    assert count(tab, merges) == 9
    assert count(tab, ".node.convolution") == 59
    block.locator("> .badge").click()
    assert count(tab, merges) == 8
    tab.get_by_role("button", name="collapse all").click()
    assert count(tab, merges) == 0


#: The boxes on the screen that overlap, and the wires that are askew or end off their boxes.
FAULTS = """() => {
  const shown = [...current.boxes.values()].filter((s) => !s.isHead && current.isShown(s.key));
  const areaOf = (box) => {
    const part = box.isOpen ? ":scope > .inside > .frame > rect:last-of-type" : ":scope > .face";
    return current.elements.get(box.key).querySelector(part).getBoundingClientRect();
  };
  const around = (box, other) => {
    for (let s = box; s; s = s.parent) if (s === other) return true;
    return false;
  };
  const faults = [];
  for (const [i, a] of shown.entries()) for (const b of shown.slice(i + 1)) {
    const p = areaOf(a), q = areaOf(b);
    const apart = p.right <= q.left || q.right <= p.left || p.bottom <= q.top || q.bottom <= p.top;
    const inside = q.left > p.left && q.right < p.right && q.top > p.top && q.bottom < p.bottom;
    if (around(b, a) ? !inside : !apart) faults.push(`boxes ${a.key} and ${b.key}`);
  }
  const walk = (scene) => {
    for (const wire of scene.wires) {
      const points = pointsOf(scene, wire, current.boxes);
      points.slice(1).forEach((point, i) => {
        const [dx, dy] = [Math.abs(point.x - points[i].x), Math.abs(point.y - points[i].y)];
        if (Math.min(dx, dy) > 0.1) faults.push(`wire ${wire.key} is askew`);
      });
      const head = current.boxes.get(wire.head);
      if (!head || head.isOpen) continue;
      const { x, y } = points[points.length - 1];
      const dx = Math.abs(x - scene.x(head.v)), dy = y - scene.y(head.u);
      const isOff = dx > head.right + 0.1 || dy < -0.1 || dy > head.along + 0.1;
      if (isOff) faults.push(`wire ${wire.key} ends off its box`);
    }
    for (const box of scene.boxes) if (box.isOpen) walk(box.scene);
  };
  walk(current.scene);
  return faults;
}"""


@pytest.mark.parametrize("name", ["nested", "googlenet", "torchvision/resnext"])
def test_boxes_stay_apart_whatever_is_open(
    name: str, opened: Open, nested: archdsl.Model, googlenet: archdsl.Model
) -> None:
    if name == "torchvision/resnext":
        model = archdsl.load_all(ROOT / "specs" / f"{name}.arch")[0]
    else:
        model = nested if name == "nested" else googlenet
    tab = opened(page_of(model))
    total = tab.evaluate("current.blocks().length")
    assert total > 4
    random.seed(7)
    sets = [[False] * total, [True] * total]
    sets += [random.choices((False, True), k=total) for _ in range(14)]
    for states in sets:
        tab.evaluate(
            "(s) => { current.blocks().forEach((b, i) => { b.isOpen = s[i]; }); current.draw(); }",
            states,
        )
        assert tab.evaluate(FAULTS) == []


def test_a_pointer_shows_the_numbers_of_a_box(opened: Open, googlenet: archdsl.Model) -> None:
    tab = opened(page_of(googlenet))
    box(tab, "conv1 ·").hover()
    card = tab.locator(".card")
    assert list(filter(None, card.inner_text().split("\n"))) == [
        "conv1 · conv 7×7",
        "conv1.0",
        "layers",
        "conv 7x7 64 s2 p3; relu",
        "volume",
        "224×224×3 → 112×112×64",
        "parameters",
        "9,472",
        "MACs",
        "118,013,952",
        "receptive field",
        "7",
        "10 │ conv1: conv 7x7 64 s2 p3 relu                                      → 112x112x64",
    ]
    assert count(tab, "tr.near") == 2
    box(tab, "i3a ·").hover()
    text = card.inner_text()
    assert "163,696" in text  # the sum of Table 1's row, biases included
    assert "│ i3a: inception(" in text
    tab.mouse.move(2, 2)
    assert not card.is_visible()


def test_selection_is_linked(opened: Open, googlenet: archdsl.Model) -> None:
    tab = opened(page_of(googlenet))
    box(tab, "conv1 ·").click()
    selected = "e => e.map(x => x.innerText.split(/\\s/)[0])"
    assert tab.eval_on_selector_all("tr.selected", selected) == ["conv1.0", "conv1.1"]
    assert tab.eval_on_selector_all("li.selected", "e => e.map(x => x.dataset.line)") == ["10"]
    last = tab.locator("tr.row", has_text="i5b.concat")
    last.click()
    block = box(tab, "i5b ·")
    assert "selected" in block.get_attribute("class")
    assert block.evaluate("e => e.getBoundingClientRect().bottom <= innerHeight")
    last.dblclick()
    assert count(tab, ".node.merge.selected") == 1
    tab.locator("li.row", has_text="conv2:").click()
    assert "selected" in box(tab, "conv2,").get_attribute("class")


def test_search_finds_in_picture_and_table(opened: Open, googlenet: archdsl.Model) -> None:
    tab = opened(page_of(googlenet))
    tab.keyboard.press("/")
    tab.keyboard.type("conv 5x5")
    assert tab.locator(".found").inner_text() == "9 found"
    assert count(tab, "tr.row") == 9
    assert "misses" in box(tab, "conv1 ·").get_attribute("class")
    assert "misses" not in box(tab, "i3a ·").get_attribute("class")
    tab.keyboard.press("Enter")
    assert count(tab, ".node.convolution.selected") == 1
    assert tab.locator("tr.selected").inner_text().startswith("i3a.branch3.2")
    assert box(tab, "i3a ·").bounding_box()["x"] >= 0
    tab.keyboard.press("Enter")
    assert tab.locator("tr.selected").inner_text().startswith("i3b.branch3.2")
    tab.keyboard.press("Escape")
    assert count(tab, "tr.row") == len(googlenet.layers)
    assert count(tab, ".selected") == 0


def test_keys(opened: Open, nested: archdsl.Model) -> None:
    tab = opened(page_of(nested, depth=0))

    def pressed(*keys: str) -> str:
        for key in keys:
            tab.keyboard.press(key)
        title = "current.selected === null ? '' : current.cards[current.selected].title"
        assert tab.evaluate("document.activeElement === current.elements.get(current.selected)")
        return str(tab.evaluate(title))

    tab.locator('.node[tabindex="0"]').focus()
    assert pressed() == "input"
    tab.keyboard.press("Escape")
    assert pressed("ArrowDown") == "input"
    assert pressed("ArrowDown") == "stem · conv 3×3"
    assert pressed("ArrowDown") == "a"
    assert pressed("ArrowRight", "ArrowRight") == "c"
    assert pressed("ArrowLeft", "ArrowLeft") == "a"
    assert pressed("Enter", "ArrowDown") == "conv 1×1"
    assert pressed("ArrowDown", "ArrowDown") == "b"
    assert pressed("ArrowDown") == "concat"
    assert pressed("ArrowUp", "ArrowUp") == "conv 3×3"
    tab.keyboard.press("Backspace")
    assert tab.evaluate("current.cards[current.selected].title") == "a"
    assert count(tab, ".is-open") == 0
    before = tab.evaluate("current.zoom")
    tab.keyboard.press("+")
    assert tab.evaluate("current.zoom") == pytest.approx(before * 1.25)
    tab.keyboard.press("-")
    tab.keyboard.press("-")
    tab.keyboard.press("0")
    assert tab.evaluate("current.zoom") == pytest.approx(before)
    tab.keyboard.press("Escape")
    assert tab.evaluate("current.selected") is None


def test_dragging_pans_and_selects_nothing(opened: Open, googlenet: archdsl.Model) -> None:
    tab = opened(page_of(googlenet))
    area = box(tab, "i3a ·").bounding_box()
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x, y - 100, steps=4)
    tab.mouse.up()
    assert tab.evaluate("current.pane.scrollTop") == 100
    assert count(tab, ".is-open") == count(tab, ".selected") == 0


def test_sorting(opened: Open, googlenet: archdsl.Model) -> None:
    tab = opened(page_of(googlenet))
    first = tab.locator("tbody").first.locator("tr.row").first
    tab.get_by_role("button", name="Parameters", exact=True).click()
    assert first.inner_text().split()[0] == "head.3"
    tab.get_by_role("button", name="Line", exact=True).click()
    tab.get_by_role("button", name="Line", exact=True).click()
    assert first.inner_text().split()[1] == "10"


def test_networks_are_chosen(opened: Open) -> None:
    models = archdsl.load_all(ROOT / "specs" / "vgg.arch")
    tab = opened(page_of(*models))
    assert tab.locator("h1:visible").inner_text() == models[0].name
    tab.locator("select:visible").select_option(label=models[1].name)
    assert tab.locator("h1:visible").inner_text() == models[1].name
    assert count(tab, ".node.convolution") == 8
    tab.get_by_role("button", name="collapse all").click()
    assert count(tab, ".node.convolution") == 0
    tab.get_by_role("button", name="expand all").click()
    assert count(tab, ".node.convolution") > 4


def test_dark_and_light(opened: Open, nested: archdsl.Model) -> None:
    page = page_of(nested)
    light, dark = opened(page), opened(page, color_scheme="dark")
    pictures = {tab.screenshot() for tab in (light, dark)}
    assert len(pictures) == 2
    colour = "getComputedStyle(document.body).backgroundColor"
    assert (light.evaluate(colour), dark.evaluate(colour)) == (
        "rgb(255, 255, 255)",
        "rgb(13, 17, 23)",
    )
    for tab in (light, dark):
        tab.get_by_role("button", name="dark or light").click()
    assert (light.evaluate(colour), dark.evaluate(colour)) == (
        "rgb(13, 17, 23)",
        "rgb(255, 255, 255)",
    )


def test_narrow_windows_show_all_panes(opened: Open, googlenet: archdsl.Model) -> None:
    tab = opened(page_of(googlenet), viewport={"width": 800, "height": 900})
    picture, table, spec = (
        tab.locator(f".{n}").first.bounding_box() for n in ("picture", "table", "spec")
    )
    assert picture["y"] + picture["height"] <= table["y"] + 1 < spec["y"]
    assert min(area["height"] for area in (picture, table, spec)) > 80
    assert tab.evaluate("document.documentElement.scrollWidth") == 800


def test_on_paper_the_picture_comes_first_without_controls(
    opened: Open, googlenet: archdsl.Model
) -> None:
    tab = opened(page_of(googlenet), color_scheme="dark")
    tab.emulate_media(media="print")
    assert count(tab, ".tools") == count(tab, ".badge") == 0
    assert count(tab, "tr.row") == len(googlenet.layers)
    colour = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(colour) == "rgb(255, 255, 255)"
    pdf = tab.pdf(format="A4", prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert 3 <= pdf.count(b"/Type /Page\n") <= 8
