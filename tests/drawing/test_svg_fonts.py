"""The letters of SVG pictures: the font inside them, their outlines, and the reader's fonts.

Chromium has no Inter on the machines that run this.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import resvg_py
from conftest import ROOT
from pages import Open, browser, opened
from PIL import Image, ImageChops, ImageStat

import archdsl
from archdsl.drawing import DrawingError, Options, render_drawing, render_svg
from archdsl.drawing.canvas.marks import Picture, Text, texts_in
from archdsl.drawing.canvas.palette import palette_of
from archdsl.drawing.canvas.png import png_of
from archdsl.drawing.canvas.svg import svg_of
from archdsl.drawing.canvas.truetype import font_at
from archdsl.drawing.canvas.typeface import BOLD, REGULAR, Fonts, spelled, text_width
from archdsl.drawing.graph.picture import graph_picture

__all__ = ["browser", "opened"]

SVG = "{http://www.w3.org/2000/svg}"
LENGTH = r' textLength="[^"]*" lengthAdjust="spacingAndGlyphs"'
FACE = r"@font-face \{ font-family: (archdsl-\w{8}); font-weight: (\d+); src: url\(([^)]*)\); \}"
FONTS: tuple[Fonts, ...] = ("embed", "outline", "system")
#: What a text is wider by in a browser than it was measured, in points.
TOLERANCE = 0.5


@pytest.fixture(scope="module")
def alexnet() -> archdsl.Model:
    return archdsl.load(ROOT / "specs" / "alexnet.arch")


def picture_of(*texts: str, bold: bool = False) -> Picture:
    marks = tuple(Text((10, 20 * n), text, 12, bold=bold) for n, text in enumerate(texts, start=1))
    return Picture("Texts", "", marks, 300, 20 * len(texts) + 10)


# ── The font ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [REGULAR, BOLD], ids=["regular", "bold"])
def test_fonttools_reads_the_same_letters(path: Path) -> None:
    """Of a subset of all characters, and of outlines, each of which fontTools draws itself."""
    from fontTools.pens.momentsPen import MomentsPen
    from fontTools.pens.recordingPen import DecomposingRecordingPen
    from fontTools.pens.transformPen import TransformPen
    from fontTools.svgLib.path import parse_path
    from fontTools.ttLib import TTFont

    whole, font = TTFont(path), font_at(path)
    part = TTFont(io.BytesIO(font.subset(map(chr, whole.getBestCmap()))), checkChecksums=2)
    before, after = whole.getBestCmap(), part.getBestCmap()
    assert before.keys() == after.keys() == font.glyphs.keys()
    old, new = whole.getGlyphSet(), part.getGlyphSet()
    assert any(whole["glyf"][glyph].isComposite() for glyph in before.values())
    for code in before:
        pens = DecomposingRecordingPen(old), DecomposingRecordingPen(new)
        old[before[code]].draw(pens[0])
        new[after[code]].draw(pens[1])
        assert pens[0].value == pens[1].value, chr(code)
        assert whole["hmtx"][before[code]] == part["hmtx"][after[code]]
        turned = TransformPen(moments := MomentsPen(old), (1, 0, 0, -1, 0, 0))
        old[before[code]].draw(turned)
        parse_path(font.outline(chr(code)), drawn := MomentsPen())
        for kind in ("area", "momentX", "momentY", "momentXX", "momentXY", "momentYY"):
            wanted = pytest.approx(getattr(moments, kind), rel=1e-9, abs=1e-3)
            assert getattr(drawn, kind) == wanted, chr(code)


def test_a_subset_has_what_was_asked_for_and_the_same_bytes() -> None:
    from fontTools.ttLib import TTFont

    font = font_at(BOLD)
    subset = font.subset("×é1")
    assert subset == font.subset(["1", "é", "×", "é"])
    read = TTFont(io.BytesIO(subset), checkChecksums=2)
    assert set(read.getBestCmap()) == set(map(ord, "×é1"))
    # That of missing characters, and the two parts of é.
    assert read["maxp"].numGlyphs == 6
    with pytest.raises(KeyError):
        font.subset("中")


# ── embed ────────────────────────────────────────────────────────────────────────────────────


def test_a_picture_holds_the_characters_that_it_uses(alexnet: archdsl.Model) -> None:
    from fontTools.ttLib import TTFont

    svg = render_svg(alexnet)
    faces = re.findall(FACE, svg)
    assert [weight for _, weight, _ in faces] == ["400", "700"]
    (name,) = {name for name, _, _ in faces}
    assert f'font-family="{name}, Inter, Helvetica Neue, ' in svg
    assert "SIL Open Font License 1.1" in svg
    picture = graph_picture(alexnet, Options())
    for (_, _, url), bold in zip(faces, (False, True), strict=True):
        kind, _, data = url.partition(",")
        assert kind == "data:font/ttf;base64"
        used = {c for text in texts_in(picture.marks) if text.bold == bold for c in text.text}
        assert set(TTFont(io.BytesIO(b64decode(data))).getBestCmap()) == set(map(ord, used))
        assert len(data) < 170 * len(used)
    sizes = {fonts: len(render_svg(alexnet, Options(fonts=fonts))) for fonts in FONTS}
    assert sizes["system"] < sizes["embed"] < sizes["system"] + 9_000
    assert sizes["embed"] < sizes["outline"] < 4 * sizes["system"]


#: For each text: how wide it is, and how far it is from the edges of the box that it is in.
MEASURED = """() => [...document.querySelectorAll("text")].map((text) => {
  const own = text.getBBox();
  const face = text.closest(".node")?.querySelector("path")?.getBBox();
  const room = face ? Math.min(own.x - face.x, face.x + face.width - own.x - own.width) : 0;
  return [text.textContent, text.getComputedTextLength(), own.width, room];
})"""


def measured(opened: Open, svg: str) -> list[tuple[str, float, float, float]]:
    tab = opened(f"<!doctype html><meta charset=utf-8>{svg}")
    tab.evaluate("document.fonts.ready")
    return [tuple(row) for row in tab.evaluate(MEASURED)]


@pytest.mark.parametrize("fonts", ["embed", "system"])
def test_texts_are_as_wide_as_measured_and_in_their_boxes(
    opened: Open, alexnet: archdsl.Model, fonts: Fonts
) -> None:
    texts = list(texts_in(graph_picture(alexnet, Options()).marks))
    rows = measured(opened, render_svg(alexnet, Options(fonts=fonts)))
    assert [row[0] for row in rows] == [text.text for text in texts]
    for text, (_, _, width, room) in zip(texts, rows, strict=True):
        assert width == pytest.approx(text_width(text.text, text.size, text.bold), abs=TOLERANCE), (
            text.text
        )
        assert room >= 0, text.text


def test_the_font_inside_is_what_makes_them_so(opened: Open, alexnet: archdsl.Model) -> None:
    """Without the widths that a browser is told, which change nothing where the font is shown."""
    texts = list(texts_in(graph_picture(alexnet, Options()).marks))
    bare = re.sub(LENGTH, "", render_svg(alexnet))
    assert "textLength" not in bare
    for text, (_, length, width, _) in zip(texts, measured(opened, bare), strict=True):
        wanted = text_width(text.text, text.size, text.bold)
        assert (length, width) == (
            pytest.approx(wanted, abs=TOLERANCE),
            pytest.approx(wanted, abs=TOLERANCE),
        ), text.text
    other = measured(opened, re.sub(FACE, "", bare))
    assert any(
        width > text_width(text.text, text.size, text.bold) + 2
        for text, (_, _, width, _) in zip(texts, other, strict=True)
    ), "Inter is installed here"


def test_pictures_on_one_page_keep_their_fonts(opened: Open) -> None:
    pictures = [picture_of("conv 11×11"), picture_of("maxpool"), picture_of("conv", bold=True)]
    page = "".join(re.sub(LENGTH, "", svg_of(picture, "auto")) for picture in pictures)
    texts = [text for picture in pictures for text in texts_in(picture.marks)]
    for text, (_, _, width, _) in zip(texts, measured(opened, page), strict=True):
        assert width == pytest.approx(text_width(text.text, 12, text.bold), abs=TOLERANCE)


def shot(opened: Open, svg: str, box: str) -> Image.Image:
    """The picture as a page shows it that names it as an image, as GitHub's do."""
    data = b64encode(svg.encode()).decode()
    tab = opened(f'<!doctype html><img {box} src="data:image/svg+xml;base64,{data}">')
    tab.wait_for_function("document.images[0].complete")
    content = tab.locator("img").screenshot()
    return Image.open(io.BytesIO(content)).convert("L")


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(ImageStat.Stat(ImageChops.difference(one, other)).mean[0])


def test_an_image_shows_the_same_letters_as_outlines(opened: Open, alexnet: archdsl.Model) -> None:
    box = 'width="572"'
    shots = {
        fonts: shot(opened, render_svg(alexnet, Options(fonts=fonts, theme="light")), box)
        for fonts in FONTS
    }
    near = difference(shots["embed"], shots["outline"])
    far = difference(shots["system"], shots["outline"])
    assert near < far / 3, (near, far)


def test_librsvg_leaves_the_space_behind_a_title(alexnet: archdsl.Model, tmp_path: Path) -> None:
    """It reads no font inside the picture and no ``textLength``: narrow letters are asked for."""
    rsvg, fonts = shutil.which("rsvg-convert"), shutil.which("fc-list")
    if rsvg is None or fonts is None:
        pytest.skip("there is no rsvg-convert here")
    known = subprocess.run([fonts, ":", "family"], capture_output=True, check=True, text=True)
    if "DejaVu Sans Condensed" not in known.stdout:
        pytest.skip("there is no DejaVu Sans Condensed here")
    path = tmp_path / "texts.svg"
    titles = [t for t in texts_in(graph_picture(alexnet, Options()).marks) if t.bold]
    for title in titles:
        text = replace(title, at=(10.0, 20.0), anchor="start", fill="#000000")
        path.write_text(svg_of(Picture("Title", "", (text,), 200, 30), "light"), "utf-8")
        done = subprocess.run([rsvg, "--zoom", "4", str(path)], capture_output=True, check=True)
        image = Image.open(io.BytesIO(done.stdout)).convert("L")
        box = ImageChops.invert(image).getbbox()
        assert box is not None
        ink = box[2] / image.width * 200 - 10
        # What stands behind a title is one and a half spaces away.
        space = 1.5 * text_width(" ", title.size)
        assert ink < text_width(title.text, title.size, bold=True) + space, title.text


# ── outline ──────────────────────────────────────────────────────────────────────────────────


def test_outlines_need_no_font(alexnet: archdsl.Model) -> None:
    """resvg draws them without any font as it draws texts with the package's."""
    picture = graph_picture(alexnet, Options())
    svg = svg_of(picture, "light", "outline")
    with_font = Image.open(io.BytesIO(png_of(picture, "light"))).convert("L")
    content = resvg_py.svg_to_bytes(
        svg_string=svg,
        width=with_font.width,
        background=palette_of("light")["page"],
        dpi=72,
        skip_system_fonts=True,
    )
    without = Image.open(io.BytesIO(content)).convert("L")
    bare = re.sub("<use [^>]*>", "", svg)
    blank = resvg_py.svg_to_bytes(
        svg_string=bare, width=with_font.width, background="#ffffff", dpi=72, skip_system_fonts=True
    )
    letters = difference(with_font, Image.open(io.BytesIO(blank)).convert("L"))
    assert difference(with_font, without) < letters / 50


def test_outlines_keep_the_words(alexnet: archdsl.Model) -> None:
    root = ElementTree.fromstring(render_svg(alexnet, Options(fonts="outline")))
    texts = list(texts_in(graph_picture(alexnet, Options()).marks))
    groups = [g for g in root.iter(f"{SVG}g") if g.get("aria-label")]
    assert [g.get("aria-label") for g in groups] == [text.text for text in texts]
    assert {g.get("role") for g in groups} == {"img"}
    assert not list(root.iter(f"{SVG}text"))
    known = {path.get("id") for path in root.iter(f"{SVG}path")} - {None}
    hrefs = [use.get("{http://www.w3.org/1999/xlink}href") for use in root.iter(f"{SVG}use")]
    assert {f"#{id}" for id in known} == set(hrefs)
    assert len(hrefs) == sum(len(text.text.replace(" ", "")) for text in texts)


# ── Other characters and formats ─────────────────────────────────────────────────────────────


def test_characters_that_inter_lacks_are_the_readers_or_spelled() -> None:
    picture = picture_of("中 conv", "conv", bold=True)
    for fonts in ("embed", "system"):
        svg = svg_of(picture, "light", fonts)
        assert re.findall(r"<text [^>]*>([^<]*)<", svg) == ["中 conv", "conv"]
        assert svg.count("textLength") == 1
    outline = svg_of(picture, "light", "outline")
    assert 'aria-label="中 conv"' in outline
    assert outline.count("<use ") == len(spelled("中") + "conv" + "conv")
    assert "@font-face" not in svg_of(Picture("Empty", "", (), 9, 9), "light")
    assert "@font-face" not in svg_of(picture_of("中"), "light")


def test_spaces_that_svg_drops_are_not_counted() -> None:
    (length,) = re.findall(r'textLength="([^"]*)"', svg_of(picture_of("a  b "), "light"))
    assert float(length) == pytest.approx(text_width("a b", 12), abs=0.01)
    assert "textLength" not in svg_of(picture_of(" "), "light")


@pytest.mark.parametrize("format", ["png", "pdf", "tikz", "html", "dot"])
def test_only_svg_has_fonts_to_choose(format: str, alexnet: archdsl.Model) -> None:
    with pytest.raises(DrawingError, match=f"the graph style as {format} has no option --fonts"):
        render_drawing(alexnet, format, Options(fonts="outline"))


@pytest.mark.parametrize("style", ["volumes", "table"])
def test_every_style_has_them(style: str, alexnet: archdsl.Model) -> None:
    svgs: dict[Fonts, Any] = {
        fonts: render_drawing(alexnet, "svg", Options(fonts=fonts), style).content.decode()
        for fonts in FONTS
    }
    assert [len(re.findall(FACE, svg)) for svg in svgs.values()] == [2, 0, 0]
    assert ["<text " in svg for svg in svgs.values()] == [True, False, True]
    assert svgs["embed"].count("textLength") == svgs["system"].count("textLength") > 0
