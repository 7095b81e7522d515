"""What layers and the words of recipes have in common: a name and typed fields."""

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
    #: What else it is called elsewhere: exactly this, under another name.
    synonyms: ClassVar[tuple[str, ...]] = ()
    #: Words that may mean this, and may mean something else: it is named, and no fix.
    akin: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def usage(cls) -> str:
        """How it is written, for example."""
        raise NotImplementedError


def normal_form(word: str) -> str:
    """A word in small letters and without separators: ``leakyrelu`` for ``Leaky_ReLU``."""
    return re.sub(r"[_-]", "", word.lower())


def called(
    word: str, pages: Mapping[str, type[Definition]]
) -> tuple[type[Definition], bool] | None:
    """The page that a word is another spelling or name of, and whether it is just that."""
    wanted = normal_form(word)
    for page in pages.values():
        if wanted in map(normal_form, (page.name, *page.synonyms)):
            return page, True
    for page in pages.values():
        if wanted in map(normal_form, page.akin):
            return page, False
    return None


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of a page, with its role."""

    name: str
    role: FieldRole
    default: Any

    @property
    def is_required(self) -> bool:
        return self.default is dataclasses.MISSING and not self.role.is_derived


_fields: dict[type[Definition], tuple[FieldInfo, ...]] = {}
_words: dict[type[Definition], dict[str, tuple[FieldInfo, Any]]] = {}


def fields_of(page: type[Definition]) -> tuple[FieldInfo, ...]:
    """The fields of a page in order."""
    if page not in _fields:
        _fields[page] = tuple(
            FieldInfo(item.name, item.metadata["role"], item.default)
            for item in dataclasses.fields(page)  # type: ignore[arg-type]
        )
    return _fields[page]


def words_of(page: type[Definition]) -> dict[str, tuple[FieldInfo, Any]]:
    """The flags a page understands: ``same``, ``nobias``; each sets one field."""
    if page not in _words:
        _words[page] = {
            word: (item, value)
            for item in fields_of(page)
            for word, value in item.role.words.items()
        }
    return _words[page]


def letters_of(page: type[Definition]) -> dict[str, FieldInfo]:
    """The letters a page understands: ``s``, ``p``, ``d``, ``g``."""
    return {item.role.letter: item for item in fields_of(page) if item.role.letter}
