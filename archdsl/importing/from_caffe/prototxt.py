"""Protobuf's text format, read by a grammar: messages with the places of their fields.

Protobuf itself would need a schema of Caffe's 2000 lines and one dependency more. It also forgets
the lines: each fault and each refusal here has to name one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from archdsl.importing.building import MAX_SIZE

#: More than any published network has; a text with more takes minutes.
_MAX_TOKENS = 200_000
_MAX_DEPTH = 50


class BadText(Exception):
    """What is no such text, or a field whose value is none: one line with the place."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value: its kind (`string`, `number`, `word`), and its text without quotes."""

    kind: str
    text: str
    line: int


@dataclass(slots=True)
class Message:
    """Fields by name, in the order of the text."""

    line: int
    fields: dict[str, list[Message | Scalar]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def line_of(self, name: str) -> int:
        """Where a field stands; where the message does, if it has none."""
        return self.fields[name][0].line if name in self.fields else self.line

    def messages(self, name: str) -> list[Message]:
        """A field that is a message, as often as it is there."""
        return [value for value in self.fields.get(name, ()) if self._is_message(name, value)]  # type: ignore[misc]

    def _is_message(self, name: str, value: Message | Scalar) -> bool:
        if isinstance(value, Scalar):
            raise BadText(f"line {value.line}: `{name}` is a message in braces")
        return True

    def message(self, name: str) -> Message:
        """A field that is a message; an empty one if it is not there."""
        found = self.messages(name)
        if len(found) > 1:
            raise BadText(f"line {found[1].line}: a second `{name}`")
        return found[0] if found else Message(self.line)

    def scalars(self, name: str) -> list[Scalar]:
        found = []
        for value in self.fields.get(name, ()):
            if isinstance(value, Message):
                raise BadText(f"line {value.line}: `{name}` is a value, not a message")
            found.append(value)
        return found

    def _scalar(self, name: str, kind: str) -> Scalar | None:
        found = self.scalars(name)
        if len(found) > 1:
            raise BadText(f"line {found[1].line}: a second `{name}`")
        if found and found[0].kind != kind:
            raise _no(found[0], name, f"a {kind}")
        return found[0] if found else None

    def integers(self, name: str, least: int = 0) -> list[int]:
        """Whole numbers of a repeated field."""
        return [_integer(found, name, least) for found in self.scalars(name)]

    def integer(self, name: str, default: int | None = None, least: int = 0) -> int:
        """A whole number; one without a default has to be there."""
        found = self._scalar(name, "number")
        if found is not None:
            return _integer(found, name, least)
        if default is None:
            raise BadText(f"line {self.line}: `{name}` is missing")
        return default

    def numbers(self, name: str) -> list[float]:
        return [_number(found, name) for found in self.scalars(name)]

    def number(self, name: str, default: float) -> float:
        found = self._scalar(name, "number")
        return default if found is None else _number(found, name)

    def strings(self, name: str) -> list[str]:
        for found in self.scalars(name):
            if found.kind != "string":
                raise _no(found, name, "a string in quotes")
        return [found.text for found in self.scalars(name)]

    def string(self, name: str, default: str | None = None) -> str:
        found = self._scalar(name, "string")
        if found is None and default is None:
            raise BadText(f"line {self.line}: `{name}` is missing")
        return found.text if found else default or ""

    def word(self, name: str, default: str) -> str:
        """A word of an enumeration."""
        found = self._scalar(name, "word")
        return found.text if found else default

    def flag(self, name: str, default: bool) -> bool:
        found = self.scalars(name)
        if not found:
            return default
        if len(found) > 1:
            raise BadText(f"line {found[1].line}: a second `{name}`")
        values = {"true": True, "True": True, "t": True, "1": True}
        values |= {"false": False, "False": False, "f": False, "0": False}
        if found[0].kind == "string" or found[0].text not in values:
            raise _no(found[0], name, "`true` or `false`")
        return values[found[0].text]


def _no(found: Scalar, name: str, wanted: str) -> BadText:
    return BadText(f"line {found.line}: `{name}` is {wanted}, not `{_short(found.text)}`")


def _integer(found: Scalar, name: str, least: int) -> int:
    digits = found.text.removeprefix("-")
    if found.kind != "number" or not digits.isdecimal() or len(digits) > 20:
        raise _no(found, name, "a whole number")
    number = int(found.text)
    if not least <= number <= MAX_SIZE:
        bound = f"at least {least}" if number < least else f"at most {MAX_SIZE}"
        raise _no(found, name, bound)
    return number


def _number(found: Scalar, name: str) -> float:
    try:
        number = float(found.text.removesuffix("f")) if found.kind == "number" else float("nan")
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise _no(found, name, "a number")
    return number


def _short(text: str) -> str:
    shown = "".join(c if c.isprintable() else "�" for c in text[:40])
    return shown + ("…" if len(text) > 40 else "")


# ── Reading ──────────────────────────────────────────────────────────────────────────────────


def read_prototxt(text: str) -> Message:
    """The message that a text is.

    Errors:
        BadText: with the place of what cannot be read.
    """
    text = text.removeprefix("\ufeff")
    try:
        message: Message = _lark().parse(text)  # type: ignore[assignment]
    except UnexpectedCharacters as error:
        found = _short(text[error.pos_in_stream or 0 :].partition("\n")[0])
        what = "a string does not end in its line" if found[:1] in "\"'" else f"`{found}`"
        raise BadText(f"line {error.line}, column {error.column}: {what}") from None
    except UnexpectedToken as error:
        if error.token.type == "$END":
            end = text.rstrip().count("\n") + 1
            what = "the text ends too early: a value or a `}` is missing"
            raise BadText(f"line {end}: {what}") from None
        found, place = _short(str(error.token)), f"line {error.line}, column {error.column}"
        wanted = ", where a value belongs" if "STRING" in error.expected else ""
        raise BadText(f"{place}: `{found}`{wanted}") from None
    except UnexpectedInput as error:
        raise BadText(f"it is no text of messages: {error}") from None
    return message


@cache
def _lark() -> Lark:
    grammar = Path(__file__).with_suffix(".lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", transformer=_MessageBuilder(), postlex=_Bounds())


class _Bounds:
    """Counts tokens, and how deep they are."""

    always_accept = ()

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        for count, token in enumerate(stream):
            depth += (token in ("{", "<")) - (token in ("}", ">"))
            if depth > _MAX_DEPTH:
                raise BadText(f"line {token.line}: messages are nested {depth} deep")
            if count > _MAX_TOKENS:
                raise BadText(f"line {token.line}: more than {_MAX_TOKENS:,} words come before it")
            yield token


class _MessageBuilder(Transformer[Token, Any]):
    """Makes the messages while Lark reads."""

    def start(self, fields: list[tuple[Token, Any]]) -> Message:
        return _message(1, fields)

    def message(self, children: list[Any]) -> tuple[Token, list[Message]]:
        name, *fields = children
        return name, [_message(name.line, fields)]

    def values(self, children: list[Any]) -> tuple[Token, list[Scalar]]:
        name, *values = children
        return name, values

    def string(self, parts: list[Token]) -> Scalar:
        text = "".join(_unquoted(part) for part in parts)
        return Scalar("string", text, parts[0].line or 0)

    def number(self, parts: list[Token]) -> Scalar:
        return Scalar("number", str(parts[0]), parts[0].line or 0)

    def word(self, parts: list[Token]) -> Scalar:
        return Scalar("word", str(parts[0]), parts[0].line or 0)


def _message(line: int, fields: list[tuple[Token, Any]]) -> Message:
    made = Message(line)
    for name, values in fields:
        if values:
            made.fields.setdefault(str(name), []).extend(values)
    return made


def _unquoted(part: str) -> str:
    """A string without its quotes; of escapes only those of names, which are signs themselves."""
    return part[1:-1].replace("\\'", "'").replace('\\"', '"').replace("\\\\", "\\")
