"""From a text or a file to Models, and to all diagnostics about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os.path import normpath
from pathlib import Path
from typing import TypeAlias

from archdsl.collector import without_collector
from archdsl.elaborate import elaborate, elaborate_partly
from archdsl.layers.volume import MOST_AXES, Volume
from archdsl.model import Model, build_model, build_partial
from archdsl.network.elaborated import Elaborated
from archdsl.text.diagnostics import ArchError, Diagnostic
from archdsl.text.parser import parse_program
from archdsl.text.source import Source
from archdsl.text.verification import Examined, verify

#: No specification is larger; this keeps a device or a data file from being read.
MAX_BYTES = 10_000_000


def read_source(path: Path, shown: str | None = None) -> Source:
    """Read a specification.

    Errors:
        ArchError: where the file cannot be read or is not UTF-8.
    """
    name = shown or path.as_posix()
    try:
        return Source(_read_text(path), name)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"the file is not UTF-8 text (byte {error.start}, line {line})"
        raise ArchError([Diagnostic("not-utf8", message, None, path=name)]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"cannot read the file: {reason}"
        raise ArchError([Diagnostic("unreadable-file", message, None, path=name)]) from None


def _read_text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
    return content.decode("utf-8-sig")


def read_beside(path: str, asking: Source) -> Source:
    """The file that ``use`` names, relative to the one that contains it."""
    found = _find_beside(path, asking)
    return Source(_read_text(found), found.as_posix())


def find_used(source: Source) -> set[str]:
    """The paths of the files that a source uses."""
    found = re.findall(r'^[ \t]*use[ \t]+"([^"\n]+\.arch)"', source.text, re.MULTILINE)
    return {_find_beside(path, source).as_posix() for path in found}


def _find_beside(path: str, asking: Source) -> Path:
    if not path.endswith(".arch"):
        raise ValueError("a specification ends in .arch")
    return Path(normpath(Path(asking.path).parent / path))


def read_models(source: Source, input: Volume | None = None) -> tuple[Model, ...]:
    """All networks of a source, claims that fail included.

    Errors:
        ArchError: with every independent fault of the text.
    """
    return _build(elaborate(parse_program(source), read_beside, input))


@without_collector()
def read_linted(
    source: Source, input: Volume | None = None
) -> tuple[tuple[Model, ...], tuple[Diagnostic, ...]]:
    """All networks of a source, and the warnings about them.

    Errors:
        ArchError: as for ``read_models``.
    """
    from archdsl.lints import lint_program  # only checking needs them

    program = parse_program(source)
    networks = elaborate(program, read_beside, input)
    models = _build(networks)
    uses = networks[0].uses if networks else {}
    return models, lint_program(program, models, uses)


def read_partly(
    source: Source, input: Volume | None = None
) -> tuple[tuple[Model, ...], tuple[Diagnostic, ...]]:
    """All networks of a source, each up to its faults, and everything that is wrong with them.

    A network with a fault is a ``PartialModel``. A text with syntax errors has no networks.
    """
    try:
        networks, found = elaborate_partly(parse_program(source), read_beside, input)
    except ArchError as error:
        return (), error.diagnostics
    diagnostics = [*found]
    models = tuple(
        build_model(network, diagnostics)
        if network.is_complete and not network.faults
        else build_partial(network)
        for network in networks
    )
    failed = (diagnostic for model in models for diagnostic in model.diagnostics)
    return models, (*diagnostics, *failed)


def _build(networks: tuple[Elaborated, ...]) -> tuple[Model, ...]:
    diagnostics: list[Diagnostic] = []
    models = tuple(build_model(network, diagnostics) for network in networks)
    if diagnostics:
        raise ArchError(diagnostics)
    return models


def diagnose(
    source: Source,
    input: Volume | None = None,
    *,
    users: Sequence[Source] = (),
    texts: Mapping[str, Source] | None = None,
) -> tuple[Diagnostic, ...]:
    """All diagnostics about a source: errors, or else failed claims and warnings.

    A fix is marked safe only if the fixed text has been checked as well, together with the files
    that use it where these ``users`` are given. ``texts`` maps the paths of used files to their
    text where it differs from that on the disk.
    """
    known = texts or {}

    def examine(changed: Mapping[str, Source]) -> Examined:
        current = {**known, **changed}
        own = _examine(source, input, current)
        others = [_examine(user, input, current) for user in users]
        return replace(own, others=tuple(d for other in others for d in other.diagnostics))

    examined = _examine(source, input, known)
    if not any(fix.keeps_choices for d in examined.diagnostics for fix in d.fixes):
        return examined.diagnostics
    return verify(examine({}) if users else examined, examine)


def verify_fixes(
    diagnostics: Sequence[Diagnostic], source: Source, input: Volume | None = None
) -> tuple[Diagnostic, ...]:
    """The diagnostics of a checked source, with fixes marked safe as ``diagnose`` marks them."""
    if not any(fix.keeps_choices for diagnostic in diagnostics for fix in diagnostic.fixes):
        return tuple(diagnostics)
    return diagnose(source, input)


def _examine(source: Source, input: Volume | None, texts: Mapping[str, Source]) -> Examined:
    """Check a source with some texts replaced, by path: its own, or those of used files."""

    def read(path: str, asking: Source) -> Source:
        found = _find_beside(path, asking).as_posix()
        return texts[found] if found in texts else read_beside(path, asking)

    try:
        program = parse_program(texts.get(source.path, source))
    except ArchError as error:
        return Examined(error.diagnostics, None)
    try:
        networks, found = elaborate_partly(program, read, input)
        models = () if found else _build(networks)
    except ArchError as error:
        return Examined(error.diagnostics, {})
    right = {network.name: network for network in networks if network.is_right}
    if found:
        return Examined(found, right)
    from archdsl.lints import lint_program  # only checking needs them

    failed = (diagnostic for model in models for diagnostic in model.diagnostics)
    warnings = lint_program(program, models, networks[0].uses if networks else {})
    return Examined((*failed, *warnings), right)


#: What flows into a network: a volume, or several by their names.
Inputs: TypeAlias = "Volume | Mapping[str, Volume]"
#: A volume as people give it: ``28x28x192``, its sizes, or itself.
Sizes: TypeAlias = "str | tuple[int, ...] | Volume"


def as_volume(sizes: Sizes) -> Volume:
    """A volume that is written in some way. Errors: ``ValueError`` where a text is none."""
    if isinstance(sizes, str):
        return read_input(sizes)
    return sizes if isinstance(sizes, Volume) else Volume(tuple(sizes))


def as_inputs(given: Sizes | Mapping[str, Sizes]) -> Inputs:
    """One volume, or several by name; a text can have both. Errors: as for ``read_inputs``."""
    if isinstance(given, str):
        return read_inputs(given)
    if isinstance(given, Mapping):
        return {name: as_volume(sizes) for name, sizes in given.items()}
    return as_volume(given)


def read_inputs(text: str) -> Inputs:
    """A volume, or several with names: ``left: 105x105x1, right: 105x105x1``.

    Errors:
        ValueError: for anything else.
    """
    if ":" not in text:
        return read_input(text)
    found: dict[str, Volume] = {}
    for port in text.split(","):
        name, _, sizes = (word.strip() for word in port.rpartition(":"))
        if not name or name in found:
            raise ValueError(f"{text!r} is not `left: 28x28x1, right: 28x28x1`, or a volume")
        found[name] = read_input(sizes)
    return found


def read_input(text: str) -> Volume:
    """A volume as the language writes it: ``28x28x192``, or ``784``.

    Errors:
        ValueError: for anything else.
    """
    words = text.replace("×", "x").split("x")
    sizes = tuple(int(word) for word in words if word.strip().isdecimal())
    if len(sizes) < len(words) or len(sizes) > MOST_AXES + 1 or min(sizes) < 1:
        raise ValueError(f"{text!r} is not a volume such as 28x28x192")
    return Volume(sizes)
