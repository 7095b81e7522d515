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
from archdsl.cli.terminal import Refusal, print_note, print_text
from archdsl.frontend import diagnose, find_used
from archdsl.layers.volume import Volume
from archdsl.report.text import count_of
from archdsl.text.diagnostics import ArchError, Diagnostic
from archdsl.text.fixes import apply_fixes
from archdsl.text.source import Source

#: One fix may bring to light what the next is for; a text that is never clean is left as it is.
MAX_ROUNDS = 20
#: What lies in here is not the reader's to change.
SHIPPED = Path(str(resources.files("archdsl"))).resolve()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class MendedFile:
    """A file's text before and after its fixes."""

    path: str
    before: str
    after: str
    faults: tuple[Diagnostic, ...]


def mend_files(
    paths: Sequence[str],
    input: Volume | None,
    *,
    unsafe: bool = False,
    configuration: Configuration = DEFAULTS,
) -> list[MendedFile]:
    """The files of a call that fixes change, but none that ships with the tool.

    Warnings that are ignored are not mended. Files that cannot be read are left to the check.

    Errors:
        Refusal: for the standard input, which is no file.
    """
    mended = []
    sources = _read(paths)
    for path, source in sources.items():
        if SHIPPED in Path(path).resolve().parents:
            continue
        users = [other for other in sources.values() if path in _used_by(other, sources)]
        after, faults = mend(
            source, input, unsafe=unsafe, configuration=configuration, users=users, texts=sources
        )
        if after != source.text:
            mended.append(MendedFile(path, source.text, after, faults))
            sources[path] = Source(after, path)
    return mended


def _read(paths: Sequence[str]) -> dict[str, Source]:
    """The files of a call, by path."""
    sources: dict[str, Source] = {}
    for file in find_specs(paths).files:
        if file.path == STDIN:
            raise Refusal("the standard input cannot be fixed; name a file or a folder")
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


def mend(
    source: Source,
    input: Volume | None,
    *,
    unsafe: bool = False,
    configuration: Configuration = DEFAULTS,
    users: Sequence[Source] = (),
    texts: Mapping[str, Source] | None = None,
) -> tuple[str, tuple[Diagnostic, ...]]:
    """A text with its fixes carried out, round after round, and what they mended.

    ``users`` are files that use it, ``texts`` what used files hold: see ``diagnose``.
    """
    faults: list[Diagnostic] = []
    seen = {source.text}
    for _ in range(MAX_ROUNDS):
        current = {**(texts or {}), source.path: source}
        found = configuration.keep(diagnose(source, input, users=users, texts=current))
        mended = apply_fixes(source, found, unsafe=unsafe)
        if not mended.diagnostics or mended.text in seen:
            break
        seen.add(mended.text)
        faults += mended.diagnostics
        source = Source(mended.text, source.path)
    return source.text, tuple(faults)


def print_mended(files: Sequence[MendedFile], *, is_written: bool) -> None:
    """Write the files, all or none, and say so; or show the lines that would change."""
    if not is_written:
        for file in files:
            print_text(_diff(file))
        return
    write_files({Path(file.path): _encode(file) for file in files})
    for file in files:
        counts = Counter(fault.severity.value for fault in file.faults)
        counted = " and ".join(count_of(counts[kind], kind) for kind in sorted(counts))
        print_note(f"fixed {counted} in {file.path}")


def _encode(file: MendedFile) -> bytes:
    with Path(file.path).open("rb") as opened:
        mark = _BYTE_ORDER_MARK if opened.read(3) == _BYTE_ORDER_MARK else b""
    return mark + file.after.encode("utf-8")


def _diff(file: MendedFile) -> str:
    before, after = (text.splitlines() for text in (file.before, file.after))
    return "\n".join(unified_diff(before, after, file.path, file.path, lineterm=""))
