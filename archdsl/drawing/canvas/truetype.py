"""A TrueType font of the package: a font of a few of its characters, and outlines for SVG.

It reads what ``tools/bundle_font.py`` leaves in a font: one plane of characters, outlines, and
letters composed of others that are moved but not scaled. fontTools would do the same, but its
import and its subsetting take a third of a second, more than most pictures do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from struct import calcsize, pack, unpack_from
from typing import NamedTuple

#: Tables of a font that a subset has as they are.
_KEPT = ("OS/2", "gasp", "hhea", "head", "maxp", "post")
#: Offsets into tables, from the specification (ISO/IEC 14496-22).
_HEAD_CHECKSUM, _HEAD_LOCA_FORMAT, _HHEA_METRICS, _MAXP_GLYPHS = 8, 50, 34, 4
#: The sum of all numbers of a font file.
_FILE_CHECKSUM = 0xB1B0AFBA
#: Bits of a point: on the curve; one byte wide; repeated; the same, or positive if one byte wide.
_ON, _X_BYTE, _Y_BYTE, _REPEAT, _X_SAME, _Y_SAME = 1, 2, 4, 8, 16, 32
#: Bits of a component: its place has two bytes for each coordinate; another one follows.
_WORDS, _MORE = 1, 32


class _Component(NamedTuple):
    """A letter's part: where in its data the number of the glyph stands, that, and its place."""

    at: int
    glyph: int
    x: int
    y: int


class _Point(NamedTuple):
    x: float
    y: float
    on_curve: bool

    def middle(self, other: _Point) -> _Point:
        return _Point((self.x + other.x) / 2, (self.y + other.y) / 2, True)


@cache
def font_at(path: Path) -> TrueType:
    """The font of a file, read once."""
    return TrueType(path.read_bytes())


class TrueType:
    """A font file; characters that it lacks raise ``KeyError``."""

    def __init__(self, content: bytes) -> None:
        (count,) = unpack_from(">H", content, 4)
        self._tables: dict[str, bytes] = {}
        for entry in range(12, 12 + 16 * count, 16):
            tag, _, start, length = unpack_from(">4sLLL", content, entry)
            self._tables[tag.decode()] = content[start : start + length]
        loca, (long,) = self._tables["loca"], unpack_from(">h", self._tables["head"], 50)
        width = 4 if long else 2
        starts = unpack_from(f">{len(loca) // width}{'L' if long else 'H'}", loca)
        self._starts = starts if long else tuple(2 * start for start in starts)
        (self._metrics,) = unpack_from(">H", self._tables["hhea"], _HHEA_METRICS)
        #: How many units the size of a text is.
        (self.unit,) = unpack_from(">H", self._tables["head"], 18)

    @cached_property
    def glyphs(self) -> dict[int, int]:
        """The glyph of each code point, from the table of format 4."""
        cmap = self._tables["cmap"]
        (start,) = unpack_from(">L", cmap, 8)
        (doubled,) = unpack_from(">H", cmap, start + 6)
        count = doubled // 2
        # The ends of all segments, a gap of two bytes, and three more rows.
        row = start + 14
        ends = unpack_from(f">{count}H", cmap, row)
        firsts = unpack_from(f">{count}H", cmap, row + 2 + doubled)
        deltas = unpack_from(f">{count}H", cmap, row + 2 + 2 * doubled)
        offsets_at = row + 2 + 3 * doubled
        found: dict[int, int] = {}
        for n, (first, end, delta) in enumerate(zip(firsts, ends, deltas, strict=True)):
            at = offsets_at + 2 * n
            (offset,) = unpack_from(">H", cmap, at)
            for code in range(first, min(end, 0xFFFE) + 1):
                glyph = code
                if offset:
                    # Counted from the place of the offset itself.
                    (glyph,) = unpack_from(">H", cmap, at + offset + 2 * (code - first))
                if not offset or glyph:
                    found[code] = (glyph + delta) & 0xFFFF
        return found

    # ── Subsets ──────────────────────────────────────────────────────────────────────────────

    def subset(self, signs: Iterable[str]) -> bytes:
        """A TrueType file of some characters, the same bytes for the same characters.

        It is not compressed: that would save a sixth, and the bytes would be those of a certain
        version of a compressor.
        """
        codes = sorted({ord(sign) for sign in signs})
        # The first glyph is that of missing characters.
        kept = list(dict.fromkeys([0, *(self.glyphs[code] for code in codes)]))
        for glyph in kept:
            kept += {c.glyph: None for c in self._components(glyph) if c.glyph not in kept}
        place = {glyph: n for n, glyph in enumerate(kept)}
        outlines, starts = b"", [0]
        for glyph in kept:
            outline = bytearray(self._outline_data(glyph))
            for component in self._components(glyph):
                outline[component.at : component.at + 2] = pack(">H", place[component.glyph])
            outlines += outline + b"\0" * (-len(outline) % 2)
            starts.append(len(outlines) // 2)
        tables = {tag: bytearray(self._tables[tag]) for tag in _KEPT}
        tables["head"][_HEAD_CHECKSUM : _HEAD_CHECKSUM + 4] = bytes(4)
        tables["head"][_HEAD_LOCA_FORMAT : _HEAD_LOCA_FORMAT + 2] = bytes(2)
        for tag, at in (("hhea", _HHEA_METRICS), ("maxp", _MAXP_GLYPHS)):
            tables[tag][at : at + 2] = pack(">H", len(kept))
        tables["cmap"] = bytearray(_cmap({code: place[self.glyphs[code]] for code in codes}))
        tables["glyf"] = bytearray(outlines)
        tables["hmtx"] = bytearray(b"".join(pack(">Hh", *self._metric(glyph)) for glyph in kept))
        tables["loca"] = bytearray(pack(f">{len(starts)}H", *starts))
        # An empty table of names: what the file is stands beside it.
        tables["name"] = bytearray(pack(">HHH", 0, 0, 6))
        return _file(tables)

    def _metric(self, glyph: int) -> tuple[int, int]:
        """How wide a glyph is, and what is left free before it. The last width is repeated."""
        table, last = self._tables["hmtx"], self._metrics - 1
        width, free = unpack_from(">Hh", table, 4 * min(glyph, last))
        if glyph > last:
            (free,) = unpack_from(">h", table, 4 * self._metrics + 2 * (glyph - self._metrics))
        return width, free

    def _outline_data(self, glyph: int) -> bytes:
        return self._tables["glyf"][self._starts[glyph] : self._starts[glyph + 1]]

    def _components(self, glyph: int) -> Iterator[_Component]:
        """The parts of a glyph that is composed of others."""
        data, at = self._outline_data(glyph), 10
        if not data or unpack_from(">h", data)[0] >= 0:
            return
        more = True
        while more:
            flags, part = unpack_from(">HH", data, at)
            form = ">hh" if flags & _WORDS else ">bb"
            yield _Component(at + 2, part, *unpack_from(form, data, at + 4))
            at += 4 + calcsize(form)
            more = flags & _MORE

    # ── Outlines ─────────────────────────────────────────────────────────────────────────────

    def outline(self, sign: str) -> str:
        """The outline of a character as the data of an SVG path, in units, y down; "" for a space.

        Its origin is on the baseline, where the character begins.
        """
        return "".join(map(_path, self._contours(self.glyphs[ord(sign)])))

    def _contours(self, glyph: int) -> Iterator[list[_Point]]:
        data = self._outline_data(glyph)
        for component in self._components(glyph):
            for contour in self._contours(component.glyph):
                yield [_Point(x + component.x, y - component.y, on) for x, y, on in contour]
        if not data or (count := unpack_from(">h", data)[0]) < 0:
            return
        ends = unpack_from(f">{count}H", data, 10)
        at = 10 + 2 * count
        at += 2 + unpack_from(">H", data, at)[0]
        flags: list[int] = []
        while len(flags) <= ends[-1]:
            flag, at = data[at], at + 1
            repeats = 1
            if flag & _REPEAT:
                repeats, at = 1 + data[at], at + 1
            flags += [flag] * repeats
        xs, at = _coordinates(data, at, flags, _X_BYTE, _X_SAME)
        ys, _ = _coordinates(data, at, flags, _Y_BYTE, _Y_SAME)
        points = [_Point(x, -y, bool(flag & _ON)) for x, y, flag in zip(xs, ys, flags, strict=True)]
        for start, end in zip((0, *(end + 1 for end in ends)), ends, strict=False):
            yield points[start : end + 1]


def _coordinates(
    data: bytes, at: int, flags: list[int], byte: int, same: int
) -> tuple[list[int], int]:
    """One coordinate of all points, each stored as a step from the one before, and the end."""
    values, value = [], 0
    for flag in flags:
        if flag & byte:
            value += data[at] if flag & same else -data[at]
            at += 1
        elif not flag & same:
            value += unpack_from(">h", data, at)[0]
            at += 2
        values.append(value)
    return values, at


def _path(contour: list[_Point]) -> str:
    """A closed line of straight and quadratic pieces.

    Between two points off the curve one is on it, halfway, and not stored.
    """
    points: list[_Point] = []
    for before, point in zip((contour[-1], *contour), contour, strict=False):
        if not before.on_curve and not point.on_curve:
            points.append(before.middle(point))
        points.append(point)
    first = next(n for n, point in enumerate(points) if point.on_curve)
    points = [*points[first:], *points[: first + 1]]
    data = "M" + _pair(points[0])
    handle: _Point | None = None
    for point in points[1:]:
        if not point.on_curve:
            handle = point
        elif handle is None:
            data += "L" + _pair(point)
        else:
            data += f"Q{_pair(handle)} {_pair(point)}"
            handle = None
    return data + "Z"


def _pair(point: _Point) -> str:
    return f"{point.x:g},{point.y:g}"


def _cmap(glyphs: dict[int, int]) -> bytes:
    """The table of characters, in format 4: runs of code points whose glyphs are a run as well."""
    runs: list[list[int]] = []
    for code, glyph in sorted(glyphs.items()):
        if runs and code == runs[-1][1] + 1 and (glyph - code) & 0xFFFF == runs[-1][2]:
            runs[-1][1] = code
        else:
            runs.append([code, code, (glyph - code) & 0xFFFF])
    # The last one is required, for the code point that is none.
    runs.append([0xFFFF, 0xFFFF, 1])
    count = len(runs)
    firsts, ends, deltas = zip(*runs, strict=True)
    rows = (*ends, 0, *firsts, *deltas, *[0] * count)
    size = 14 + 2 * len(rows)
    table = pack(f">{7 + len(rows)}H", 4, size, 0, 2 * count, *_search(count, 2), *rows)
    # One table: of Windows, Unicode, behind twelve bytes.
    return pack(">HHHHL", 0, 1, 3, 1, 12) + table


def _search(count: int, size: int) -> tuple[int, int, int]:
    """Three numbers for a binary search among so many entries of a size."""
    power = count.bit_length() - 1
    span = size << power
    return span, power, size * count - span


def _file(tables: dict[str, bytearray]) -> bytes:
    """A font file of tables, with its sums."""
    header = pack(">LHHHH", 0x10000, len(tables), *_search(len(tables), 16))
    start = len(header) + 16 * len(tables)
    content = b""
    for tag, table in sorted(tables.items()):
        header += pack(">4sLLL", tag.encode(), _checksum(table), start + len(content), len(table))
        if tag == "head":
            at = start + len(content) + _HEAD_CHECKSUM
        content += table + b"\0" * (-len(table) % 4)
    whole = bytearray(header + content)
    whole[at : at + 4] = pack(">L", (_FILE_CHECKSUM - _checksum(whole)) & 0xFFFFFFFF)
    return bytes(whole)


def _checksum(content: bytes | bytearray) -> int:
    padded = bytes(content) + b"\0" * (-len(content) % 4)
    numbers: tuple[int, ...] = unpack_from(f">{len(padded) // 4}L", padded)
    return sum(numbers) & 0xFFFFFFFF
