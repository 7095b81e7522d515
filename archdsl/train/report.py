"""What a run leaves for people: curves, and one page on what was done and what came of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from archdsl.train.checkpoints import write_atomically
from archdsl.train.folder import Run

#: A row of ``metrics.csv`` by the name of its column; validation is measured after training.
_PANELS = {
    "loss": (("train_loss", "training"), ("val_loss", "validation")),
    "accuracy": (
        ("train_top1", "training top-1"),
        ("val_top1", "validation top-1"),
        ("val_top5", "validation top-5"),
    ),
}


def read_metrics(run: Run) -> list[dict[str, float]]:
    """The metrics of each epoch, in order; the logger writes training and validation apart."""
    epochs: dict[int, dict[str, float]] = {}
    for path in run.all_metrics():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                numbers = {name: float(value) for name, value in row.items() if value}
                epochs.setdefault(int(numbers.pop("epoch")), {}).update(numbers)
    return [epochs[epoch] for epoch in sorted(epochs)]


def write_report(run: Run) -> None:
    """Write ``curves.svg``, ``curves.png`` and ``report.md`` from what the run has logged."""
    metrics = read_metrics(run)
    if not metrics:
        return
    _draw_curves(run, metrics)
    text = _report(run.read_facts(), metrics)
    write_atomically(run.report, lambda target: Path(target).write_text(text, "utf-8"))


def _draw_curves(run: Run, metrics: list[dict[str, float]]) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "archdsl"  # the same picture of the same numbers
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
        for (column, label), style in zip(curves, ("-", "--", ":"), strict=False):
            points = [(i + 1, row[column]) for i, row in enumerate(metrics) if column in row]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=label)
        axes.set_xlabel("epoch")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend()
    for ending in ("svg", "png"):
        metadata = {"Date": None} if ending == "svg" else {}
        write_atomically(
            run.folder / f"curves.{ending}",
            lambda target, ending=ending, metadata=metadata: figure.savefig(
                target, format=ending, dpi=150, metadata=metadata
            ),
        )


def _report(facts: dict[str, Any], metrics: list[dict[str, float]]) -> str:
    data, recipe = facts["data"], facts["recipe"]
    volume = "x".join(map(str, facts["input"]))
    lines = [
        f"# {facts['network']}",
        "",
        f"{facts['parameters']:,} parameters; {volume} → {facts['output'][-1]} classes; compiled "
        f"from `{facts['spec']}` to `module.py`.",
        "",
        f"Trained on {data['name']}: {data['train']:,} images, {data['validation']:,} to "
        f"validate. {len(metrics)} of {recipe['epochs']} epochs, batch {recipe['batch']}, "
        f"{_word(recipe['optimizer'])}.",
        "",
    ]
    for title, words in (("Schedule", recipe["schedule"]), ("Augmentation", recipe["augment"])):
        if words:
            lines += [f"{title}: {', '.join(map(_word, words))}.", ""]
    lines += [f"Loss: {_word(recipe['loss'])}. Seed {facts['options']['seed']}.", ""]
    if metrics:
        best = max(metrics, key=lambda row: row.get("val_top1", 0.0))
        epoch = metrics.index(best) + 1
        lines += [
            f"**Best validation top-1: {best.get('val_top1', 0):.2%}** in epoch {epoch}; at the "
            f"end {metrics[-1].get('val_top1', 0):.2%}.",
            "",
            "![loss and accuracy by epoch](curves.svg)",
            "",
            "| epoch | training loss | training top-1 | validation loss | top-1 | top-5 |",
            "|---:|---:|---:|---:|---:|---:|",
            *(_row(index + 1, row) for index, row in enumerate(metrics)),
            "",
        ]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return "\n".join([*lines, f"With {versions}.", ""])


def _word(word: dict[str, Any]) -> str:
    settings = [f"{name}={value}" for name, value in word.items() if name != "name"]
    return " ".join([word["name"], *settings])


def _row(epoch: int, row: dict[str, float]) -> str:
    cells = [
        f"{row['train_loss']:.4f}" if "train_loss" in row else "",
        f"{row['train_top1']:.2%}" if "train_top1" in row else "",
        f"{row['val_loss']:.4f}" if "val_loss" in row else "",
        f"{row['val_top1']:.2%}" if "val_top1" in row else "",
        f"{row['val_top5']:.2%}" if "val_top5" in row else "",
    ]
    return f"| {epoch} | {' | '.join(cells)} |"
