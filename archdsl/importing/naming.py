"""Names of statements: what is referred to, or runs again, has one that is known there."""

from __future__ import annotations

import re

from archdsl.elaborate.names import can_refer_to
from archdsl.importing.errors import NotInTheLanguage
from archdsl.importing.graph import SourceGraph, SourceLayer
from archdsl.importing.statements import (
    Body,
    HeadStatement,
    LayerStatement,
    MergeStatement,
    PartStatement,
    ReferenceStatement,
    ReuseStatement,
    bodies_in,
    labels_in,
    layers_in,
    walk,
)
from archdsl.layers.plumbing import Identity


def free_names(body: Body) -> None:
    """Where parts in the branches of a merge are needed outside, name an `id` behind it instead.

    A merge with a name keeps the names in it for itself.
    """
    uses = [s for s in walk(body) if isinstance(s, ReferenceStatement | ReuseStatement)]
    for statements in [*bodies_in(body)]:
        for place, merge in [*enumerate(statements)][::-1]:
            if not isinstance(merge, MergeStatement) or merge.label is None:
                continue
            inner = {id(s) for branch in merge.branches for s in walk(branch)}
            if not any(id(use.of) in inner for use in uses if id(use) not in inner):
                continue
            of = merge.operation
            same = SourceLayer(of.id, Identity(), (of.id,), of.volume)
            named = LayerStatement(same, merge.label)
            merge.label = None
            statements.insert(place + 1, named)
            for use in uses:
                if isinstance(use, ReferenceStatement) and use.of is merge:
                    use.of = named


def name_what_runs_again(graph: SourceGraph, body: Body) -> None:
    """Give names to what `reuse` says.

    Errors:
        NotInTheLanguage: where it stands in the braces of another part.
    """
    found = [s for s in walk(body) if isinstance(s, ReuseStatement)]
    taken = labels_in(body)
    for statement in found:
        first = statement.of
        if first.label is not None and can_refer_to(first.label):
            continue
        stem = "shared" if first.label is None else re.sub(r"\W", "_", first.label)
        number = 1
        while f"{stem}_{number}" in taken:
            number += 1
        first.label = f"{stem}_{number}"
        taken.add(first.label)
    braces: dict[int, int] = {}
    _find_braces(body, id(body), braces)
    reasons = [
        f"{layer.path}: a layer with weights that runs again outside of the part that it is in is "
        "not imported yet"
        for statement in found
        if braces[id(statement)] != braces.get(id(statement.of))
        for layer in layers_in([statement])
        if layer.state
    ]
    if reasons:
        raise NotInTheLanguage(graph.name, [*dict.fromkeys(reasons)])


def _find_braces(body: Body, own: int, found: dict[int, int]) -> None:
    """In which braces with a name of their own each statement stands."""
    for statement in body:
        found[id(statement)] = own
        match statement:
            case PartStatement(body=inner):
                is_open = statement.is_row and statement.label is None
                _find_braces(inner, own if is_open else id(inner), found)
            case HeadStatement(body=inner):
                _find_braces(inner, id(inner), found)
            case MergeStatement(branches=branches):
                for branch in branches:
                    _find_braces(branch, own if statement.label is None else id(statement), found)
