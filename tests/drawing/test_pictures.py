"""Pictures on pages: how large their text is, what is collapsed, and what is written of them."""

from __future__ import annotations

import io
import re
import struct
import time
import zlib
from xml.etree import ElementTree

import pytest
from conftest import ROOT
from figures import TANGLES, boxes_of
from PIL import Image

import archdsl
from archdsl.drawing import STYLES, DrawingError, Options, render_drawing, render_svg
from archdsl.drawing.canvas.marks import Text, texts_in
from archdsl.drawing.canvas.typeface import BOLD, REGULAR, shortened, spelled, text_width
from archdsl.drawing.figure.composition import compose_figure
from archdsl.drawing.graph.boxes import COMPACT, SPACIOUS, size_of
from archdsl.drawing.graph.columns import Trunk
from archdsl.drawing.graph.elements import ClusterFrame, PlacedBox, Wire, elements_in
from archdsl.drawing.graph.picture import graph_picture
from archdsl.drawing.options import PAGES, Fit

SPECS = ROOT / "specs"
SVG = "{http://www.w3.org/2000/svg}"

UNET = """
block double(n) { conv 3x3 n same relu; conv 3x3 n same relu }
network UNet: 256x256x1 → 256x256x2 {
  enc1: double(64);  pool1: maxpool 2
  enc2: double(128); pool2: maxpool 2
  enc3: double(256); pool3: maxpool 2
  enc4: double(512); pool4: maxpool 2
  bottom: double(1024)
  up4: deconv 2x2 512 s2; concat { enc4 | id }; dec4: double(512)
  up3: deconv 2x2 256 s2; concat { enc3 | id }; dec3: double(256)
  up2: deconv 2x2 128 s2; concat { enc2 | id }; dec2: double(128)
  up1: deconv 2x2 64 s2;  concat { enc1 | id }; dec1: double(64)
  conv 1x1 2
}
"""


UNET_STEPS = (
    "a: conv 3x3 4 same; maxpool 2; b: conv 3x3 4 same; maxpool 2; conv 3x3 4 same; "
    "upsample 2; concat { b | id }; conv 3x3 4 same; upsample 2; concat { a | id }"
)


def model_of(name: str) -> archdsl.Model:
    """A network of the specs, or the U-Net of this file."""
    if name == "unet":
        return archdsl.parse(UNET)
    if name == "resnet50":
        models = archdsl.load_all(SPECS / "torchvision" / "resnet.arch")
        return next(model for model in models if model.name == "ResNet50")
    return archdsl.load(SPECS / f"{name}.arch")


@pytest.fixture(scope="module")
def googlenet() -> archdsl.Model:
    return model_of("googlenet")


def smallest_text(svg: str) -> float:
    """The smallest text on paper in points: its size in the picture times the picture's scale."""
    root = ElementTree.fromstring(svg)
    width = float((root.get("width") or "").removesuffix("pt"))
    scale = width / float((root.get("viewBox") or "").split()[2])
    return scale * min(float(text.get("font-size") or 0) for text in root.iter(f"{SVG}text"))


# ── Pages ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fit", PAGES)
@pytest.mark.parametrize(
    "name",
    ["lenet5", "alexnet", "vgg16", "vgg19", "nin", "googlenet", "resnet50", "unet"],
)
def test_on_each_page_all_text_is_legible(name: str, fit: Fit) -> None:
    svg = render_svg(model_of(name), Options(fit=fit))
    root, page = ElementTree.fromstring(svg), PAGES[fit]
    assert page.smallest == (10.0 if fit == "slide" else 6.0)
    assert smallest_text(svg) >= page.smallest - 0.005
    width, height = (float((root.get(a) or "").removesuffix("pt")) for a in ("width", "height"))
    assert width <= page.width + 0.01
    assert height <= page.height + 0.01


def test_googlenet_is_on_a4_with_all_its_branches(googlenet: archdsl.Model) -> None:
    drawing = render_drawing(googlenet, "svg", Options(fit="a4"))
    assert drawing.notes == ()
    root = ElementTree.fromstring(drawing.content)
    classes = [g.get("class") for g in root.iter(f"{SVG}g")]
    assert classes.count("node convolution") == 59
    assert classes.count("node merge") == 9
    assert classes.count("cluster head") == 2
    assert classes.count("cluster part") == 9 + 2


def test_what_is_closed_for_a_page_is_said_and_shown_once(googlenet: archdsl.Model) -> None:
    drawing = render_drawing(googlenet, "svg", Options(fit="column"))
    assert drawing.notes == (
        "blocks are collapsed below depth 0, so that the text is legible on a column",
    )
    texts = [text.text for text in ElementTree.fromstring(drawing.content).iter(f"{SVG}text")]
    assert "i4b–i4d" in texts
    assert "512→512→512→528" in texts
    assert texts.count("concat") == 1  # in the key


def test_what_cannot_fit_says_by_how_much(googlenet: archdsl.Model) -> None:
    drawing = render_drawing(googlenet, "svg", Options(fit="column", flat=True))
    (note,) = drawing.notes
    size = smallest_text(drawing.content.decode())
    assert note == (
        f"the smallest text is {size:.1f} pt on a column, {6 - size:.1f} pt less than is legible"
    )


def test_columns_end_where_one_result_passes_and_best_with_a_stage() -> None:
    figure = compose_figure(model_of("resnet50"), is_terse=True)
    first, second = Trunk(figure, COMPACT, True).columns(2).flows
    names = [
        [e.cluster.name for e in column.elements if isinstance(e, ClusterFrame)]
        for column in (first, second)
    ]
    assert names == [["layer1", "layer2"], ["layer3", "layer4"]]


def test_the_wire_from_column_to_column_has_its_volume(googlenet: archdsl.Model) -> None:
    figure = compose_figure(googlenet, is_terse=True)
    columns = Trunk(figure, COMPACT, True).columns(3).flows
    assert [column.label for column in columns] == ["", "28×28×480", "14×14×528"]


def test_a_skip_is_not_cut() -> None:
    figure = compose_figure(model_of("unet"))
    columns = Trunk(figure, SPACIOUS, True).columns(4).flows
    ids = [
        {e.box.id for e in elements_in(column.elements) if isinstance(e, PlacedBox)}
        for column in columns
    ]
    for edge in figure.edges:
        homes = [{n for n, own in enumerate(ids) if end in own} for end in (edge.tail, edge.head)]
        if homes[0] != homes[1]:
            assert [e.head for e in figure.edges if e.tail == edge.tail] == [edge.head]


# ── Layout ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["googlenet", "resnet50", "unet", "nin"])
@pytest.mark.parametrize("goes_down", [True, False])
def test_no_two_boxes_overlap_and_each_lies_in_its_frame(name: str, goes_down: bool) -> None:
    figure = compose_figure(model_of(name))
    (column,) = Trunk(figure, SPACIOUS, goes_down).columns(1).flows
    placed_boxes = [e for e in elements_in(column.elements) if isinstance(e, PlacedBox)]
    assert len(placed_boxes) == len(boxes_of(figure))
    for number, one in enumerate(placed_boxes):
        for other in placed_boxes[number + 1 :]:
            is_apart = (
                one.u + one.along <= other.u
                or other.u + other.along <= one.u
                or abs(one.v - other.v) >= (one.across + other.across) / 2
            )
            assert is_apart, (one.box.title, other.box.title)
    for frame in elements_in(column.elements):
        if not isinstance(frame, ClusterFrame):
            continue
        for placed in elements_in(frame.elements):
            if isinstance(placed, PlacedBox):
                assert frame.u[0] < placed.u
                assert placed.u + placed.along < frame.u[1]
                assert frame.v[0] < placed.v - placed.across / 2
                assert placed.v + placed.across / 2 < frame.v[1]


def _touches(point: tuple[float, float], placed: PlacedBox) -> bool:
    """Whether a point is on the border of a box, of which some have round ends."""
    u, v = point
    half = placed.across / 2
    return (
        placed.u - 0.1 <= u <= placed.u + placed.along + 0.1
        and placed.v - half - 0.1 <= v <= placed.v + half + 0.1
    )


@pytest.mark.parametrize("goes_down", [True, False])
@pytest.mark.parametrize("depth", [None, 0])
@pytest.mark.parametrize("text", [*TANGLES, "inception(4, 4→8, 4→4, 4) ×2", UNET_STEPS])
def test_wires_lead_into_and_out_of_each_box(text: str, depth: int | None, goes_down: bool) -> None:
    model = archdsl.parse(f"{text}; fc 10", input=(8, 8, 4))
    figure = compose_figure(model, Options(depth=depth))
    (column,) = Trunk(figure, SPACIOUS, goes_down).columns(1).flows
    elements = list(elements_in(column.elements))
    wires = [e for e in elements if isinstance(e, Wire)]
    for placed in (e for e in elements if isinstance(e, PlacedBox)):
        tails = sum(edge.tail == placed.box.id for edge in figure.edges)
        heads = sum(edge.head == placed.box.id for edge in figure.edges)
        begun = sum(_touches(wire.points[0], placed) for wire in wires)
        ended = sum(_touches(wire.points[-1], placed) and wire.has_arrow for wire in wires)
        assert ended == heads, (placed.box.title, placed.box.detail)
        assert min(tails, 1) <= begun <= max(tails, 1) or not tails


def test_branches_stand_in_the_order_of_the_spec_on_one_row(googlenet: archdsl.Model) -> None:
    (column,) = Trunk(compose_figure(googlenet), SPACIOUS, True).columns(1).flows
    frame = next(
        e
        for e in elements_in(column.elements)
        if isinstance(e, ClusterFrame) and e.cluster.name == "i3a"
    )
    placed_boxes = [e for e in frame.elements if isinstance(e, PlacedBox)]
    top = min(placed.u for placed in placed_boxes)
    row = sorted(
        (placed for placed in placed_boxes if placed.u == top), key=lambda placed: placed.v
    )
    titles = [(placed.box.title, placed.box.detail.split()[0]) for placed in row]
    assert titles == [
        ("conv 1×1", "64"),
        ("conv 1×1", "96"),
        ("conv 1×1", "16"),
        ("maxpool 3×3", "s1"),
    ]
    assert placed_boxes[-1].box.title == "concat"
    assert placed_boxes[-1].u > max(placed.u + placed.along for placed in placed_boxes[:-1])


def _extent(text: Text) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a text."""
    width = text_width(text.text, text.size, text.bold)
    left = text.at[0] - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    return left, text.at[1] - 0.72 * text.size, left + width, text.at[1]


@pytest.mark.parametrize("fit", ["none", *PAGES])
@pytest.mark.parametrize("name", ["alexnet", "nin", "googlenet", "resnet50", "unet"])
def test_no_two_texts_overlap_and_none_leaves_the_picture(name: str, fit: Fit) -> None:
    for direction in ("down", "right"):
        options = Options(fit=fit, direction=direction, legend="on")  # type: ignore[arg-type]
        picture = graph_picture(model_of(name), options)
        texts = list(texts_in(picture.marks))
        extents = [_extent(text) for text in texts]
        for number, (left, top, right, bottom) in enumerate(extents):
            assert left >= 0
            assert right <= picture.width
            assert top >= 0
            assert bottom <= picture.height
            for other in range(number):
                a, b, c, d = extents[other]
                is_apart = right <= a or c <= left or bottom <= b or d <= top
                assert is_apart, (direction, texts[other].text, texts[number].text)


def test_a_trunk_is_straight() -> None:
    figure = compose_figure(model_of("resnet50"))
    (column,) = Trunk(figure, SPACIOUS, True).columns(1).flows
    placed_boxes = {e.box.id: e for e in elements_in(column.elements) if isinstance(e, PlacedBox)}
    assert {placed_boxes[box.id].v for box in boxes_of(figure) if box.name != "downsample"} == {0.0}


def test_texts_fit_in_their_boxes(googlenet: archdsl.Model) -> None:
    for type in (SPACIOUS, COMPACT):
        for box in boxes_of(compose_figure(googlenet)):
            width, _ = size_of(box, type)
            assert width >= text_width(box.title.split()[0], type.title, bold=True) + 2 * 4


# ── Options ──────────────────────────────────────────────────────────────────────────────────


def titles_of(model: archdsl.Model, **chosen: object) -> list[str]:
    return [box.title for box in boxes_of(compose_figure(model, Options(**chosen)))]  # type: ignore[arg-type]


def test_depth_closes_and_open_opens(googlenet: archdsl.Model) -> None:
    collapsed = titles_of(googlenet, depth=0)
    assert collapsed.count("inception") == 5
    assert "concat" not in collapsed
    assert "conv2" in collapsed
    opened = titles_of(googlenet, depth=0, open=("i4b",))
    assert opened.count("concat") == 1
    assert titles_of(googlenet, depth=1) == titles_of(googlenet)


def test_an_open_part_is_not_folded() -> None:
    model = model_of("vgg16")
    assert titles_of(model).count("conv 3×3") == 5
    assert titles_of(model, open=("features",)).count("conv 3×3") == 13


def test_flat_has_each_layer_and_no_frames() -> None:
    figure = compose_figure(model_of("resnet50"), Options(flat=True))
    assert sum(box.title.startswith("conv") for box in boxes_of(figure)) == 53
    assert all(box.count == 1 for box in boxes_of(figure))
    assert "cluster" not in render_svg(model_of("nin"), Options(flat=True))


def test_shapes_and_names(googlenet: archdsl.Model) -> None:
    def labels(**chosen: object) -> int:
        figure = compose_figure(googlenet, Options(**chosen))  # type: ignore[arg-type]
        return sum(bool(edge.label) for edge in figure.edges)

    assert labels(shapes="none") == 0 < labels() < labels(shapes="all")
    assert "i3a.branch1.0" in {
        box.name for box in boxes_of(compose_figure(googlenet, Options(names=True)))
    }


def test_a_part_that_is_none_cannot_be_open(googlenet: archdsl.Model) -> None:
    with pytest.raises(DrawingError, match=r"^no part is named 'hed' \(did you mean `head`\?\)$"):
        render_svg(googlenet, Options(open=("hed",)))


def test_an_option_or_format_that_a_style_lacks_is_refused(
    googlenet: archdsl.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    import archdsl.drawing

    with pytest.raises(DrawingError, match=r"^the graph style as dot has no option --color-by$"):
        render_drawing(googlenet, "dot", Options(color_by="macs"))
    bare = replace(STYLES[0], options=frozenset(("fit",)), texts={})
    monkeypatch.setattr(archdsl.drawing, "style_named", lambda name: bare)
    with pytest.raises(DrawingError, match=r"^the graph style has no option --flat$"):
        render_drawing(googlenet, "svg", Options(flat=True))
    with pytest.raises(DrawingError, match=r"^the graph style has no format dot; it has svg, png"):
        render_drawing(googlenet, "dot")


# ── Heat ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("measure", ["params", "macs", "memory", "receptive-field"])
def test_heat_agrees_with_the_report(measure: str) -> None:
    model = model_of("alexnet")
    rows = [line.split("  ") for line in archdsl.check(SPECS / "alexnet.arch").splitlines()]
    cells = {row[0].strip(): [cell.strip() for cell in row if cell.strip()] for row in rows if row}
    svg = render_svg(model, Options(color_by=measure, flat=True))  # type: ignore[arg-type]
    titles = [g.findtext(f"{SVG}title") or "" for g in ElementTree.fromstring(svg).iter(f"{SVG}g")]
    title = next(title for title in titles if title.startswith("conv1.0"))
    exact = {
        "params": r"([\d,]+) parameters",
        "macs": r"([\d,]+) MACs",
        "memory": r"([\d.,]+) MB of results",
        "receptive-field": r"receptive field ([\d,]+)",
    }[measure]
    found = re.search(exact, title)
    assert found is not None
    if measure == "memory":  # three rows of the table: the convolution and what is fused to it
        assert float(found[1]) == pytest.approx(3 * float(cells["conv1.0"][-1]), abs=0.002)
    else:
        assert found[1] in cells["conv1.0"]


def test_heat_has_a_bar_with_its_ends() -> None:
    svg = render_svg(model_of("alexnet"), Options(color_by="params"))
    texts = [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert texts[-3:] == ["parameters, log scale", "34.9K", "37.8M"]


# ── Typeface and writers ─────────────────────────────────────────────────────────────────────


def test_widths_are_those_of_the_files() -> None:
    ttlib = pytest.importorskip("fontTools.ttLib")
    for path, is_bold in ((REGULAR, False), (BOLD, True)):
        font = ttlib.TTFont(path)
        unit, cmap = font["head"].unitsPerEm, font.getBestCmap()
        assert not {"GPOS", "kern"} & set(font.keys())
        text = "conv 3×3 → 64 · s1 − ✓ αβγ é"
        width = sum(font["hmtx"][cmap[ord(sign)]][0] for sign in text) / unit * 11
        assert text_width(text, 11, is_bold) == pytest.approx(width, abs=0.1)


def test_a_letter_without_a_shape_is_spelled() -> None:
    assert spelled("名 x") == "\\u540d x"


def test_long_names_are_cut_in_the_middle() -> None:
    cut = shortened("a" * 100 + "b" * 100, 8, 80)
    assert re.fullmatch(r"a+…b+", cut)
    assert 60 < text_width(cut, 8) <= 80


def test_pngs_are_white_behind_and_the_same_each_time(googlenet: archdsl.Model) -> None:
    png = render_drawing(googlenet, "png", Options(fit="a4")).content
    assert png == render_drawing(googlenet, "png", Options(fit="a4")).content
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    # 170 mm at 192 dots per inch.
    assert (width, depth, kind) == (pytest.approx(1254, abs=3), 8, 6)
    data = b""
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    raw = zlib.decompress(data)
    assert len(raw) == height * (4 * width + 1)


@pytest.mark.parametrize(("theme", "page"), [("light", (255,) * 4), ("dark", (13, 17, 23, 255))])
def test_pngs_are_page_to_the_last_pixel(theme: str, page: tuple[int, ...]) -> None:
    """Also where the picture ends within one."""
    model = archdsl.parse("conv 3x3 4; fc 5", input="8x8x3")
    png = render_drawing(model, "png", Options(theme=theme)).content  # type: ignore[arg-type]
    image = Image.open(io.BytesIO(png))
    right, bottom = image.width - 1, image.height - 1
    corners = [(0, 0), (right, 0), (0, bottom), (right, bottom)]
    assert [image.getpixel(corner) for corner in corners] == [page] * 4


def test_pdfs_embed_the_typeface_and_have_no_date(googlenet: archdsl.Model) -> None:
    pdf = render_drawing(googlenet, "pdf", Options(fit="a4")).content
    assert pdf.count(b"/FontFile2") == 2
    assert b"Helvetica" not in pdf
    assert set(re.findall(rb"/CreationDate \(D:(\d{4})", pdf)) <= {b"2000"}


def test_an_svg_follows_the_page_or_has_one_theme(googlenet: archdsl.Model) -> None:
    assert "prefers-color-scheme" in render_svg(googlenet)
    for theme, page in (("light", "#ffffff"), ("dark", "#0d1117"), ("print", "#ffffff")):
        svg = render_svg(googlenet, Options(theme=theme))  # type: ignore[arg-type]
        assert "prefers-color-scheme" not in svg
        assert f'fill="{page}" class="f-page"' in svg


def test_elements_are_read_in_the_order_of_the_spec(googlenet: archdsl.Model) -> None:
    root = ElementTree.fromstring(render_svg(googlenet, Options(fit="a4")))
    shown = [
        g.findtext(f"{SVG}title")
        for g in root.iter(f"{SVG}g")
        if (g.get("class") or "").startswith("node")
    ]
    heads = [title for title in shown if title and title.startswith("aux")]
    trunk = [title for title in shown if title not in heads]
    figure = compose_figure(googlenet, is_terse=True)
    wanted = [figure.tooltips[box.id] for box in boxes_of(figure)]
    assert trunk == [title for title in wanted if not title.startswith("aux")]


# ── What could go wrong ──────────────────────────────────────────────────────────────────────


def test_names_of_all_kinds_are_drawn() -> None:
    long = "x" * 200
    model = archdsl.parse(
        f"{long}: conv 3x3 8 relu; b: {{ conv 1x1 4; {long[:199]}: conv 1x1 5 }}",
        path='a"b<c>&amp;\\N名é.arch',
        input="8x8x3",
    )
    for format in ("svg", "png", "pdf"):
        assert render_drawing(model, format, Options(fit="column")).content
    assert render_drawing(model, "dot").content
    root = ElementTree.fromstring(render_svg(model))
    assert float((root.get("width") or "").removesuffix("pt")) < 400
    assert any(long in (g.findtext(f"{SVG}title") or "") for g in root.iter(f"{SVG}g"))


def test_a_network_of_two_thousand_nodes_is_drawn_in_time() -> None:
    steps = (f"conv 3x3 {8 + n * n % 13 * 8} same relu" for n in range(1000))
    model = archdsl.parse("network Big: 8x8x8 → 10 {\n" + "\n".join(steps) + "\nfc 10\n}")
    assert len(model.nodes) == 2002
    start = time.process_time()
    drawing = render_drawing(model, "svg", Options(fit="a4"))
    assert time.process_time() - start < 10
    assert "less than is legible" in drawing.notes[-1]


def test_a_picture_has_its_size(googlenet: archdsl.Model) -> None:
    picture = graph_picture(googlenet, Options(fit="a4"))
    assert picture.smallest_text == pytest.approx(6.09, abs=0.05)
