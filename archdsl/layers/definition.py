"""What layers and the options of recipes have in common: a name and typed fields."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from archdsl.layers.fields import FieldRole
from archdsl.records import dataclass


class Definition:
    """A word of the language with its arguments; a subclass is a frozen dataclass."""

    name: ClassVar[str]
    #: Names for exactly this in other frameworks and papers.
    synonyms: ClassVar[tuple[str, ...]] = ()
    #: Words that may mean this or something else: messages suggest it, but offer no fix.
    akin: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def usage(cls) -> str:
        """An example of how it is written."""
        raise NotImplementedError


def normal_form(word: str) -> str:
    """A word in lower case and without separators: ``leakyrelu`` for ``Leaky_ReLU``."""
    return re.sub(r"[_-]", "", word.lower())


def called(
    word: str, definitions: Mapping[str, type[Definition]]
) -> tuple[type[Definition], bool] | None:
    """The definition that a word is another name for, and whether it means exactly that."""
    wanted = normal_form(word)
    for definition in definitions.values():
        if wanted in map(normal_form, (definition.name, *definition.synonyms)):
            return definition, True
    for definition in definitions.values():
        if wanted in map(normal_form, definition.akin):
            return definition, False
    return None


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of a definition, with its role."""

    name: str
    role: FieldRole
    default: Any

    @property
    def is_required(self) -> bool:
        return self.default is dataclasses.MISSING and not self.role.is_derived

    def is_default(self, value: Any) -> bool:
        """Whether a value is the default, or the default for each axis."""
        default = self.default
        if self.role.kind.per_axis and isinstance(value, tuple) and isinstance(default, tuple):
            return set(value) == set(default)
        return bool(value == default)


_fields: dict[type[Definition], tuple[FieldInfo, ...]] = {}
_per_axis: dict[type[Definition], tuple[FieldInfo, ...]] = {}
_plain: dict[type[Definition], Definition | None] = {}
_words: dict[type[Definition], dict[str, tuple[FieldInfo, Any]]] = {}


def fields_of(definition: type[Definition]) -> tuple[FieldInfo, ...]:
    """The fields that can be written, in order; not those that deployment adds to a layer."""
    if definition not in _fields:
        _fields[definition] = tuple(
            FieldInfo(item.name, item.metadata["role"], item.default)
            for item in dataclasses.fields(definition)  # type: ignore[arg-type]
            if "role" in item.metadata
        )
    return _fields[definition]


def per_axis_fields(definition: type[Definition]) -> tuple[FieldInfo, ...]:
    """The fields of a definition that have numbers for each axis of a volume."""
    if definition not in _per_axis:
        _per_axis[definition] = tuple(
            item for item in fields_of(definition) if item.role.kind.per_axis
        )
    return _per_axis[definition]


def without_arguments(definition: type[Definition]) -> Definition | None:
    """The definition with all its defaults; None where an argument has to be given."""
    if definition not in _plain:
        is_open = any(item.is_required for item in fields_of(definition))
        _plain[definition] = None if is_open else definition()
    return _plain[definition]


def words_of(definition: type[Definition]) -> dict[str, tuple[FieldInfo, Any]]:
    """The flags a definition understands: ``same``, ``nobias``; each sets one field."""
    if definition not in _words:
        _words[definition] = {
            word: (item, value)
            for item in fields_of(definition)
            for word, value in item.role.words.items()
        }
    return _words[definition]


def letters_of(definition: type[Definition]) -> dict[str, FieldInfo]:
    """The letters a definition understands: ``s``, ``p``, ``d``, ``g``."""
    return {item.role.letter: item for item in fields_of(definition) if item.role.letter}
