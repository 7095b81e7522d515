"""The page: one file that is safe to open."""

from __future__ import annotations

import json
from collections.abc import Iterator
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

#: Blocks in branches and in blocks, and a block that refers to a result from outside.
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


def page_of(*models: archdsl.Model, **chosen: Any) -> str:
    return render_drawing(models, "html", Options(**chosen)).content.decode()


def draw(*argv: str) -> None:
    """Run ``archdsl draw`` in this process."""
    with pytest.raises(SystemExit) as leave:
        main(["draw", *argv])
    assert leave.value.code == 0


def data_of(page: str, number: int = 0) -> Any:
    scripts = _Reader(page).all("script")
    return json.loads(scripts[number][1])


def boxes_in(scene: Any) -> Iterator[Any]:
    for box in scene["boxes"]:
        yield box
        if "scene" in box:
            yield from boxes_in(box["scene"])


@pytest.fixture(scope="module")
def googlenet() -> archdsl.Model:
    return archdsl.load(ROOT / "specs" / "googlenet.arch")


@pytest.fixture(scope="module")
def nested() -> archdsl.Model:
    return archdsl.parse(NESTED, path=f"a {HOSTILE} folder/nested.arch")


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
        leaves = [box for box in boxes_in(scene) if "scene" not in box]
        nodes = [node for box in leaves for node in box["nodes"]]
        assert sorted(nodes) == [node.id for node in model.nodes]
        for box in boxes_in(scene):
            if "scene" in box and not box.get("isHead"):
                inner = {node for leaf in boxes_in(box["scene"]) for node in leaf["nodes"]}
                assert inner == set(box["nodes"])


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({"depth": 0}, set()),
        ({"depth": 1}, {"a", "c", "d", "f", "g", "h"}),
        ({"depth": 2}, {"a", "b", "c", "d", "e", "f", "g", "h"}),
        ({"depth": 0, "open": ("b", "f")}, {"a", "b", "f"}),
    ],
)
def test_depth_and_open_say_what_is_open_at_first(
    nested: archdsl.Model, chosen: dict[str, Any], names: set[str]
) -> None:
    data = data_of(page_of(nested, **chosen))
    is_open = [box for box in boxes_in(data["scene"]) if box.get("isOpen")]
    shown = {data["cards"][str(s["key"])]["title"] for s in is_open if not s.get("isHead")}
    assert shown == names


def test_blocks_are_open_at_first_if_the_boxes_are_few(googlenet: archdsl.Model) -> None:
    def shown(model: archdsl.Model) -> tuple[int, int]:
        blocks = [s for s in boxes_in(data_of(page_of(model))["scene"]) if "isOpen" in s]
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
    assert [s for s in boxes_in(data["scene"]) if "scene" in s and not s.get("isHead")] == []


def test_options_that_a_page_does_not_support_are_refused(nested: archdsl.Model) -> None:
    with pytest.raises(DrawingError, match=r"^the graph style as html has no option --fit$"):
        page_of(nested, fit="a4")
    with pytest.raises(DrawingError, match=r"^no part is named 'z' "):
        page_of(nested, open=("z",))


def test_other_formats_show_one_network(nested: archdsl.Model) -> None:
    with pytest.raises(ValueError, match=r"^svg shows one network, but 2 were given$"):
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
