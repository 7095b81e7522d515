"""Drawings: a network as a picture, or as text from which other programs draw."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archdsl.drawing.canvas.marks import Picture
from archdsl.drawing.canvas.palette import Theme
from archdsl.drawing.canvas.typeface import Fonts
from archdsl.drawing.errors import DrawingError
from archdsl.drawing.options import Options
from archdsl.drawing.styles import FORMATS, STYLES, TABLE_FORMATS, style_named
from archdsl.drawing.tables.table import Table
from archdsl.model import Model, PartialModel

if TYPE_CHECKING:
    from archdsl.drawing.volumes.faces import Faces

__all__ = [
    "FORMATS",
    "STYLES",
    "Drawing",
    "DrawingError",
    "Options",
    "render_drawing",
    "render_picture",
    "render_svg",
]

_DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing in its format, and notes on how it was made, such as that its text is small.

    A notebook shows it.
    """

    content: bytes
    format: str
    title: str
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<drawing of {self.title}: {self.format}, {len(self.content):,} bytes>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: the picture, or the text."""
        match self.format:
            case "svg":
                shown = {"image/svg+xml": self.content.decode()}
            case "png" | "pdf":
                kind = "image/png" if self.format == "png" else "application/pdf"
                shown = {kind: b64encode(self.content).decode()}
            case "md":
                text = self.content.decode()
                return {"text/markdown": text, "text/plain": text}
            case _:
                return {"text/plain": self.content.decode()}
        return {**shown, "text/plain": repr(self)}


def render_svg(model: Model, options: Options = _DEFAULT, style: str = "graph") -> str:
    """The picture as SVG, with a title, a description and a tooltip for each box."""
    return render_drawing(model, "svg", options, style).content.decode()


def render_drawing(
    model: Model | Sequence[Model],
    format: str,
    options: Options = _DEFAULT,
    style: str = "graph",
    faces: Faces | None = None,
) -> Drawing:
    """The drawing in one of the style's formats. The same model gives the same bytes.

    A page (``html``) or a table may hold many networks, any other drawing one. With ``faces`` the
    results of a trained network are shown on its volumes.

    Errors:
        ValueError: There is no such style, or no style has the format; or the format shows one
            network, and none or many were given.
        DrawingError: The style lacks the format or an option, or cannot show the network.
    """
    chosen = style_named(style)
    if format not in FORMATS:
        raise ValueError(f"{format!r} is not a format of drawings; they are {', '.join(FORMATS)}")
    if format not in chosen.formats:
        formats = ", ".join(chosen.formats)
        raise DrawingError(f"the {style} style has no format {format}; it has {formats}")
    models = (model,) if isinstance(model, Model) else tuple(model)
    if not models or (len(models) > 1 and not chosen.is_of_many(format)):
        raise ValueError(f"{format} shows one network, but {len(models)} were given")
    text = chosen.texts.get(format)
    is_text = text is not None or format in TABLE_FORMATS
    supported = chosen.options_of(format)
    for name in options.changed():
        if name not in supported:
            is_of_format = is_text or name in chosen.options_of("svg")
            place = f"the {style} style" + (f" as {format}" if is_of_format else "")
            raise DrawingError(f"{place} has no option --{name.replace('_', '-')}")
    is_partial = any(isinstance(model, PartialModel) for model in models)
    if is_partial and (is_text or not chosen.shows_faults):
        place = format if is_text else f"the {style} style"
        raise DrawingError(f"{place} cannot show a network with faults; pictures of the graph can")
    if faces is not None and chosen.picture_of_run is None:
        raise DrawingError(f"the {style} style has no option --run")
    if faces is not None and format == "tikz":
        raise DrawingError("TikZ has no pixels, which --run shows; svg, png and pdf have")
    if chosen.table is not None:
        return _table_drawing(chosen.table(models), format, options)
    if text is not None:
        names = [model.name for model in models]
        return Drawing(text.render(models, options).encode(), format, ", ".join(names))
    assert chosen.picture is not None
    if faces is None:
        picture = chosen.picture(models[0], options)
    else:
        assert chosen.picture_of_run is not None
        picture = chosen.picture_of_run(models[0], options, faces)
    return Drawing(
        render_picture(picture, format, options.theme, options.fonts),
        format,
        picture.title,
        (*picture.notes, *_notes_of(picture, format)),
    )


def _table_drawing(table: Table, format: str, options: Options) -> Drawing:
    from archdsl.drawing.tables.texts import TEXTS
    from archdsl.drawing.tables.typeset import typeset

    if format in TEXTS:
        return Drawing(TEXTS[format](table).encode(), format, table.title)
    picture = typeset(table, options)
    return Drawing(
        render_picture(picture, format, options.theme, options.fonts),
        format,
        table.title,
        picture.notes,
    )


def _notes_of(picture: Picture, format: str) -> tuple[str, ...]:
    """What to say of a picture in a format."""
    if format != "png":
        return ()
    from archdsl.drawing.canvas.png import coarseness_of

    return coarseness_of(picture)


def render_picture(picture: Picture, format: str, theme: Theme, fonts: Fonts = "embed") -> bytes:
    """A picture as ``png``, ``pdf``, ``tikz`` or ``svg``. The same picture gives the same bytes.

    ``fonts`` is for SVG alone.
    """
    match format:
        case "png":
            from archdsl.drawing.canvas.png import png_of

            return png_of(picture, theme)
        case "pdf":
            from archdsl.drawing.canvas.pdf import pdf_of

            return pdf_of(picture, theme)
        case "tikz":
            from archdsl.drawing.canvas.tikz import tikz_of

            return tikz_of(picture, theme).encode()
    from archdsl.drawing.canvas.svg import svg_of

    return svg_of(picture, theme, fonts).encode()
