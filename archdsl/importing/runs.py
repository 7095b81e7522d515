"""Which runs of layers results need, and which of them are runs of a layer that ran before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archdsl.importing.errors import NotInTheLanguage
from archdsl.importing.graph import SourceGraph, SourceLayer, is_input
from archdsl.layers.norm import BatchNorm


def behind(operations: Sequence[SourceLayer], *ends: int) -> set[int]:
    """The operations that lead to results, their own among them."""
    inputs = {operation.id: operation.inputs for operation in operations}
    found: set[int] = set()
    pending = [*ends]
    while pending:
        at = pending.pop()
        if not is_input(at) and at not in found:
            found.add(at)
            pending += inputs[at]
    return found


def marked(graph: SourceGraph) -> list[SourceLayer]:
    """The operations, those noted that run layers which results have needed before.

    Errors:
        NotInTheLanguage: where a run that no result needs changes the statistics of another.
    """
    live = behind(graph.operations, *graph.results, *graph.heads)
    ran: set[tuple[str, ...]] = set()
    done = []
    for operation in graph.operations:
        # What has no name, as in files, runs once.
        is_known = operation.state and bool(operation.keys or operation.path)
        own = (operation.keys or (operation.path,)) if is_known else ()
        done.append(replace(operation, is_again=own in ran and operation.id in live))
        if own and operation.id in live:
            ran.add(own)
    idle = [
        f"{operation.path}: a run of it that nothing depends on is not in the language"
        for operation in graph.operations
        if operation.id not in live and isinstance(operation.layer, BatchNorm)
        if (operation.keys or (operation.path,)) in ran
    ]
    if idle:
        raise NotInTheLanguage(graph.name, idle)
    return done
