"""What the constructor of a class takes, as far as its instantiations are concerned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from archdsl.classplan import ClassPlan
from archdsl.codegen.expressions import literal
from archdsl.layers.volume import Volume
from archdsl.network.symbols import Symbolic, Value


@dataclass(frozen=True, slots=True)
class ClassParameter:
    """An argument of a constructor: the symbol it stands for, its name, type and default."""

    symbol: str
    name: str
    type: str
    default: Value | None = None

    @property
    def text(self) -> str:
        default = "" if self.default is None else f" = {literal(self.default)}"
        return f"{self.name}: {self.type}{default}"


class WrittenClass(Protocol):
    """A class below the one at hand, as far as its objects are concerned."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> tuple[ClassParameter, ...]: ...

    def argument(self, plan: ClassPlan, symbol: str) -> Symbolic:
        """What an instantiation gives for a parameter, in terms of the spec around it."""

    def exit(self, plan: ClassPlan) -> Volume:
        """The volume after an instantiation, in terms of the parameters of the class."""
