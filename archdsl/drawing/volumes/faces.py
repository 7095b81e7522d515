"""What may be shown on the fronts of volumes: pixels that somebody computed, and an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from archdsl.drawing.canvas.marks import Group, Mark, Raster


@dataclass(frozen=True, slots=True)
class Face:
    """Pixels for the front of a box, the rows from the top, each pixel as three bytes.

    ``said`` is their tooltip.
    """

    columns: int
    rows: int
    pixels: bytes
    said: str

    def mark(self, x: float, y: float, width: float, height: float) -> Mark:
        """The pixels in a rectangle with its upper left corner at (x, y)."""
        raster = Raster((x, y), width, height, self.columns, self.rows, self.pixels)
        return Group((raster,), self.said)


class Faces(Protocol):
    """What each volume of a network looks like, for one input."""

    @property
    def rule(self) -> tuple[str, ...]:
        """What the fronts show, for the foot of a picture, in pieces between lines."""

    @property
    def answer(self) -> int:
        """The node that gives the network's answer."""

    @property
    def told(self) -> tuple[str, ...]:
        """The answer in short lines."""

    def front(self, node: int, group: int = 0, groups: int = 1) -> Face | None:
        """The front of a node's result, or of one of the groups of its channels."""
