"""Torch's verdict on a network, as a line below its table."""

from __future__ import annotations

from archdsl.model.proof import Proof
from archdsl.report.text import count_of, paint


def render_proof(proof: Proof, color: bool = False) -> str:
    """What torch has confirmed, or how often it disagrees."""
    if not proof.holds:
        sign = paint(color, fg="red", bold=True)("✗")
        return f"{sign} torch {proof.torch} disagrees: {count_of(len(proof.diagnostics), 'error')}"
    sign = paint(color, fg="green", bold=True)("✓")
    counted = (
        f"{sign} proved by torch {proof.torch}: {count_of(proof.volumes, 'volume')}, "
        f"{count_of(proof.parameters, 'parameter')}, {count_of(proof.macs, 'MAC')}"
    )
    return f"{counted}\n  {_render_numbers(proof)}"


def _render_numbers(proof: Proof) -> str:
    numbers = proof.numbers
    if numbers is None:
        return f"outputs and gradients were not compared: {proof.omitted}"
    samples = count_of(numbers.images, f"random {numbers.input.noun}")
    narrowed = f", with 1/{numbers.divisor} of the channels" if numbers.divisor > 1 else ""
    volumes = " and ".join(map(str, (numbers.input, *numbers.others)))
    return (
        f"and in numbers: {count_of(numbers.outputs, 'output')} (training, evaluation, inference), "
        f"{count_of(numbers.gradients, 'gradient')}, {count_of(numbers.buffers, 'buffer')}, "
        f"for {samples} of {volumes}{narrowed}"
    )
