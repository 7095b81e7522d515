"""A picture as SVG: with a description and tooltips, light or dark as the page around it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from html import escape
from typing import Literal, TypeAlias
from zlib import crc32

from archdsl.drawing.canvas.marks import (
    Command,
    Group,
    Line,
    Mark,
    Picture,
    Raster,
    Text,
    texts_in,
)
from archdsl.drawing.canvas.palette import DARK, LIGHT, Palette, Theme, colour_of, palette_of
from archdsl.drawing.canvas.raster import encode_png
from archdsl.drawing.canvas.truetype import font_at
from archdsl.drawing.canvas.typeface import (
    BOLD,
    FALLBACKS,
    FAMILY,
    REGULAR,
    Fonts,
    is_known,
    spelled,
    text_width,
)
from archdsl.text.printing import blank_unprintable

#: The class of the root element. The style names it, because inside an HTML page it would
#: otherwise apply to the whole page.
SVG_CLASS = "archdsl-drawing"

#: ``bundled``: the reader has the bundled typeface and no other. ``page``: a page brings it.
_Lettering: TypeAlias = Fonts | Literal["bundled", "page"]

_NAMES = ", ".join((FAMILY, *FALLBACKS))
#: librsvg knows neither fonts inside a picture nor ``textLength``, and finds DejaVu Sans on most
#: machines, whose bold letters are wider than Inter's. It does not read rules for media, either.
_TIGHT = (
    f".{SVG_CLASS} text {{ letter-spacing: -.02em; }}\n"
    f".{SVG_CLASS} text[font-weight] {{ letter-spacing: -.06em; }}\n"
    f"@media all {{ .{SVG_CLASS} text, .{SVG_CLASS} text[font-weight] {{ letter-spacing: 0; }} }}"
)
_LICENSE = (
    "/* Letters of Inter, Copyright 2020 The Inter Project Authors, "
    "SIL Open Font License 1.1, https://openfontlicense.org */"
)


def svg_of(picture: Picture, theme: Theme, fonts: Fonts | Literal["bundled"] = "embed") -> str:
    """The picture as SVG text; ``bundled``: only the bundled typeface will be available."""
    writer = _SvgWriter(palette_of(theme), fonts)
    writer.group("", picture.marks)
    width, height = (side * picture.scale for side in (picture.width, picture.height))
    box = f"0 0 {number(picture.width)} {number(picture.height)}"
    names = _NAMES
    rules: list[str] = []
    if fonts == "embed":
        name, rules = _embedded(picture.marks)
        names = f"{name}, {_NAMES}" if name else _NAMES
    if fonts in ("embed", "system"):
        rules.append(_TIGHT)
    if theme == "auto":
        rules.append(_dark_style(writer.roles))
    links = ' xmlns:xlink="http://www.w3.org/1999/xlink"' if writer.letters else ""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg"{links} width="{number(width)}pt" '
        f'height="{number(height)}pt" viewBox="{box}" role="img" class="{SVG_CLASS}" '
        f'font-family="{names}">',
        f"<title>{_xml(picture.title)}</title>",
        f"<desc>{_xml(picture.description)}</desc>",
    ]
    if rules:
        lines.append("<style>\n" + "\n".join(rules) + "\n</style>")
    if writer.letters:
        paths = (f'<path id="{id}" d="{data}"/>' for id, data in sorted(writer.letters.items()))
        lines += ["<defs>", *paths, "</defs>"]
    size = f'width="{number(picture.width)}" height="{number(picture.height)}"'
    lines += [f"<rect {size}{writer.paint('page', None)}/>", *writer.lines, "</svg>"]
    return "\n".join(lines) + "\n"


def fragment_of(marks: Iterable[Mark]) -> str:
    """Marks as SVG elements for a page that brings its own style for the classes of roles."""
    writer = _SvgWriter(palette_of("light"), "page")
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
    return "@media (prefers-color-scheme: dark) {\n" + "\n".join(rules) + "\n}"


def _embedded(marks: Iterable[Mark]) -> tuple[str, list[str]]:
    """The name of a font of the characters of all texts, and the rules that bring it.

    The name is made of the font's content. A page may have several pictures inside it, each with
    a font that lacks what the other has; and no installed font is taken for it.
    """
    signs: dict[bool, set[str]] = {}
    for text in texts_in(marks):
        signs.setdefault(text.bold, set()).update(filter(is_known, text.text))
    fonts = {
        weight: font_at(BOLD if bold else REGULAR).subset(signs[bold])
        for bold, weight in ((False, 400), (True, 700))
        if signs.get(bold)
    }
    if not fonts:
        return "", []
    name = f"archdsl-{crc32(b''.join(fonts.values())):08x}"
    rules = [
        f"@font-face {{ font-family: {name}; font-weight: {weight}; "
        f"src: url(data:font/ttf;base64,{b64encode(font).decode()}); }}"
        for weight, font in fonts.items()
    ]
    return name, [_LICENSE, *rules]


class _SvgWriter:
    def __init__(self, palette: Palette, lettering: _Lettering) -> None:
        self.palette = palette
        self.lettering = lettering
        self.lines: list[str] = []
        #: The outlines that occur, by their ids.
        self.letters: dict[str, str] = {}
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
        if self.lettering == "outline":
            return self._outlined(text)
        (x, y), anchor = text.at, ""
        if text.anchor != "start":
            anchor = f' text-anchor="{text.anchor}"'
        weight = ' font-weight="bold"' if text.bold else ""
        shown = spelled(text.text) if self.lettering == "bundled" else text.text
        length = _length(text) if self.lettering in ("embed", "system") else ""
        return (
            f'<text x="{number(x)}" y="{number(y)}" font-size="{number(text.size)}"{weight}{anchor}'
            f"{length}{self.paint(text.fill, None)}>{_xml(shown)}</text>"
        )

    def _outlined(self, text: Text) -> str:
        """The text as outlines, each letter of a font once, and the words for screen readers."""
        shown = spelled(text.text)
        font = font_at(BOLD if text.bold else REGULAR)
        width = text_width(shown, text.size, text.bold)
        left = text.at[0] - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
        uses, x = "", 0.0
        for sign in shown:
            id = f"archdsl-{'bold' if text.bold else 'regular'}-{ord(sign):x}"
            if id not in self.letters and (outline := font.outline(sign)):
                self.letters[id] = outline
            if id in self.letters:
                # The older name of the attribute is known to all programs.
                uses += f'<use x="{number(x)}" xlink:href="#{id}"/>'
            x += text_width(sign, font.unit, text.bold)
        return (
            f'<g transform="translate({number(left)},{number(text.at[1])}) '
            f'scale({text.size / font.unit:.6g})" role="img" aria-label="{_xml(text.text)}"'
            f"{self.paint(text.fill, None)}>{uses}</g>"
        )


def _length(text: Text) -> str:
    """The attributes that make a text as wide as measured, whatever font shows it.

    None for characters that the typeface lacks: how wide they are elsewhere is not known.
    """
    shown = " ".join(text.text.split())
    if not shown or not all(map(is_known, shown)):
        return ""
    width = number(text_width(shown, text.size, text.bold))
    return f' textLength="{width}" lengthAdjust="spacingAndGlyphs"'


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
