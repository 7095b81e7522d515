"""What a run writes for people: curves, and one page on what was done and with what result."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archdsl.train.checkpoints import write_atomically, write_text
from archdsl.train.folder import RunFolder
from archdsl.train.logs import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Flags that say nothing about what is computed.
OF_ONE_CALL = (
    "resume",
    "log",
    "output",
    "name",
    "data_root",
    "download",
    "checkpoint_every",
    "color",
)

#: A row of ``metrics.csv`` by the name of its column; validation is measured after training.
_PANELS = {
    "loss": (("train_loss", "training"), ("val_loss", "validation")),
    "accuracy": (
        ("train_top1", "training top-1"),
        ("val_top1", "validation top-1"),
        ("val_top5", "validation top-5"),
        ("train_accuracy", "training pixels"),
        ("val_accuracy", "validation pixels"),
        ("val_miou", "validation mIoU"),
    ),
}

#: The columns of the table, by the name of the number in the row: the heading, and the format.
_COLUMNS = {
    "train_loss": ("training loss", "{:.4f}"),
    "train_top1": ("training top-1", "{:.2%}"),
    "train_accuracy": ("training pixels", "{:.2%}"),
    "val_loss": ("validation loss", "{:.4f}"),
    "val_top1": ("top-1", "{:.2%}"),
    "val_top5": ("top-5", "{:.2%}"),
    "val_accuracy": ("pixels", "{:.2%}"),
    "val_miou": ("mIoU", "{:.2%}"),
    "val_mae": ("mean absolute error", "{:.4g}"),
}


def write_report(run: RunFolder, history: Sequence[Row]) -> None:
    """Write ``curves.svg``, ``curves.png`` and ``report.md`` from the rows of the epochs."""
    if not history:
        return
    _draw_curves(run, history)
    text = _report(run.read_facts(), history)
    write_text(run.report, text)


def _draw_curves(run: RunFolder, metrics: Sequence[Row]) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    measured = {
        title: [curve for curve in curves if any(curve[0] in row for row in metrics)]
        for title, curves in _PANELS.items()
    }
    panels = {title: curves for title, curves in measured.items() if curves}
    figure = Figure(figsize=(4.5 * len(panels), 3.4), layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False).flatten()
    for axes, (title, curves) in zip(places, panels.items(), strict=True):
        for (column, label), style in zip(curves, ("-", "--", ":"), strict=False):
            points = [(i + 1, row[column]) for i, row in enumerate(metrics) if column in row]
            axes.plot(*zip(*points, strict=True), style, label=label)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, run.folder / "curves")


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as SVG and PNG; equal figures make equal files. Returns their paths."""
    paths = []
    for ending in ("svg", "png"):
        content = render_figure(figure, ending)
        paths.append(path.with_suffix(f".{ending}"))
        write_atomically(paths[-1], partial(_write, content))
    return paths


def render_figure(figure: Figure, ending: str) -> bytes:
    """A figure as ``svg`` or ``png``; equal figures make equal files."""
    import matplotlib as mpl

    mpl.rcParams["svg.hashsalt"] = "archdsl"
    metadata = {"Date": None} if ending == "svg" else {}
    out = BytesIO()
    figure.savefig(out, format=ending, dpi=150, metadata=metadata)
    return out.getvalue()


def _write(content: bytes, path: str) -> None:
    Path(path).write_bytes(content)


def _report(facts: dict[str, Any], metrics: Sequence[Row]) -> str:
    data, recipe = facts["data"], facts["recipe"]
    volume = "x".join(map(str, facts["input"]))
    lines = [
        f"# {facts['network']}",
        "",
        f"{facts['parameters']:,} parameters; {volume} → {_output(facts)}; compiled "
        f"from `{facts['spec']}` to `module.py`.",
        "",
        f"Trained on {data['name']}: {data['train']:,} images, {data['validation']:,} to "
        f"validate. {len(metrics)} of {recipe['epochs']} epochs, batch {recipe['batch']}, "
        f"{_word(recipe['optimizer'])}.",
        "",
    ]
    if facts["options"].get("weights_from"):
        frozen = facts["options"]["freeze"]
        lines += [
            f"Began with the weights of {facts['options']['weights_from']}"
            f"{'; frozen: ' + ', '.join(frozen) if frozen else ''}.",
            "",
        ]
    lines += _said_of(recipe, facts["options"])
    for change in changes_of(facts):
        lines += [f"{change[0].upper()}{change[1:]}.", ""]
    if metrics:
        losses = [row["val_loss"] for row in metrics]
        columns = [column for column in _COLUMNS if any(column in row for row in metrics)]
        titles = [_COLUMNS[column][0] for column in columns]
        lines += [
            _best(metrics),
            "",
            f"`weights.safetensors` is of epoch {1 + losses.index(min(losses))}, which has the "
            "lowest validation loss.",
            "",
            "![loss and accuracy by epoch](curves.svg)",
            "",
            f"| epoch | {' | '.join(titles)} |",
            f"|---:|{'---:|' * len(titles)}",
            *(_row(index + 1, row, columns) for index, row in enumerate(metrics)),
            "",
        ]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return "\n".join([*lines, f"With {versions}.", ""])


def _said_of(recipe: dict[str, Any], options: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for title, words in (("Schedule", recipe["schedule"]), ("Augmentation", recipe["augment"])):
        if words:
            lines += [f"{title}: {', '.join(map(_word, words))}.", ""]
    if recipe.get("average"):
        lines += [f"The weights are those of the average: {_word(recipe['average'])}.", ""]
    for title, name in (("Largest norm of the gradient", "clip"), ("Patience", "patience")):
        if recipe.get(name) is not None:
            lines += [f"{title}: {recipe[name]:g}.", ""]
    return [*lines, f"Loss: {_word(recipe['loss'])}. Seed {options['seed']}.", ""]


def changes_of(facts: dict[str, Any]) -> list[str]:
    """The settings of earlier parts of the run, where they differ from the current ones."""
    found = ((part["until"], changes_between(part, facts)) for part in facts.get("earlier", ()))
    return [f"until {until}: {', '.join(changes)}" for until, changes in found if changes]


def changes_between(stretch: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    """The settings of an earlier part of the run that differ from the current ones."""
    parts = (("recipe", _render), ("versions", str), ("options", str))
    return [
        f"{name} {render(value)}"
        for part, render in parts
        for name, value in stretch[part].items()
        if value != facts[part].get(name) and name not in OF_ONE_CALL
    ]


def _render(value: Any) -> str:
    if isinstance(value, dict):
        return _word(value)
    return ", ".join(map(_word, value)) or "none" if isinstance(value, list) else str(value)


def _word(word: dict[str, Any]) -> str:
    settings = [
        f"{name}={value}" for name, value in word.items() if name != "name" and value is not None
    ]
    return " ".join([word["name"], *settings])


def _output(facts: dict[str, Any]) -> str:
    """What a network returns: classes, numbers, or an image."""
    sizes = facts["output"]
    if facts.get("task") == "regression":
        return ", ".join(facts["data"]["targets"])
    return f"{sizes[-1]} classes" if len(sizes) == 1 else "x".join(map(str, sizes))


def _best(metrics: Sequence[Row]) -> str:
    """The best epoch, by the number by which networks of its kind are judged."""
    for name, title in (("val_top1", "top-1"), ("val_miou", "mIoU")):
        values = [row.get(name, 0.0) for row in metrics]
        if any(name in row for row in metrics):
            epoch = values.index(max(values)) + 1
            return (
                f"**Best validation {title}: {max(values):.2%}** in epoch {epoch}; at the end "
                f"{values[-1]:.2%}."
            )
    losses = [row["val_loss"] for row in metrics]
    epoch = losses.index(min(losses)) + 1
    return (
        f"**Lowest validation loss: {min(losses):.4f}** in epoch {epoch}; at the end "
        f"{losses[-1]:.4f}."
    )


def _row(epoch: int, row: Row, columns: Sequence[str]) -> str:
    cells = [_COLUMNS[name][1].format(row[name]) if name in row else "" for name in columns]
    return f"| {epoch} | {' | '.join(cells)} |"
