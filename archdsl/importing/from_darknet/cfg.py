"""Darknet's configurations as sections: ``[name]``, then lines ``key=value``.

Sections repeat, so ``configparser`` cannot read them, and each fault has to name its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from archdsl.importing.building import MAX_FAULTS, MAX_SIZE, Faults

_SECTION = re.compile(r"\[([^\[\]]+)\]$")
_INTEGER = re.compile(r"[+-]?\d+$")


class BadOption(Exception):
    """An option whose value is none: what is wrong with it, with its line."""


@dataclass
class CfgSection:
    """A section with its options, each with its line."""

    name: str
    line: int
    options: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"line {self.line}, [{self.name}]"

    def text(self, key: str, default: str) -> str:
        return self.options[key][0] if key in self.options else default

    def integer(self, key: str, default: int | None, least: int = 0) -> int:
        """A whole number. Errors: ``BadOption``; also where there is neither it nor a default."""
        if key not in self.options:
            if default is None:
                raise BadOption(f"{self.place}: `{key}=` is missing")
            return default
        text, line = self.options[key]
        return _checked(text, line, key, least)

    def integers(self, key: str) -> list[int]:
        """Numbers between commas."""
        if key not in self.options:
            raise BadOption(f"{self.place}: `{key}=` is missing")
        text, line = self.options[key]
        return [_checked(part, line, key, -MAX_SIZE) for part in text.rstrip(",").split(",")]

    def number(self, key: str, default: float) -> float:
        """A number with a point."""
        if key not in self.options:
            return default
        text, line = self.options[key]
        try:
            found = float(text)
        except ValueError:
            found = float("nan")
        if not abs(found) < float("inf"):
            raise BadOption(f"line {line}: `{key}` is a number, not `{shorten(text)}`")
        return found

    def others(self, known: Mapping[str, str | None]) -> Iterator[tuple[str, str, int]]:
        """What is not known, or has another value than the one that does nothing."""
        for key, (text, line) in self.options.items():
            if key not in known:
                yield key, text, line
                continue
            idle = known[key]
            if idle is not None and not _is_same(text, idle):
                yield key, text, line


def _is_same(text: str, idle: str) -> bool:
    try:
        return float(text) == float(idle)
    except ValueError:
        return text == idle


def _checked(text: str, line: int, key: str, least: int) -> int:
    # `int` refuses thousands of digits with an error of its own.
    if len(text) > 20 or not _INTEGER.match(text):
        raise BadOption(f"line {line}: `{key}` is a whole number, not `{shorten(text)}`")
    number = int(text)
    if not least <= number <= MAX_SIZE:
        bound = f"at least {least}" if number < least else f"at most {MAX_SIZE}"
        raise BadOption(f"line {line}: `{key}` is {bound}, not {number}")
    return number


def shorten(text: str) -> str:
    """What a file says, as part of a message."""
    shown = "".join(c if c.isprintable() else "�" for c in text[:40])
    return shown + ("…" if len(text) > 40 else "")


def read_sections(text: str, faults: Faults) -> list[CfgSection]:
    """The sections of a text, in order; what cannot be read is a fault.

    As Darknet reads it: white space does not count, not even within a word, and a line that begins
    with ``#`` or ``;`` is a comment. Beyond Darknet, which ignores what follows a number, the rest
    of a line behind a ``#`` is one, too.
    """
    sections: list[CfgSection] = []
    for number, written in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if len(faults.wrong) > MAX_FAULTS:
            break
        line = "".join(written.partition("#")[0].split())
        if not line or line.startswith(";"):
            continue
        if line.startswith("["):
            match = _SECTION.match(line)
            if match is None:
                faults.wrong.append(f"line {number}: `{shorten(line)}` is no section")
                continue
            sections.append(CfgSection(match[1], number))
            continue
        key, sign, value = line.partition("=")
        if not sign or not key or not value:
            faults.wrong.append(f"line {number}: `{shorten(line)}` is no `key=value`")
        elif not sections:
            faults.wrong.append(f"line {number}: `{shorten(key)}` stands before the first section")
        else:
            # Darknet finds the first of two.
            sections[-1].options.setdefault(key, (value, number))
    return sections
