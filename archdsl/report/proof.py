"""Torch's verdict on a network, as a line below its table."""

from __future__ import annotations

from archdsl.proof import Proof
from archdsl.report.text import count_of, paint


def render_proof(proof: Proof, color: bool = False) -> str:
    """What torch was asked and found the same, or how often it disagrees."""
    if not proof.holds:
        sign = paint(color, fg="red", bold=True)("✗")
        return f"{sign} torch {proof.torch} disagrees: {count_of(len(proof.diagnostics), 'error')}"
    sign = paint(color, fg="green", bold=True)("✓")
    return (
        f"{sign} proved by torch {proof.torch}: {count_of(proof.volumes, 'volume')}, "
        f"{count_of(proof.parameters, 'parameter')}, {count_of(proof.macs, 'MAC')}"
    )
