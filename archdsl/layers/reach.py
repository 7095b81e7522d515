"""Which positions of its inputs a layer reads: receptive fields are computed from this."""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import pairwise
from math import gcd
from typing import TypeAlias

from archdsl.layers.volume import Volume
from archdsl.records import dataclass

#: The first and the last of some positions along an axis.
Interval: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Reads:
    """The positions of an input that each position of a result reads, along one axis.

    Position ``n·len(rows) + r`` reads from ``first + n·advance`` to ``last + n·advance`` in steps
    of ``step``, with ``(first, last) = rows[r]``, and nothing where that is None. Positions before
    0 and beyond the end are padding, and are read like all others.
    """

    rows: tuple[Interval | None, ...]
    advance: int
    step: int = 1

    @property
    def extent(self) -> int:
        """The most positions between the first and the last one read, both included."""
        return max((row[1] - row[0] + 1 for row in self.rows if row is not None), default=0)

    @property
    def stride(self) -> int:
        """The step between what neighbouring positions read; 1 where all read the same."""
        return max(1, self.advance // len(self.rows))

    @cached_property
    def is_monotone(self) -> bool:
        """Whether each position reads something, and its ends never go back."""
        rows = (*self.rows, self.row(len(self.rows)))
        return None not in rows and all(
            before[0] <= after[0] and before[1] <= after[1]  # type: ignore[index]
            for before, after in pairwise(rows)
        )

    def hull(self, first: int, last: int) -> Interval | None:
        """The first and the last position that these positions of the result read."""
        period = len(self.rows)
        # Each period reads further on than the one before: the first and the last hold the ends.
        ends = (*range(first, last + 1)[:period], *range(first, last + 1)[-period:])
        read = [row for row in map(self.row, ends) if row is not None]
        if not read:
            return None
        return min(row[0] for row in read), max(row[1] for row in read)

    def row(self, position: int) -> Interval | None:
        """The first and the last position that one position of the result reads."""
        turn, phase = divmod(position, len(self.rows))
        row = self.rows[phase]
        return row and (row[0] + turn * self.advance, row[1] + turn * self.advance)


@lru_cache(maxsize=1024)
def read_window(kernel: int, stride: int, before: int, dilation: int) -> Reads:
    """Position i reads a window from ``i·stride − before`` on; ``before`` is padding."""
    return Reads(((-before, dilation * (kernel - 1) - before),), stride, dilation)


@lru_cache(maxsize=1024)
def read_all(size: int) -> Reads:
    """Each position reads a whole axis, and no padding."""
    return Reads(((0, size - 1),), 0)


@lru_cache(maxsize=64)
def read_transposed(kernel: int, stride: int, cut: int, dilation: int) -> Reads:
    """Input q goes to the results ``q·stride + t·dilation − cut`` for each t of the kernel.

    Between them are positions that read nothing where the stride leaves gaps.
    """
    read: list[list[int]] = [[] for _ in range(stride)]
    for t in range(kernel):
        position = t * dilation - cut
        read[position % stride].append(-(position // stride))
    rows = tuple((min(row), max(row)) if row else None for row in read)
    return Reads(rows, 1, dilation // gcd(dilation, stride))


@lru_cache(maxsize=64)
def read_nearest(factor: int) -> Reads:
    """``factor`` positions read each position of the input."""
    return Reads(((0, 0),) * factor, 1)


@lru_cache(maxsize=64)
def read_linear(factor: int) -> Reads:
    """The two positions nearest to ``(i + ½)/factor − ½``, or the one on which this falls."""
    places = [2 * i + 1 - factor for i in range(factor)]
    return Reads(tuple((x // (2 * factor), -(-x // (2 * factor))) for x in places), 1)


@lru_cache(maxsize=64)
def read_adaptive(size: int, result: int) -> Reads:
    """Window i of ``result`` runs from ⌊i·size/result⌋ to ⌈(i + 1)·size/result⌉."""
    if result == 1:
        return read_all(size)
    common = gcd(size, result)
    ends = [(i * size // result, -(-(i + 1) * size // result) - 1) for i in range(result // common)]
    return Reads(tuple(ends), size // common)


#: The position itself, along one axis.
SAME_PLACE = Reads(((0, 0),), 1)


@dataclass(frozen=True, slots=True)
class Reach:
    """What a position of the result reads of one of the inputs; each axis separately.

    A volume counts as one of size 1 along axes that it does not have: ``rest`` says what is read
    along them.
    """

    axes: tuple[Reads, ...] = ()
    input: int = 0
    rest: Reads = SAME_PLACE

    @property
    def kernel(self) -> tuple[int, ...]:
        """What is seen at once along each axis, dilation included."""
        return tuple([reads.extent for reads in self.axes])

    @property
    def stride(self) -> tuple[int, ...]:
        return tuple([reads.stride for reads in self.axes])

    def along(self, axis: int) -> Reads:
        """What is read along an axis."""
        return self.axes[axis] if axis < len(self.axes) else self.rest


#: The position itself.
HERE = Reach()


@lru_cache(maxsize=64)
def reads_here(inputs: int) -> tuple[Reach, ...]:
    """The same position of each input."""
    return tuple(Reach(input=i) for i in range(inputs))


def reach_all(x: Volume, input: int = 0) -> Reach:
    """The whole volume."""
    return Reach(tuple([read_all(size) for size in x.spatial]), input, read_all(1))
