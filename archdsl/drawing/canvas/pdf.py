"""A picture as a PDF of one page, its font embedded; the same picture gives the same bytes."""

from __future__ import annotations

from io import BytesIO

from reportlab.lib.colors import HexColor
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from archdsl.drawing.canvas.marks import Group, Line, Mark, Picture, Raster, Text
from archdsl.drawing.canvas.palette import Palette, Theme, colour_of, palette_of
from archdsl.drawing.canvas.raster import encode_png
from archdsl.drawing.canvas.typeface import BOLD, REGULAR, spelled, text_width

#: The longest side of a page that PDF viewers accept, in points: 200 inches.
MAX_PAGE = 14400.0


def pdf_of(picture: Picture, theme: Theme) -> bytes:
    """The picture as PDF, with its title and description as the document's."""
    for name, path in (("Inter", REGULAR), ("Inter-Bold", BOLD)):
        pdfmetrics.registerFont(TTFont(name, str(path)))
    scale = min(picture.scale, MAX_PAGE / max(picture.width, picture.height))
    buffer = BytesIO()
    size = (picture.width * scale, picture.height * scale)
    # Invariant: no date and no random id. By default the first font would be Helvetica, which is
    # not embedded.
    canvas = Canvas(buffer, pagesize=size, invariant=1, pageCompression=1, initialFontName="Inter")
    canvas.setTitle(picture.title)
    canvas.setSubject(picture.description)
    canvas.setCreator("archdsl")
    palette = palette_of(theme)
    canvas.setFillColor(HexColor(palette["page"]))
    canvas.rect(0, 0, *size, stroke=0, fill=1)
    # The origin moves from the lower left corner to the upper left, and y goes down.
    canvas.transform(scale, 0, 0, -scale, 0, size[1])
    for mark in picture.marks:
        _draw(canvas, mark, palette)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _draw(canvas: Canvas, mark: Mark, palette: Palette) -> None:
    match mark:
        case Group():
            for inner in mark.marks:
                _draw(canvas, inner, palette)
        case Line():
            _draw_line(canvas, mark, palette)
        case Text():
            _draw_text(canvas, mark, palette)
        case Raster():
            _draw_raster(canvas, mark)


def _draw_line(canvas: Canvas, line: Line, palette: Palette) -> None:
    path = canvas.beginPath()
    for letter, points in line.commands:
        match letter, points:
            case "M", ((x, y),):
                path.moveTo(x, y)
            case "L", ((x, y),):
                path.lineTo(x, y)
            case "C", (a, b, c):
                path.curveTo(*a, *b, *c)
            case "Z", ():
                path.close()
    if line.fill is not None:
        canvas.setFillColor(HexColor(colour_of(line.fill, palette)))
    if line.stroke is not None:
        canvas.setStrokeColor(HexColor(colour_of(line.stroke, palette)))
        canvas.setLineWidth(line.width)
        canvas.setDash(list(line.dash))
    canvas.drawPath(path, stroke=line.stroke is not None, fill=line.fill is not None)


def _draw_raster(canvas: Canvas, raster: Raster) -> None:
    canvas.saveState()
    # The page is upside down, and images are not.
    canvas.transform(1, 0, 0, -1, raster.at[0], raster.at[1] + raster.height)
    image = ImageReader(BytesIO(encode_png(raster)))
    canvas.drawImage(image, 0, 0, raster.width, raster.height)
    canvas.restoreState()


def _draw_text(canvas: Canvas, text: Text, palette: Palette) -> None:
    shown = spelled(text.text)
    width = text_width(shown, text.size, text.bold)
    x = text.at[0] - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    canvas.setFillColor(HexColor(colour_of(text.fill, palette)))
    canvas.setFont("Inter-Bold" if text.bold else "Inter", text.size)
    canvas.saveState()
    canvas.transform(1, 0, 0, -1, x, text.at[1])
    canvas.drawString(0, 0, shown)
    canvas.restoreState()
