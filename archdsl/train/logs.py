"""The logs of a run: one row per epoch, in ``metrics.csv`` and for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from archdsl.train.checkpoints import write_text
from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder

#: What was measured in an epoch, by name.
Row = dict[str, float]

COLUMNS = {
    "epoch": int,
    "step": int,
    "lr": float,
    "train_loss": float,
    "train_top1": float,
    "train_accuracy": float,
    "val_loss": float,
    "val_top1": float,
    "val_top5": float,
    "val_accuracy": float,
    "val_miou": float,
    "val_mae": float,
    "images_per_second": float,
    "waiting": float,
}


class Logs:
    """Writes the results of each epoch."""

    def __init__(self, run: RunFolder, names: Sequence[str], history: Sequence[Row]) -> None:
        self.run = run
        self.has_csv = "csv" in names
        self.events: Any = None
        if "tensorboard" in names:
            from torch.utils.tensorboard import SummaryWriter

            # What came after the checkpoint that the run resumes from is not part of it.
            behind = int(history[-1]["step"]) + 1 if history else 0
            with _writing(run.events):
                self.events = SummaryWriter(run.events, purge_step=behind)

    def write_table(self, history: Sequence[Row]) -> None:
        """Write the rows so far to ``metrics.csv``."""
        if self.has_csv and history:
            text = render_csv(history)
            write_text(self.run.metrics, text)

    def write(self, history: Sequence[Row]) -> None:
        """Write the row of an epoch. Errors: ``TrainError`` where the disk is full."""
        self.write_table(history)
        if self.events is not None and history:
            row, events = history[-1], self.events
            with _writing(self.run.events):
                for name in row.keys() - {"epoch", "step"}:
                    events.add_scalar(name, row[name], int(row["step"]))
                events.flush()

    def close(self) -> None:
        if self.events is not None:
            with _writing(self.run.events):
                self.events.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainError(f"cannot write {path}: {error.strerror or error}") from error


def render_csv(history: Sequence[Row]) -> str:
    """The rows as CSV, with the columns that they have."""
    out = io.StringIO()
    columns = [name for name in COLUMNS if any(name in row for row in history)]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for row in history:
        writer.writerow({name: COLUMNS[name](value) for name, value in row.items()})
    return out.getvalue()


def read_metrics(run: RunFolder) -> list[Row]:
    """The rows of a run's ``metrics.csv``; none where it has no such file."""
    if not run.metrics.exists():
        return []
    with run.metrics.open(encoding="utf-8", newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]
