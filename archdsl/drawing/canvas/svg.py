"""A picture as SVG: with a description and tooltips, light or dark as the page around it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from html import escape

from archdsl.drawing.canvas.marks import Command, Group, Line, Mark, Picture, Raster, Text
from archdsl.drawing.canvas.palette import DARK, LIGHT, Palette, Theme, colour_of, palette_of
from archdsl.drawing.canvas.raster import encode_png
from archdsl.drawing.canvas.typeface import FALLBACKS, FAMILY, spelled
from archdsl.text.printing import blank_unprintable

#: The class of the root element. The style names it, because inside an HTML page it would
#: otherwise apply to the whole page.
SVG_CLASS = "archdsl-drawing"

_FONTS = ", ".join((FAMILY, *FALLBACKS))


def svg_of(picture: Picture, theme: Theme, *, is_bundled: bool = False) -> str:
    """The picture as SVG text; ``is_bundled``: only the bundled typeface will be available."""
    writer = _SvgWriter(palette_of(theme), is_bundled)
    writer.group("", picture.marks)
    width, height = (side * picture.scale for side in (picture.width, picture.height))
    box = f"0 0 {number(picture.width)} {number(picture.height)}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}pt" '
        f'height="{number(height)}pt" viewBox="{box}" role="img" class="{SVG_CLASS}" '
        f'font-family="{_FONTS}">',
        f"<title>{_xml(picture.title)}</title>",
        f"<desc>{_xml(picture.description)}</desc>",
    ]
    if theme == "auto":
        lines.append(f"<style>{_dark_style(writer.roles)}</style>")
    size = f'width="{number(picture.width)}" height="{number(picture.height)}"'
    lines += [f"<rect {size}{writer.paint('page', None)}/>", *writer.lines, "</svg>"]
    return "\n".join(lines) + "\n"


def fragment_of(marks: Iterable[Mark]) -> str:
    """Marks as SVG elements for a page that brings its own style for the classes of roles."""
    writer = _SvgWriter(palette_of("light"), False)
    writer.group("", tuple(marks))
    return "".join(writer.lines)


def number(value: float) -> str:
    """A length with up to two decimals, without trailing zeros."""
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def _xml(text: str) -> str:
    """Text for XML, without the characters that it forbids."""
    return escape(blank_unprintable(text))


def _dark_style(roles: dict[str, None]) -> str:
    """The style of a dark page, for the roles that occur and change."""
    rules = [
        f".{SVG_CLASS} .{name[0]}-{name[2:]} {{ {kind}: {DARK[name[2:]]}; }}"
        for name in roles
        for kind in ("fill" if name[0] == "f" else "stroke",)
        if DARK[name[2:]] != LIGHT[name[2:]]
    ]
    return "\n@media (prefers-color-scheme: dark) {\n" + "\n".join(rules) + "\n}\n"


class _SvgWriter:
    def __init__(self, palette: Palette, is_bundled: bool) -> None:
        self.palette = palette
        self.is_bundled = is_bundled
        self.lines: list[str] = []
        #: ``f-`` and ``s-`` (fill, stroke) with the roles that occur, in order.
        self.roles: dict[str, None] = {"f-page": None}

    def group(self, title: str, marks: tuple[Mark, ...]) -> None:
        if title:
            self.lines.append(f"<title>{_xml(title)}</title>")
        for mark in marks:
            match mark:
                case Group():
                    classes = " ".join(mark.classes)
                    self.lines.append(f'<g class="{escape(classes)}">' if classes else "<g>")
                    self.group(mark.title, mark.marks)
                    self.lines.append("</g>")
                case Line():
                    self.lines.append(self._line(mark))
                case Text():
                    self.lines.append(self._text(mark))
                case Raster():
                    self.lines.append(_raster(mark))

    def paint(self, fill: str | None, stroke: str | None) -> str:
        """The attributes of fill and stroke, and the classes by which they follow the theme."""
        names = []
        attributes = ""
        for kind, paint in (("fill", fill), ("stroke", stroke)):
            if paint is None:
                attributes += ' fill="none"' if kind == "fill" else ""
                continue
            attributes += f' {kind}="{colour_of(paint, self.palette)}"'
            if not paint.startswith("#"):
                names.append(f"{kind[0]}-{paint}")
        self.roles |= dict.fromkeys(names)
        return attributes + (f' class="{" ".join(names)}"' if names else "")

    def _line(self, line: Line) -> str:
        stroke = ""
        if line.stroke is not None:
            stroke = f' stroke-width="{number(line.width)}"'
            if line.dash:
                stroke += f' stroke-dasharray="{" ".join(map(number, line.dash))}"'
        data = "".join(_command(command) for command in line.commands)
        return f'<path d="{data}"{self.paint(line.fill, line.stroke)}{stroke}/>'

    def _text(self, text: Text) -> str:
        (x, y), anchor = text.at, ""
        if text.anchor != "start":
            anchor = f' text-anchor="{text.anchor}"'
        weight = ' font-weight="bold"' if text.bold else ""
        shown = spelled(text.text) if self.is_bundled else text.text
        return (
            f'<text x="{number(x)}" y="{number(y)}" font-size="{number(text.size)}"{weight}{anchor}'
            f"{self.paint(text.fill, None)}>{_xml(shown)}</text>"
        )


def _raster(raster: Raster) -> str:
    x, y = raster.at
    data = b64encode(encode_png(raster)).decode()
    # The attribute is SVG 1.1's word for it, the style CSS's.
    return (
        f'<image x="{number(x)}" y="{number(y)}" width="{number(raster.width)}" '
        f'height="{number(raster.height)}" preserveAspectRatio="none" '
        'image-rendering="optimizeSpeed" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{data}"/>'
    )


def _command(command: Command) -> str:
    letter, points = command
    return letter + " ".join(f"{number(x)},{number(y)}" for x, y in points)
