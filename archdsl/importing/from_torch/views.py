"""How a tensor shows the numbers of a volume: which axes it has, split, joined and permuted.

PyTorch's networks permute and reshape between their layers, and most of that is no layer: a linear
layer over the last axis of ``x.permute(0, 2, 3, 1)`` is one over channels. So a value is a volume
and a way to look at it, and only where a layer needs its axes in their own order, the words for
that are looked for: ``flatten``, ``tokens``, ``reshape``, ``channelshuffle`` and the like.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from archdsl.importing.from_torch.standins import BATCH
from archdsl.layers import Layer
from archdsl.layers.dense import Flatten
from archdsl.layers.plumbing import Reshape
from archdsl.layers.rearrangement import ChannelShuffle, PixelShuffle, PixelUnshuffle
from archdsl.layers.tokens import Tokens
from archdsl.layers.volume import Volume


@dataclass(frozen=True, slots=True)
class Digit:
    """A digit of the index along an axis, ``index // step % size``.

    Axis 0 is the batch, 1 the channels, and those behind are the others, as in PyTorch.
    """

    axis: int
    step: int
    size: int


#: What an axis of a tensor runs over, the slowest digit first; none where its size is 1.
Axis: TypeAlias = tuple[Digit, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A result of the operation with this number, seen along these axes."""

    id: int
    volume: Volume
    axes: tuple[Axis, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(prod(digit.size for digit in axis) for axis in self.axes)

    @property
    def is_first(self) -> bool:
        """Whether it is the volume itself, channels first."""
        return self.axes == axes_of(self.volume)

    @property
    def is_last(self) -> bool:
        """Whether it is the volume with the channels last."""
        return self.axes == axes_of(self.volume, is_last=True)

    def channel_axis(self) -> int | None:
        """The axis that runs over all channels and nothing else."""
        whole = axes_of(self.volume)[1]
        if not whole:  # any axis of size 1 does; the usual one is meant
            return next((i for i in (1, len(self.axes) - 1) if self.axes[i] == ()), None)
        return next((i for i, axis in enumerate(self.axes) if axis == whole), None)


def axes_of(volume: Volume, is_last: bool = False) -> tuple[Axis, ...]:
    """The axes of a batch of volumes."""
    first, *others = (
        (Digit(axis, 1, size),) if size > 1 else ()
        for axis, size in enumerate(volume.torch_sizes, start=1)
    )
    batch = (Digit(0, 1, BATCH),)
    return (batch, *others, first) if is_last else (batch, first, *others)


def plain(id: int, volume: Volume) -> View:
    return View(id, volume, axes_of(volume))


def last(id: int, volume: Volume) -> View:
    return View(id, volume, axes_of(volume, is_last=True))


def permuted(view: View, order: Sequence[int]) -> View:
    return View(view.id, view.volume, tuple(view.axes[i] for i in order))


def reshaped(view: View, sizes: Sequence[int]) -> View | None:
    """The same numbers in the same order, along other axes; None where sizes do not nest."""
    digits = [digit for axis in view.axes for digit in axis]
    axes = []
    for size in sizes:
        axis: list[Digit] = []
        left = size
        while left > 1:
            if not digits:
                return None
            digit = digits.pop(0)
            if left % digit.size == 0:
                axis.append(digit)
                left //= digit.size
            elif digit.size % left == 0:
                rest = digit.size // left
                axis.append(Digit(digit.axis, digit.step * rest, left))
                digits.insert(0, Digit(digit.axis, digit.step, rest))
                left = 1
            else:
                return None
        axes.append(_joined(axis))
    return None if digits else View(view.id, view.volume, tuple(axes))


def _joined(digits: Iterable[Digit]) -> Axis:
    """Digits of one axis that follow one another as one."""
    found: list[Digit] = []
    for digit in digits:
        if found and _follow(found[-1], digit):
            found[-1] = Digit(digit.axis, digit.step, found[-1].size * digit.size)
        else:
            found.append(digit)
    return tuple(found)


def _follow(one: Digit, other: Digit) -> bool:
    return one.axis == other.axis and one.step == other.step * other.size


def with_volume(view: View, id: int, volume: Volume) -> View:
    """The same look at what a layer made, which may have other channels, and nothing else."""
    if volume == view.volume:
        return View(id, volume, view.axes)
    at = view.channel_axis()
    assert at is not None
    assert volume.spatial == view.volume.spatial
    axes = list(view.axes)
    axes[at] = axes_of(volume)[1]
    return View(id, volume, tuple(axes))


def in_a_row(view: View) -> tuple[Axis, ...] | None:
    """The axes of a view where the positions of its volume are in a row; None where they are not.

    A tensor that is seen by all positions at once looks the same at the tokens of an image.
    """
    whole = tuple(_all(axes_of(view.volume)[2:]))
    row = axes_of(Volume((view.volume.positions, view.volume.channels)))[2]
    if len(whole) < 2:
        return None
    found = []
    for axis in view.axes:
        if axis == whole:
            found.append(row)
        elif all(digit.axis < 2 for digit in axis):
            found.append(axis)
        else:
            return None
    return tuple(found)


def range_along(view: View, axis: int, index: int) -> tuple[int, int] | None:
    """The range of channels that an index along an axis is; None where it is none."""
    digits = view.axes[axis]
    if len(digits) != 1:
        return None
    (digit,) = digits
    if digit.axis != 1 or digit.step * digit.size != view.volume.channels:
        return None
    start = index % digit.size * digit.step
    return start, start + digit.step


def without(view: View, axis: int, id: int, volume: Volume) -> View:
    """The same look without an axis, at the range of channels that an index along it is."""
    return View(id, volume, (*view.axes[:axis], *view.axes[axis + 1 :]))


# ── Words ────────────────────────────────────────────────────────────────────────────────────


def word_of(view: View) -> tuple[Layer, bool] | None:
    """The layer that rearranges the volume as it is seen, and whether its channels are last then.

    None where there is none, or none is needed.
    """
    batch, *axes = view.axes
    if batch != axes_of(view.volume)[0] or view.is_first or view.is_last:
        return None
    channels, *spatial = axes_of(view.volume)[1:]
    if tuple(axes) == (_joined([*channels, *_all(spatial)]),):
        return Flatten(), False
    if view.volume.rank > 1:
        row = _joined(_all(spatial))
        if tuple(axes) == (channels, row):
            return Tokens(), False
        if tuple(axes) == (row, channels):
            return Tokens(), True
    return _shuffle(view, axes)


def squares_of(view: View) -> int | None:
    """The side of the squares whose positions come before the channels, as channels.

    TensorFlow's order of space to depth; that of `pixelunshuffle` has the channels first.
    """
    volume = view.volume
    if not volume.is_image or len(view.axes) != 4 or len(view.axes[1]) < 2:
        return None
    batch, channels, *_ = axes_of(volume)
    r = view.axes[1][0].size
    if any(size % r for size in volume.spatial):
        return None
    places = tuple(Digit(axis, 1, r) for axis in (2, 3))
    small = (
        (Digit(axis, r, size // r),) if size > r else ()
        for axis, size in zip((2, 3), volume.spatial, strict=True)
    )
    return r if view.axes == (batch, (*places, *channels), *small) else None


def _all(axes: Iterable[Axis]) -> list[Digit]:
    return [digit for axis in axes for digit in axis]


def _shuffle(view: View, axes: Sequence[Axis]) -> tuple[Layer, bool] | None:
    volume = view.volume
    channels, *spatial = axes_of(volume)[1:]
    if len(axes) != volume.rank + 1:
        return None
    first = axes[0]
    if list(axes[1:]) == spatial and len(first) == 2 and all(d.axis == 1 for d in first):
        member, group = first
        if member.step == 1 and group.step == member.size:
            return ChannelShuffle(group.size), False
    if not volume.is_image:
        return None
    factor = [axis[-1].size for axis in axes[1:] if axis]
    if len(set(factor)) == 1:
        r = factor[0]
        whole, down, right = (
            Digit(1, r * r, volume.channels // (r * r)),
            *(Digit(1, step, r) for step in (r, 1)),
        )
        wanted = ((whole,) if whole.size > 1 else (), (*spatial[0], down), (*spatial[1], right))
        if volume.channels % (r * r) == 0 and tuple(axes) == wanted:
            return PixelShuffle(r), False
    if len(first) > 1 and first[-1].axis == 3 and first[-1].step == 1:
        r = first[-1].size
        rows = [Digit(axis, 1, r) for axis in (2, 3)]
        if volume.height % r or volume.width % r:
            return None
        small = (
            (*channels, *rows),
            *(
                (Digit(axis, r, size // r),) if size > r else ()
                for axis, size in zip((2, 3), volume.spatial, strict=True)
            ),
        )
        if tuple(axes) == small:
            return PixelUnshuffle(r), False
    return None


def reshape_of(view: View) -> tuple[Layer, bool] | None:
    """A `reshape` that gives what is seen, and whether the channels are last then."""
    batch, *axes = view.axes
    own = axes_of(view.volume)
    if batch != own[0] or not 1 <= len(axes) <= 4:
        return None
    sizes = view.sizes[1:]
    whole = list(_joined(_all(own[1:])))
    if list(_joined(_all(axes))) == whole:
        return Reshape((*sizes[1:], sizes[0])), False
    if list(_joined(_all([axes[-1], *axes[:-1]]))) == whole:
        return Reshape(sizes), True
    return None
