"""The loop: epochs of steps, each followed by a validation, in one process or many."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn

from archdsl.recipe.recipe import Recipe
from archdsl.train.averaging import Averaging
from archdsl.train.data import ImageData
from archdsl.train.data.augmentation import plan_mixing
from archdsl.train.errors import TrainError
from archdsl.train.loading import Loader, mix
from archdsl.train.logs import Row
from archdsl.train.options import TrainOptions
from archdsl.train.pixel_tasks import Reconstruction, Regression, Segmentation
from archdsl.train.processes import Agreement, add_up, share_buffers
from archdsl.train.stopping import Stopping
from archdsl.train.task import Classification, set_rate

#: Steps between two checks whether the loss is still a number, which have to wait for a GPU.
_LOOK = 50


Task = Classification | Segmentation | Reconstruction | Regression


class NotFinite(TrainError):
    """The loss or a weight became infinite or NaN."""

    def __init__(self, what: str, epoch: int, step: int | None = None) -> None:
        place = "" if step is None else f", step {step + 1}"
        super().__init__(f"{what} is not a finite number in epoch {epoch + 1}{place}")


@dataclass
class Progress:
    """How far a run is. What follows depends on this, the weights and the seed alone."""

    #: Epochs that are over, steps of the next one, and steps in total.
    epoch: int = 0
    step: int = 0
    steps: int = 0
    #: Of the epoch that is not over: the sum of the loss over its images, hits, and images.
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    #: Of the same epoch: seconds in total, and seconds in which the process waited for images.
    spent: list[float] = field(default_factory=lambda: [0.0, 0.0])
    #: A row for each epoch that is over.
    history: list[Row] = field(default_factory=list)

    @property
    def best(self) -> int | None:
        """Which epoch (from 0) has the lowest validation loss; the first of equal ones."""
        losses = [row["val_loss"] for row in self.history]
        return losses.index(min(losses)) if losses else None

    @property
    def without_better(self) -> int:
        """Epochs since the best."""
        return 0 if self.best is None else len(self.history) - 1 - self.best

    def __str__(self) -> str:
        epochs = f"epoch {self.epoch}" if self.epoch else ""
        step = f"step {self.step}" if self.step or not self.epoch else ""
        return ", ".join(filter(None, (epochs, step)))


class Watcher:
    """Is told of the progress of the loop. Each method does little, since steps may be short."""

    def on_step(self, loop: TrainingLoop) -> None:
        """A step is over."""

    def on_epoch(self, loop: TrainingLoop) -> None:
        """An epoch and its validation are over; the row is the last of the history."""

    def on_checkpoint(self, loop: TrainingLoop) -> None:
        """The run is to be saved as it is, during an epoch."""

    def on_end(self, loop: TrainingLoop) -> None:
        """The loop ends, for whatever reason."""


class TrainingLoop:
    """Trains a network, beginning at its progress."""

    def __init__(
        self,
        fabric: Fabric,
        network: _FabricModule,
        optimizer: torch.optim.Optimizer,
        task: Task,
        recipe: Recipe,
        options: TrainOptions,
        data: ImageData,
        training: Loader,
        validation: Loader,
        progress: Progress,
        average: Averaging | None = None,
        watchers: tuple[Watcher, ...] = (),
        frozen_norms: tuple[nn.Module, ...] = (),
    ) -> None:
        self.fabric = fabric
        self.network = network
        self.optimizer = optimizer
        self.task = task
        self.recipe = recipe
        self.options = options
        self.data = data
        self.training = training
        self.validation = validation
        self.progress = progress
        self.average = average
        self.mixing = plan_mixing(recipe.augment, task.classes)
        self.watchers = watchers
        #: Batch normalizations that stay in evaluation.
        self.frozen_norms = frozen_norms
        self.agreement = Agreement(fabric)
        is_quick = fabric.device.type == "cpu" and fabric.world_size == 1
        self.look = 1 if is_quick else _LOOK
        #: Of the epoch so far and this process: the sum of the loss, hits, and images.
        self.sums = [0.0, 0.0, 0.0]
        #: What is still to be added to it: step, loss, hits and images, as tensors on the device.
        self.measured: list[tuple[int, Tensor, Tensor, int]] = []
        #: The first step of the epoch whose loss was not finite, or -1.
        self.lost = -1
        self.started = self.waited = 0.0
        self.images = 0

    @property
    def steps_in_epoch(self) -> int:
        return 1 if self.options.dry_run else self.training.steps

    @property
    def speed(self) -> float:
        """Images per second over all processes, since the epoch began."""
        return self.images / max(time.monotonic() - self.started, 1e-9)

    @property
    def waiting(self) -> float:
        """The share of that time in which the process waited for images."""
        return self.waited / max(time.monotonic() - self.started, 1e-9)

    def running(self) -> tuple[float, float]:
        """Loss, and share that is right, over the images of this process in this epoch so far."""
        self._add_up()
        loss, hits, images = self.sums
        return loss / max(images, 1), hits / max(images, 1)

    def run(self, stopping: Stopping) -> int | None:
        """Train to the end, or until a signal. Returns the signal, where one came.

        Errors:
            NotFinite: where the loss is not finite; then no checkpoint is written.
        """
        try:
            signal = self._run(stopping)
        except Exception:  # which a second Ctrl-C is not: it does not wait for the workers
            self._close()
            raise
        finally:
            for watcher in self.watchers:
                watcher.on_end(self)
        self._close()
        return signal

    def _close(self) -> None:
        for loading in (self.training, self.validation):
            loading.close()

    def _run(self, stopping: Stopping) -> int | None:
        progress, patience = self.progress, self.recipe.patience
        while progress.epoch < self.recipe.epochs:
            if patience is not None and progress.without_better >= patience:
                break
            signal = self._train_epoch(stopping)
            if signal:
                return signal
            row = self._validate(stopping)
            if isinstance(row, int):
                return row
            self._end_epoch(row)
            if self.options.dry_run:
                break
        return None

    # ── Training ─────────────────────────────────────────────────────────────────────────────

    def _train_epoch(self, stopping: Stopping) -> int | None:
        progress, every = self.progress, self.options.checkpoint_every
        self._begin_training()
        self._set_rate()
        # With several processes, the first one takes over the sums of all of them.
        self.sums = list(progress.sums) if self.fabric.is_global_zero else [0.0, 0.0, 0.0]
        self.measured, self.lost = [], -1
        seconds, self.waited = progress.spent
        self.started, self.images = time.monotonic() - seconds, int(progress.sums[2])
        batches = iter(self.training.batches(progress.epoch, progress.step))
        while progress.step < self.steps_in_epoch:
            self._step(batches)
            progress.step += 1
            progress.steps += 1
            if progress.step % self.look == 0:
                self._look()
            for watcher in self.watchers:
                watcher.on_step(self)
            signal = self.agreement.most(stopping.signal or 0)
            if signal or (every and progress.steps % every == 0 and self._is_amid()):
                self._save()
            if signal:
                return signal
        self._look()
        return None

    def _begin_training(self) -> None:
        self.network.train()
        for norm in self.frozen_norms:
            norm.eval()

    def _is_amid(self) -> bool:
        """Whether the epoch continues: at its end it is saved with its validation."""
        return self.progress.step < self.steps_in_epoch

    def _step(self, batches: Iterator[Any]) -> None:
        progress = self.progress
        self._seed(progress.epoch, progress.step)
        if any(page.is_stepwise for page in self.recipe.schedule):
            self._set_rate()
        size = self.training.images_in(progress.step)
        parts = self.training.parts_in(progress.step)
        for part in range(parts):
            images, labels = self._next(batches)
            if self.mixing is not None:
                images, labels = self.mixing(images, labels)
            labels = self.task.targets(images, labels)
            is_amid = part + 1 < parts and self.fabric.world_size > 1
            with self.fabric.no_backward_sync(self.network, enabled=is_amid):
                loss, hits = self.task.measure(self.network(images), labels)
                # Parts of a batch may differ in size: the last one of an epoch does.
                share = len(images) / size
                self.fabric.backward(loss if share == 1 else loss * share)
            self.measured.append((progress.step, loss.detach(), hits, len(images)))
            self.images += len(images) * self.fabric.world_size
        if self.recipe.clip is not None:
            self.fabric.clip_gradients(
                self.network, self.optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None and progress.steps % self.average.every == 0:
            self.average.update(self.network.module)

    def _set_rate(self) -> None:
        progress, steps = self.progress, self.steps_in_epoch
        set_rate(
            self.optimizer,
            self.recipe,
            progress.epoch,
            min(progress.step, steps - 1),  # after the last step only the validation is left
            steps,
            progress.history,
        )

    def _seed(self, epoch: int, step: int) -> None:
        """Make dropout depend on the number of the step alone: it is the same after a stop."""
        fabric = self.fabric
        seed = mix(self.options.seed, epoch, step * fabric.world_size + fabric.global_rank)
        torch.default_generator.manual_seed(seed)
        if fabric.device.type == "cuda":
            torch.cuda.default_generators[fabric.device.index].manual_seed(seed)

    def _next(self, batches: Iterator[Any]) -> tuple[Tensor, Tensor]:
        """The next batch, on the device."""
        before = time.monotonic()
        images, labels = next(batches)
        self.waited += time.monotonic() - before
        return self._prepare(images), labels.to(self.fabric.device, non_blocking=True)

    def _prepare(self, images: Tensor) -> Tensor:
        """Move images to the device as bytes, and normalize them there."""
        images = images.to(self.fabric.device, non_blocking=True)
        if self.options.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.data.normalize(images)

    def _add_up(self) -> None:
        """Fetch what was measured, which has to wait for the device."""
        if not self.measured:
            return
        steps, losses, hits, images = zip(*self.measured, strict=True)
        self.measured = []
        for step, loss, hit, count in zip(
            steps, torch.stack(losses).tolist(), torch.stack(hits).tolist(), images, strict=True
        ):
            if self.lost < 0 and not math.isfinite(loss):
                self.lost = step
            self.sums = [a + b for a, b in zip(self.sums, (loss * count, hit, count), strict=True)]

    def _look(self) -> None:
        self._add_up()
        lost = self.agreement.most(self.lost)
        if lost >= 0:
            raise NotFinite("the loss", self.progress.epoch, lost)

    def _save(self) -> None:
        self._look()
        progress = self.progress
        progress.spent = [time.monotonic() - self.started, self.waited]
        is_lost = not all(bool(p.isfinite().all()) for p in self.network.parameters())
        if self.agreement.most(int(is_lost)):
            raise NotFinite("a weight", progress.epoch, progress.step - 1)
        progress.sums = add_up(self.fabric, self.sums)
        share_buffers(self.fabric, self.network)
        for watcher in self.watchers:
            watcher.on_checkpoint(self)

    # ── Validation ───────────────────────────────────────────────────────────────────────────

    def _validate(self, stopping: Stopping) -> Row | int:
        """The row of this epoch, or the signal that came meanwhile."""
        speed, waiting = self.speed, self.waiting
        device = self.fabric.device
        network = self.network if self.average is None else self.average.network
        share_buffers(self.fabric, network)
        network.eval()
        scores, left = [], self.validation.own_images
        with torch.no_grad():
            for raw, labels in self.validation.batches(0, 0):
                # The last images of a process may only be there to make up the number.
                count = min(len(raw), left)
                left -= count
                images = self._prepare(raw)
                with self.fabric.autocast():
                    output = _first(network(images), count)
                if count:
                    targets = self.task.targets(images[:count], labels[:count].to(device))
                    scores.append(self.task.score(output, targets))
                signal = self.agreement.most(stopping.signal or 0)
                if signal:
                    # The steps are done and saved; the part of the validation so far is not.
                    self._save()
                    return signal
                if self.options.dry_run:
                    break
        count = self.validation.own_images - left
        # On the host, in double precision: over all images small errors would add up.
        sums = torch.stack(scores or [self.task.no_score()]).cpu().double().sum(dim=0).tolist()
        *sums, seen = add_up(self.fabric, [*sums, count])
        measured = self.task.rows(sums, seen)
        if not math.isfinite(measured["val_loss"]):
            raise NotFinite("the validation loss", self.progress.epoch)
        trained_loss, trained_hits, seen = add_up(self.fabric, self.sums)
        trained = {"train_loss": trained_loss / seen}
        if self.task.trained is not None:
            trained[self.task.trained] = trained_hits / seen
        return {
            "epoch": self.progress.epoch + 1,
            "step": self.progress.steps,
            "lr": self.optimizer.param_groups[0]["lr"],
            **trained,
            **measured,
            "images_per_second": speed,
            "waiting": waiting,
        }

    def _end_epoch(self, row: Row) -> None:
        progress = self.progress
        progress.history.append(row)
        progress.epoch += 1
        progress.step, progress.sums, progress.spent = 0, [0.0, 0.0, 0.0], [0.0, 0.0]
        for watcher in self.watchers:
            watcher.on_epoch(self)


def _first(output: Any, count: int) -> Any:
    """An output, or each of several, of the first images, in single precision."""
    if isinstance(output, Tensor):
        return output[:count].float()
    return tuple(one[:count].float() for one in output)
