"""``archdsl export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import choose_network, is_folder, read_specs, write_files
from archdsl.cli.lazy_help import HelpedCommand
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
from archdsl.report.text import count_of, printable


class Batch(click.ParamType[int | None]):
    """A number of images, or ``dynamic`` for any."""

    name = "batch"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "dynamic":
            return None
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number of images nor `dynamic`", param, ctx)
        return int(value)


@click.command(cls=HelpedCommand)
@click.argument("spec", type=click.Path())
@click.option("--onnx", is_flag=True, help="Export to ONNX.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="PATH",
    help="The file, or a folder for NAME.onnx; by default NAME.onnx in this folder.",
)
@click.option("--network", metavar="NAME", help="Which network of the spec, where it has several.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Weights as safetensors or as a checkpoint, such as a run's weights.safetensors.",
)
@click.option("--opset", type=click.IntRange(1), metavar="N", help="By default torch's choice.")
@click.option(
    "--batch",
    type=Batch(),
    default="dynamic",
    show_default=True,
    metavar="N|dynamic",
    help="Images per batch.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@inputs_option
@color_option
@click.pass_context
def export(
    ctx: click.Context,
    spec: str,
    onnx: bool,
    output: str | None,
    network: str | None,
    weights: Path | None,
    opset: int | None,
    batch: int | None,
    force: bool,
    inputs: Inputs | None,
    color: ColorChoice,
) -> None:
    """Export a network for other programs: ONNX, in one file, compared with torch.

    The file holds the network as it is evaluated, without auxiliary heads and dropout. Its input is
    `image` (N × C × H × W), its output `logits`, unless the spec names them. Without --weights it
    has the network's initial weights under a fixed seed, or the best ones of a run where SPEC is
    the folder of a run.

    \b
    archdsl export specs/lenet5.arch --onnx
    archdsl export specs/lenet5.arch --onnx --batch 1 -o lenet.onnx
    archdsl export runs/lenet5 --onnx
    archdsl export specs/lenet5.arch --onnx --weights weights.safetensors
    archdsl export specs/vgg.arch --onnx --network VGG16_C --opset 18

    Exit codes: 0 done, 1 findings in the spec, 2 a wrong call, weights or a file at fault.
    """
    if not onnx:
        raise click.UsageError("name a format; there is one: `--onnx`", ctx)
    run = Path(spec) if (Path(spec) / "run.json").is_file() else None
    reading = read_specs([str(run / "spec.arch") if run else spec], inputs)
    if reading.diagnostics:
        print_diagnostics(reading.diagnostics, color)
        ctx.exit(exit_code(reading.diagnostics))
    if run is not None:
        network = network or _network_of(run)
    model = choose_network(reading.models, network, spec)
    path = Path(output or "", f"{model.name}.onnx")
    if output is not None and not is_folder(output):
        path = Path(output)
    if path.exists() and not force:
        raise CommandError(f"{path} already exists; use --force to overwrite it")
    with needing("export", "export to ONNX"):
        from archdsl.compilation import compile_module
        from archdsl.torch_tools.export import SEED, export_onnx

        source = compile_module(reading.models)
        if run is not None and weights is None:
            from archdsl.train.finished import weights_of
            from archdsl.train.folder import RunFolder

            weights = weights_of(RunFolder(run))
            print_note(f"the weights are those of {printable(weights.as_posix())}")
        made = export_onnx(model, source, weights=weights, batch=batch, opset=opset)
    write_files({path: made.content})
    if weights is None:
        print_note(f"no --weights given: these are initial weights, of seed {SEED}")
    noun = model.input.noun
    images = f"any number of {noun}s" if batch is None else count_of(batch, noun)
    print_text(f"{model.name}: ONNX opset {made.opset}, {images}, {len(made.content):,} bytes")
    if made.difference is None:
        print_note("not compared with torch: onnxruntime is not installed")
    else:
        images = count_of(made.compared or 0, noun)
        print_text(
            f"the same as torch for {images}: the largest difference is "
            f"{made.difference:.1e}, the largest output {made.scale:.1e}"
        )
    print_text(f"wrote {printable(path.as_posix())}")


def _network_of(run: Path) -> str:
    """The name of the network that a run trains. Its spec may have several."""
    with needing("train", "export of a run"):
        from archdsl.train.folder import RunFolder

        name = RunFolder(run).read_facts().get("network")
    if not isinstance(name, str):
        raise CommandError(f"{run / 'run.json'} does not say which network it trains")
    return name
