"""``archdsl import``."""

from __future__ import annotations

from pathlib import Path

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import is_folder, write_files
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import color_option
from archdsl.cli.sources import extra_for
from archdsl.cli.terminal import ColorChoice, CommandError, print_note, print_text
from archdsl.frontend import read_inputs
from archdsl.report.text import count_of, printable


@click.command("import", cls=HelpedCommand)
@click.argument("source", metavar="SOURCE")
@click.argument("trained", metavar="[WEIGHTS]", required=False, type=click.Path(path_type=Path))
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
    help="Volume of the input, such as 32x32x3; of several each by name: 'left: 32x32x3, right: "
    "32x32x3'. Files and torchvision's classifiers have one.",
)
@click.option("--args", "arguments", default="", metavar="ARGS", help="Arguments: 'width=2'.")
@click.option("--name", metavar="NAME", help="What the network is called in the spec.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the weights, under the names of the spec, as safetensors.",
)
@click.option(
    "--extern",
    is_flag=True,
    help="Write modules that the language cannot say as `extern`, which is code that runs.",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@color_option
def import_(
    source: str,
    trained: Path | None,
    output: str | None,
    input_text: str | None,
    arguments: str,
    name: str | None,
    weights: Path | None,
    extern: bool,
    force: bool,
    color: ColorChoice,
) -> None:
    """Write the spec of a network from elsewhere, proved to compute the same.

    SOURCE is a PyTorch module, an ONNX file, a Caffe prototxt or a Darknet cfg. A module is named
    by a class or a function that builds it: an importable one, or one of a Python file, which is
    executed. The spec is compiled, gets the same weights, and must give the same results; for a
    module the same bits, in a step of training as well. What the language cannot say is refused,
    all of it at once, and nothing is written. With --extern it stays code, which the spec's module
    imports: modules whose class can be imported and whose arguments are literals.

    \b
    archdsl import torchvision.models:resnet50 -o resnet50.arch
    archdsl import "mynet.py:Net(width=2)" --input 32x32x3
    archdsl import twins.py:Siamese --input "left: 105x105x1, right: 105x105x1"
    archdsl import mypackage.net:Net --input 32x32x3 --extern
    archdsl import model.onnx -o model.arch --weights model.safetensors
    archdsl import yolov3-tiny.cfg yolov3-tiny.weights -o yolo.arch

    Exit codes: 0 done, 2 a wrong call, or a network that cannot be imported.
    """
    with needing(extra_for(source), "`archdsl import`"):
        from archdsl.importing.sources import find_source

        try:
            volumes = read_inputs(input_text) if input_text else None
        except ValueError as error:
            raise CommandError(f"`--input`: {error}") from None
        found = find_source(
            source,
            weights=trained,
            arguments=arguments,
            input=volumes,
            name=name,
            extern=extern,
        )
        if not found.name.isidentifier():
            raise CommandError(f"`--name`: {found.name!r} is not the name of a network")
        paths = _paths(output, weights, found.name, force)
        if found.is_executed:
            print_note(f"{printable(source.partition(':')[0])} is executed")
        made = found.make()
        contents: dict[Path, bytes] = {}
        if weights is not None and not made.state:
            raise CommandError(f"`--weights`: {source} has no weights")
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
    print_note(f"{made.model} in {count_of(lines, 'line')}: {made.proved}")


def _paths(output: str | None, weights: Path | None, network: str, force: bool) -> Path | None:
    """Where the text goes, if not to the terminal; nothing that exists is touched."""
    path = None
    if output is not None:
        path = Path(output, f"{network}.arch") if is_folder(output) else Path(output)
    for one in (path, weights):
        if one is not None and one.exists() and not force:
            raise CommandError(f"{one} already exists; use --force to overwrite it")
    return path
