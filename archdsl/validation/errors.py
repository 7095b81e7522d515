"""What is said about a module that is not the network of its Model."""

from __future__ import annotations

from dataclasses import dataclass

from archdsl.network.graph import Node
from archdsl.text.source import Span

#: The file that tracebacks name for the text of a module.
FILENAME = "<emitted module>"


@dataclass(frozen=True, slots=True)
class SpecPlace:
    """A line of the module, counted from 1, and its text."""

    line: int
    text: str


class InvalidModuleError(Exception):
    """The text of a module does not compute what the Model does that it was written from.

    ``fact`` says what it does and what the spec says; ``place`` is the line of the module and
    ``span`` the place in the spec, where there is one to blame.
    """

    def __init__(
        self, network: str, fact: str, place: SpecPlace | None = None, span: Span | None = None
    ) -> None:
        self.network = network
        self.fact = fact
        self.place = place
        self.span = span
        super().__init__(f"the module of {network} is not what its spec says: {self.said}")

    @property
    def said(self) -> str:
        """The fact and its places."""
        where = []
        if self.place is not None:
            where.append(f"line {self.place.line} of the module: `{self.place.text}`")
        if self.span is not None:
            words = " ".join(self.span.text.split())
            shown = words if len(words) <= 60 else f"{words[:57]}…"
            where.append(f"{self.span.source.path}:{self.span.line}: `{shown}`")
        return f"{self.fact} ({'; '.join(where)})" if where else self.fact


class StepMismatchError(Exception):
    """A step of a module that its Model does not have, raised where its line may not be known.

    ``line`` is that of the module, ``node`` the node of the Model, each where it is known.
    """

    def __init__(self, fact: str, *, line: int | None = None, node: Node | None = None) -> None:
        super().__init__(fact)
        self.fact = fact
        self.line = line
        self.node = node
