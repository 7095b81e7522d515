"""The settings of a project: ``[tool.archdsl]`` of its ``pyproject.toml``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from archdsl.records import dataclass
from archdsl.rules import RULES, RULES_BY_TOPIC, Topic
from archdsl.text.diagnostics import Diagnostic, Severity, did_you_mean

FILE = "pyproject.toml"
FORMATS = ("full", "concise", "json", "sarif", "github")
WARNING_CODES = frozenset(code.name for code in RULES_BY_TOPIC[Topic.WARNINGS])


class ConfigurationError(ValueError):
    """An invalid setting: one line of text, with the file and, where known, the line number."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of a project. Globs of ``per_file_ignores`` are relative to ``folder``."""

    folder: Path = Path()
    ignore: frozenset[str] = frozenset()
    per_file_ignores: tuple[tuple[str, frozenset[str]], ...] = ()
    strict: bool = False
    format: str = "full"

    def keep(self, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """The diagnostics without the warnings that are ignored. Errors always stay."""
        return tuple(d for d in diagnostics if not self._ignores(d))

    def _ignores(self, diagnostic: Diagnostic) -> bool:
        if diagnostic.severity is not Severity.WARNING:
            return False
        if diagnostic.code in self.ignore:
            return True
        found = (glob for glob, codes in self.per_file_ignores if diagnostic.code in codes)
        return any(self._matches(diagnostic.file, glob) for glob in found)

    def _matches(self, path: str, glob: str) -> bool:
        """Whether a glob matches a file: its name, or its path where the glob has a `/`."""
        file = Path(path).absolute()
        if "/" not in glob:
            return fnmatchcase(file.name, glob)
        folder = self.folder.absolute()
        return file.is_relative_to(folder) and fnmatchcase(
            file.relative_to(folder).as_posix(), glob
        )


DEFAULTS = Configuration()


def find_configuration(folder: Path) -> Configuration:
    """The settings of the nearest ``pyproject.toml`` that has a section for archdsl.

    It is looked for in ``folder`` and the folders above it.

    Errors:
        ConfigurationError: where the section or the file is invalid.
    """
    for above in (folder.absolute(), *folder.absolute().parents):
        path = above / FILE
        if not path.is_file():
            continue
        try:
            text = path.read_text("utf-8")
            if "archdsl" not in text:
                continue
            import tomllib  # few folders need it, and importing it takes time

            tools = tomllib.loads(text).get("tool", {})
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path}: {error}") from None
        if isinstance(tools, dict) and "archdsl" in tools:
            return _read(tools["archdsl"], text, path)
    return Configuration()


def check_code(code: object) -> str:
    """The code of a warning.

    Errors:
        ValueError: for anything else; an error cannot be ignored.
    """
    if code in WARNING_CODES:
        return str(code)
    if code in RULES:
        raise ValueError(f"`{code}` is an error, and errors cannot be ignored")
    hint = did_you_mean(str(code), WARNING_CODES) or "`archdsl explain` lists all rules"
    raise ValueError(f"there is no warning `{code}`; {hint}")


def _read(section: object, text: str, path: Path) -> Configuration:
    if not isinstance(section, dict):
        raise ConfigurationError(f"{path}: `tool.archdsl` must be a table")
    settings: dict[str, Any] = {}
    for key, value in section.items():
        try:
            if key not in _KEYS:
                raise ValueError(did_you_mean(key, _KEYS) or f"known are {', '.join(_KEYS)}")
            settings[key.replace("-", "_")] = _KEYS[key](value)
        except ValueError as error:
            place = f"{path}:{_line_of(key, text)}"
            what = f"`{key}`" if key in _KEYS else f"no setting is called `{key}`"
            raise ConfigurationError(f"{place}: {what}: {error}") from None
    return Configuration(path.parent, **settings)


def _line_of(key: str, text: str) -> int:
    """The line of a key, or else of the section: tomllib does not report positions."""
    lines = text.splitlines()
    section = re.compile(r"\s*\[\s*tool\s*\.\s*archdsl\b")
    start = next((n for n, line in enumerate(lines) if section.match(line)), 0)
    entry = re.compile(rf"""\s*(\[\s*tool\s*\.\s*archdsl\s*\.\s*)?["']?{re.escape(key)}\b""")
    return next((n for n in range(start, len(lines)) if entry.match(lines[n])), start) + 1


def _codes(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise ValueError('must be a list of codes such as ["dropped-rows"]')
    return frozenset(map(check_code, value))


def _globs(value: object) -> tuple[tuple[str, frozenset[str]], ...]:
    if not isinstance(value, dict):
        raise ValueError('must be a table such as { "old/*" = ["dropped-rows"] }')
    return tuple((glob, _codes(codes)) for glob, codes in value.items())


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _format(value: object) -> str:
    if value not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}")
    return str(value)


_KEYS: Mapping[str, Callable[[object], object]] = {
    "ignore": _codes,
    "per-file-ignores": _globs,
    "strict": _flag,
    "format": _format,
}
