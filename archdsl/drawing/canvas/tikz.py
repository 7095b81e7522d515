"""A picture as TikZ: text for LaTeX documents, in the size that the picture has in print."""

from __future__ import annotations

from archdsl.drawing.canvas.marks import (
    Command,
    Group,
    Line,
    Mark,
    Picture,
    Raster,
    Text,
    rectangle,
)
from archdsl.drawing.canvas.palette import Palette, Theme, colour_of, palette_of
from archdsl.drawing.canvas.svg import number
from archdsl.text.printing import blank_unprintable

_ANCHORS = {"start": "base west", "middle": "base", "end": "base east"}

#: Characters with a meaning in TeX, and those that not every LaTeX font has.
_SPELLED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\^{}",
    "~": r"\~{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "→": r"\ensuremath{\rightarrow}",
    "₂": r"\ensuremath{_2}",
    "−": r"\ensuremath{-}",
    "…": r"\dots{}",
    "–": "--",
}


def tikz_of(picture: Picture, theme: Theme) -> str:
    """A ``tikzpicture`` with its colours; it needs the package ``tikz`` and nothing else."""
    writer = _TikzWriter(palette_of(theme), picture.scale)
    width, height = picture.width * picture.scale, picture.height * picture.scale
    if theme == "dark":
        writer.line(rectangle(0.0, 0.0, picture.width, picture.height, fill="page"))
    writer.marks(picture.marks)
    colours = [
        rf"\definecolor{{{name}}}{{HTML}}{{{colour}}}" for name, colour in writer.colours.items()
    ]
    return "\n".join(
        (
            f"% {blank_unprintable(picture.title)}",
            f"% {blank_unprintable(picture.description)}",
            r"% \usepackage{tikz}",
            r"\begin{tikzpicture}[x=1bp, y=-1bp, line join=round]",
            *colours,
            rf"\path[use as bounding box] (0,0) rectangle ({number(width)},{number(height)});",
            *writer.lines,
            r"\end{tikzpicture}",
            "",
        )
    )


def spelled_for_tex(text: str) -> str:
    """Text as TeX sets it."""
    return "".join(_SPELLED.get(sign, sign) for sign in blank_unprintable(text))


class _TikzWriter:
    def __init__(self, palette: Palette, scale: float) -> None:
        self.palette = palette
        self.scale = scale
        self.lines: list[str] = []
        #: The colours that occur, by their names in TeX.
        self.colours: dict[str, str] = {}

    def marks(self, marks: tuple[Mark, ...]) -> None:
        for mark in marks:
            match mark:
                case Group():
                    if mark.title:
                        self.lines.append(f"% {blank_unprintable(mark.title)}")
                    self.marks(mark.marks)
                case Line():
                    self.line(mark)
                case Text():
                    self._text(mark)
                case Raster():
                    raise ValueError("TikZ has no pixels")

    def line(self, line: Line) -> None:
        options = []
        if line.fill is not None:
            options.append(f"fill={self._colour(line.fill)}")
        if line.stroke is not None:
            options.append(f"draw={self._colour(line.stroke)}")
            options.append(f"line width={number(line.width * self.scale)}bp")
            if line.dash:
                on, off = (number(length * self.scale) for length in line.dash)
                options.append(f"dash pattern=on {on}bp off {off}bp")
        way = "".join(self._command(command) for command in line.commands)
        self.lines.append(rf"\path[{', '.join(options)}]{way};")

    def _text(self, text: Text) -> None:
        size = number(text.size * self.scale)
        face = r"\bfseries" if text.bold else r"\mdseries"
        font = rf"\fontsize{{{size}bp}}{{{size}bp}}\sffamily{face}\selectfont"
        self.lines.append(
            rf"\node[anchor={_ANCHORS[text.anchor]}, inner sep=0pt, text={self._colour(text.fill)},"
            rf" font={font}] at {self._point(text.at)} {{{spelled_for_tex(text.text)}}};"
        )

    def _colour(self, paint: str) -> str:
        colour = colour_of(paint, self.palette).removeprefix("#").upper()
        name = f"archdsl-{paint.removeprefix('#')}"
        self.colours[name] = colour
        return name

    def _command(self, command: Command) -> str:
        letter, points = command
        match letter:
            case "M":
                return f" {self._point(points[0])}"
            case "L":
                return f" -- {self._point(points[0])}"
            case "C":
                first, second, end = map(self._point, points)
                return f" .. controls {first} and {second} .. {end}"
            case "Z":
                return " -- cycle"

    def _point(self, point: tuple[float, float]) -> str:
        x, y = point
        return f"({number(x * self.scale)},{number(y * self.scale)})"
