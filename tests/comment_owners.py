"""The nodes of a syntax tree, and the comments on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from archdsl.text.comment import Comment
from archdsl.text.source import Source
from archdsl.text.syntax import Program


def nodes_in(value: Any) -> Iterator[Any]:
    """The nodes of a tree that can have a comment, outer before inner, in the order of the text."""
    if isinstance(value, tuple):
        for item in value:
            yield from nodes_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, (Source, Comment)):
        if hasattr(value, "comment"):
            yield value
        for field in dataclasses.fields(value):
            if field.name not in ("span", "comment"):
                yield from nodes_in(getattr(value, field.name))


def owners_in(program: Program) -> list[Comment | None]:
    """The comment of each node, in order."""
    return [node.comment for node in nodes_in(program)]
