"""The one typeface of the drawings, and how wide a text is in it.

Inter, under the SIL Open Font License (``fonts/OFL.txt``), reduced to a subset and measured by
``tools/bundle_font.py``. It is set without kerning, so widths are sums of advances.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

#: How an SVG brings its letters: as a font of those that it uses, as outlines, or not at all.
Fonts: TypeAlias = Literal["embed", "outline", "system"]

FAMILY = "Inter"
#: For viewers without Inter: all but the last are narrow, where DejaVu Sans is a tenth wider.
FALLBACKS = (
    "Helvetica Neue",
    "Helvetica",
    "Arial",
    "Liberation Sans",
    "DejaVu Sans Condensed",
    "sans-serif",
)

_FOLDER = Path(__file__).parent / "fonts"
REGULAR = _FOLDER / "Inter-Regular.ttf"
BOLD = _FOLDER / "Inter-Bold.ttf"

#: How far capitals rise above the baseline and letters fall below it, as shares of the size.
CAP_HEIGHT = 0.727
DESCENT = 0.2


@cache
def _advances() -> tuple[dict[str, int], dict[str, int]]:
    """The width of each character, regular and bold, in thousandths of the size."""
    runs = json.loads((_FOLDER / "widths.json").read_text("utf-8"))
    regular, bold = (
        {chr(first + n): width for first, widths in runs[weight] for n, width in enumerate(widths)}
        for weight in ("Regular", "Bold")
    )
    return regular, bold


@lru_cache(maxsize=1 << 14)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """The width of a line of text in points, where ``size`` is in points."""
    advances = _advances()[bold]
    return sum(advances[sign] for sign in spelled(text)) * size / 1000


def spelled(text: str) -> str:
    """The text in characters that the typeface has; others are spelled as their code, ``\\u4e2d``.

    Pictures that bring their own font show this, instead of empty boxes.
    """
    return "".join(sign if is_known(sign) else _code(sign) for sign in text)


def is_known(sign: str) -> bool:
    """Whether the typeface has a character."""
    return sign in _advances()[False]


def _code(sign: str) -> str:
    return f"\\u{ord(sign):04x}"


#: What stands between numbers of channels: those of neighbours, and the terms of a sum.
_BETWEEN_NUMBERS = ("→", "+")


def shortened(text: str, size: float, width: float, bold: bool = False) -> str:
    """The text, cut in the middle to a width in points; names may have hundreds of characters.

    Of numbers in a row, such as ``64→128→256→512``, whole ones are left out.
    """
    if text_width(text, size, bold) <= width:
        return text
    for sign in _BETWEEN_NUMBERS:
        numbers = text.split(sign)
        for keep in range(len(numbers) - 1, 1, -1):
            first, last = numbers[: (keep + 1) // 2], numbers[-(keep // 2) :]
            cut = sign.join([*first, "…", *last])
            if text_width(cut, size, bold) <= width:
                return cut
    keep = len(text)
    while keep > 2:
        keep -= 1
        head = (keep + 1) // 2
        cut = f"{text[:head]}…{text[len(text) - keep + head :]}"
        if text_width(cut, size, bold) <= width:
            return cut
    return "…"
