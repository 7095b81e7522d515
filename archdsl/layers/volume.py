"""Volumes: what flows along an edge of a network."""

from __future__ import annotations

from math import prod

from archdsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Volume:
    """Height × width × channels of one sample, or the units of a vector.

    ``sizes`` is ``(height, width, channels)`` as the papers write it, or ``(units,)`` after
    ``flatten`` and ``fc``. The batch is never part of it.
    """

    sizes: tuple[int, ...]

    @classmethod
    def image(cls, height: int, width: int, channels: int) -> Volume:
        return cls((height, width, channels))

    @classmethod
    def vector(cls, units: int) -> Volume:
        return cls((units,))

    @property
    def is_vector(self) -> bool:
        return len(self.sizes) == 1

    @property
    def height(self) -> int:
        return 1 if self.is_vector else self.sizes[0]

    @property
    def width(self) -> int:
        return 1 if self.is_vector else self.sizes[1]

    @property
    def channels(self) -> int:
        """Channels of an image volume, units of a vector."""
        return self.sizes[-1]

    @property
    def elements(self) -> int:
        """How many numbers the volume holds."""
        return prod(self.sizes)

    @property
    def torch_sizes(self) -> tuple[int, ...]:
        """The same sizes in PyTorch's order, channels first."""
        return (self.sizes[-1], *self.sizes[:-1])

    def with_channels(self, channels: int) -> Volume:
        return Volume((*self.sizes[:-1], channels))

    def __str__(self) -> str:
        return "x".join(map(str, self.sizes))
