"""Progress: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar

from archdsl.train.task import Classification


def progress_callbacks() -> list[Callback]:
    """The callbacks that show progress where the output goes."""
    speed = _Speed()
    return [speed, _Bar(speed) if sys.stderr.isatty() else _Lines(speed)]


class _Speed(Callback):
    """Counts images a second over all processes, since the epoch began."""

    def __init__(self) -> None:
        self.started = 0.0
        self.images = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.monotonic()
        self.images = 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.images += len(batch[1]) * trainer.world_size

    def value(self) -> float:
        return self.images / max(time.monotonic() - self.started, 1e-9)


class _Bar(RichProgressBar):
    """Lightning's bar with images a second beside the metrics."""

    def __init__(self, speed: _Speed) -> None:
        super().__init__(leave=True)
        self.speed = speed

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        if isinstance(pl_module, Classification):
            shown.update({name: f"{value:.3f}" for name, value in pl_module.running().items()})
        shown["images/s"] = f"{self.speed.value():.0f}"
        return shown


class _Lines(Callback):
    """One line an epoch, for logs and pipes."""

    def __init__(self, speed: _Speed) -> None:
        self.speed = speed

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        shown = [
            f"{name} {float(metrics[key]):.4f}"
            for key, name in (
                ("train_loss", "loss"),
                ("train_top1", "top-1"),
                ("val_loss", "validation loss"),
                ("val_top1", "validation top-1"),
            )
            if key in metrics
        ]
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        speed = f"{self.speed.value():.0f} images/s"
        print("  ".join([epoch, *shown, speed]), file=sys.stderr, flush=True)
