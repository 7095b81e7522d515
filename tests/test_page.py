"""The page: one file that is safe to open, and what it does in a browser."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import archdsl
from archdsl.cli import main
from archdsl.drawing import DrawingError, Options, render_drawing
from archdsl.report.json import report_document
from archdsl.report.table import render_report

HOSTILE = '</script><script>fail("it runs")</script> & <img src=x onerror=fail()> "\' \u2028'

#: Blocks in branches and in blocks, and a block that takes up a result from outside.
NESTED = f"""# {HOSTILE}
network Nested: 32x32x16 → 10 {{
  stem: conv 3x3 16 same
  concat {{
    a: {{ conv 1x1 8; conv 3x3 8 same; b: {{ conv 1x1 8; maxpool 3 s1 same; conv 3x3 16 same }} }}
    | conv 3x3 8 same
    | c: {{ conv 5x5 8 same; conv 3x3 8 same }}
  }}
  d: {{ concat {{ conv 1x1 8 | e: {{ conv 3x3 8 same; maxpool 3 s1 same }} | id }} }}
  add {{ f: {{ conv 3x3 48 same; relu; conv 5x5 48 same }} | id }}
  aux(0.3) {{ g: {{ conv 1x1 4; conv 3x3 4 same }}; gap; flatten; fc 10 }}
  h: {{ conv 1x1 16; add {{ stem | id }}; conv 3x3 16 same }}
  gap; flatten; fc 10
}}
"""


class _Reader(HTMLParser):
    """Elements with their attributes and text, as an HTML parser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        pairs = zip(self.elements, self.texts, strict=True)
        return [(attrs, text) for (name, attrs), text in pairs if name == tag]


def page_of(*models: archdsl.Model, **wishes: Any) -> str:
    return render_drawing(models, "html", Options(**wishes)).content.decode()


def draw(*argv: str) -> None:
    """Run ``archdsl draw`` in this process."""
    with pytest.raises(SystemExit) as leave:
        main(["draw", *argv])
    assert leave.value.code == 0


def data_of(page: str, number: int = 0) -> Any:
    scripts = _Reader(page).all("script")
    return json.loads(scripts[number][1])


def spots_in(scene: Any) -> Iterator[Any]:
    for spot in scene["spots"]:
        yield spot
        if "scene" in spot:
            yield from spots_in(spot["scene"])


@pytest.fixture(scope="module")
def googlenet() -> archdsl.Model:
    return archdsl.load(ROOT / "specs" / "googlenet.arch")


@pytest.fixture(scope="module")
def nested() -> archdsl.Model:
    return archdsl.parse(NESTED, path=f"a {HOSTILE} folder/nested.arch")


# ── The file ─────────────────────────────────────────────────────────────────────────────────


def test_a_page_asks_for_no_other_file(googlenet: archdsl.Model) -> None:
    page = page_of(googlenet)
    reader = _Reader(page)
    asking = {"src", "href", "xlink:href", "srcset", "action", "background", "poster"}
    assert [attrs for _, attrs in reader.elements if asking & attrs.keys()] == []
    assert {tag for tag, _ in reader.elements} & {
        "link",
        "iframe",
        "object",
        "img",
        "base",
    } == set()
    assert page.count("url(") == page.count("url(data:font/ttf;base64,") == 2
    assert page.replace("http://www.w3.org/2000/svg", "").count("http://") == 0
    policy = next(a["content"] for a, _ in reader.all("meta") if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")


def test_a_page_of_googlenet_is_small(googlenet: archdsl.Model) -> None:
    assert len(page_of(googlenet).encode()) < 400_000


def test_the_same_model_gives_the_same_page(nested: archdsl.Model) -> None:
    assert page_of(nested) == page_of(archdsl.parse(NESTED, path=nested.path))


def test_what_a_spec_holds_is_text(nested: archdsl.Model) -> None:
    page = page_of(nested)
    reader = _Reader(page)
    assert [attrs.get("type") for attrs, _ in reader.all("script")] == ["application/json", None]
    assert {tag for tag, _ in reader.elements} & {"img"} == set()
    assert all(not name.startswith("on") for _, attrs in reader.elements for name in attrs)
    assert [text.rstrip("\n") for _, text in reader.all("code")] == [
        line.replace("\u2028", "\\u2028") for line in NESTED.split("\n")[:-1]
    ]
    assert reader.all("h2")[0][1].strip() == nested.path


def test_the_table_is_that_of_check(googlenet: archdsl.Model) -> None:
    reader = _Reader(page_of(googlenet))
    cells = [text.strip() for _, text in reader.all("td")]
    rows = [tuple(cells[start : start + 9]) for start in range(0, len(cells), 9)]
    report = render_report(googlenet)
    printed = [tuple(line.split()) for line in report.splitlines()]
    assert all(tuple(" ".join(row).split()) in printed for row in rows)
    layers = report_document([googlenet], [])["networks"][0]["layers"]
    # Heads, which the table has at its end, are in the order of the spec there.
    order = {layer["name"]: number for number, layer in enumerate(layers)}
    shown = sorted((row for row in rows if row[0] != "Total"), key=lambda row: order[row[0]])
    assert [(r[0], int(r[1]), r[4].replace(",", "").replace("·", "0")) for r in shown] == [
        (layer["name"], layer["line"], str(layer["params"])) for layer in layers
    ]
    notes = reader.all("pre")[0][1]
    assert "6,998,552 parameters in 58 weight layers" in notes
    assert "✓ line" in notes


@pytest.mark.parametrize("name", ["lenet5", "googlenet", "torchvision/resnet", "torchvision/vgg"])
def test_each_layer_has_one_innermost_box(name: str) -> None:
    models = archdsl.load_all(ROOT / "specs" / f"{name}.arch")
    page = page_of(*models)
    for number, model in enumerate(models):
        scene = data_of(page, number)["scene"]
        leaves = [spot for spot in spots_in(scene) if "scene" not in spot]
        nodes = [node for spot in leaves for node in spot["nodes"]]
        assert sorted(nodes) == [node.id for node in model.nodes]
        for spot in spots_in(scene):
            if "scene" in spot and not spot.get("isHead"):
                inner = {node for leaf in spots_in(spot["scene"]) for node in leaf["nodes"]}
                assert inner == set(spot["nodes"])


@pytest.mark.parametrize(
    ("wishes", "names"),
    [
        ({"depth": 0}, set()),
        ({"depth": 1}, {"a", "c", "d", "f", "g", "h"}),
        ({"depth": 2}, {"a", "b", "c", "d", "e", "f", "g", "h"}),
        ({"depth": 0, "open": ("b", "f")}, {"a", "b", "f"}),
    ],
)
def test_depth_and_open_say_what_is_open_at_first(
    nested: archdsl.Model, wishes: dict[str, Any], names: set[str]
) -> None:
    data = data_of(page_of(nested, **wishes))
    is_open = [spot for spot in spots_in(data["scene"]) if spot.get("isOpen")]
    shown = {data["cards"][str(s["key"])]["title"] for s in is_open if not s.get("isHead")}
    assert shown == names


def test_blocks_are_open_at_first_if_the_boxes_are_few(googlenet: archdsl.Model) -> None:
    def shown(model: archdsl.Model) -> tuple[int, int]:
        blocks = [s for s in spots_in(data_of(page_of(model))["scene"]) if "isOpen" in s]
        blocks = [s for s in blocks if not s.get("isHead")]
        return sum(s["isOpen"] for s in blocks), len(blocks)

    assert shown(googlenet) == (0, 11)
    assert shown(archdsl.load(ROOT / "specs" / "vgg16.arch")) == (2, 2)
    (resnet50,) = (
        model
        for model in archdsl.load_all(ROOT / "specs" / "torchvision" / "resnet.arch")
        if model.name == "ResNet50"
    )
    assert shown(resnet50) == (4, 12)


def test_a_flat_page_has_no_blocks(nested: archdsl.Model) -> None:
    data = data_of(page_of(nested, flat=True))
    assert [s for s in spots_in(data["scene"]) if "scene" in s and not s.get("isHead")] == []


def test_options_that_a_page_does_not_heed_are_refused(nested: archdsl.Model) -> None:
    with pytest.raises(DrawingError, match=r"^the graph style as html has no option --fit$"):
        page_of(nested, fit="a4")
    with pytest.raises(DrawingError, match=r"^no part is named 'z' "):
        page_of(nested, open=("z",))


def test_other_formats_show_one_network(nested: archdsl.Model) -> None:
    with pytest.raises(ValueError, match=r"^svg shows one network, and 2 were given$"):
        render_drawing((nested, nested), "svg")


def test_the_networks_of_a_file_are_one_page(tmp_path: Path) -> None:
    spec, out = str(ROOT / "specs" / "vgg.arch"), tmp_path / "vgg.html"
    draw(spec, "-o", str(out))
    names = [model.name for model in archdsl.load_all(spec)]
    assert len(names) > 1
    titles = [text.strip() for _, text in _Reader(out.read_text("utf-8")).all("h1")]
    assert titles == names
    folder = tmp_path / "pages"
    draw(spec, "-o", f"{folder}/", "--format", "html")
    assert (folder / "vgg.html").read_bytes() == out.read_bytes()
    assert [path.name for path in folder.iterdir()] == ["vgg.html"]


# ── In a browser ─────────────────────────────────────────────────────────────────────────────

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs Chromium for the tests of pages: `apt-get install chromium`")
        pytest.skip("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a page; fails if it complains, or asks for anything but itself."""
    complaints: list[str] = []
    pages: list[Any] = []

    def open_page(text: str, **wishes: Any) -> Any:
        path = tmp_path / f"{len(pages)}.html"
        path.write_text(text, "utf-8")
        tab = browser.new_page(**{"viewport": {"width": 1400, "height": 900}, **wishes})
        pages.append(tab)
        tab.on("console", lambda message: complaints.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(f"error: {error}"))

        def look(request: Any) -> None:
            if request.url.split("#")[0] != path.as_uri() and not request.url.startswith("data:"):
                complaints.append(f"request: {request.url}")

        tab.on("request", look)
        tab.goto(path.as_uri())
        return tab

    yield open_page
    for tab in pages:
        tab.close()
    assert complaints == []


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
  const shown = [...current.spots.values()].filter((s) => !s.isHead && current.isShown(s.key));
  const areaOf = (spot) => {
    const part = spot.isOpen ? ":scope > .inside > .frame > rect:last-of-type" : ":scope > .face";
    return current.elements.get(spot.key).querySelector(part).getBoundingClientRect();
  };
  const around = (spot, other) => {
    for (let s = spot; s; s = s.parent) if (s === other) return true;
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
      const points = pointsOf(scene, wire, current.spots);
      points.slice(1).forEach((point, i) => {
        const [dx, dy] = [Math.abs(point.x - points[i].x), Math.abs(point.y - points[i].y)];
        if (Math.min(dx, dy) > 0.1) faults.push(`wire ${wire.key} is askew`);
      });
      const head = current.spots.get(wire.head);
      if (!head || head.isOpen) continue;
      const { x, y } = points[points.length - 1];
      const dx = Math.abs(x - scene.x(head.v)), dy = y - scene.y(head.u);
      const isOff = dx > head.right + 0.1 || dy < -0.1 || dy > head.along + 0.1;
      if (isOff) faults.push(`wire ${wire.key} ends off its box`);
    }
    for (const spot of scene.spots) if (spot.isOpen) walk(spot.scene);
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
