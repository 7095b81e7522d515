"""``archdsl weights``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import choose_network, read_specs, write_files
from archdsl.cli.lazy_help import HelpedCommand, HelpedGroup
from archdsl.cli.options import color_option, inputs_option
from archdsl.cli.terminal import (
    ColorChoice,
    CommandError,
    exit_code,
    print_diagnostics,
    print_note,
    print_text,
)
from archdsl.frontend import Inputs
from archdsl.model import Model
from archdsl.report.text import align, count_of, printable

if TYPE_CHECKING:
    from archdsl.torch_tools.port import PortedTensor

_HEADER = ("Source", "Target", "Shape", "By")


@click.group(cls=HelpedGroup)
def weights() -> None:
    """Work with files of weights.

    \b
    archdsl weights port resnet18.pt my_resnet.arch -o my_resnet.safetensors

    Exit codes: 0 done, 1 findings in a spec, 2 a wrong call, or weights that do not fit.
    """


class _Mapping(click.ParamType[tuple[str, str]]):
    """``OLD=NEW``: a path of the source and one of the target."""

    name = "mapping"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        old, sign, new = str(value).partition("=")
        if not (old and sign and new):
            self.fail(f"{value!r} is not of the form OLD=NEW", param, ctx)
        return old, new


@weights.command(cls=HelpedCommand)
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("spec", type=click.Path())
@click.option("--network", metavar="NAME", help="Which network of the spec, where it has several.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="The file to write."
)
@click.option(
    "--from", "origin", metavar="SPEC", help="The source's own spec, which tells the order."
)
@click.option(
    "--map",
    "maps",
    type=_Mapping(),
    metavar="OLD=NEW",
    multiple=True,
    help="Match what is below a name of the source with what is below a name of the spec.",
)
@click.option(
    "--drop", "drops", metavar="NAME", multiple=True, help="Leave out a part of the source."
)
@click.option("--dry-run", is_flag=True, help="Print the mapping and write nothing.")
@click.option("--quiet", is_flag=True, help="Do not print the mapping.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@inputs_option
@color_option
@click.pass_context
def port(
    ctx: click.Context,
    source: Path,
    spec: str,
    network: str | None,
    output: Path | None,
    origin: str | None,
    maps: tuple[tuple[str, str], ...],
    drops: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    force: bool,
    inputs: Inputs | None,
    color: ColorChoice,
) -> None:
    """Put weights under the names of a spec's module, matched by structure.

    SOURCE is a state dict: .safetensors, or what torch.save wrote; or the checkpoint of a run.
    Each tensor must find its place and each place its tensor, with equal shapes; what is
    ambiguous is refused. The mapping is printed.

    \b
    archdsl weights port resnet18.pt my_resnet.arch -o my_resnet.safetensors
    archdsl weights port googlenet.pt plain.arch --drop aux1 --drop aux2 -o plain.safetensors
    archdsl weights port mine.safetensors yours.arch --from mine.arch -o yours.safetensors
    archdsl weights port odd.pt net.arch --map branch_a=branch1 --dry-run

    Exit codes: 0 done, 1 findings in a spec, 2 a wrong call, or weights that do not fit.
    """
    if output is None and not dry_run:
        raise click.UsageError("name the file to write with -o, or pass --dry-run", ctx)
    if output is not None and not dry_run and output.exists() and not force:
        raise CommandError(f"{output} already exists; use --force to overwrite it")
    model = choose_network(_read(ctx, spec, inputs, color), network, spec)
    origins = _read(ctx, origin, inputs, color) if origin else ()
    with needing("torch", "porting weights"):
        from archdsl.torch_tools.port import (
            order_as,
            plan_port,
            port,
            render_weights,
            shapes_of,
            target_shapes,
        )
        from archdsl.torch_tools.weights import read_state

        state = read_state(source)
        shapes = shapes_of(state)
        # Files of safetensors are sorted by name: the order of the modules is lost.
        is_ordered = bool(origin) or source.suffix != ".safetensors"
        if origin:
            shapes = order_as(shapes, origins, origin)
        rows = plan_port(
            shapes, target_shapes(model), maps=maps, drops=drops, is_ordered=is_ordered
        )
        if not quiet:
            _print_rows(rows)
        _print_notes(rows, is_given=bool(origin))
        if output is None or dry_run:
            return
        content = render_weights(port(state, rows), model)
    write_files({output: content})
    print_text(f"wrote {printable(output.as_posix())}: {count_of(len(rows), 'tensor')}")


def _read(
    ctx: click.Context, spec: str, inputs: Inputs | None, color: ColorChoice
) -> tuple[Model, ...]:
    reading = read_specs([spec], inputs)
    if reading.diagnostics:
        print_diagnostics(reading.diagnostics, color)
        ctx.exit(exit_code(reading.diagnostics))
    return reading.models


def _print_rows(rows: Sequence[PortedTensor]) -> None:
    from archdsl.torch_tools.matching import render_shape

    cells = [_HEADER] + [
        (printable(r.source or "0"), printable(r.target), render_shape(r.shape), r.ground)
        for r in rows
    ]
    for line in align(cells):
        print_text(line)


def _print_notes(rows: Sequence[PortedTensor], *, is_given: bool) -> None:
    ordered = sum(row.ground == "order" for row in rows)
    if ordered and not is_given:
        print_note(
            f"{count_of(ordered, 'tensor')} matched by order: right if the source registers its "
            "modules in the order in which it runs them"
        )
    parted = sum(row.ground == "part" for row in rows)
    if parted:
        print_note(
            f"{count_of(parted, 'tensor')} matched by part: there the source has a different order "
            "than the spec"
        )
    counters = sum(row.source is None for row in rows)
    if counters:
        print_note(f"{count_of(counters, 'counter')} of batches set to 0: the source keeps none")
