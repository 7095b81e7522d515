"""What flows through the nodes of a trace beside the results of layers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from archdsl.importing.errors import Refused


@dataclass(frozen=True, slots=True)
class Attribute:
    """A parameter or a buffer that a module uses by itself, along axes of these sizes."""

    path: str
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What has no word of its own, and may have one together with what reads it."""

    node: fx.Node
    #: Why it is refused where it has none.
    reason: str


class RefusedBefore(Refused):
    """What the language cannot say of something that was kept until it was read."""

    def __init__(self, of: Unfinished) -> None:
        super().__init__(of.reason)
        self.node = of.node
