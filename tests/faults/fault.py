"""What a fault is: a change of a text, and what must be said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from archdsl.text.source import Span

from .spec import Spec


@dataclass(frozen=True, slots=True)
class Change:
    """One edit of a text. ``line`` is where the fault is; the edit's own, unless given."""

    span: Span
    text: str
    line: int | None = None

    @property
    def faulty_line(self) -> int:
        return self.line or self.span.line

    def apply(self) -> str:
        before = self.span.source.text
        return before[: self.span.start] + self.text + before[self.span.end :]


Changes = Iterator[Change]


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break a spec, with what is expected to be said.

    ``is_conflict``: two places contradict each other, and only their author knows which is wrong.
    The message then stands at one of them and must show the other.
    """

    title: str
    codes: frozenset[str]
    changes: Callable[[Spec], Changes]
    is_fixable: bool
    is_conflict: bool

    @property
    def name(self) -> str:
        return self.changes.__name__.replace("_", "-")


FAULTS: list[Fault] = []


def fault(
    *codes: str, fixable: bool = False, conflict: bool = False
) -> Callable[[Callable[[Spec], Changes]], Callable[[Spec], Changes]]:
    """Register a function as a fault; the first line of its docstring is its title."""

    def register(changes: Callable[[Spec], Changes]) -> Callable[[Spec], Changes]:
        title = (changes.__doc__ or "").strip().splitlines()[0].rstrip(".")
        FAULTS.append(Fault(title, frozenset(codes), changes, fixable, conflict))
        return changes

    return register


def swapped(word: str) -> str:
    """A word with two of its letters swapped, as a hurried hand types it."""
    for index in range(1, len(word) - 1):
        if word[index] != word[index + 1]:
            return word[:index] + word[index + 1] + word[index] + word[index + 2 :]
    return word + word[-1]
