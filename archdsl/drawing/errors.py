"""What keeps a picture from being made."""

from __future__ import annotations


class DrawingError(Exception):
    """A picture that cannot be made as asked; the message is one line."""
