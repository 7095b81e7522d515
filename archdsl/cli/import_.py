"""``archdsl import``."""

from __future__ import annotations

from pathlib import Path

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import is_folder, write_files
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import color_option
from archdsl.cli.terminal import ColorChoice, CommandError, print_note, print_text
from archdsl.frontend import read_input
from archdsl.report.text import count_of, printable


@click.command("import", cls=HelpedCommand)
@click.argument("source", metavar="SOURCE")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="PATH",
    help="The file, or a folder for NAME.arch; by default the text is printed.",
)
@click.option(
    "--input",
    "input_text",
    metavar="SIZE",
    help="Volume of the input, such as 32x32x3; that of torchvision's classifiers is known.",
)
@click.option("--args", "arguments", default="", metavar="ARGS", help="Arguments: 'width=2'.")
@click.option("--name", metavar="NAME", help="What the network is called in the spec.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the module's weights, under the names of the spec, as safetensors.",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@color_option
def import_(
    source: str,
    output: str | None,
    input_text: str | None,
    arguments: str,
    name: str | None,
    weights: Path | None,
    force: bool,
    color: ColorChoice,
) -> None:
    """Write the spec of a PyTorch module, proved to compute the same.

    SOURCE names a class or a function that builds the module: an importable one, or one of a
    Python file, which is executed. The spec is compiled, gets the module's weights, and must give
    the same bits: outputs, and gradients of a step of training. What the language cannot say is
    refused, all of it at once, and nothing is written.

    \b
    archdsl import torchvision.models:resnet50 -o resnet50.arch
    archdsl import "mynet.py:Net(width=2)" --input 32x32x3
    archdsl import mynet.py:Net --input 32x32x3 --weights net.safetensors

    Exit codes: 0 done, 2 a wrong call, or a module that cannot be imported.
    """
    with needing("torch", "`archdsl import`"):
        from archdsl.classplan.naming import camel_case
        from archdsl.importing.importer import import_torch
        from archdsl.importing.source import build, read_source, usual_input

        found = read_source(source, arguments)
        try:
            volume = read_input(input_text) if input_text else usual_input(found)
        except ValueError as error:
            raise CommandError(f"`--input`: {error}") from None
        if volume is None:
            raise CommandError(f"{found}: pass the volume of its input, such as `--input 32x32x3`")
        network = name or camel_case(found.name)
        if not network.isidentifier():
            raise CommandError(f"`--name`: {network!r} is not the name of a network")
        paths = _paths(output, weights, network, force)
        if found.is_file and Path(found.place).is_file():
            print_note(f"{printable(found.place)} is executed")
        made = import_torch(build(found), network, volume, str(found))
        contents: dict[Path, bytes] = {}
        if weights is not None:
            from safetensors.torch import save

            contents[weights] = save(made.state)
        if paths is None:
            print_text(made.text.rstrip("\n"))
        else:
            contents[paths] = made.text.encode()
        if contents:
            write_files(contents)
    for path in contents:
        print_note(f"wrote {printable(path.as_posix())}")
    lines = sum(bool(line) and not line.startswith("#") for line in made.text.splitlines())
    print_note(
        f"{made.model} in {count_of(lines, 'line')}: the same bits as {printable(str(found))}"
    )


def _paths(output: str | None, weights: Path | None, network: str, force: bool) -> Path | None:
    """Where the text goes, if not to the terminal; nothing that exists is touched."""
    path = None
    if output is not None:
        path = Path(output, f"{network}.arch") if is_folder(output) else Path(output)
    for one in (path, weights):
        if one is not None and one.exists() and not force:
            raise CommandError(f"{one} already exists; use --force to overwrite it")
    return path
