"""Faults that the user can fix, each said in one line."""

from __future__ import annotations


class ToolError(Exception):
    """One clear line for the user; the command exits with 2.

    A worker of a data loader passes an exception on as the text of its traceback. The line is
    taken from this text, so that the user reads the same with and without workers.
    """

    def __init__(self, message: str) -> None:
        heading = f"{type(self).__module__}.{type(self).__qualname__}: "
        line = message.rpartition(heading)[2] if message.startswith("Caught ") else message
        super().__init__(" ".join(line.split("\n")).strip())
