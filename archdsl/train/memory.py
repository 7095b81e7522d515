"""Memory that does not suffice: what a run needs, and which batch would fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from archdsl.model import Model
from archdsl.model.memory import estimate_memory, render_bytes
from archdsl.recipe import Recipe
from archdsl.train.errors import TrainError
from archdsl.train.options import TrainOptions


@contextmanager
def explaining_memory(
    model: Model, recipe: Recipe, options: TrainOptions, processes: int
) -> Iterator[None]:
    """Say in one line what did not fit into memory. Errors: ``TrainError``."""
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise _memory_fault(model, recipe, options, processes * options.accumulate) from error


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text


def _memory_fault(model: Model, recipe: Recipe, options: TrainOptions, shares: int) -> TrainError:
    """Say what the run needs and, where the device's memory is known, which batch would fit."""
    batch = max(recipe.batch // shares, 1)
    memory = estimate_memory(model, batch=batch, recipe=recipe, precision=options.precision)
    needs = f"{model.name} with {batch} images per device needs {render_bytes(memory.total)}"
    if not torch.cuda.is_available():
        return TrainError(f"{needs}, which does not fit into memory: pass a smaller --batch")
    available = torch.cuda.get_device_properties(0).total_memory
    largest = memory.largest_batch(available)
    return TrainError(
        f"{needs}, which does not fit into memory ({render_bytes(available)}); the largest batch "
        f"that fits is {largest * shares}"
    )
