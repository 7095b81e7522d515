"""``archdsl train``."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import choose_network, read_specs
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import color_option, data_root_option, inputs_option
from archdsl.cli.terminal import (
    ColorChoice,
    CommandError,
    exit_code,
    print_diagnostics,
    print_note,
    print_text,
)
from archdsl.frontend import Inputs
from archdsl.recipe import Recipe
from archdsl.report.text import count_of, printable

if TYPE_CHECKING:
    from archdsl.train.rates import RateSweep

_LOGGERS = ("csv", "tensorboard", "wandb", "mlflow")
#: More processes would take longer to start than any epoch.
MOST_WORKERS = 512


class Workers(click.ParamType[int | None]):
    """A number of processes, or ``auto``."""

    name = "workers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "auto":
            return None
        if not str(value).isdecimal() or int(value) > MOST_WORKERS:
            self.fail(
                f"{value!r} is neither `auto` nor a number of processes, up to {MOST_WORKERS}",
                param,
                ctx,
            )
        return int(value)


class Positive(click.FloatRange):
    """A finite number above 0."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


@click.command(cls=HelpedCommand)
@click.argument("spec", type=click.Path())
@click.option("--network", metavar="NAME", help="Which network of the spec, where it has several.")
@click.option(
    "--data",
    metavar="DATA",
    help="digits, cifar10, folder:PATH, webdataset:…, fake:N; by default the recipe's, or digits.",
)
@click.option("--epochs", metavar="N", type=click.IntRange(1), help="Passes over the data.")
@click.option(
    "--batch",
    metavar="N",
    type=click.IntRange(1),
    help="Images per step, over all devices together.",
)
@click.option(
    "--lr",
    metavar="RATE",
    type=Positive(),
    help="The learning rate that the schedule changes.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute; `auto` is a GPU where there is one.",
)
@click.option(
    "--devices",
    metavar="N",
    type=click.IntRange(1),
    help="Devices on each machine; by default all GPUs.",
)
@click.option(
    "--num-nodes",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of machines.",
)
@click.option(
    "--strategy",
    type=click.Choice(["auto", "ddp", "fsdp"]),
    default="auto",
    show_default=True,
    help="How several devices share the work; `auto` is ddp.",
)
@click.option(
    "--precision",
    type=click.Choice(["32", "bf16", "16"]),
    default="32",
    show_default=True,
    help="Precision of training; bf16 and 16 are mixed.",
)
@click.option("--compile", is_flag=True, help="Compile the network with torch.compile.")
@click.option(
    "--channels-last/--no-channels-last",
    default=True,
    show_default=True,
    help="Store images with their channels last.",
)
@click.option(
    "--workers",
    metavar="auto|N",
    type=Workers(),
    default="auto",
    show_default=True,
    help="Processes that read data, for each device; `auto` is a share of the cores.",
)
@click.option(
    "--loader",
    type=click.Choice(["torch", "dali"]),
    default="torch",
    show_default=True,
    help="What reads image files; NVIDIA DALI is installed separately.",
)
@click.option(
    "--accumulate",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of parts in which a batch is computed.",
)
@click.option(
    "--clip",
    metavar="NORM",
    type=Positive(),
    help="Largest norm of the gradient.",
)
@click.option("--sync-bn", is_flag=True, help="Normalize over the images of all devices.")
@click.option(
    "--checkpoint-every",
    metavar="N",
    type=click.IntRange(1),
    help="Save the run every N steps, not only at the end of epochs.",
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of everything random.",
)
@click.option("--deterministic", is_flag=True, help="Only use operations that repeat bit for bit.")
@click.option(
    "--resume", metavar="auto|PATH", help="Continue from the last checkpoint, or a given one."
)
@click.option(
    "--from",
    "weights_from",
    metavar="WEIGHTS",
    help="Begin with weights of a file, of the folder of a run, or of torchvision:NAME.",
)
@click.option(
    "--freeze",
    metavar="PART",
    multiple=True,
    help="Leave the weights of a part of the network, such as layer1, as they are.",
)
@click.option(
    "--overfit",
    metavar="N",
    type=click.IntRange(1),
    help="Train and validate on the first N images.",
)
@click.option("--dry-run", is_flag=True, help="Only one step of training and one of validation.")
@click.option(
    "--find-lr",
    is_flag=True,
    help="Do not train: try rates from low to high, draw the loss, and propose a rate.",
)
@click.option(
    "--patience",
    metavar="N",
    type=click.IntRange(1),
    help="Stop after N epochs without a lower validation loss.",
)
@click.option(
    "--log",
    metavar="NAMES",
    default="csv,tensorboard",
    show_default=True,
    help="Loggers, separated by commas: csv, tensorboard, wandb and mlflow.",
)
@click.option(
    "--output",
    "-o",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default="runs",
    show_default=True,
    help="The folder for the folders of runs.",
)
@click.option("--name", metavar="NAME", help="The run's folder below the output.")
@data_root_option
@click.option("--download", is_flag=True, help="Fetch a data set that is missing.")
@click.option("--skip-broken", is_flag=True, help="Leave out images that cannot be read.")
@inputs_option
@color_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    spec: str,
    inputs: Inputs | None,
    color: ColorChoice,
    **flags: Any,
) -> None:
    """Train the compiled module of a spec; the recipe is the spec's, and flags replace parts of it.

    Writes runs/NAME/: metrics, curves, a report, checkpoints, the weights, and copies of the spec
    and the module. Works unchanged under torchrun and SLURM.

    \b
    archdsl train specs/lenet5.arch --data digits
    archdsl train specs/nin_cifar10.arch --data cifar10 --download --epochs 2
    archdsl train specs/vgg16.arch --data folder:imagenet --precision bf16
    archdsl train specs/lenet5.arch --data digits --resume auto
    archdsl train specs/lenet5.arch --data digits --find-lr
    archdsl train pets.arch --from torchvision:resnet18 --freeze layer1

    Ctrl-C and SIGTERM end the step, save the run, and say how to continue; so does SIGUSR1, which
    puts a SLURM job back into the queue.

    Exit codes: 0 trained, 1 findings in the spec, 2 a wrong call, data or a device at fault, 130,
    143 and 138 stopped by Ctrl-C, SIGTERM and SIGUSR1.
    """
    finds_rate = flags.pop("find_lr")
    if finds_rate:
        _refuse_for_sweep(flags)
    reading = read_specs([spec], inputs)
    if reading.diagnostics:
        print_diagnostics(reading.diagnostics, color)
        ctx.exit(exit_code(reading.diagnostics))
    model = choose_network(reading.models, flags.pop("network"), spec)
    recipe = _override(model.recipe or Recipe(), flags)
    with needing("train", "training"):
        from archdsl.compilation import compile_module
        from archdsl.train.options import TrainOptions
        from archdsl.train.run import train_model

        resume = flags.pop("resume")
        if resume == "":
            raise CommandError("`--resume` needs `auto`, the folder of a run, or a checkpoint")
        loggers = _loggers(flags.pop("log"))
        resumed = resume if resume in (None, "auto") else Path(resume)
        options = TrainOptions(**flags, resume=resumed, log=loggers, color=color)
        if finds_rate:
            from archdsl.train.rates import find_rate

            _print_sweep(*find_rate(model, compile_module([model]), recipe, options))
            return
        from archdsl.train.stopping import exit_code_of

        outcome = train_model(model, compile_module([model]), recipe, options)
    if not outcome.is_first:
        return
    if outcome.broken:
        names = ", ".join(map(printable, outcome.broken[:3]))
        more = " …" if len(outcome.broken) > 3 else ""
        print_note(f"{count_of(len(outcome.broken), 'broken image')} left out: {names}{more}")
    folder = printable(outcome.run.folder.as_posix())
    if outcome.signal is not None:
        said = (
            "put back into the queue"
            if outcome.is_requeued
            else f"resume with the same command and --resume {folder}"
        )
        print_text(f"{model.name}: stopped after {outcome.progress}; {said}")
        ctx.exit(exit_code_of(outcome.signal))
    epochs = count_of(outcome.epochs, "epoch")
    if not outcome.metrics:
        print_text(f"{model.name}: nothing left to train after {epochs}")
    else:
        print_text(f"{model.name}: validation {_result(outcome.metrics)} after {epochs}")
    if not flags["dry_run"]:
        print_text(folder)


def _override(recipe: Recipe, flags: dict[str, Any]) -> Recipe:
    """The recipe with the numbers of the command line in place of its own."""
    given = {name: flags.pop(name) for name in ("data", "epochs", "batch", "clip", "patience")}
    lr = flags.pop("lr")
    if lr is not None:
        given["optimizer"] = replace(recipe.optimizer, lr=lr)
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _result(metrics: dict[str, float]) -> str:
    """The number by which a network of its kind is judged."""
    for name, title in (("val_top1", "top-1"), ("val_miou", "mIoU")):
        if name in metrics:
            return f"{title} {metrics[name]:.2%}"
    return f"loss {metrics['val_loss']:.4f}"


def _refuse_for_sweep(flags: dict[str, Any]) -> None:
    """Refuse flags that say nothing about a sweep. Errors: ``CommandError``."""
    for name in ("lr", "epochs", "patience", "resume", "dry_run", "checkpoint_every"):
        if flags[name]:
            flag = f"--{name.replace('_', '-')}"
            raise CommandError(f"`--find-lr` does not train: leave out `{flag}`")


def _print_sweep(sweep: RateSweep, paths: list[Path]) -> None:
    if not paths:  # the first process reports for all
        return
    if sweep.proposal is None:
        print_text(f"the loss does not fall with any rate up to {sweep.rates[-1]:g}")
    else:
        print_text(f"the loss is lowest at {sweep.highest:.2g}; try --lr {sweep.proposal:g}")
    for path in paths:
        print_text(f"wrote {printable(path.as_posix())}")


def _loggers(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in _LOGGERS:
            raise CommandError(
                f"there is no logger `{printable(name)}`; the loggers are {', '.join(_LOGGERS)}"
            )
    return names
