"""The module of a spec for inference: other networks, the same way of writing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archdsl.codegen.conversion import convert
from archdsl.codegen.module import render_module
from archdsl.deployment import Deployment


def render_deployments(deployments: Sequence[Deployment], templates: Path | None = None) -> str:
    """The source of the module for inference for the networks of one spec. Deterministic.

    ``templates`` and errors are those of ``render_module``.
    """
    return render_module(
        [deployment.model for deployment in deployments],
        templates,
        lambda classes: convert(deployments, classes),
    )
