"""The names that stand for values, and what an expression may refer to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import field
from functools import cache

from archdsl.elaborate.errors import ElaborationError
from archdsl.layers import REGISTRY
from archdsl.layers.definition import words_of
from archdsl.layers.volume import Volume
from archdsl.network.symbols import Symbolic
from archdsl.records import dataclass
from archdsl.text import syntax
from archdsl.text.diagnostics import Label
from archdsl.text.source import Span

#: The sizes of the current volume: words of the language.
VOLUME_NAMES = ("H", "W", "C")
#: What they are. `L` and `D` are words where the volume has such a size and no value the name.
AXIS_LETTERS = {
    "H": "height of an image",
    "W": "width of an image",
    "L": "length of a 1-D volume",
    "D": "depth of a 3-D volume",
}
SIZE_NAMES = frozenset([*AXIS_LETTERS, *VOLUME_NAMES])

KEYWORDS = frozenset(
    [
        "network",
        "block",
        "use",
        "let",
        "if",
        "else",
        "expect",
        "and",
        "or",
        "not",
        "true",
        "false",
        "min",
        "max",
        "aux",
        "init",
        "train",
        "for",
        "phrase",
        "reuse",
    ]
)


def is_word(name: str) -> bool:
    """Whether the language itself uses the name."""
    return name in KEYWORDS or name in REGISTRY or name in VOLUME_NAMES or name in _flags()


@cache
def _flags() -> frozenset[str]:
    """The flags of all layers."""
    return frozenset(word for layer in REGISTRY.values() for word in words_of(layer))


@dataclass
class Values:
    """The values in scope: a dictionary for each pair of braces, each inside another."""

    outer: Values | None = None
    #: A value is None after a fault in its own definition: what depends on it is not reported.
    own: dict[str, tuple[Symbolic | None, Span]] = field(default_factory=dict)

    def find(self, name: str) -> tuple[Symbolic | None, Span] | None:
        scope: Values | None = self
        while scope is not None:
            if name in scope.own:
                return scope.own[name]
            scope = scope.outer
        return None

    def names(self) -> set[str]:
        return set(self.own) | (self.outer.names() if self.outer else set())

    def define(self, name: syntax.Name, value: Symbolic | None) -> None:
        refuse_word(name)
        self.refuse_known(name)
        self.own[name.id] = (value, name.span)

    def refuse_known(self, name: syntax.Name) -> None:
        """Refuse to name something else like a value in scope."""
        known = self.find(name.id)
        if known:
            raise ElaborationError(
                "repeated-name",
                f"`{name.id}` is already a value",
                name.span,
                help="choose another name: a name means one thing",
                related=(Label(known[1], "defined here"),),
            )


#: ``s2`` is a stride and ``x2`` a repeat, wherever they are written.
_FLAG_LIKE = re.compile(r"[spgd]\d+(x\d+)*|x\d+")


#: Other names are in quotes.
_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def can_refer_to(name: str) -> bool:
    """Whether a part can be referred to by a name: some can only be a part's, in quotes."""
    is_bare = _BARE.fullmatch(name) is not None
    return is_bare and not is_word(name) and not _FLAG_LIKE.fullmatch(name)


def refuse_word(name: syntax.Name, *, is_label: bool = False) -> None:
    """Refuse what cannot be a name. ``s2`` can name a part, but cannot refer to it."""
    if is_word(name.id) or (_FLAG_LIKE.fullmatch(name.id) and not is_label):
        raise ElaborationError(
            "reserved-word",
            f"`{name.id}` is a word of the language and cannot name something else",
            name.span,
        )


@dataclass(frozen=True)
class Context:
    """What an expression may refer to: values, the current volume, names of parts to suggest.

    ``node`` is the node that gives the volume.
    """

    values: Values
    volume: Volume | None
    in_network: bool = True
    parts: Callable[[], Iterable[str]] = tuple
    node: int = 0

    def names_size(self, word: str) -> bool:
        """Whether a word that is no value is a size of the current volume."""
        if word in VOLUME_NAMES:
            return self.in_network
        return self.in_network and self.volume is not None and word in self.volume.letters
