"""Make the fonts of the drawings from Inter's own files.

    python tools/bundle_font.py Inter_400Regular.ttf Inter_700Bold.ttf

Inter (https://github.com/rsms/inter) is under the SIL Open Font License without a reserved name,
so that a subset may keep it. Kept are Latin, Greek, Cyrillic, arrows, operators and shapes. Kerning
and ligatures go, so that a text is as wide as the sum of its advances in every program.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

FOLDER = Path(__file__).parent.parent / "archdsl" / "drawing" / "canvas" / "fonts"
RANGES = (
    (0x20, 0x7E),  # Basic Latin
    (0xA0, 0x17F),  # Latin-1, Latin Extended-A
    (0x370, 0x3FF),  # Greek
    (0x400, 0x45F),  # Cyrillic
    (0x2010, 0x2044),  # dashes, quotation marks, ellipsis
    (0x2070, 0x209C),  # superscripts and subscripts
    (0x2150, 0x215F),  # fractions
    (0x2190, 0x21FF),  # arrows
    (0x2200, 0x22FF),  # operators
    (0x25A0, 0x25FF),  # shapes
    (0x2713, 0x2717),  # ticks and crosses
)


def main() -> None:
    widths = {
        weight: bundle(Path(source), FOLDER / f"Inter-{weight}.ttf")
        for weight, source in zip(("Regular", "Bold"), sys.argv[1:], strict=True)
    }
    lines = [f'"{weight}": {json.dumps(runs)}' for weight, runs in widths.items()]
    (FOLDER / "widths.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def bundle(source: Path, target: Path) -> list[tuple[int, list[int]]]:
    """Write the subset; give its advances in thousandths of the size, in runs of code points."""
    font = TTFont(source, recalcTimestamp=False)
    options = Options(
        layout_features=[], hinting=False, name_IDs=[*range(7), 13, 14, 16, 17], glyph_names=False
    )
    options.drop_tables += ["GDEF", "GPOS", "GSUB", "STAT"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=[c for first, last in RANGES for c in range(first, last + 1)])
    subsetter.subset(font)
    font.save(target)
    unit, advances = font["head"].unitsPerEm, font["hmtx"]
    runs: list[tuple[int, list[int]]] = []
    for code, glyph in sorted(font.getBestCmap().items()):
        if not runs or runs[-1][0] + len(runs[-1][1]) != code:
            runs.append((code, []))
        runs[-1][1].append(round(advances[glyph][0] * 1000 / unit))
    return runs


if __name__ == "__main__":
    main()
