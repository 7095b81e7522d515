"""The Python interface: text or path in, models, reports, pictures and modules out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archdsl.elaborate import elaborate
from archdsl.frontend import (
    Sizes,
    as_volume,
    read_beside,
    read_linted,
    read_models,
    read_source,
)
from archdsl.layers.volume import Volume
from archdsl.model import DISPLAYS, Model, PartialModel
from archdsl.text.diagnostics import ArchError, Diagnostic
from archdsl.text.parser import parse_program
from archdsl.text.source import Source

if TYPE_CHECKING:
    from archdsl.drawing import Drawing, Options
    from archdsl.replacing import ArgumentValue


def _show(model: Model) -> str:
    from archdsl.drawing import render_svg  # checking does not need it

    return render_svg(model)


DISPLAYS["image/svg+xml"] = _show


def _verified(models: tuple[Model, ...]) -> tuple[Model, ...]:
    failed = [diagnostic for model in models for diagnostic in model.diagnostics]
    if failed:
        raise ArchError(failed)
    return models


def _volume(input: Sizes | None) -> Volume | None:
    return None if input is None else as_volume(input)


def parse(text: str, *, path: str = "<text>", input: Sizes | None = None) -> Model:
    """The one network of a text. ``input`` is for bare statements: ``28x28x192``.

    Errors:
        ArchError: with every independent fault; also where the text does not have exactly one
            network.
    """
    return _only(_verified(read_models(Source(text, path), _volume(input))), path)


def load(path: str | Path, *, input: Sizes | None = None) -> Model:
    """The one network of a file. Errors: as for ``parse``, and unreadable files."""
    source = read_source(Path(path))
    return _only(_verified(read_models(source, _volume(input))), source.path)


def load_all(path: str | Path, *, input: Sizes | None = None) -> tuple[Model, ...]:
    """All networks of a file. Errors: as for ``load``."""
    return _verified(read_models(read_source(Path(path)), _volume(input)))


def _only(models: tuple[Model, ...], path: str) -> Model:
    if len(models) == 1:
        return models[0]
    names = ", ".join(model.name for model in models) or "none"
    message = f"one network is wanted, the text has {len(models)} ({names})"
    raise ArchError([Diagnostic("no-network", message, None, path=path)])


def replace(
    model: Model,
    *,
    input: Sizes | None = None,
    **arguments: ArgumentValue,
) -> Model:
    """The network with other arguments of its family, or for another input.

    ``archdsl.replace(model, classes=10, input="64x64x3")``. Claims of the spec are not made of the
    result; volumes that the spec states must be right for it.

    Errors:
        ValueError: it has no parameters; several inputs, or one that another file states.
        ArchError: every fault of the network that results.
    """
    from archdsl.replacing import replace_arguments

    return replace_arguments(model, _volume(input), arguments)


def lint(path: str | Path, *, input: Sizes | None = None) -> tuple[Diagnostic, ...]:
    """The warnings about a file: what is allowed but probably not meant.

    Errors:
        ArchError: with every independent fault of the text.
    """
    return read_linted(read_source(Path(path)), _volume(input))[1]


def check(path: str | Path, *, input: Sizes | None = None) -> str:
    """The table that ``archdsl check`` prints, for all networks of a file."""
    from archdsl.report.table import render_report

    return "\n\n".join(
        render_report(model) for model in read_models(read_source(Path(path)), _volume(input))
    )


def format(
    text: str,
    *,
    path: str = "<text>",
    volumes: bool = False,
    input: Sizes | None = None,
) -> str:
    """A text in the one style; with ``volumes``, also the volume behind each line of a network.

    Errors:
        ArchError: with every syntax error; with ``volumes``, with every fault of the networks.
    """
    return format_source(Source(text, path), volumes, _volume(input))


def format_source(source: Source, volumes: bool = False, input: Volume | None = None) -> str:
    """A source in the one style. Errors: as for ``format``."""
    from archdsl.formatting import render_formatted  # checking does not need it

    text = render_formatted(source)
    if volumes:
        _with_volumes(source, input)  # so that faults have their places in the text as written
    # A claim can make a line too long, which is then broken into two.
    is_new = volumes
    while is_new:
        before = Source(text, source.path)
        text = render_formatted(Source(_with_volumes(before, input), source.path))
        is_new = text != before.text
    return text


def _with_volumes(source: Source, input: Volume | None) -> str:
    """The text with each volume on which all instantiations of a line agree."""
    from archdsl.formatting.claims import blank_claims, write_claims

    program = parse_program(source)
    blank = blank_claims(source, program)
    try:
        networks = elaborate(parse_program(blank), read_beside, input)
    except ArchError as error:
        raise ArchError(d.moved(blank, source) for d in error.diagnostics) from None
    found: dict[int, Volume | None] = {}
    for network in networks:
        for span, volume in network.volumes.items():
            if span.source is blank and found.setdefault(span.start, volume) != volume:
                found[span.start] = None
    volumes = {start: str(volume) for start, volume in found.items() if volume is not None}
    return write_claims(source, program, volumes)


def compile(*models: Model, inference: bool = False, template: str | Path | None = None) -> str:
    """The source of the PyTorch module for one or more networks of one spec.

    With ``inference`` the networks are written for deployment, and have ``load_training_state``.
    ``template`` is a folder whose ``module.py.jinja`` lays out the module in place of the
    packaged one.

    Errors:
        TemplateError: what is wrong with a template of that folder, or with what it lays out.
        InvalidModuleError: the module would not compute what its spec says, which is a bug in
            this package.
    """
    refused = [d for m in models if isinstance(m, PartialModel) for d in m.faults.values()]
    if refused:
        raise ArchError(refused)
    from archdsl.compilation import compile_module

    templates = None if template is None else Path(template)
    return compile_module(models, inference=inference, templates=templates)


def draw(
    model: Model | Sequence[Model],
    format: str = "svg",
    *,
    style: str = "graph",
    options: Options | None = None,
) -> Drawing:
    """The drawing of a network: ``svg``, ``png``, ``pdf``, or another format of the style.

    Several networks make one table. The bytes are the drawing's ``content``; a notebook shows it.

    Errors:
        ValueError: no such style or format.
        DrawingError: the style has no such format or option, or cannot show the network.
    """
    from archdsl.drawing import Options, render_drawing

    return render_drawing(model, format, options or Options(), style)
