"""Progress: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar


def progress_bar() -> Callback:
    """The callback that shows progress where the output goes."""
    return _Bar() if sys.stderr.isatty() else _Lines()


class _Speed:
    """Images a second over all processes, since the epoch began."""

    def __init__(self) -> None:
        self.started = 0.0
        self.images = 0

    def start(self) -> None:
        self.started = time.monotonic()
        self.images = 0

    def add(self, trainer: pl.Trainer, batch: Any) -> None:
        self.images += len(batch[1]) * trainer.world_size

    def value(self) -> float:
        return self.images / max(time.monotonic() - self.started, 1e-9)


class _Bar(RichProgressBar):
    """Lightning's bar with images a second beside the metrics."""

    def __init__(self) -> None:
        super().__init__(leave=True)
        self.speed = _Speed()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.speed.start()
        super().on_train_epoch_start(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.speed.add(trainer, batch)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        shown["images/s"] = f"{self.speed.value():.0f}"
        return shown


class _Lines(Callback):
    """One line an epoch, for logs and pipes."""

    def __init__(self) -> None:
        self.speed = _Speed()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.speed.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.speed.add(trainer, batch)

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
