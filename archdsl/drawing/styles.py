"""The styles of drawings. A new one is added here; the command line and the interface read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from archdsl.drawing.canvas.marks import Picture
from archdsl.drawing.options import Options
from archdsl.model import Model

if TYPE_CHECKING:
    from archdsl.drawing.tables.table import Table
    from archdsl.drawing.volumes.faces import Faces

RenderText: TypeAlias = Callable[[Sequence[Model], Options], str]


@dataclass(frozen=True)
class TextFormat:
    """A format of a style's own, with the options it supports; a file may hold many networks."""

    render: RenderText
    options: frozenset[str]
    is_of_many: bool = False


#: The formats of every style that draws a picture.
PICTURE_FORMATS = ("svg", "png", "pdf", "tikz")
#: Options of every picture in one of these formats alone.
_FORMAT_OPTIONS = {"svg": frozenset(("fonts",))}
#: The text formats of every style that makes a table; it is also set as a picture.
TABLE_FORMATS = ("txt", "md", "tex", "csv")
#: File endings that mean a format of another name, in a style without a format of that ending.
ENDINGS = {"tex": "tikz"}


@dataclass(frozen=True)
class Style:
    """A way to show a network.

    ``picture`` draws it, and supports ``options``, which are fields of ``Options``; ``texts`` are
    formats of its own, by their ending. Other options are refused, not ignored. A style with a
    ``table`` puts all networks of a call into one table; its texts support no options, its picture
    supports ``options``.
    """

    name: str
    summary: str
    options: frozenset[str]
    picture: Callable[[Model, Options], Picture] | None = None
    #: The same with results of a trained network on the volumes, where a style can show them.
    picture_of_run: Callable[[Model, Options, Faces], Picture] | None = None
    texts: Mapping[str, TextFormat] = field(default_factory=dict)
    table: Callable[[Sequence[Model]], Table] | None = None
    #: Whether its picture can show a ``PartialModel``, with its faults.
    shows_faults: bool = False

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats it has; the first is the default."""
        if self.table is not None:
            return (*TABLE_FORMATS, *PICTURE_FORMATS)
        return (*(PICTURE_FORMATS if self.picture else ()), *self.texts)

    def options_of(self, format: str) -> frozenset[str]:
        """The options that it supports in one of its formats."""
        if format in self.texts:
            return self.texts[format].options
        if format in TABLE_FORMATS:
            return frozenset()
        return self.options | _FORMAT_OPTIONS.get(format, frozenset())

    def is_of_many(self, format: str) -> bool:
        """Whether one file of the format may hold many networks."""
        if self.table is not None:
            return True
        return format in self.texts and self.texts[format].is_of_many


def _graph_picture(model: Model, options: Options) -> Picture:
    from archdsl.drawing.graph.picture import graph_picture

    return graph_picture(model, options)


def _graph_dot(models: Sequence[Model], options: Options) -> str:
    from archdsl.drawing.figure.composition import compose_figure
    from archdsl.drawing.figure.dot import dot_of

    (model,) = models
    return dot_of(compose_figure(model, options))


def _graph_page(models: Sequence[Model], options: Options) -> str:
    from archdsl.drawing.page import render_page

    return render_page(models, options)


def _volumes_picture(model: Model, options: Options, faces: Faces | None = None) -> Picture:
    from archdsl.drawing.volumes.picture import volumes_picture

    return volumes_picture(model, options, faces)


def _table(models: Sequence[Model]) -> Table:
    from archdsl.drawing.tables import table_of

    return table_of(models)


STYLES: tuple[Style, ...] = (
    Style(
        "graph",
        "boxes of layers, blocks as frames, and the volumes between them",
        frozenset(
            (
                "fit",
                "direction",
                "depth",
                "open",
                "flat",
                "shapes",
                "names",
                "legend",
                "color_by",
                "theme",
            )
        ),
        _graph_picture,
        texts={
            "html": TextFormat(
                _graph_page,
                frozenset(("depth", "open", "flat", "shapes", "names", "theme")),
                is_of_many=True,
            ),
            "dot": TextFormat(_graph_dot, frozenset(("depth", "open", "flat", "shapes", "names"))),
        },
        shows_faults=True,
    ),
    Style(
        "volumes",
        "each volume as a box in projection, as high, deep and wide as it is",
        frozenset(
            (
                "fit",
                "direction",
                "depth",
                "open",
                "flat",
                "shapes",
                "names",
                "legend",
                "color_by",
                "theme",
                "scale",
            )
        ),
        _volumes_picture,
        _volumes_picture,
    ),
    Style(
        "table",
        "the tables of papers: one network in rows, several side by side",
        frozenset(("fit", "theme")),
        table=_table,
    ),
)

#: All formats of all styles, each once.
FORMATS: tuple[str, ...] = tuple(dict.fromkeys(f for style in STYLES for f in style.formats))


def style_named(name: str) -> Style:
    """The style of a name. Errors: ``ValueError``."""
    for style in STYLES:
        if style.name == name:
            return style
    names = ", ".join(style.name for style in STYLES)
    raise ValueError(f"{name!r} is not a style; they are {names}")
