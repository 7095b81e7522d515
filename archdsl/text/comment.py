"""Comments: what a text says about a statement, an item or a whole file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archdsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Comment:
    """What is said about a statement, an item or a file, without ``#`` and the space after it.

    ``above`` are the lines right above it, ``behind`` the remarks in and behind its own lines: in
    parentheses, behind its ``{``, at its end.
    """

    above: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()


def said_in(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a comment without what they say to the tool: ``archdsl: ignore[…]``."""
    for line in lines:
        if not line.lstrip().startswith("archdsl:"):
            yield line
        elif rest := line.partition("]")[2].strip():
            yield rest
