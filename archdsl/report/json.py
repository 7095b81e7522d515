"""The JSON document of a run: networks, layers, claims and diagnostics, for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from archdsl.layers import Initializer
from archdsl.model import Claim, Model
from archdsl.model.memory import Memory
from archdsl.model.proof import Numbers, Proof
from archdsl.network.graph import Node, label_of
from archdsl.recipe import recipe_facts
from archdsl.text.diagnostics import Diagnostic, Fix, Label
from archdsl.text.source import Span

#: Raised when a key is renamed, removed or changes its meaning; a new key does not raise it.
SCHEMA = 1

Document = dict[str, Any]


def report_document(
    models: Iterable[Model],
    diagnostics: Iterable[Diagnostic],
    memories: Mapping[Model, Memory] | None = None,
    limit: int | None = None,
    proofs: Mapping[Model, Proof] | None = None,
) -> Document:
    """One document for a run, of plain values.

    Volumes are ``[height, width, channels]``, or ``[units]``; MACs and volumes are for one image;
    ``receptive_field`` is its larger axis. Lines and columns count from 1, columns in characters;
    ``input`` and ``output`` are the first of ``inputs`` and ``outputs``, whose names are null where
    the spec gives none. ``shared`` says of a layer that it runs the module of an earlier one once
    more; it has the same name. ``start`` and ``end`` are offsets in characters from 0. All are null
    where a diagnostic has no place in a text; ends are exclusive. ``recipe`` and ``init`` are null
    where the spec has none.
    ``memory`` is present with ``--training``, in bytes; its ``largest_batch`` is null without a
    limit. ``proof`` is present with ``--prove``; its numbers are torch's, with the auxiliary
    heads, and where it does not hold ``diagnostics`` say why. Its ``numbers`` are null where no
    outputs were compared, and ``omitted`` says why.
    """
    networks = []
    for model in models:
        network = _network(model)
        if memories:
            network["memory"] = _memory(memories[model], limit)
        if proofs:
            network["proof"] = _proof(proofs[model])
        networks.append(network)
    return {
        "schema": SCHEMA,
        "networks": networks,
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in diagnostics],
    }


def _network(model: Model) -> Document:
    return {
        "name": model.name,
        "path": model.path,
        "input": list(model.input.sizes),
        "output": list(model.output.sizes),
        "inputs": [
            {"name": label_of(node) or None, "volume": list(node.volume.sizes)}
            for node in model.inputs
        ],
        "outputs": [
            {"name": name, "volume": list(model.nodes[end].volume.sizes)}
            for name, end in zip_longest((o.name for o in model.outputs), model.ends)
        ],
        "params": model.trunk.parameters,
        "aux_params": model.heads.parameters,
        "macs": model.trunk.macs,
        "aux_macs": model.heads.macs,
        "weight_layers": model.trunk.weight_layers,
        "depth": model.depth,
        "layers": [_layer(model, node) for node in model.layers],
        "claims": [_claim(claim) for claim in model.claims],
        "init": _init(model.init) if model.init else None,
        "recipe": recipe_facts(model.recipe) if model.recipe else None,
    }


def _memory(memory: Memory, limit: int | None) -> Document:
    return {
        "batch": memory.batch,
        "precision": memory.precision,
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "activations": memory.activations,
        "total": memory.total,
        "largest_batch": None if limit is None else memory.largest_batch(limit),
    }


def _proof(proof: Proof) -> Document:
    return {
        "holds": proof.holds,
        "torch": proof.torch,
        "volumes": proof.volumes,
        "params": proof.parameters,
        "macs": proof.macs,
        "numbers": _numbers(proof.numbers) if proof.numbers else None,
        "omitted": proof.omitted or None,
    }


def _numbers(numbers: Numbers) -> Document:
    return {
        "input": list(numbers.input.sizes),
        "others": [list(volume.sizes) for volume in numbers.others],
        "images": numbers.images,
        "divisor": numbers.divisor,
        "outputs": numbers.outputs,
        "gradients": numbers.gradients,
        "buffers": numbers.buffers,
    }


def _init(init: Initializer) -> Document:
    return {"name": init.name, **asdict(init)}  # type: ignore[call-overload]


def _layer(model: Model, node: Node) -> Document:
    cost = model.costs[node.id]
    return {
        "name": model.names[node.id],
        "layer": node.layer.name,
        "line": model.place_of(node).line,
        "volume": list(node.volume.sizes),
        "params": cost.parameters,
        "macs": cost.macs,
        "receptive_field": max(model.receptive_fields[node.id]),
        "aux": node.head is not None,
        "shared": node.shares is not None,
    }


def _claim(claim: Claim) -> Document:
    return {
        "line": claim.line,
        "text": claim.text,
        "holds": claim.holds,
        "actual": claim.actual,
    }


def _diagnostic(diagnostic: Diagnostic) -> Document:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "path": diagnostic.file,
        **_place(diagnostic.span),
        "labels": [_label(label) for label in _labels(diagnostic)],
        "context": list(diagnostic.context),
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
        "fixes": [_fix(fix) for fix in diagnostic.fixes],
    }


def _place(span: Span | None) -> Document:
    if span is None:
        return dict.fromkeys(("line", "column", "end_line", "end_column", "start", "end"))
    return {
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
        "start": span.start,
        "end": span.end,
    }


def _labels(diagnostic: Diagnostic) -> tuple[Label, ...]:
    """The related places; the primary one comes first where it has a label."""
    if diagnostic.span is None or not diagnostic.label:
        return diagnostic.related
    return (Label(diagnostic.span, diagnostic.label), *diagnostic.related)


def _label(label: Label) -> Document:
    return {"path": label.span.source.path, **_place(label.span), "message": label.message}


def _fix(fix: Fix) -> Document:
    return {
        "message": fix.message,
        "safe": fix.is_safe,
        "edits": [
            {
                "path": edit.span.source.path,
                **_place(edit.span),
                "replacement": edit.replacement,
            }
            for edit in fix.edits
        ],
    }
