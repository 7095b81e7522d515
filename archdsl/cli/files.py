"""Finding and reading specification files, the places of their outputs, and writing files."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from importlib import resources
from pathlib import Path, PurePosixPath

from archdsl.cli.sources import import_text, is_from_elsewhere, stem_of
from archdsl.cli.terminal import CommandError
from archdsl.frontend import (
    MAX_BYTES,
    Inputs,
    read_linted,
    read_models,
    read_partly,
    read_source,
    verify_fixes,
)
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.records import dataclass
from archdsl.text.diagnostics import ArchError, Diagnostic
from archdsl.text.source import Source

ENDING = ".arch"
STDIN = "-"
SPECS = "specs"


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A specification to read; ``place`` is its path below the folder of specs, without ending."""

    path: str
    place: PurePosixPath
    #: Whether it has to be imported.
    is_from_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The specifications of a call; ``folders`` are the places of the folders that it names."""

    files: list[SpecFile] = field(default_factory=list)
    folders: list[PurePosixPath] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def find_specs(paths: Sequence[str], *, imports: bool = False) -> Found:
    """The files of a call in order, each once; folders are searched in sorted order.

    Without paths they are those of ``./specs``, or else those that ship with the tool. With
    ``imports`` they may be networks from elsewhere.
    """
    found = Found()
    seen: set[str] = set()
    for path in paths or [_default_folder()]:
        if imports and is_from_elsewhere(path):
            if path not in seen:
                seen.add(path)
                found.files.append(SpecFile(path, PurePosixPath(stem_of(path)), True))
            continue
        for file in _find(path, found):
            key = file.path if file.path == STDIN else os.path.realpath(file.path)
            if key not in seen:
                seen.add(key)
                found.files.append(file)
    return found


def _default_folder() -> str:
    if Path(SPECS).is_dir():
        return SPECS
    shipped = resources.files("archdsl")
    for folder in (Path(str(shipped)) / SPECS, Path(str(shipped)).parent / SPECS):
        if folder.is_dir():
            return str(folder)
    raise CommandError(f"there is no folder `{SPECS}` here; name a file or a folder")


def _find(path: str, found: Found) -> Iterator[SpecFile]:
    if path == STDIN:
        yield SpecFile(STDIN, PurePosixPath("stdin"))
        return
    if not os.path.isdir(path):
        yield SpecFile(path, _place_of_file(Path(path), Path(path).parent))
        return
    root = Path(path)
    names = list(_walk(root, found))
    if not names:
        message = f"the folder holds no file that ends in {ENDING}"
        found.diagnostics.append(_unreadable(root.as_posix(), message))
        return
    found.folders.append(_place_of_folder(root, root))
    for name in names:
        yield SpecFile(name.as_posix(), _place_of_file(name, root))


def _walk(root: Path, found: Found) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        name = Path(str(error.filename)).as_posix()
        found.diagnostics.append(_unreadable(name, f"cannot read the folder: {error.strerror}"))

    files: list[Path] = []
    for folder, inner, names in os.walk(root, onerror=refuse):
        inner[:] = [name for name in inner if not name.startswith(".")]
        files.extend(Path(folder) / name for name in names if name.endswith(ENDING))
    yield from sorted(files, key=lambda path: path.parts)


def _place_of_folder(path: Path, root: Path) -> PurePosixPath:
    """The path of a folder below the innermost ``specs`` in it, or else below ``root``."""
    parts = path.parts
    if SPECS in parts:
        last = len(parts) - 1 - parts[::-1].index(SPECS)
        return PurePosixPath(*parts[last + 1 :])
    return PurePosixPath(path.relative_to(root))


def _place_of_file(path: Path, root: Path) -> PurePosixPath:
    """The place of a file, without its ending."""
    return _place_of_folder(path.parent, root) / (path.stem or "spec")


def _unreadable(path: str, message: str) -> Diagnostic:
    return Diagnostic("unreadable-file", message, None, path=path)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Spec:
    """A specification that was read: its networks, none where it is a library of blocks."""

    file: SpecFile
    models: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that was read, and everything that is wrong with it, including failed claims."""

    specs: tuple[Spec, ...]
    diagnostics: tuple[Diagnostic, ...]
    folders: tuple[PurePosixPath, ...]

    @property
    def models(self) -> tuple[Model, ...]:
        return tuple(model for spec in self.specs for model in spec.models)

    @property
    def libraries(self) -> tuple[SpecFile, ...]:
        """Files that define blocks only."""
        return tuple(spec.file for spec in self.specs if not spec.models)


def read_specs(
    paths: Sequence[str],
    inputs: Inputs | None,
    *,
    lints: bool = False,
    keeps_going: bool = False,
) -> Reading:
    """Read and check all specifications of a call; faults are collected, not raised.

    With ``lints``, warnings are collected, too. With ``keeps_going``, networks with faults are
    among the models, as ``PartialModel``s.
    """
    found = find_specs(paths, imports=True)
    specs: list[Spec] = []
    diagnostics = list(found.diagnostics)
    for file in found.files:
        try:
            source = import_text(file.path, inputs) if file.is_from_elsewhere else read_file(file)
        except ArchError as error:
            diagnostics.extend(error.diagnostics)
            continue
        # An imported text has the volumes by then.
        given = None if file.is_from_elsewhere else only_volume(inputs)
        try:
            if keeps_going:
                models, found_here = read_partly(source, given)
                specs += [Spec(file, models)] if models or not found_here else []
                diagnostics.extend(found_here)
                continue
            models, warnings = (
                read_linted(source, given) if lints else (read_models(source, given), ())
            )
            specs.append(Spec(file, models))
            found_here = (*(d for model in models for d in model.diagnostics), *warnings)
        except ArchError as error:
            found_here = error.diagnostics
        diagnostics.extend(verify_fixes(found_here, source, given) if lints else found_here)
    return Reading(tuple(specs), tuple(diagnostics), tuple(found.folders))


def only_volume(inputs: Inputs | None) -> Volume | None:
    """The volume of bare statements, whose input has no name. Errors: ``CommandError``."""
    if inputs is None or isinstance(inputs, Volume):
        return inputs
    raise CommandError(
        "`--input` with names is for networks from elsewhere, such as `net.py:Net`: a spec names "
        "its inputs itself"
    )


def read_file(file: SpecFile) -> Source:
    """The text of a file, or of the standard input.

    Errors:
        ArchError: where it cannot be read, is beyond the bound, or is not UTF-8.
    """
    if file.path == STDIN:
        return _read_stdin()
    return read_source(Path(file.path))


def _read_stdin() -> Source:
    name = "<stdin>"
    if sys.stdin is None:
        raise ArchError([_unreadable(name, "the standard input is closed")])
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            message = f"the text is larger than {MAX_BYTES:,} bytes"
            raise ArchError([_unreadable(name, message)])
        return Source(content.decode("utf-8-sig"), name)
    except OSError as error:
        message = f"cannot read the standard input: {error.strerror}"
        raise ArchError([_unreadable(name, message)]) from None
    except UnicodeDecodeError as error:
        message = f"the text is not UTF-8 (byte {error.start})"
        raise ArchError([Diagnostic("not-utf8", message, None, path=name)]) from None


def choose_network(models: tuple[Model, ...], name: str | None, spec: str) -> Model:
    """The network that a call means. Errors: ``CommandError`` where there is not exactly one."""
    names = ", ".join(model.name for model in models)
    if name is not None:
        for model in models:
            if model.name == name:
                return model
        raise CommandError(f"{spec} has no network {name}; it has {names}")
    if len(models) == 1:
        return models[0]
    if not models:
        raise CommandError(f"{spec} has no network")
    raise CommandError(f"{spec} has several networks: pass --network with one of {names}")


# ── Writing ──────────────────────────────────────────────────────────────────────────────────


def is_folder(output: str) -> bool:
    """Whether ``-o`` names a folder: it is one, or is written like one."""
    return output.endswith(("/", os.sep)) or os.path.isdir(output)


def write_files(contents: Mapping[Path, bytes], keep_modes: bool = False) -> None:
    """Write files so that each is either complete or as it was before.

    ``keep_modes`` is for files that are edited: they keep their permissions. All files are first
    written beside their targets, so that a full disk or a forbidden folder is noticed before any
    target is touched.

    Errors:
        CommandError: where a file cannot be written; nothing half-written is left.
    """
    staged: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            target = Path(os.path.realpath(path))
            if _is_device(target):
                target.write_bytes(content)
                continue
            staged[target] = _stage(target, content)
            if keep_modes:
                staged[target].chmod(stat.S_IMODE(target.stat().st_mode))
        for path, beside in list(staged.items()):
            os.replace(beside, path)
            del staged[path]
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        for beside in staged.values():
            beside.unlink(missing_ok=True)


def _is_device(path: Path) -> bool:
    """Whether a path is something like /dev/null, which cannot be replaced."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _stage(target: Path, content: bytes) -> Path:
    """Write the content to a new file beside its target, with the mode that the umask gives."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside
