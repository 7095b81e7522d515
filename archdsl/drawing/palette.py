"""How each family of layers looks: a pale fill, a dark border of the same hue, and a shape.

The hues stay apart for colour-blind readers; the shape and the word in the node say the same again.
"""

from __future__ import annotations

from dataclasses import dataclass

from archdsl.layers import Family

INK = "#1b1f24"
MUTED = "#4a5361"
LINE = "#5b6470"
ACCENT = "#a34700"
CLUSTER_BORDERS = ("#c5cbd3", "#aeb6c1")
CLUSTER_FILLS = ("#f6f8fa", "#eceff3")


@dataclass(frozen=True, slots=True)
class Look:
    """Colours, and Graphviz's names of a shape and a style; the margin in inches.

    Only shapes that sit tight around two lines of text: an octagon would be half as wide again.
    """

    fill: str
    border: str
    shape: str = "box"
    style: str = "filled"
    margin: str = "0.1,0.05"


_GREY = ("#d9dce1", "#5b6470")

LOOKS: dict[Family, Look] = {
    Family.CONVOLUTION: Look("#a9cfee", "#0b5c94", style="rounded,filled"),
    Family.POOLING: Look("#f6b48c", "#a34700", style="filled,diagonals"),
    Family.DENSE: Look("#e3b3d3", "#8c3a6e"),
    Family.NORMALIZATION: Look(*_GREY, "note"),
    Family.ACTIVATION: Look("#fff3b0", "#8a7400", "hexagon", margin="0"),
    Family.REGULARIZATION: Look(*_GREY, style="rounded,filled,dashed"),
    Family.MERGE: Look("#8fd6bd", "#00664a", "ellipse", margin="0"),
    Family.PLUMBING: Look(*_GREY, "component", margin="0.16,0.05"),
    Family.INPUT: Look("#ffffff", INK, style="rounded,filled,bold"),
}

#: On a dark page: boxes stay pale, what is around them turns dark. For SVG, whose root has the
#: class; a style inside a page holds for the whole page.
SVG_CLASS = "archdsl-drawing"
DARK_STYLE = f"""
@media (prefers-color-scheme: dark) {{
  .{SVG_CLASS} .graph > polygon {{ fill: #0d1117; }}
  .{SVG_CLASS} .cluster > path {{ fill: #161b22; stroke: #3d444d; }}
  .{SVG_CLASS} .cluster > text, .{SVG_CLASS} .edge > text {{ fill: #d1d7e0; }}
  .{SVG_CLASS} .edge > path {{ stroke: #9198a1; }}
  .{SVG_CLASS} .edge > polygon {{ fill: #9198a1; stroke: #9198a1; }}
}}
"""
