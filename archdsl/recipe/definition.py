"""What a word of a recipe is, and the registry of all of them.

Recipes say how a network is trained. Their words are pages like the layers': a frozen dataclass
with typed fields, a doc line and an example. No page imports torch: ``archdsl.train`` gives the
pages their meaning there.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar

from archdsl.layers.definition import Definition


class RecipeRole(Enum):
    """Which question of a recipe a word answers."""

    OPTIMIZER = "optimizer"
    SCHEDULE = "schedule"
    AUGMENTATION = "augment"
    LOSS = "loss"
    AVERAGE = "average"


class RecipeOption(Definition):
    """One word of a recipe; each subclass with a ``name`` is a page of the registry."""

    role: ClassVar[RecipeRole]
    example: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in cls.__dict__:
            WORDS[cls.role][cls.name] = cls

    @classmethod
    def usage(cls) -> str:
        return cls.example


WORDS: dict[RecipeRole, dict[str, type[RecipeOption]]] = {role: {} for role in RecipeRole}
