"""What layers and the words of recipes have in common: a name and typed fields."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from archdsl.layers.fields import Role


class Page:
    """A word of the language with its arguments; a subclass is a frozen dataclass."""

    name: ClassVar[str]
    #: What else it is called elsewhere, to suggest its name here.
    synonyms: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def usage(cls) -> str:
        """How it is written, for example."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of a page, with its role."""

    name: str
    role: Role
    default: Any

    @property
    def is_required(self) -> bool:
        return self.default is dataclasses.MISSING and not self.role.is_derived


_fields: dict[type[Page], tuple[FieldInfo, ...]] = {}
_words: dict[type[Page], dict[str, tuple[FieldInfo, Any]]] = {}


def fields_of(page: type[Page]) -> tuple[FieldInfo, ...]:
    """The fields of a page in order."""
    if page not in _fields:
        _fields[page] = tuple(
            FieldInfo(item.name, item.metadata["role"], item.default)
            for item in dataclasses.fields(page)  # type: ignore[arg-type]
        )
    return _fields[page]


def words_of(page: type[Page]) -> dict[str, tuple[FieldInfo, Any]]:
    """The flags a page understands: ``same``, ``nobias``; each sets one field."""
    if page not in _words:
        _words[page] = {
            word: (item, value)
            for item in fields_of(page)
            for word, value in item.role.words.items()
        }
    return _words[page]


def letters_of(page: type[Page]) -> dict[str, FieldInfo]:
    """The letters a page understands: ``s``, ``p``, ``d``, ``g``."""
    return {item.role.letter: item for item in fields_of(page) if item.role.letter}
