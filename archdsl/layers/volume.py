"""Volumes: what flows along an edge of a network."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from archdsl.records import dataclass

#: What the axes before the channels are called, by how many there are.
AXES: tuple[tuple[str, ...], ...] = (
    (),
    ("length",),
    ("height", "width"),
    ("depth", "height", "width"),
)
#: The most axes that a volume has beside the channels.
MOST_AXES = len(AXES) - 1
#: The names of all sizes in expressions, by the number of axes.
LETTERS = tuple((*(axis[0].upper() for axis in axes), "C") for axes in AXES)


@dataclass(frozen=True, slots=True)
class Volume:
    """The sizes of one sample along each axis, the channels last; or the units of a vector.

    ``sizes`` are as the papers write them: ``(height, width, channels)`` of an image,
    ``(length, channels)`` of a 1-D volume, ``(depth, height, width, channels)`` of a 3-D one, and
    ``(units,)`` after ``flatten`` and ``fc``. The batch is never part of it.
    """

    sizes: tuple[int, ...]

    @classmethod
    def image(cls, height: int, width: int, channels: int) -> Volume:
        return cls((height, width, channels))

    @classmethod
    def vector(cls, units: int) -> Volume:
        return cls((units,))

    @classmethod
    def along(cls, sizes: Iterable[int], channels: int) -> Volume:
        """The volume with these sizes along its axes."""
        return cls((*sizes, channels))

    @property
    def is_vector(self) -> bool:
        return len(self.sizes) == 1

    @property
    def is_image(self) -> bool:
        return len(self.sizes) == 3

    @property
    def rank(self) -> int:
        """How many axes there are beside the channels: 2 of an image, 0 of a vector."""
        return len(self.sizes) - 1

    @property
    def axes(self) -> tuple[str, ...]:
        """What the axes beside the channels are called."""
        return AXES[self.rank]

    @property
    def letters(self) -> tuple[str, ...]:
        """What all sizes are called in expressions: ``H``, ``W`` and ``C`` of an image."""
        return LETTERS[self.rank]

    @property
    def spatial(self) -> tuple[int, ...]:
        """The sizes along the axes beside the channels."""
        return self.sizes[:-1]

    @property
    def height(self) -> int:
        """Of an image or a 3-D volume."""
        return self.size("H")

    @property
    def width(self) -> int:
        """Of an image or a 3-D volume."""
        return self.size("W")

    @property
    def noun(self) -> str:
        """What a sample of this volume is called."""
        return "image" if self.rank in (0, 2) else "sample"

    @property
    def positions(self) -> int:
        """How many positions each channel has; 1 of a vector."""
        return prod(self.spatial)

    @property
    def channels(self) -> int:
        """Channels of a volume, units of a vector."""
        return self.sizes[-1]

    @property
    def elements(self) -> int:
        """How many numbers the volume holds."""
        return prod(self.sizes)

    @property
    def torch_sizes(self) -> tuple[int, ...]:
        """The same sizes in PyTorch's order, channels first."""
        return (self.sizes[-1], *self.sizes[:-1])

    def size(self, letter: str) -> int:
        """The size that an expression calls by a letter."""
        return self.sizes[self.letters.index(letter)]

    def with_channels(self, channels: int) -> Volume:
        return Volume((*self.sizes[:-1], channels))

    def __str__(self) -> str:
        return "x".join(map(str, self.sizes))
