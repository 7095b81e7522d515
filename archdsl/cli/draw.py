"""``archdsl draw``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import Reading, is_folder, read_specs, write_files
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import color_option, inputs_option, paths_argument
from archdsl.cli.pictures import fonts_option
from archdsl.cli.terminal import (
    ColorChoice,
    CommandError,
    exit_code,
    print_bytes,
    print_diagnostics,
    print_note,
    print_text,
)
from archdsl.drawing.canvas.palette import THEMES
from archdsl.drawing.options import BoxScale, ColorBy, Direction, Fit, Legend, Options, Shapes
from archdsl.drawing.styles import ENDINGS, FORMATS, STYLES, Style, style_named
from archdsl.frontend import Inputs
from archdsl.model import Model
from archdsl.report.text import count_of, printable

if TYPE_CHECKING:
    from archdsl.drawing.volumes.faces import Faces

FOLDER = "drawings"


@click.command(cls=HelpedCommand)
@paths_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE",
    help="A file for one network, a folder (DIR/) for many, or -.  [default: drawings/]",
)
@click.option(
    "--format",
    "given",
    type=click.Choice(FORMATS),
    help="The format, where the file's ending does not say it.  [default: svg; txt for tables]",
)
@click.option(
    "--style",
    type=click.Choice([style.name for style in STYLES]),
    help="How the network is shown.  [default: graph; volumes with --run]",
)
@click.option(
    "--fit",
    type=click.Choice(get_args(Fit)),
    default="none",
    show_default=True,
    help="The page to lay it out for, in columns, so that its text is legible there.",
)
@click.option(
    "--direction",
    type=click.Choice(get_args(Direction)),
    default="auto",
    show_default=True,
    help="The direction in which the data flows.",
)
@click.option(
    "--depth",
    type=click.IntRange(0),
    metavar="N",
    help="Draw nested blocks N levels deep, and deeper ones collapsed.  "
    "[default: all open; in HTML up to 30 boxes]",
)
@click.option(
    "--open",
    "open_parts",
    multiple=True,
    metavar="NAME",
    help="Draw a part or block of this name expanded and unfolded; may be repeated.",
)
@click.option("--flat", is_flag=True, help="Draw each layer, without blocks and folding.")
@click.option(
    "--shapes",
    type=click.Choice(get_args(Shapes)),
    default="changes",
    show_default=True,
    help="The volumes that are shown at the lines.",
)
@click.option("--names", is_flag=True, help="Name each box like its module in PyTorch.")
@click.option(
    "--legend",
    type=click.Choice(get_args(Legend)),
    default="auto",
    show_default=True,
    help="The legend: the insides of collapsed blocks, and with `on` also the families.",
)
@click.option(
    "--color-by",
    type=click.Choice(get_args(ColorBy)),
    default="family",
    show_default=True,
    help="What the colours show.",
)
@click.option(
    "--theme",
    type=click.Choice(THEMES),
    default="auto",
    show_default=True,
    help="The colours; `auto` follows the reader's page in SVG, `print` is black and white.",
)
@click.option(
    "--scale",
    type=click.Choice(get_args(BoxScale)),
    default="log",
    show_default=True,
    help="How sizes of volumes become sizes of boxes, with --style volumes.",
)
@fonts_option
@click.option(
    "--keep-going",
    is_flag=True,
    help="Draw a network with a fault up to the fault, shown in red; the exit code stays 1.",
)
@click.option(
    "--run",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Show on the volumes what the trained network in this folder makes of --image.",
)
@click.option(
    "--image", metavar="FILE", type=click.Path(path_type=Path), help="The image that --run sees."
)
@inputs_option
@color_option
@click.pass_context
def draw(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    output: str | None,
    given: str | None,
    style: str | None,
    keep_going: bool,
    run: Path | None,
    image: Path | None,
    open_parts: tuple[str, ...],
    inputs: Inputs | None,
    color: ColorChoice,
    **choices: Any,
) -> None:
    """Draw networks: one picture each, as SVG, PNG, PDF, TikZ, HTML or Graphviz DOT, or a table.

    PATH is a file, a folder or -; without one, ./specs. A picture is named after its spec, and
    its network where the spec has several; HTML has all of a spec on one page. The path of each
    picture is printed.

    \b
    archdsl draw specs/vgg16.arch                  drawings/vgg16.svg
    archdsl draw specs/googlenet.arch -o net.pdf   the format by the ending
    archdsl draw specs/googlenet.arch --fit a4     legible on one page
    archdsl draw specs -o pictures/ --format png   all of a folder
    archdsl draw specs/vgg.arch -o vgg.html        blocks to open, table beside
    archdsl draw specs/vgg16.arch -o vgg.tex --style volumes
    archdsl draw specs/vgg16.arch -o - --format dot
    archdsl draw specs/vgg*.arch --style table -o vgg.tex
    archdsl draw specs/lenet5.arch --run runs/lenet5 --image seven.png

    Exit codes: 0 done, 1 findings in a spec, 2 a wrong call, or a picture that cannot be made.
    """
    if (run is None) != (image is None):
        raise click.UsageError("--run and --image belong together", ctx)
    chosen = style_named(style or ("graph" if run is None else "volumes"))
    format = _format(ctx, output, given, chosen)
    options = Options(open=open_parts, **choices)
    reading = read_specs(paths, inputs, keeps_going=keep_going)
    print_diagnostics(reading.diagnostics, color)
    if reading.diagnostics and not (keep_going and reading.models):
        ctx.exit(exit_code(reading.diagnostics))
    if run is not None and image is not None:
        _write_run(reading, run, image, output, format, options, chosen)
    elif output == "-":
        print_bytes(_render(_together(reading, format, chosen), format, options, chosen))
    else:
        _write(reading, output, format, options, chosen)
    ctx.exit(exit_code(reading.diagnostics))


def _write_run(
    reading: Reading,
    run: Path,
    image: Path,
    output: str | None,
    format: str,
    options: Options,
    chosen: Style,
) -> None:
    """Write, or print, the picture of a network with what a run of it makes of an image."""
    if len(reading.specs) != 1:
        raise CommandError(f"--run is of one spec; {len(reading.specs)} given")
    (spec,) = reading.specs
    with needing("train", "`--run`"):
        from archdsl.looking.activations import record_activations
        from archdsl.looking.faces import MapFaces
        from archdsl.looking.specimen import specimen_among

        specimen = specimen_among(spec.models, run, spec.file.path)
        activations = record_activations(specimen, specimen.finished.prepare(image))
        faces = MapFaces(specimen, activations, image.name)
        content = _render((specimen.model,), format, options, chosen, faces)
    if output == "-":
        print_bytes(content)
        return
    # Not the name of the picture of the spec alone.
    path = Path(FOLDER if output is None else output)
    if output is None or is_folder(output):
        path /= f"{spec.file.place}-on-{image.stem}.{format}"
    write_files({path: content})
    print_text(printable(path.as_posix()))


def _write(
    reading: Reading, output: str | None, format: str, options: Options, chosen: Style
) -> None:
    if output is None or is_folder(output):
        targets = _targets(reading, Path(output or FOLDER), format, chosen)
    else:
        targets = {Path(output): _together(reading, format, chosen)}
    # All pictures are drawn before any is written.
    write_files({path: _render(shown, format, options, chosen) for path, shown in targets.items()})
    for path in targets:
        print_text(printable(path.as_posix()))


def _format(ctx: click.Context, output: str | None, given: str | None, style: Style) -> str:
    """The format that is asked for, or that the file's ending implies."""
    if output is None or output == "-" or is_folder(output):
        return given or style.formats[0]
    ending = Path(output).suffix.removeprefix(".").lower()
    if ending not in style.formats:
        ending = ENDINGS.get(ending, ending)
    known = ending in FORMATS
    if given is None and not known:
        twins = [twin for twin, format in ENDINGS.items() if format in style.formats]
        endings = ", ".join(f".{name}" for name in (*style.formats, *twins))
        raise click.UsageError(f"{printable(output)!r} does not end in {endings}", ctx)
    if given is not None and known and given != ending:
        raise click.UsageError(f"`--format {given}` contradicts {printable(output)!r}", ctx)
    return given or ending


def _together(reading: Reading, format: str, style: Style) -> tuple[Model, ...]:
    """The networks of one file: one, or many where the format takes them."""
    models = reading.models
    if len(models) != 1 and not (models and style.is_of_many(format)):
        networks = count_of(len(models), "network")
        raise CommandError(f"one network makes one picture; {networks} given (a folder takes many)")
    return models


def _targets(
    reading: Reading, folder: Path, format: str, style: Style
) -> dict[Path, tuple[Model, ...]]:
    """The networks of each picture, by its path.

    A picture is named after its spec, and also after its network where the spec has several
    pictures. Several networks make one table.
    """
    if style.table and len(reading.models) > 1:
        return {folder / f"{style.name}.{format}": reading.models}
    targets: dict[Path, tuple[Model, ...]] = {}
    for spec in reading.specs:
        if not spec.models:
            print_note(f"{spec.file.path} defines blocks only; there is nothing to draw")
            continue
        is_one = len(spec.models) == 1 or style.is_of_many(format)
        for shown in [spec.models] if is_one else [(model,) for model in spec.models]:
            suffix = "" if is_one else f"-{shown[0].name}"
            path = folder / f"{spec.file.place}{suffix}.{format}"
            if path in targets:
                raise CommandError(f"two networks would both become {path}")
            targets[path] = shown
    return targets


def _render(
    shown: tuple[Model, ...],
    format: str,
    options: Options,
    style: Style,
    faces: Faces | None = None,
) -> bytes:
    from archdsl.drawing import DrawingError, render_drawing

    names = ", ".join(model.name for model in shown)
    try:
        drawing = render_drawing(shown, format, options, style.name, faces)
    except DrawingError as error:
        raise CommandError(f"{shown[0].path}: {names} cannot be drawn: {error}") from None
    for note in drawing.notes:
        print_note(f"{names}: {note}")
    return drawing.content
