"""The memory that training takes, as a block of lines below a network's table."""

from __future__ import annotations

from archdsl.model import Model
from archdsl.model.memory import Memory, render_bytes
from archdsl.recipe import Recipe
from archdsl.report.text import columns, count_of, paint

_PRECISIONS = {"32": "32 bits", "bf16": "bf16, mixed", "16": "fp16, mixed"}
_LEGEND = (
    "An estimate of what is kept from the forward pass to the step. Not counted: what operations",
    "need while they run (gradients of activations, cuDNN's workspaces), fragmentation and the 0.5",
    "to 1 GB that the framework takes on a GPU. Leave a tenth of the memory free.",
    "MB = 10⁶, GB = 10⁹ bytes",
)

_ONE = {"image": "an image", "sample": "a sample"}


def render_memory(
    model: Model, memory: Memory, limit: int | None = None, color: bool = False
) -> str:
    """What training takes, item by item; with a limit in bytes, the largest batch that fits."""
    title = (
        f"Memory of training: a batch of {count_of(memory.batch, model.input.noun)} on one device, "
        f"{_PRECISIONS[memory.precision]}"
    )
    rows = [*_rows(model, memory), ("total", render_bytes(memory.total), "")]
    names, sizes = (max(columns(row[index]) for row in rows) for index in (0, 1))
    lines = [f"  {n:<{names}}  {s:>{sizes}}  {why}".rstrip() for n, s, why in rows]
    bold, dim = paint(color, bold=True), paint(color, dim=True)
    lines = [title, *lines[:-1], bold(lines[-1])]
    if limit is not None:
        largest = memory.largest_batch(limit)
        fits = (
            f"the largest batch is {largest:,}"
            if largest
            else f"not even one {model.input.noun} fits"
        )
        lines.append(f"  in {render_bytes(limit)} {fits}")
    return "\n".join([*lines, *map(dim, _LEGEND)])


def _rows(model: Model, memory: Memory) -> list[tuple[str, str, str]]:
    is_mixed = memory.precision != "32"
    return [
        (
            "weights",
            render_bytes(memory.weights),
            "4 bytes a number" + (", and a copy of most in 2 bytes" if is_mixed else ""),
        ),
        ("gradients", render_bytes(memory.gradients), "4 bytes a number"),
        ("optimizer", render_bytes(memory.optimizer), _optimizer(model)),
        (
            "activations",
            render_bytes(memory.activations),
            f"{render_bytes(memory.activations_per_image)} {_ONE[model.input.noun]}"
            + (", in 2 bytes where autocast lowers them" if is_mixed else ""),
        ),
    ]


def _optimizer(model: Model) -> str:
    optimizer = (model.recipe or Recipe()).optimizer
    state = optimizer.count_state()
    kept = f"{count_of(state, 'number')} a parameter" if state else "nothing"
    default = "" if model.recipe else ", the default: the spec has no recipe"
    return f"{optimizer.name} keeps {kept}{default}"
