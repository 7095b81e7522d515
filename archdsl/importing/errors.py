"""What an import refuses."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.torch_tools.errors import ToolError

#: Said of a module whose trunk is another network in training.
OTHERWISE = "it takes other steps in training than in evaluation"
NO_TENSOR = "it returns what is no tensor"


class NotInTheLanguage(ToolError):
    """All that a network does and the language cannot say, each with its place."""

    def __init__(self, what: str, reasons: Sequence[str]) -> None:
        super().__init__(f"{what} cannot be imported: " + "; ".join(reasons))
        self.reasons = tuple(reasons)


class WrongSource(ToolError):
    """What is to be imported cannot be found or built."""


class NotTheSame(ToolError):
    """What was imported computes other numbers than its source: a fault of archdsl, or rounding."""

    def __init__(self, what: str, difference: str) -> None:
        super().__init__(
            f"{what} was not imported: {difference}. Its spec would be another network, or one "
            "that adds gradients in another order: please report it, with the source"
        )


class Refused(Exception):
    """What the language cannot say."""
