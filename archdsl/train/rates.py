"""The learning-rate range test: the rate rises from step to step, and the loss is watched."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_fabric import seed_everything

from archdsl.model import Model
from archdsl.recipe import Recipe
from archdsl.train.checkpoints import write_text
from archdsl.train.choice import choose_folder, hold, refuse_name
from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder
from archdsl.train.loop import Progress, TrainingLoop
from archdsl.train.memory import explaining_memory
from archdsl.train.options import TrainOptions
from archdsl.train.processes import add_up, start_processes, telling_of_lost_processes
from archdsl.train.progress import show_note
from archdsl.train.report import save_figure
from archdsl.train.setup import make_loaders, make_network, make_task, open_images, set_up_torch
from archdsl.train.stopping import ending_workers
from archdsl.train.task import make_optimizer
from archdsl.train.transfer import begin_with, refuse_freezing_alone

#: The first rate and the last, and how many there are: 20 for each power of ten.
LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 141
#: The weight of the past in the smoothed loss.
_SMOOTHING = 0.9
#: The sweep ends where the loss is so many times its lowest value: it has diverged.
_DIVERGED = 4.0
#: A loss that falls by less than this share of its first value has not fallen.
_LEAST_FALL = 0.03
#: The proposed rate as a share of the one at which the loss is lowest.
_SHARE = 0.1


@dataclass(frozen=True)
class RateSweep:
    """Rates from low to high, and the loss of the step that was then taken with each.

    The sweep ends where the loss has diverged, or before it is no number.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @cached_property
    def smoothed(self) -> tuple[float, ...]:
        """The losses as an exponential moving average, corrected for its beginning."""
        found, mean = [], 0.0
        for step, loss in enumerate(self.losses, 1):
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
            found.append(mean / (1 - _SMOOTHING**step))
        return tuple(found)

    @property
    def has_diverged(self) -> bool:
        """Whether the smoothed loss is far above its lowest value."""
        return self.smoothed[-1] > _DIVERGED * min(self.smoothed)

    @property
    def highest(self) -> float | None:
        """The rate at which the smoothed loss is lowest: with higher ones training gets worse.

        None where the loss does not fall. This is the upper bound that Smith 2017, section 3.3,
        reads off the curve.
        """
        lowest = min(self.smoothed)
        if not lowest < (1 - _LEAST_FALL) * self.smoothed[0]:
            return None
        return self.rates[self.smoothed.index(lowest)]

    @property
    def proposal(self) -> float | None:
        """A tenth of the highest rate, in two digits: far from where training gets worse."""
        return None if self.highest is None else float(f"{_SHARE * self.highest:.2g}")


class _SweepLoop(TrainingLoop):
    """Steps of training whose rate is given, and no validation."""

    def sweep(self, rates: list[float]) -> RateSweep:
        """The mean loss over all processes of the step that is taken with each rate."""
        progress, found = self.progress, RateSweep((), ())
        self._begin_training()
        batches: Iterator[Any] = iter(())
        for number, rate in enumerate(rates):
            progress.epoch, progress.step = divmod(number, self.training.steps)
            if not progress.step:
                batches = iter(self.training.batches(progress.epoch, 0))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self._step(batches)
            loss, images = add_up(self.fabric, self._measured_sums())
            if not math.isfinite(loss):
                break
            found = RateSweep((*found.rates, rate), (*found.losses, loss / images))
            if found.has_diverged:
                break
        return found

    def _measured_sums(self) -> list[float]:
        """The sum of the loss over the images of the last step, and how many these are."""
        parts, self.measured = self.measured, []
        loss = sum(float(loss) * images for _, loss, _, images in parts)
        return [loss, sum(images for *_, images in parts)]


def find_rate(
    model: Model, module_source: str, recipe: Recipe, options: TrainOptions
) -> tuple[RateSweep, list[Path]]:
    """Sweep the learning rate over a new network; write the curve and its numbers into a folder.

    Everything else is as in a run: data, augmentation, batch, optimizer. Returns the sweep and the
    files, none in other processes than the first.

    Errors:
        TrainError: as for ``train_model``.
    """
    refuse_name(options.name)
    refuse_freezing_alone(options)
    recipe = replace(recipe, schedule=(), average=None)
    data = open_images(model, recipe, options)
    name = options.name or f"{model.name.lower()}-lr"
    run = RunFolder(choose_folder(model, replace(options, name=name, resume=None)))
    with hold(run), ending_workers():
        seed_everything(options.seed, verbose=False)
        set_up_torch(options)
        fabric = start_processes(options)
        training, validation = make_loaders(data, recipe, fabric, options)
        network = make_network(module_source, model, options)
        task = make_task(model, recipe, data, network)
        beginning = begin_with(network, options, task.classes, is_resumed=False)
        if fabric.is_global_zero:
            for note in beginning.notes:
                show_note(note)
        with (
            explaining_memory(model, recipe, options, fabric.world_size),
            telling_of_lost_processes(fabric),
        ):
            optimizer = make_optimizer(recipe.optimizer, network)
            loop = _SweepLoop(
                fabric,
                fabric.setup_module(network),
                fabric.setup_optimizers(optimizer),  # type: ignore[arg-type]
                task,
                recipe,
                options,
                data,
                training,
                validation,
                Progress(),
                frozen_norms=beginning.frozen_norms,
            )
            try:
                sweep = loop.sweep(_rates())
            finally:
                training.close()
        if not sweep.rates:
            raise TrainError("the loss is not a finite number in the first step")
        paths: list[Path] = []
        if fabric.is_global_zero:
            table = run.folder / "lr.csv"
            write_text(table, _render_csv(sweep))
            paths = [table, *_draw(run.folder / "lr", sweep, model.name)]
            run.lock.unlink(missing_ok=True)
    return sweep, paths


def _rates() -> list[float]:
    ratio = HIGHEST / LOWEST
    return [float(f"{LOWEST * ratio ** (step / (STEPS - 1)):.6g}") for step in range(STEPS)]


def _render_csv(sweep: RateSweep) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["lr", "loss", "smoothed_loss"])
    writer.writerows(zip(sweep.rates, sweep.losses, sweep.smoothed, strict=True))
    return out.getvalue()


def _draw(path: Path, sweep: RateSweep, network: str) -> list[Path]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(sweep.rates, sweep.losses, color="C0", alpha=0.35, label="loss of a step")
    axes.semilogx(sweep.rates, sweep.smoothed, color="C0", label="smoothed")
    for rate, style, name in (
        (sweep.highest, ":", "lowest loss"),
        (sweep.proposal, "--", "proposed"),
    ):
        if rate is not None:
            label = f"{name}: {rate:.2g}"
            axes.axvline(rate, color="black", linestyle=style, linewidth=1, label=label)
    # A loss that diverges would press the rest of the curve flat.
    top = max(sweep.smoothed[: sweep.smoothed.index(min(sweep.smoothed)) + 1])
    axes.set_ylim(0, 1.5 * top)
    axes.set(xlabel="learning rate", ylabel="training loss", title=network)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    return save_figure(figure, path)
