"""Layers, initializers and recipes as the language writes them: ``conv 3x3 64 s2 same``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from archdsl.layers import Initializer, Layer
from archdsl.layers.definition import FieldInfo, fields_of
from archdsl.recipe import RecipeOption


def render_layer(layer: Layer, instead: Mapping[str, str] = MappingProxyType({})) -> str:
    """The shortest statement that makes this layer; attributes at their defaults are left out.

    ``instead`` has expressions for the values of some fields.
    """
    words = [layer.name]
    by_place = True
    for item in fields_of(type(layer)):
        value = getattr(layer, item.name)
        if item.role.is_derived:
            continue
        if item.name in instead:
            text = instead[item.name]
            is_bare = item.role.is_positional and by_place
            words.append(text if is_bare else f"{item.name}={text}")
            continue
        if value is None or (item.is_default(value) and not item.role.is_positional):
            by_place = by_place and not item.role.is_positional
            continue
        if item.role.is_positional and by_place:
            words.append(_bare(item, value))
        else:
            words.append(render_attribute(item, value))
    return " ".join(words)


def render_option(word: RecipeOption | Initializer) -> str:
    """An option of a recipe, or an initializer, with all its values except those 0 or off."""
    return " ".join(_words(word))


def _words(word: RecipeOption | Initializer) -> list[str]:
    words = [word.name]
    for item in fields_of(type(word)):
        value = getattr(word, item.name)
        if item.role.is_positional:
            words.append(_bare(item, value))
        elif value or (value is not None and item.default is None):
            words.append(render_attribute(item, value))
    return words


def _bare(item: FieldInfo, value: Any) -> str:
    if item.role.kind.is_text:
        return f'"{value}"'
    return " ".join(map(str, value)) if item.role.is_variadic else render_value(value)


def render_attribute(item: FieldInfo, value: Any) -> str:
    """An attribute in its shortest spelling: a word, a letter with a size, or ``name=value``."""
    for word, meaning in item.role.words.items():
        if meaning == value:
            return word
    if item.role.letter:
        return f"{item.role.letter}{_size(value)}"
    is_square = isinstance(value, tuple)
    return f"{item.name}={_size(value) if is_square else render_value(value)}"


def render_value(value: Any) -> str:
    """A value as the language writes it."""
    if isinstance(value, Initializer):
        name, *arguments = _words(value)
        return f"{name}({', '.join(arguments)})" if arguments else name
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _size(value: Any) -> str:
    """A size with one number where all its axes agree."""
    is_square = isinstance(value, tuple) and len(set(value)) == 1
    return render_value(value[0] if is_square else value)
