"""The module of a spec for inference: other networks, the same way of writing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archdsl.codegen.conversion import NoTableError, convert
from archdsl.codegen.module import render_networks
from archdsl.codegen.networks import Networks
from archdsl.deployment import Deployment


def render_deployments(deployments: Sequence[Deployment], templates: Path | None = None) -> str:
    """The source of the module for inference for the networks of one spec. Deterministic.

    ``templates`` and errors are those of ``render_module``.
    """
    deployed = [deployment.model for deployment in deployments]
    for has_families in (True, False):
        networks = Networks(deployed, has_families=has_families)
        try:
            conversion = convert(deployments, networks)
        except NoTableError:
            continue  # members that take their numbers from different places have a class each
        return render_networks(networks, templates, conversion)
    raise AssertionError(deployed)
