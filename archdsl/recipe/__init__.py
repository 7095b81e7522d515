"""Recipes: how a network is trained, as its spec says. No torch here."""

from archdsl.recipe import augmentations, averages, losses, optimizers, schedules
from archdsl.recipe.definition import OPTIONS, RecipeOption, RecipeRole
from archdsl.recipe.recipe import Recipe, recipe_facts

__all__ = [
    "OPTIONS",
    "Recipe",
    "RecipeOption",
    "RecipeRole",
    "augmentations",
    "averages",
    "losses",
    "optimizers",
    "recipe_facts",
    "schedules",
]
