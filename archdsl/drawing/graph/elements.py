"""What a layout consists of: boxes, frames, wires and labels in place.

Lengths are points along the flow (``u``) and across it (``v``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from archdsl.drawing.figure.figure import Box, Cluster

#: How far a label is from its wire, beside it or above.
LABEL_BESIDE, LABEL_ABOVE = 4.0, 3.0
#: The distance between the lines of a frame's title, as a share of the size of its letters.
TITLE_LEADING = 1.25


@dataclass(frozen=True, slots=True)
class PlacedBox:
    """A box in place, with its middle at (``u`` + ``along`` / 2, ``v``)."""

    box: Box
    u: float
    v: float
    along: float
    across: float

    def moved(self, du: float, dv: float) -> PlacedBox:
        return replace(self, u=self.u + du, v=self.v + dv)


@dataclass(frozen=True, slots=True)
class Wire:
    """A line through points ``(u, v)``, whose corners will be rounded."""

    points: tuple[tuple[float, float], ...]
    has_arrow: bool = True
    is_dashed: bool = False

    def moved(self, du: float, dv: float) -> Wire:
        return replace(self, points=tuple((u + du, v + dv) for u, v in self.points))


@dataclass(frozen=True, slots=True)
class EdgeLabel:
    """A volume beside the middle of a wire; on its other side if ``is_before``."""

    text: str
    u: float
    v: float
    is_before: bool = False

    def moved(self, du: float, dv: float) -> EdgeLabel:
        return replace(self, u=self.u + du, v=self.v + dv)


@dataclass(frozen=True, slots=True)
class ClusterFrame:
    """A block's rectangle around its elements; the title begins at ``(title_u, title_v)``."""

    cluster: Cluster
    title: tuple[TitleLine, ...]
    u: tuple[float, float]
    v: tuple[float, float]
    title_at: tuple[float, float]
    elements: tuple[Element, ...]

    def moved(self, du: float, dv: float) -> ClusterFrame:
        return ClusterFrame(
            self.cluster,
            self.title,
            (self.u[0] + du, self.u[1] + du),
            (self.v[0] + dv, self.v[1] + dv),
            (self.title_at[0] + du, self.title_at[1] + dv),
            tuple(element.moved(du, dv) for element in self.elements),
        )


#: Block, name and count of a frame.
TitleLine: TypeAlias = tuple[str, str, str]
Element: TypeAlias = PlacedBox | Wire | EdgeLabel | ClusterFrame


@dataclass(frozen=True, slots=True)
class PlacedChain:
    """A piece laid out on its axis ``v`` = 0, from ``u`` = 0 to ``length``.

    The wire into it ends at ``first``, the wire out of it begins at ``last``. It reaches ``left``
    and ``right`` of the axis.
    """

    length: float
    left: float
    right: float
    elements: tuple[Element, ...]
    first: float = 0.0
    last: float = 0.0
    #: Whether the result before it flows in, and whether the wire ends in an arrow.
    is_fed: bool = True
    has_arrow: bool = True
    #: The volume on the wire into it, if that wire comes from another column.
    label: str = ""


def elements_in(elements: Sequence[Element]) -> Iterator[Element]:
    """All elements, those in frames as well; a frame comes before its contents."""
    for element in elements:
        yield element
        if isinstance(element, ClusterFrame):
            yield from elements_in(element.elements)
