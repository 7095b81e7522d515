"""What an option of a recipe is, and the registry of all of them.

Recipes say how a network is trained. Their options have definitions like the layers': a frozen
dataclass with typed fields, a doc line and an example. None imports torch: ``archdsl.train``
implements them.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar

from archdsl.layers.definition import Definition


class RecipeRole(Enum):
    """Which question of a recipe an option answers."""

    OPTIMIZER = "optimizer"
    SCHEDULE = "schedule"
    AUGMENTATION = "augment"
    LOSS = "loss"
    AVERAGE = "average"


class RecipeOption(Definition):
    """One option of a recipe; each subclass with a ``name`` is registered."""

    role: ClassVar[RecipeRole]
    example: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in cls.__dict__:
            OPTIONS[cls.role][cls.name] = cls

    @classmethod
    def usage(cls) -> str:
        return cls.example


OPTIONS: dict[RecipeRole, dict[str, type[RecipeOption]]] = {role: {} for role in RecipeRole}
