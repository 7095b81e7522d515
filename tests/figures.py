"""What tests of pictures ask of a figure."""

from __future__ import annotations

from archdsl.drawing.figure.figure import (
    Box,
    Figure,
    boxes_in,
)


def boxes_of(figure: Figure) -> list[Box]:
    return [box for item in figure.items for box in boxes_in(item)]


TANGLES = [
    "enc: conv 3x3 4 same; s: { add { conv 3x3 4 same | enc }; relu } ×3",
    "enc: conv 3x3 4 same; conv 1x1 8; enc",
    "s: { t: { conv 3x3 4 same relu; conv 1x1 4 } ×2; maxpool 3 s1 same } ×3",
    "{ conv 3x3 4 same; aux(0.3) { gap; fc 10 }; conv 3x3 4 same }",
    "{ a; b } ×4".replace("a", "conv 1x1 4 relu").replace("b", "add { id | conv 3x3 same }"),
    "a: conv 1x1 4; b: conv 1x1 4; add { a | add { b | id } | a }",
    "concat { concat { id | id } | conv 1x1 4 ×3 | add { id | id } } ×2",
    "add { id | gap; conv 1x1 4; upsample 8 }",
]
