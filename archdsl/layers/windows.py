"""Sliding windows: the arithmetic that convolutions and pools share."""

from __future__ import annotations

from math import gcd, isqrt
from typing import Literal, TypeAlias

from archdsl.layers.fields import Axes, Change, LayerError, written_size
from archdsl.layers.layer import Saved
from archdsl.layers.reach import Reach, read_window
from archdsl.layers.volume import Volume

Padding: TypeAlias = Literal["same"] | Axes
#: Padding before and after, for each axis.
Sides: TypeAlias = tuple[tuple[int, int], ...]


def read_windows(kernel: Axes, stride: Axes, sides: Sides, dilation: Axes) -> tuple[Reach, ...]:
    """What a window reads: along each axis, from ``i·stride − padding`` on."""
    axes = zip(kernel, stride, sides, dilation, strict=True)
    return (Reach(tuple([read_window(k, s, before, d) for k, s, (before, _), d in axes])),)


def need_axes(x: Volume, layer: str) -> None:
    """Refuse a vector where a layer works along the axes of a volume."""
    if x.is_vector:
        raise LayerError(
            "needs-image",
            f"`{layer}` needs a volume height x width x channels; its input is a vector of {x}",
            help="after `flatten` or `fc`, only layers that take vectors can follow",
        )


def need_image(x: Volume, layer: str) -> None:
    """Refuse all but images, for a layer that PyTorch has for them alone."""
    need_axes(x, layer)
    if not x.is_image:
        raise LayerError(
            "needs-image",
            f"`{layer}` needs an image, height x width x channels; its input is {x}, a "
            f"{x.rank}-D volume",
        )


def pad_sides(padding: Padding, x: Volume, kernel: Axes, stride: Axes, dilation: Axes) -> Sides:
    """Padding per side.

    ``same`` makes the output ⌈in / stride⌉; where the total is odd, the end gets one more.
    """
    if padding != "same":
        return tuple([(number, number) for number in padding])
    sides = []
    for size, k, s, d in zip(x.spatial, kernel, stride, dilation, strict=True):
        out = -(-size // s)
        total = max((out - 1) * s + d * (k - 1) + 1 - size, 0)
        sides.append((total // 2, total - total // 2))
    return tuple(sides)


def pads_alike(sides: Sides) -> bool:
    """Whether both sides of each axis get the same padding."""
    return all(before == after for before, after in sides)


def save_padded(x: Volume, sides: Sides) -> Saved:
    """What a layer keeps if it works on a padded copy of its input."""
    padded = (size + sum(side) for size, side in zip(x.spatial, sides, strict=True))
    return Saved(numbers=Volume.along(padded, x.channels).elements)


def torch_pads(sides: Sides) -> tuple[int, ...]:
    """The padding in PyTorch's order: the last axis first."""
    return tuple([number for side in reversed(sides) for number in side])


def slide(
    x: Volume, kernel: Axes, stride: Axes, sides: Sides, dilation: Axes, ceil: bool = False
) -> Axes:
    """The result's size along each axis: (in + padding − d·(k − 1) − 1)/s + 1, rounded down.

    With ``ceil`` it is rounded up, as with PyTorch's ``ceil_mode``: a last window that would start
    in the padding after the input is dropped.
    """
    result = []
    for axis, size, k, s, (before, after), d in zip(
        x.axes, x.spatial, kernel, stride, sides, dilation, strict=True
    ):
        room = size + before + after - d * (k - 1) - 1
        if room < 0:
            reach = d * (k - 1) + 1
            padded = f"{size} + {before + after} of padding" if before + after else f"{size}"
            raise LayerError(
                "kernel-larger-than-input",
                f"a window of {axis} {reach} does not fit into an input of {axis} {padded}",
                help=_smaller_window(size, k, "" if len(set(kernel)) == 1 else f"{axis} "),
            )
        out = room // s + 1
        if ceil and room % s and out * s < size + before:
            out += 1
        result.append(out)
    return tuple(result)


def count_unread(x: Volume, kernel: Axes, stride: Axes, sides: Sides, dilation: Axes) -> Axes:
    """Rows and columns at the end that no window reads, where windows leave no gaps otherwise.

    A stride larger than its window leaves gaps everywhere, which is intended.
    """
    uncovered = []
    for size, k, s, (before, after), d in zip(
        x.spatial, kernel, stride, sides, dilation, strict=True
    ):
        reach = d * (k - 1) + 1
        rest = (size + before + after - reach) % s
        uncovered.append(max(rest - after, 0) if s <= reach else 0)
    return tuple(uncovered)


def _smaller_window(size: int, kernel: int, axis: str) -> str:
    if size >= kernel or size == 1:
        return "use a smaller kernel or dilation, or fewer reductions before"
    return f"use a kernel of {axis}at most {size}, padding (`same`), or fewer reductions before"


def explain_slide(
    x: Volume, kernel: Axes, stride: Axes, sides: Sides, dilation: Axes, ceil: bool = False
) -> tuple[str, ...]:
    """The arithmetic of each axis as a formula: ``(28 + 2·0 − 5)/1 + 1 = 24``."""
    texts = []
    sizes = slide(x, kernel, stride, sides, dilation, ceil)
    for size, k, s, (before, after), d, out in zip(
        x.spatial, kernel, stride, sides, dilation, sizes, strict=True
    ):
        padding = f"2·{before}" if before == after else f"{before} + {after}"
        reach = d * (k - 1) + 1
        inner = f"({size} + {padding} − {reach})/{s}"
        room = size + before + after - reach
        if room % s:
            inner = f"⌈{inner}⌉" if (out - 1) * s > room else f"⌊{inner}⌋"
        texts.append(f"{inner} + 1 = {out}")
    return tuple(texts)


def split_groups(
    channels: int, groups: int, what: str, others: int = 0, field: str = "groups"
) -> None:
    """Refuse channels that cannot be split into equal groups.

    The suggested number of groups divides ``others``, too. ``field`` holds the number of groups.
    """
    if channels % groups:
        common = gcd(channels, others)
        nearest = _nearest_divisor(common, groups)
        of_both = f"{channels} and {others}" if common != channels else f"{channels}"
        raise LayerError(
            "indivisible-channels",
            f"{channels} {what} cannot be split into {groups} equal groups",
            help=f"use a divisor of {of_both}, such as {nearest}",
            change=Change(field, nearest),
        )


def _nearest_divisor(number: int, wanted: int) -> int:
    """The divisor of a number that is nearest to the one wanted; of two, the smaller one."""
    small = [n for n in range(1, isqrt(number) + 1) if number % n == 0]
    return min([*small, *(number // n for n in small)], key=lambda n: (abs(n - wanted), n))


def arguments_in_short(
    stride: Axes, padding: Padding, dilation: Axes = (1,), extra: tuple[str, ...] = ()
) -> str:
    """``s2 p3``: the attributes of a window as the language writes them."""
    parts = [f"s{in_short(stride)}"]
    if padding == "same":
        parts.append("same")
    elif any(padding):
        parts.append(f"p{in_short(padding)}")
    if set(dilation) != {1}:
        parts.append(f"d{in_short(dilation)}")
    return " ".join((*parts, *extra))


def in_short(sizes: Axes) -> str:
    """One number where all axes have the same."""
    return str(sizes[0]) if len(set(sizes)) == 1 else written_size(sizes)
