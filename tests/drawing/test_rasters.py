"""Pixels in pictures: the same in each format, sharp, and where they were put."""

from __future__ import annotations

import re
import zlib
from base64 import a85decode, b64decode
from io import BytesIO

import pytest
from PIL import Image

from archdsl.drawing.canvas.bounds import Bounds, bounds_of
from archdsl.drawing.canvas.marks import Picture, Raster, moved
from archdsl.drawing.canvas.pdf import pdf_of
from archdsl.drawing.canvas.png import DPI, png_of
from archdsl.drawing.canvas.raster import encode_png
from archdsl.drawing.canvas.svg import svg_of
from archdsl.drawing.canvas.tikz import tikz_of

#: Two rows of three: red, green, blue, then black, white, grey.
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255), (9, 9, 9)]
PIXELS = bytes(value for colour in COLOURS for value in colour)
RASTER = Raster((10.0, 20.0), 30.0, 40.0, 3, 2, PIXELS)
PICTURE = Picture("Pixels", "of two rows", (RASTER,), 50, 70)


def test_the_png_of_a_raster_is_read_by_pillow() -> None:
    image = Image.open(BytesIO(encode_png(RASTER)))
    assert (image.size, image.mode) == ((3, 2), "RGB")
    assert image.tobytes() == PIXELS


def test_svg_holds_the_pixels_at_their_place() -> None:
    svg = svg_of(PICTURE, "light")
    assert '<image x="10" y="20" width="30" height="40"' in svg
    (data,) = re.findall(r'href="data:image/png;base64,([^"]+)"', svg)
    assert Image.open(BytesIO(b64decode(data))).tobytes() == PIXELS


def test_pixels_are_squares_and_not_smoothed() -> None:
    image = Image.open(BytesIO(png_of(PICTURE, "light"))).convert("RGB")
    zoom = DPI / 72
    for index, colour in enumerate(COLOURS):
        left, top = 10 + 10 * (index % 3), 20 + 20 * (index // 3)
        for dx, dy in ((1, 1), (9, 1), (5, 10), (1, 19), (9, 19)):
            place = round((left + dx) * zoom), round((top + dy) * zoom)
            assert image.getpixel(place) == colour, (index, dx, dy)
    assert image.getpixel((2, 2)) == (255, 255, 255)


def test_pdf_holds_the_pixels_upright() -> None:
    pdf = pdf_of(PICTURE, "light")
    assert pdf == pdf_of(PICTURE, "light")
    assert b"/Width 3" in pdf
    assert b"/Height 2" in pdf
    streams = re.findall(
        rb"/ASCII85Decode /FlateDecode \][^>]*>>\s*stream\n(.*?)~>", pdf, re.DOTALL
    )
    contents = [zlib.decompress(a85decode(stream)) for stream in streams]
    assert PIXELS in contents
    page = next(text for text in contents if b" cm" in text).decode("latin1")
    # y goes down on the page, and up inside the image, from its lower edge at 20 + 40.
    assert re.search(r"1 0 0 -1 10 60 cm\s.*30 0 0 40 0 0 cm", page, re.DOTALL)


def test_a_raster_reaches_from_its_corner() -> None:
    assert bounds_of(RASTER) == Bounds(10, 20, 40, 60)
    there = moved(RASTER, 1, -2)
    assert isinstance(there, Raster)
    assert there.at == (11, 18)
    assert there.pixels == PIXELS


def test_wrong_sizes_and_tikz_are_refused() -> None:
    with pytest.raises(ValueError, match="18 bytes are not 4×2 pixels of 3 bytes"):
        Raster((0, 0), 1, 1, 4, 2, PIXELS)
    with pytest.raises(ValueError, match="no pixels"):
        tikz_of(PICTURE, "light")
