"""Progress: one line per epoch, and on a terminal a bar below."""

from __future__ import annotations

import sys
import time

from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from archdsl.train.loop import TrainingLoop, Watcher

#: Seconds between two looks at the loss, which have to wait for a GPU.
_REFRESH = 0.5

#: The cells of a line, by the name of the number in the row: the heading, and the format.
_CELLS = {
    "train_loss": ("loss", "{:.4f}"),
    "train_top1": ("top-1", "{:.2%}"),
    "train_accuracy": ("pixels", "{:.2%}"),
    "val_loss": ("val loss", "{:.4f}"),
    "val_top1": ("val top-1", "{:.2%}"),
    "val_accuracy": ("pixels", "{:.2%}"),
    "val_miou": ("val mIoU", "{:.2%}"),
    "val_mae": ("val MAE", "{:.4g}"),
    "images_per_second": ("images/s", "{:,.0f}"),
    "waiting": ("waiting", "{:.0%}"),
}
_WIDTH = 9


def progress_watchers(fabric: Fabric, color: str = "auto") -> list[Watcher]:
    """What shows the progress, depending on where the output goes; only for the first process."""
    if not fabric.is_global_zero:
        return []
    return [_Bar(color)] if sys.stderr.isatty() else [_Lines()]


def show_note(text: str) -> None:
    """Point out something that the user may not have meant."""
    print(f"note: {text}", file=sys.stderr, flush=True)


class _Lines(Watcher):
    """A table with one line per epoch, less than 80 columns wide."""

    def __init__(self) -> None:
        self.has_heading = False

    def on_epoch(self, loop: TrainingLoop) -> None:
        row, epochs = loop.progress.history[-1], str(loop.recipe.epochs)
        width = max(len("epoch"), 2 * len(epochs) + 1)
        cells = {name: cell for name, cell in _CELLS.items() if name in row}
        if not self.has_heading:
            titles = "".join(f"{title:>{_WIDTH + 1}}" for title, _ in cells.values())
            self.show("epoch".rjust(width) + titles)
            self.has_heading = True
        numbers = "".join(
            f"{form.format(row[name]):>{_WIDTH + 1}}" for name, (_, form) in cells.items()
        )
        self.show(f"{loop.progress.epoch}/{epochs}".rjust(width) + numbers)

    def show(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class _Bar(_Lines):
    """The same table, and below it a bar for the epoch."""

    def __init__(self, color: str) -> None:
        super().__init__()
        # None leaves it to the environment.
        without = True if color == "never" else None
        self.console = Console(stderr=True, highlight=False, no_color=without)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[numbers]}"),
            console=self.console,
            transient=True,
            auto_refresh=False,
        )
        self.task = self.bar.add_task("", total=None, numbers="")
        self.shown = 0.0

    def on_step(self, loop: TrainingLoop) -> None:
        now = time.monotonic()
        progress = loop.progress
        is_last = progress.step == loop.steps_in_epoch
        if now - self.shown < _REFRESH and not is_last:
            return
        self.shown = now
        loss, share = loop.running()
        name = loop.task.trained
        right = f"{_CELLS[name][0]} {share:.1%}  " if name else ""
        is_first = not self.bar.live.is_started
        if is_first:
            self.bar.reset(self.task)
        self.bar.update(
            self.task,
            description=f"epoch {progress.epoch + 1}/{loop.recipe.epochs}",
            completed=progress.step,
            total=loop.steps_in_epoch,
            numbers="validating"
            if is_last
            else f"loss {loss:.3f}  {right}{loop.speed:,.0f} images/s",
        )
        if is_first:
            self.bar.start()
        else:
            self.bar.refresh()

    def on_epoch(self, loop: TrainingLoop) -> None:
        self.bar.stop()
        super().on_epoch(loop)

    def on_end(self, loop: TrainingLoop) -> None:
        self.bar.stop()

    def show(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)
