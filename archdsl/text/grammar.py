"""``grammar.lark`` as a parser. Lark's tables are kept beside it, as working them out takes longer
than checking a network.

``make grammar`` writes ``grammar.json``. Tables of another grammar or another Lark are not used.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import lark
from lark import Lark, Transformer
from lark.grammar import Rule
from lark.lexer import TerminalDef

GRAMMAR = Path(__file__).with_suffix(".lark")
TABLES = Path(__file__).with_suffix(".json")

_OPTIONS: dict[str, Any] = {"parser": "lalr", "lexer": "contextual", "maybe_placeholders": False}


def load_parser(transformer: Transformer[Any, Any], **options: Any) -> Lark:
    """The parser of the language, which makes its results by ``transformer``.

    ``options`` are options of Lark that its tables do not depend on.
    """
    grammar = GRAMMAR.read_text("utf-8")
    tables = read_tables(grammar)
    if tables is None:
        return Lark(grammar, transformer=transformer, **options, **_OPTIONS)
    # Public only in the parsers that Lark generates, which is why the version must be the same.
    parser: Lark = Lark._load_from_dict(  # type: ignore[no-untyped-call]
        tables["data"], tables["memo"], transformer=transformer, **options
    )
    return parser


def read_tables(grammar: str) -> dict[str, Any] | None:
    """The tables of a grammar; None where there are none that fit it and the Lark installed."""
    try:
        tables = json.loads(TABLES.read_text("utf-8"), object_hook=_numbered)
    except (OSError, ValueError):
        return None
    return tables if tables.get("of") == _origin(grammar) else None


def make_tables() -> str:
    """What ``grammar.json`` holds: a line for each state of the parser."""
    grammar = GRAMMAR.read_text("utf-8")
    data, memo = Lark(grammar, **_OPTIONS).memo_serialize([TerminalDef, Rule])
    for name in ("transformer", "postlex"):
        del data["options"][name]
    tables = {"of": _origin(grammar), "data": data, "memo": memo}
    text = json.dumps(tables, separators=(",", ":"), ensure_ascii=False)
    return text.replace('},"', '},\n"') + "\n"


def _origin(grammar: str) -> list[str]:
    """What the tables depend on. (Their numbering depends on the hash seed as well.)"""
    return [lark.__version__, sha256(f"{grammar}{_OPTIONS}".encode()).hexdigest()]


def _numbered(found: dict[str, Any]) -> dict[Any, Any]:
    """An object with its numeric keys as numbers again: JSON makes them strings."""
    if next(iter(found), "").isdecimal():
        return {int(key): value for key, value in found.items()}
    return found


if __name__ == "__main__" and read_tables(GRAMMAR.read_text("utf-8")) is None:
    TABLES.write_text(make_tables(), "utf-8")
