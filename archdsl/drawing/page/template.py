"""What all pages have in common: a template, colours in two themes, fonts, data and scripts."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from archdsl.drawing.canvas.palette import DARK, Palette, Theme, palette_of
from archdsl.drawing.canvas.typeface import BOLD, FAMILY, REGULAR

_FOLDER = Path(__file__).parent


def fill_template(path: Path, **values: Any) -> str:
    """The HTML of a Jinja template; what it inserts is escaped, unless it says otherwise."""
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(path.name).render(**values)


def script_json(data: Any) -> str:
    """JSON in which no HTML parser finds the end of its script."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def script_of(*paths: Path) -> str:
    """Files of JavaScript as one, behind what all pages have."""
    return "\n".join(path.read_text("utf-8") for path in (_FOLDER / "theme.js", *paths))


def style_of(theme: Theme, *paths: Path) -> str:
    """The style sheet: the fonts, the colours of the roles in each theme, and files of CSS."""
    faces = "\n".join(
        f"@font-face {{ font-family: {FAMILY}; font-weight: {weight}; "
        f"src: url(data:font/ttf;base64,{b64encode(path.read_bytes()).decode()}); }}"
        for path, weight in ((REGULAR, 400), (BOLD, 700))
    )
    light = palette_of(theme)
    roles = "\n".join(
        f".f-{role} {{ fill: var(--{role}); }} .s-{role} {{ stroke: var(--{role}); }}"
        for role in light
    )
    rules = [faces, f":root {{ {_variables(light)} }}", roles]
    if theme != "print":
        # On paper the page is light.
        dark = f"{{ color-scheme: dark; {_variables(DARK)} }}"
        rules += [
            ':root[data-theme="light"] { color-scheme: light; }',
            f'@media screen {{ :root[data-theme="dark"] {dark} }}',
            f'@media screen and (prefers-color-scheme: dark) {{ :root[data-theme="auto"] {dark} }}',
        ]
    sheets = [path.read_text("utf-8") for path in (_FOLDER / "base.css", *paths)]
    return "\n".join([*rules, *sheets])


def _variables(palette: Palette) -> str:
    return " ".join(f"--{role}: {colour};" for role, colour in palette.items())
