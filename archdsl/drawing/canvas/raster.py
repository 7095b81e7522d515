"""The pixels of a raster as PNG, the same bytes for the same pixels."""

from __future__ import annotations

import struct
import zlib

from archdsl.drawing.canvas.marks import Raster

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Bits a channel; colours as red, green and blue; the only compression, filter and order there are.
_FORMAT = bytes((8, 2, 0, 0, 0))


def encode_png(raster: Raster) -> bytes:
    """A PNG file of the raster's pixels (ISO/IEC 15948), without any filter."""
    stride = 3 * raster.columns
    starts = range(0, len(raster.pixels), stride)
    lines = b"".join(b"\0" + raster.pixels[start : start + stride] for start in starts)
    header = struct.pack(">II", raster.columns, raster.rows) + _FORMAT
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
