"""``archdsl check --fix``: the fixes of diagnostics, carried out on files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from importlib import resources
from pathlib import Path

from archdsl.cli.configuration import DEFAULTS, Configuration
from archdsl.cli.files import STDIN, find_specs, read_file, write_files
from archdsl.cli.terminal import CommandError, print_note, print_text
from archdsl.frontend import diagnose, find_used
from archdsl.layers.volume import Volume
from archdsl.report.text import count_of
from archdsl.text.diagnostics import ArchError, Diagnostic
from archdsl.text.fixes import apply_fixes
from archdsl.text.source import Source

#: One fix may reveal what the next one is for; a text that is still not clean then stays so.
MAX_ROUNDS = 20
#: Files in this folder are not the user's to change.
SHIPPED = Path(str(resources.files("archdsl"))).resolve()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class FixedFile:
    """A file's text before and after its fixes."""

    path: str
    before: str
    after: str
    faults: tuple[Diagnostic, ...]


def fix_files(
    paths: Sequence[str],
    input: Volume | None,
    *,
    unsafe: bool = False,
    configuration: Configuration = DEFAULTS,
) -> list[FixedFile]:
    """The files of a call that fixes change, except those that ship with the tool.

    Warnings that are ignored are not fixed. Files that cannot be read are left to the check.

    Errors:
        CommandError: for the standard input, which is not a file.
    """
    fixed = []
    sources = _read(paths)
    for path, source in sources.items():
        if SHIPPED in Path(path).resolve().parents:
            continue
        users = [other for other in sources.values() if path in _used_by(other, sources)]
        after, faults = fix_source(
            source, input, unsafe=unsafe, configuration=configuration, users=users, texts=sources
        )
        if after != source.text:
            fixed.append(FixedFile(path, source.text, after, faults))
            sources[path] = Source(after, path)
    return fixed


def _read(paths: Sequence[str]) -> dict[str, Source]:
    """The files of a call, by path."""
    sources: dict[str, Source] = {}
    for file in find_specs(paths).files:
        if file.path == STDIN:
            raise CommandError("the standard input cannot be fixed; name a file or a folder")
        try:
            source = read_file(file)
        except ArchError:
            continue
        sources[source.path] = source
    return sources


def _used_by(source: Source, sources: Mapping[str, Source]) -> set[str]:
    """The files that a file uses, directly or through others of the call."""
    found: set[str] = set()
    pending = [source]
    while pending:
        for path in find_used(pending.pop()) - found:
            found.add(path)
            pending += [sources[path]] if path in sources else []
    return found


def fix_source(
    source: Source,
    input: Volume | None,
    *,
    unsafe: bool = False,
    configuration: Configuration = DEFAULTS,
    users: Sequence[Source] = (),
    texts: Mapping[str, Source] | None = None,
) -> tuple[str, tuple[Diagnostic, ...]]:
    """A text with its fixes carried out, round after round, and what they fixed.

    ``users`` are files that use it, ``texts`` the texts of used files: see ``diagnose``.
    """
    faults: list[Diagnostic] = []
    seen = {source.text}
    for _ in range(MAX_ROUNDS):
        current = {**(texts or {}), source.path: source}
        found = configuration.keep(diagnose(source, input, users=users, texts=current))
        fixed = apply_fixes(source, found, unsafe=unsafe)
        if not fixed.diagnostics or fixed.text in seen:
            break
        seen.add(fixed.text)
        faults += fixed.diagnostics
        source = Source(fixed.text, source.path)
    return source.text, tuple(faults)


def show_changes(files: Sequence[FixedFile]) -> None:
    """Print the lines that would change."""
    for file in files:
        print_text(_diff(file))


def write_fixed(files: Sequence[FixedFile]) -> None:
    """Write the files, all or none, and say so."""
    write_files({Path(file.path): _encode(file) for file in files})
    for file in files:
        counts = Counter(fault.severity.value for fault in file.faults)
        counted = " and ".join(count_of(counts[kind], kind) for kind in sorted(counts))
        print_note(f"fixed {counted} in {file.path}")


def _encode(file: FixedFile) -> bytes:
    with Path(file.path).open("rb") as opened:
        mark = _BYTE_ORDER_MARK if opened.read(3) == _BYTE_ORDER_MARK else b""
    return mark + file.after.encode("utf-8")


def _diff(file: FixedFile) -> str:
    before, after = (text.splitlines() for text in (file.before, file.after))
    return "\n".join(unified_diff(before, after, file.path, file.path, lineterm=""))
