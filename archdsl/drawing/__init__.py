"""Drawings: a network as DOT, SVG, PNG or PDF."""

from __future__ import annotations

from archdsl.drawing.graphviz_process import DrawingError, run_graphviz
from archdsl.model import Model

__all__ = ["FORMATS", "DrawingError", "render_dot", "render_drawing", "render_svg"]

FORMATS = ("svg", "png", "pdf", "dot")


def render_dot(model: Model) -> str:
    """The picture as DOT text; needs no Graphviz. The same model gives the same text."""
    from archdsl.drawing.composition import compose_figure
    from archdsl.drawing.dot import dot_of

    return dot_of(compose_figure(model))


def render_svg(model: Model) -> str:
    """The picture as SVG, with a title, a description and a tooltip for each node.

    Errors:
        DrawingError: where Graphviz is missing, fails or takes too long.
    """
    from archdsl.drawing.composition import compose_figure
    from archdsl.drawing.dot import dot_of
    from archdsl.drawing.svg import tidy_svg

    figure = compose_figure(model)
    drawn = run_graphviz(dot_of(figure), "svg").decode()
    return tidy_svg(drawn, figure.title, figure.description)


def render_drawing(model: Model, format: str) -> bytes:
    """The picture as ``svg``, ``png``, ``pdf`` or ``dot``.

    Errors:
        ValueError: for another format.
        DrawingError: where Graphviz is missing, fails or takes too long.
    """
    match format:
        case "dot":
            return render_dot(model).encode()
        case "svg":
            return render_svg(model).encode()
        case "png" | "pdf":
            return run_graphviz(render_dot(model), format)
    raise ValueError(f"{format!r} is no format of drawings; they are {', '.join(FORMATS)}")
