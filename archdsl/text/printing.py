"""Text that goes into documents: XML, TeX and Python have no place for control characters."""

from __future__ import annotations


def blank_unprintable(text: str) -> str:
    """The text with a space in place of each character that cannot be printed."""
    return "".join(c if c.isprintable() else " " for c in text)
