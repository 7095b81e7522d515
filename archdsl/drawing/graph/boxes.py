"""A box of the graph: how large it is, and the marks that draw it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from archdsl.drawing.canvas.marks import Line, Mark, Text, polygon, polyline, rectangle
from archdsl.drawing.canvas.palette import border_of, detail_of, fill_of, label_of
from archdsl.drawing.canvas.typeface import shortened, text_width
from archdsl.drawing.figure.figure import Box, cards_of
from archdsl.layers import Family


@dataclass(frozen=True, slots=True)
class Type:
    """Sizes of text in points: of titles in boxes, second lines, volumes at edges, clusters."""

    title: float = 11.0
    detail: float = 8.5
    edge: float = 8.0
    cluster: float = 9.0
    #: Lines of text in a box are broken at this width, and names are cut.
    line: float = 118.0
    #: Between the text and the border of a box, across and up.
    margin: tuple[float, float] = (8.0, 4.5)
    #: Between neighbours along the flow, and across it.
    step: float = 15.0
    gap: float = 10.0
    #: Between a frame and the elements in it.
    pad: float = 6.0
    #: A longer title without a name puts its kernel into the second line.
    title_line: float = 200.0


SPACIOUS = Type()
#: For a picture that is shrunk to fit a page: its texts have almost one size, so that the
#: smallest stays legible.
COMPACT = Type(8.5, 8.0, 8.0, 8.0, 60.0, (4.0, 2.5), 11.0, 5.0, 4.0, 44.0)
#: The width at which the sum of a `concat` and the channels of a block are broken into lines.
_SUM = 110.0
#: The width at which the message of a fault is broken into lines.
_MESSAGE = 150.0

#: How far each of the cards behind a box that stands for several sticks out.
_STACK = 2.5
#: How much room shapes take from the text at each side.
_SLACK = {
    Family.ACTIVATION: 5.0,
    Family.MERGE: 4.0,
    Family.NORMALIZATION: 4.0,
    Family.PLUMBING: 4.0,
}
#: The distance between the lines of a box, as a share of the size of the second line.
_LEADING = 1.2


@dataclass(frozen=True, slots=True)
class Lettering:
    """A box's lines of text, broken and measured."""

    title: str
    name: str
    times: str
    details: tuple[str, ...]
    width: float
    height: float
    #: How many of the last lines are the message of a fault.
    faulty: int = 0


def letter(box: Box, type: Type, note: str = "") -> Lettering:
    """Break and measure a box's text; a note is a line of its own after the details."""
    key = (box.title, box.name or "", box.detail, box.count, box.family, box.block is not None)
    return _lettered(*key, box.fault or "", type, note)


@lru_cache(maxsize=1 << 12)
def _lettered(
    title: str,
    name: str,
    detail: str,
    count: int,
    family: Family,
    is_block: bool,
    fault: str,
    type: Type,
    note: str,
) -> Lettering:
    name = shortened(name, type.detail, 120.0)
    times = f"×{count}" if count > 1 else ""
    if " " in title and not name and text_width(title, type.title, bold=True) > type.title_line:
        title, kernel = title.rsplit(" ", 1)
        detail = f"{kernel} · {detail}" if detail else kernel
    title = shortened(title, type.title, 160.0, bold=True)
    widths = [
        text_width(title, type.title, bold=True),
        text_width(name, type.detail),
        text_width(times, type.title, bold=True),
    ]
    space = text_width(" ", type.title)
    first = sum(widths) + 1.5 * space * (sum(map(bool, widths)) - 1)
    limit = max(_SUM, type.line) if family is Family.MERGE or is_block else type.line
    details = tuple(_broken(detail, type, limit)) if detail else ()
    details += (note,) if note else ()
    message = tuple(_broken(fault, type, _MESSAGE)) if fault else ()
    details += message
    width = max(first, *(text_width(line, type.detail) for line in details), 0.0)
    across, up = type.margin
    slack = _SLACK.get(family, 0.0)
    height = type.title + _LEADING * type.detail * len(details)
    return Lettering(
        title,
        name,
        times,
        details,
        max(width + 2 * (across + slack), 30.0),
        height + 2 * up,
        len(message),
    )


def _broken(detail: str, type: Type, limit: float) -> list[str]:
    """The second line in lines of a bounded width, broken at spaces."""
    lines: list[str] = []
    for word in detail.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, type.detail) <= limit:
            lines[-1] = longer
        else:
            lines.append(shortened(word, type.detail, max(limit, 100.0)))
    return [line.removeprefix("· ").removesuffix(" ·") for line in lines]


def size_of(box: Box, type: Type, note: str = "", goes_down: bool = True) -> tuple[float, float]:
    """Width and height in points, with the cards behind the box.

    Across the flow both sides have room for them, so that the box stays on its axis.
    """
    lettering = letter(box, type, note)
    behind = cards_of(box.count) * _STACK
    if goes_down:
        return lettering.width + 2 * behind, lettering.height + behind
    return lettering.width + behind, lettering.height + 2 * behind


def marks_of(
    box: Box,
    x: float,
    y: float,
    type: Type,
    note: str = "",
    heat: tuple[str, str] | None = None,
    goes_down: bool = True,
) -> tuple[Mark, ...]:
    """The marks of a box with its upper left corner at (x, y).

    ``heat`` has a fill and an ink that replace those of its look.
    """
    lettering = letter(box, type, note)
    width, height = lettering.width, lettering.height
    behind = cards_of(box.count) * _STACK
    x, y = x + (behind if goes_down else 0.0), y + behind
    fill, border = fill_of(box.look), border_of(box.look)
    ink, small = label_of(box.look), detail_of(box.look)
    if heat is not None:
        fill, ink = heat
        border, small = "ink", ink
    if box.fault:
        fill, border, ink, small = "page", "fault", "ink", "muted"
    elif box.is_waiting:
        fill, border, ink, small = "page", "line", "muted", "muted"
    shifts = [number * _STACK for number in range(cards_of(box.count), 0, -1)]
    cards = [_outline(box, x + by, y - by, width, height, fill, border) for by in shifts]
    front = [
        _outline(box, x, y, width, height, fill, border),
        *_ornaments(box, x, y, width, height, border),
    ]
    return (*cards, *front, *_texts(lettering, x, y, type, ink, small))


def _texts(
    lettering: Lettering, x: float, y: float, type: Type, ink: str, small: str
) -> list[Mark]:
    space = 1.5 * text_width(" ", type.title)
    pieces = [
        (lettering.title, type.title, ink, True),
        (lettering.name, type.detail, small, False),
        (lettering.times, type.title, ink, True),
    ]
    pieces = [piece for piece in pieces if piece[0]]
    widths = [text_width(text, size, bold) for text, size, _, bold in pieces]
    at = x + (lettering.width - sum(widths) - space * (len(pieces) - 1)) / 2
    baseline = y + type.margin[1] + 0.86 * type.title
    marks: list[Mark] = []
    for (text, size, fill, bold), width in zip(pieces, widths, strict=True):
        marks.append(Text((at, baseline), text, size, fill, bold, "start"))
        at += width + space
    for number, line in enumerate(lettering.details, start=1):
        down = baseline + number * _LEADING * type.detail
        is_fault = number > len(lettering.details) - lettering.faulty
        paint = "fault" if is_fault else small
        marks.append(Text((x + lettering.width / 2, down), line, type.detail, paint))
    return marks


def _outline(
    box: Box, x: float, y: float, width: float, height: float, fill: str, border: str
) -> Line:
    """The shape of a family, or of a collapsed block."""
    if box.block is not None:
        return rectangle(x, y, width, height, radius=3, fill=fill, stroke=border, line=1.6)
    match box.family:
        case Family.CONVOLUTION:
            return rectangle(x, y, width, height, radius=5, fill=fill, stroke=border, line=1.2)
        case Family.POOLING:
            return _bevelled(x, y, width, height, 5, fill, border)
        case Family.ACTIVATION:
            return _hexagon(x, y, width, height, fill, border)
        case Family.MERGE:
            return rectangle(
                x, y, width, height, radius=height / 2, fill=fill, stroke=border, line=1.2
            )
        case Family.REGULARIZATION:
            return rectangle(
                x, y, width, height, radius=5, fill=fill, stroke=border, line=1.2, dash=(3, 2)
            )
        case Family.NORMALIZATION:
            right, bottom = x + width, y + height
            corners = ((x, y), (right - 6, y), (right, y + 6), (right, bottom), (x, bottom))
            return polygon(corners, fill=fill, stroke=border, line=1.2)
        case Family.INPUT:
            return rectangle(x, y, width, height, radius=8, fill=fill, stroke=border, line=1.8)
        case Family.DENSE | Family.PLUMBING:
            return rectangle(x, y, width, height, fill=fill, stroke=border, line=1.2)


def _ornaments(
    box: Box, x: float, y: float, width: float, height: float, border: str
) -> list[Mark]:
    """Lines inside a shape."""
    if box.block is not None:
        inner = rectangle(x + 2, y + 2, width - 4, height - 4, radius=2, stroke=border, line=0.6)
        return [inner]
    match box.family:
        case Family.NORMALIZATION:
            right = x + width
            fold = ((right - 6, y), (right - 6, y + 6), (right, y + 6))
            return [polyline(fold, stroke=border)]
        case Family.PLUMBING:
            sides = (x + 4, x + width - 4)
            return [polyline(((side, y), (side, y + height)), stroke=border) for side in sides]
        case _:
            return []


def _bevelled(
    x: float, y: float, width: float, height: float, cut: float, fill: str, border: str
) -> Line:
    right, bottom = x + width, y + height
    corners = (
        (x + cut, y),
        (right - cut, y),
        (right, y + cut),
        (right, bottom - cut),
        (right - cut, bottom),
        (x + cut, bottom),
        (x, bottom - cut),
        (x, y + cut),
    )
    return polygon(corners, fill=fill, stroke=border, line=1.2)


def _hexagon(x: float, y: float, width: float, height: float, fill: str, border: str) -> Line:
    middle, right, bottom = y + height / 2, x + width, y + height
    corners = (
        (x + 7, y),
        (right - 7, y),
        (right, middle),
        (right - 7, bottom),
        (x + 7, bottom),
        (x, middle),
    )
    return polygon(corners, fill=fill, stroke=border, line=1.2)
