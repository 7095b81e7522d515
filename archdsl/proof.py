"""What torch says of a network's numbers."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic
from archdsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Proof:
    """What torch found in the module of a network, and where it says something else.

    ``volumes`` are the layers whose volume torch has shown; parameters and MACs are torch's, for
    one image, those of the auxiliary heads included.
    """

    torch: str
    volumes: int
    parameters: int
    macs: int
    diagnostics: tuple[Diagnostic, ...]

    @property
    def holds(self) -> bool:
        return not self.diagnostics
