"""What is written of each mark of a picture: places, dashes and colours, to the letter."""

from __future__ import annotations

import base64
import re
import zlib

import pytest

import archdsl
from archdsl.drawing.canvas.marks import Group, Line, Picture, Text, rectangle
from archdsl.drawing.canvas.palette import colour_of, palette_of
from archdsl.drawing.canvas.pdf import pdf_of
from archdsl.drawing.canvas.tikz import tikz_of

CURVE = Line(
    (("M", ((1.0, 2.0),)), ("L", ((3.5, 4.0),)), ("C", ((5, 6), (7, 8), (9, 10.126))), ("Z", ())),
    stroke="#102030",
    width=3,
    dash=(4.0, 1.5),
)
PICTURE = Picture(
    "Net",
    "of two",
    (
        rectangle(0, 1, 20, 30, fill="#abcdef"),
        Group((CURVE, Text((6.0, 7.0), "a_b", 8, "#000000", anchor="end")), "a group"),
        rectangle(2, 3, 4, 5, stroke="#102030", line=1),
        Text((10, 11), "c", 10, "#102030", bold=True, anchor="start"),
        Text((12, 13), "d", 10, "#102030"),
    ),
    width=40,
    height=60,
    scale=2,
)


def test_tikz_to_the_letter() -> None:
    node = r"\node[anchor=base{}, inner sep=0pt, text=archdsl-{}, font={}] at {};"
    font = r"\fontsize{16bp}{16bp}\sffamily\mdseries\selectfont"
    bold = r"\fontsize{20bp}{20bp}\sffamily\bfseries\selectfont"
    plain = r"\fontsize{20bp}{20bp}\sffamily\mdseries\selectfont"
    assert tikz_of(PICTURE, "light").splitlines() == [
        "% Net",
        "% of two",
        r"% \usepackage{tikz}",
        r"\begin{tikzpicture}[x=1bp, y=-1bp, line join=round]",
        r"\definecolor{archdsl-abcdef}{HTML}{ABCDEF}",
        r"\definecolor{archdsl-102030}{HTML}{102030}",
        r"\definecolor{archdsl-000000}{HTML}{000000}",
        r"\path[use as bounding box] (0,0) rectangle (80,120);",
        r"\path[fill=archdsl-abcdef] (0,2) -- (40,2) -- (40,62) -- (0,62) -- cycle;",
        "% a group",
        r"\path[draw=archdsl-102030, line width=6bp, dash pattern=on 8bp off 3bp]"
        r" (2,4) -- (7,8) .. controls (10,12) and (14,16) .. (18,20.25) -- cycle;",
        node.format(" east", "000000", font, r"(12,14) {a\_b}"),
        r"\path[draw=archdsl-102030, line width=2bp] (4,6) -- (12,6) -- (12,16) -- (4,16)"
        " -- cycle;",
        node.format(" west", "102030", bold, "(20,22) {c}"),
        node.format("", "102030", plain, "(24,26) {d}"),
        r"\end{tikzpicture}",
    ]


def page_of(pdf: bytes) -> str:
    """The operators of the page of a PDF."""
    streams = re.findall(
        rb"/Filter \[ /ASCII85Decode /FlateDecode \][^>]*>>\s*stream\n(.*?)~>", pdf, re.DOTALL
    )
    texts = [zlib.decompress(base64.a85decode(stream)) for stream in streams]
    (page,) = [text.decode("latin1") for text in texts if b" cm" in text]
    return page


def test_pdf_to_the_letter() -> None:
    page = page_of(pdf_of(PICTURE, "light"))
    operators = re.sub(r"\s+", " ", page)
    # The page is 80 × 120 points; y goes down from its upper edge, and all is twice as large.
    assert "0 0 80 120 re" in operators
    assert "2 0 0 -2 0 120 cm" in operators
    paths = [
        "n 0 1 m 20 1 l 20 31 l 0 31 l h f",
        "3 w [4 1.5] 0 d n 1 2 m 3.5 4 l 5 6 7 8 9 10.126 c h S",
        "1 w [] 0 d n 2 3 m 6 3 l 6 8 l 2 8 l h S",
    ]
    places = [operators.find(path) for path in paths]
    assert -1 not in places, operators
    assert places == sorted(places)
    # Text stands upright: y is turned over once more, at its place.
    assert re.search(r"1 0 0 -1 10 11 cm BT 1 0 0 1 0 0 Tm", operators)


@pytest.mark.parametrize("style", ["graph", "volumes"])
def test_dashes_are_in_all_formats(style: str) -> None:
    """A picture with dashes has as many in TikZ and PDF as in SVG, of the same lengths."""
    text = (
        "network N: 16x16x4 → 10 {\na: conv 3x3 4 same\naux(0.3) { gap; fc 10 }\nadd { a | id }\n"
    )
    model = archdsl.parse(f"{text}fc 10\n}}\n")
    svg, tikz, pdf = (
        archdsl.draw(model, format, style=style).content for format in ("svg", "tikz", "pdf")
    )
    wanted = re.findall(r'stroke-dasharray="([\d.]+)[ ,]([\d.]+)"', svg.decode())
    assert wanted
    assert re.findall(r"on ([\d.]+)bp off ([\d.]+)bp", tikz.decode()) == wanted
    assert re.findall(r"\[([\d.]+) ([\d.]+)\] 0 d", page_of(pdf)) == wanted


def test_paints_are_those_of_the_theme() -> None:
    for theme in ("light", "dark"):
        picture = Picture("N", "", (rectangle(0, 0, 1, 1, fill="ink"),), 1, 1)
        colour = colour_of("ink", palette_of(theme))
        assert f"{{HTML}}{{{colour[1:].upper()}}}" in tikz_of(picture, theme)
