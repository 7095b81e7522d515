"""The fields of a layer: how its arguments are written, converted and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from archdsl.layers.volume import MOST_AXES
from archdsl.records import dataclass

_MISSING: Any = dataclasses.MISSING
#: In place of the default of an attribute that has to be given.
REQUIRED: Any = dataclasses.MISSING


@dataclass(frozen=True, slots=True)
class Change:
    """A field of a layer, with a value that would satisfy the broken rule."""

    field: str
    value: int | str | tuple[int, ...]


class LayerError(Exception):
    """A rule of a layer is broken. It states the fact; the caller knows the place."""

    def __init__(
        self, code: str, message: str, help: str | None = None, change: Change | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help
        self.change = change


@dataclass(frozen=True, slots=True)
class FieldKind:
    """What values a field takes: a phrase for the reader, and a conversion.

    ``convert`` raises ``TypeError`` or ``ValueError`` for all other values.
    """

    phrase: str
    convert: Callable[[Any], Any]
    #: The words among its values.
    words: tuple[str, ...] = ()
    #: How many numbers there are for each axis of the volume, where it takes several: a layer is
    #: fitted to its input (``Layer.fitted``). 0 where numbers are not those of axes.
    per_axis: int = 0
    #: Whether it is written in quotes.
    is_text: bool = False

    def makes(self, value: Any, converted: Any) -> bool:
        """Whether a value is another way to write ``converted``."""
        try:
            return bool(self.convert(value) == converted)
        except (TypeError, ValueError):
            return False


#: One number for each axis of a volume, or a single one for all of them.
Axes: TypeAlias = tuple[int, ...]


def written_size(sizes: Iterable[int]) -> str:
    """``3x3``: sizes as the language writes them."""
    return "x".join(map(str, sizes))


class WrongPartError(ValueError):
    """Several numbers are given, as many as needed, but one of them is wrong.

    ``predicate`` says what they must be. ``index`` says which one is wrong; it is None where no
    single one is to blame.
    """

    def __init__(self, predicate: str, index: int | None = None) -> None:
        super().__init__(predicate)
        self.predicate = predicate
        self.index = index


def each_of(values: Sequence[Any], kind: FieldKind) -> tuple[Any, ...]:
    """Numbers converted one by one.

    Errors: ``WrongPartError`` for the first one that the kind refuses.
    """
    converted = []
    for index, value in enumerate(values):
        try:
            converted.append(kind.convert(value))
        except (TypeError, ValueError):
            shown = written_size(value) if isinstance(value, tuple) else str(value).lower()
            raise WrongPartError(f"must each be {kind.phrase}, not {shown}", index) from None
    return tuple(converted)


def _integer(minimum: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError
        return value

    return convert


def _sizes_from(minimum: int) -> Callable[[Any], Axes]:
    """One number, for all axes, or one for each: how many there are, only a volume says."""
    one = _integer(minimum)

    def convert(value: Any) -> Axes:
        sizes = value if isinstance(value, tuple) else (value,)
        if not 1 <= len(sizes) <= MOST_AXES:
            raise ValueError
        return tuple([one(size) for size in sizes])

    return convert


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    return float(value)


def _rate(value: Any) -> float:
    rate = _number(value)
    if not 0 <= rate < 1:
        raise ValueError
    return rate


def _positive(value: Any) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _padding(value: Any) -> Any:
    return value if value == "same" else WHOLES.convert(value)


def _indices(value: Any) -> tuple[int, ...]:
    return each_of(value, WHOLE)


def _sides(value: Any) -> tuple[int, ...]:
    if len(value) not in (1, *range(2, 2 * MOST_AXES + 1, 2)):
        raise ValueError
    sides = each_of(value, _INTEGER)
    if not any(sides):
        raise WrongPartError("must not all be 0")
    return sides


def _sizes(value: Any) -> tuple[int, ...]:
    sizes = value if isinstance(value, tuple) else (value,)
    if len(sizes) > MOST_AXES + 1:
        raise ValueError
    return each_of(sizes, COUNT)


_INTEGER = FieldKind("a whole number", _integer(-(10**9)))
COUNT = FieldKind("a whole number of at least 1", _integer(1))
WHOLE = FieldKind("a whole number of at least 0", _integer(0))
COUNTS = FieldKind("a size such as `3` or `3x3`, at least 1", _sizes_from(1), per_axis=1)
WHOLES = FieldKind("a number such as `1` or `1x2`, at least 0", _sizes_from(0), per_axis=1)
PADDING = FieldKind("`same`, or a number such as `1` or `1x2`, at least 0", _padding, per_axis=1)
NUMBER = FieldKind("a number", _number)
POSITIVE = FieldKind("a number above 0", _positive)
RATE = FieldKind("a rate of at least 0 and below 1", _rate)
BOOLEAN = FieldKind("`true` or `false`", _boolean)
SIZE_THERE = FieldKind("the size of a volume along each axis", tuple)
INDICES = FieldKind("a list of channel numbers, from 0", _indices)
SIDES = FieldKind(
    "one number, or two for each axis, such as left, right, top, bottom", _sides, per_axis=2
)
SIZES = FieldKind("a volume `28x28x64` or a number of units", _sizes)
REFERENCE = FieldKind("the name of an earlier part", lambda value: value)


def choice(*words: str) -> FieldKind:
    """One of a few words."""

    def convert(value: Any) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return FieldKind("one of " + ", ".join(f"`{word}`" for word in words), convert, words)


@dataclass(frozen=True, slots=True)
class FieldRole:
    """How a field is written: its kind, and the shorter spellings it has."""

    kind: FieldKind
    doc: str
    is_positional: bool = False
    is_variadic: bool = False
    is_derived: bool = False
    letter: str | None = None
    words: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def positional(kind: FieldKind, doc: str, default: Any = _MISSING, variadic: bool = False) -> Any:
    """A field written by its place: ``conv 3x3 64``. Without a default it must be given."""
    role = FieldRole(kind, doc, is_positional=True, is_variadic=variadic)
    return field(default=default, metadata={"role": role})


def attribute(
    kind: FieldKind,
    doc: str,
    default: Any,
    letter: str | None = None,
    words: Mapping[str, Any] | None = None,
) -> Any:
    """A field written ``name=value``, by a letter (``s2``) or by a word (``same``)."""
    role = FieldRole(kind, doc, letter=letter, words=words or {})
    return field(default=default, metadata={"role": role})


def derived(doc: str, default: tuple[int, ...] | str = ()) -> Any:
    """A size, or a name, nobody writes: the stage that places the layer fills it in."""
    role = FieldRole(SIZE_THERE if default == () else REFERENCE, doc, is_derived=True)
    return field(default=default, metadata={"role": role})
