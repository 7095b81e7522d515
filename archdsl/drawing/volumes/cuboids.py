"""Volumes as boxes in cabinet projection: how large they are, and the marks that draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, log2, sqrt

from archdsl.drawing.canvas.marks import Mark, polygon, polyline, rectangle
from archdsl.drawing.canvas.palette import border_of, fill_of, side_of, top_of
from archdsl.drawing.options import BoxScale
from archdsl.drawing.volumes.faces import Face
from archdsl.layers.volume import Volume

#: Height of a box: ``H0 + A · log₂(rows)``; width: ``W0 + B · log₂(channels)``, in points.
H0, A = 10.0, 14.0
W0, B = 4.0, 3.0
#: Height of the bar of a vector: ``H0 + U · log₂(units)``.
U = 7.0
#: A box reaches back, to the right and up, by this share of the length that would be its height if
#: its volume were as high as it is wide.
SLANT = 0.3
#: A box that is turned, so that its maps face the reader, reaches back by this share of the width
#: that it would have otherwise.
TURNED = 0.5
#: The thickness of a slab, which is the result of a layer without weights that keeps the channels,
#: and of a bar, which is a vector.
SLAB, BAR = 5.0, 8.0

#: A plate, which is a 1-D volume, reaches back by this many points.
PLATE = 1.5
#: A 3-D volume is drawn as plates behind each other, this many at most, with gaps of this share of
#: how far one reaches back.
MOST_PLATES, CLEFT = 6, 0.4

#: If the parts of a box are narrower than this on average, the seams between them are not drawn.
_SEAM = 2.5
#: Seams are dashed, because solid lines are between boxes that touch.
_STITCH = (2.0, 1.5)

#: What is said of volumes that only some networks have, by their number of axes.
_RULES = (
    (1, "thin plates are 1-D volumes, as high as these are long"),
    (3, "3-D volumes are cut into plates, more of them the deeper they are"),
)

_SIGNS = {"log": "log₂", "sqrt": "square-root", "linear": "linear"}


@dataclass(frozen=True, slots=True)
class CuboidSize:
    """A box in points: its front, and how far it reaches to the right and up behind it.

    It may consist of several plates, one behind the other.
    """

    width: float
    height: float
    back: float
    plates: int = 1


@dataclass(frozen=True, slots=True)
class Ruler:
    """Computes sizes from volumes. The largest size of a picture is the same on all scales."""

    scale: BoxScale
    most_rows: int
    most_channels: int
    most_units: int
    zoom: float = 1.0
    most_length: int = 1
    #: The numbers of axes of the volumes.
    ranks: frozenset[int] = frozenset()
    #: Whether boxes are turned: their fronts are the maps, and channels are behind one another.
    is_turned: bool = False

    def size(self, volume: Volume, is_slab: bool = False) -> CuboidSize:
        """The size of a volume's box, or of a vector's bar."""
        if is_bar(volume, self.is_turned):
            height = H0 + U * self._share(volume.channels, self.most_units)
            return CuboidSize(BAR * self.zoom, height * self.zoom, SLANT * H0 * self.zoom)
        width = W0 + B * self._share(volume.channels, self.most_channels)
        thick = SLAB if is_slab else width
        if volume.rank == 1:
            height = H0 + U * self._share(volume.spatial[0], self.most_length)
            return CuboidSize(thick * self.zoom, height * self.zoom, PLATE * self.zoom)
        height = H0 + A * self._share(volume.height, self.most_rows)
        depth = H0 + A * self._share(volume.width, self.most_rows)
        if self.is_turned:
            return CuboidSize(depth * self.zoom, height * self.zoom, TURNED * thick * self.zoom)
        back, plates = SLANT * depth, 1
        if volume.rank == 3:
            plates = min(MOST_PLATES, 1 + ceil(log2(volume.size("D"))))
            back *= 0.8 + 0.2 * plates
        return CuboidSize(thick * self.zoom, height * self.zoom, back * self.zoom, plates)

    def _share(self, number: int, most: int) -> float:
        """``log₂(number)``, or the number on another scale that has the same value at ``most``."""
        match self.scale:
            case "log":
                return log2(number)
            case "sqrt":
                return log2(most) * sqrt(number / most)
            case "linear":
                return log2(most) * number / most

    @property
    def rule(self) -> tuple[str, ...]:
        """The text below the picture, in pieces between which lines may be broken."""
        more = [text for rank, text in _RULES if rank in self.ranks]
        across, along = ("wide", "deep") if self.is_turned else ("deep", "wide")
        return (
            f"sizes on a {_SIGNS[self.scale]} scale:",
            f"boxes are as high and {across} as the volume,",
            f"as {along} as it has channels;",
            "bars are vectors, slabs change no channels" + ";" * bool(more),
            *(text + ";" for text in more[:-1]),
            *more[-1:],
        )


def is_bar(volume: Volume, is_turned: bool) -> bool:
    """Whether a volume is drawn as the bar of a vector: the front of a turned 1×1 shows nothing."""
    return volume.is_vector or (is_turned and volume.is_image and volume.positions == 1)


def ruler_for(
    volumes: Sequence[Volume], scale: BoxScale, zoom: float = 1.0, *, is_turned: bool = False
) -> Ruler:
    """The ruler for the largest of some volumes."""
    images = [volume for volume in volumes if volume.rank > 1]
    return Ruler(
        scale,
        max((max(v.height, v.width) for v in images), default=1),
        max((v.channels for v in volumes if not v.is_vector), default=1),
        max((v.channels for v in volumes if is_bar(v, is_turned)), default=1),
        zoom,
        max((v.spatial[0] for v in volumes if v.rank == 1), default=1),
        frozenset(volume.rank for volume in volumes),
        is_turned,
    )


def cuboid_marks(
    x: float,
    y: float,
    size: CuboidSize,
    look: str,
    parts: Sequence[int] = (),
    heat: tuple[str, str, str] | None = None,
    face: Face | None = None,
    is_turned: bool = False,
) -> tuple[Mark, ...]:
    """The marks of a box with the upper left corner of its front at (x, y).

    ``parts`` are the channels from which it is joined. ``heat`` has colours of front, top and side
    that replace the family's. ``face`` is shown on the front.
    """
    if size.plates > 1:
        back = size.back / (size.plates + CLEFT * (size.plates - 1))
        plate = CuboidSize(size.width, size.height, back)
        places = [number * (1 + CLEFT) * back for number in reversed(range(size.plates))]
        return tuple(
            mark
            for at in places
            for mark in cuboid_marks(
                x + at, y - at, plate, look, () if at else parts, heat, None if at else face
            )
        )
    w, h, d = size.width, size.height, size.back
    front, top, side = heat or (fill_of(look), top_of(look), side_of(look))
    border = border_of(look) if heat is None else "ink"
    right, bottom = x + w, y + h
    over = ((x, y), (x + d, y - d), (right + d, y - d), (right, y))
    beside = ((right, y), (right + d, y - d), (right + d, bottom - d), (right, bottom))
    marks: list[Mark] = [
        polygon(over, fill=top, stroke=border, line=0.7),
        polygon(beside, fill=side, stroke=border, line=0.7),
        rectangle(x, y, w, h, fill=front, stroke=border, line=0.7),
    ]
    if face is not None:
        outline = rectangle(x, y, w, h, stroke=border, line=0.7)
        marks[-1:] = [face.mark(x, y, w, h), outline]
    whole = sum(parts)
    if (d if is_turned else w) < _SEAM * len(parts):
        return tuple(marks)
    for number in list(accumulate(parts))[:-1]:
        at, behind = x + w * number / whole, d * number / whole
        seam = ((at, bottom), (at, y), (at + d, y - d))
        if is_turned:
            edge = (right + behind, y - behind)
            seam = ((x + behind, y - behind), edge, (right + behind, bottom - behind))
        marks.append(polyline(seam, stroke=border, line=0.5, dash=_STITCH))
    return tuple(marks)
